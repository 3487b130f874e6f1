"""Files in both directions: what imgsync writes, read by others; what they write, by imgsync.

The image is an index of two platforms with an SBOM that is signed itself, in a registry without
the referrers API. A case is right if the image arrives under the digest that it had.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.images import Images
from tests.peers.programs import Failed, has, imgsync, run
from tests.servers.registry import Registry
from tests.upload import upload

NAME = "registry.example/team/app:1"
SBOM, SIGNATURE = "application/spdx+json", "application/vnd.example.signature"


@dataclass(frozen=True)
class Case:
    """One file or folder, written by one tool and read by another.

    Attributes:
        program: which must be on PATH.
        carry: puts the image into the far repository that it is given.
        keeps: what must arrive: "all", "image" (without what is about it), "platform" (one of it,
            written anew), or "nothing" (it is refused).
    """

    title: str
    program: str
    carry: Callable[[str], object]
    keeps: str


class Exchange:
    """The cases, over one image."""

    def __init__(self, near: Registry, far: Registry, folder: Path) -> None:
        self.far, self.folder = far, folder
        images = Images()
        children = [
            images.image([images.layer({"app": platform.encode()})], platform=platform)
            for platform in ("linux/amd64", "linux/arm64")
        ]
        index = images.index(children)
        images.name(NAME, index)
        sbom = images.referrer(index, SBOM, b"{}", "registry.example/team/app")
        signature = images.referrer(sbom, SIGNATURE, b"s", "registry.example/team/app")
        self.near = upload(near.url, images)[NAME]
        self.digest = index["digest"]
        self.about = {sbom["digest"], signature["digest"]}
        self.layout, self.bundle = folder / "layout", folder / "site.tar"
        imgsync("bundle", "-q", f"{self.near}={NAME}", "-o", self.bundle)
        imgsync("bundle", "-q", f"{self.near}={NAME}", "-o", f"oci:{self.layout}")

    def rows(self) -> Iterator[tuple[str, str, bool]]:
        """Case, what arrived, whether that is right."""
        for number, case in enumerate((*self._written(), *self._read())):
            if has(case.program):
                repository = f"case{number}/app"
                try:
                    case.carry(f"{self.far.host}/{repository}")
                except Failed as error:
                    arrived = "nothing"
                    if case.keeps != "nothing":
                        print(error)
                else:
                    arrived = self._arrived(repository)
                yield case.title, arrived, arrived == case.keeps

    def _arrived(self, repository: str) -> str:
        manifests = self.far.manifests(repository)
        if self.digest not in manifests:
            return "platform" if manifests else "nothing"
        return "all" if self.about <= manifests else "image"

    def _written(self) -> Iterator[Case]:
        """What imgsync writes."""
        layout, bundle = self.layout, self.bundle
        yield Case("oci:DIR → skopeo copy --all", "skopeo", self._skopeo(f"oci:{layout}"), "image")
        archive = self._skopeo(f"oci-archive:{bundle}")
        yield Case("site.tar → skopeo copy --all oci-archive:", "skopeo", archive, "image")
        yield Case(
            "oci:DIR → crane push --index",
            "crane",
            lambda far: run("crane", "push", "--insecure", "--index", layout, f"{far}:1"),
            "all",
        )
        yield Case(
            "site.tar → crane push",
            "crane",
            lambda far: run("crane", "push", "--insecure", bundle, f"{far}:1"),
            "platform",
        )
        for path, title in ((layout, "oci:DIR"), (bundle, "site.tar")):
            what = f"{title} → oras cp -r --from-oci-layout-path"
            yield Case(what, "oras", self._oras(path), "all")
        yield Case(
            "oci:DIR → regctl image copy ocidir://DIR@DIGEST --referrers",
            "regctl",
            lambda far: self._regctl(
                "copy", "--referrers", f"ocidir://{layout}@{self.digest}", f"{far}:1"
            ),
            "image",
        )
        yield Case(
            "site.tar → regctl image import --name NAME",
            "regctl",
            lambda far: self._regctl("import", "--name", NAME, f"{far}:1", str(bundle)),
            "image",
        )
        yield Case(
            "site.tar → imgpkg copy --tar",
            "imgpkg",
            lambda far: run("imgpkg", "copy", "--tar", bundle, "--to-repo", far),
            "nothing",
        )

    def _read(self) -> Iterator[Case]:
        """What others write."""
        for form, keeps in (("oci", "image"), ("tarball", "platform"), ("legacy", "platform")):
            title = f"crane pull --format={form}"
            yield self._case(title, "crane", self._crane_pull(form), keeps)
        yield self._case(
            "oras cp -r --to-oci-layout",
            "oras",
            lambda out: run(
                "oras", "cp", "-r", "--from-plain-http", self.near, "--to-oci-layout", f"{out}:1"
            ),
            "all",
        )
        for form in ("", ".tar"):
            yield self._case(
                f"oras backup --include-referrers, {'a tar' if form else 'a folder'}",
                "oras",
                lambda out: run(
                    *("oras", "backup", "--plain-http", "--include-referrers"),
                    *("--output", out, self.near),
                ),
                "all",
                form,
            )
        yield self._case(
            "regctl image copy --referrers --digest-tags into ocidir://",
            "regctl",
            lambda out: self._regctl(
                "copy", "--referrers", "--digest-tags", self.near, f"ocidir://{out}:1"
            ),
            "all",
        )
        yield self._case(
            "regctl image export",
            "regctl",
            lambda out: self._regctl("export", self.near, str(out)),
            "image",
            ".tar",
        )
        for form, keeps, ending in (
            ("oci", "image", ""),
            ("oci-archive", "image", ".tar"),
            ("docker-archive", "platform", ".tar"),
        ):
            write = self._skopeo_to(form, "--all" if keeps == "image" else "")
            yield self._case(f"skopeo copy to {form}:", "skopeo", write, keeps, ending)
        yield self._case(
            "imgpkg copy --to-tar",
            "imgpkg",
            lambda out: run("imgpkg", "copy", "-i", self.near, "--to-tar", out),
            "nothing",
            ".tar",
        )

    def _case(
        self,
        title: str,
        program: str,
        write: Callable[[Path], object],
        keeps: str,
        ending: str = "",
    ) -> Case:
        """Written by the program, bundled by imgsync, and pushed."""

        def carry(far: str) -> None:
            out = self.folder / f"theirs{ending}"
            shutil.rmtree(out, ignore_errors=True)
            out.unlink(missing_ok=True)
            write(out)
            bundle = self.folder / "again.tar"
            bundle.unlink(missing_ok=True)
            imgsync("bundle", "-q", f"{out}={far}:1", "-o", bundle)
            imgsync("push", "-q", bundle)

        return Case(f"{title} → imgsync", program, carry, keeps)

    def _oras(self, path: Path) -> Callable[[str], object]:
        return lambda far: run(
            *("oras", "cp", "-r", "--from-oci-layout-path", path, NAME),
            *("--to-plain-http", f"{far}:1"),
        )

    def _crane_pull(self, form: str) -> Callable[[Path], object]:
        return lambda out: run("crane", "pull", "--insecure", f"--format={form}", self.near, out)

    def _skopeo_to(self, form: str, which: str) -> Callable[[Path], object]:
        options = [option for option in (which, "--src-tls-verify=false") if option]
        source = f"docker://{self.near}"
        return lambda out: run("skopeo", "copy", *options, source, f"{form}:{out}:1")

    def _skopeo(self, source: str) -> Callable[[str], object]:
        return lambda far: run(
            *("skopeo", "copy", "--all", "--dest-tls-verify=false"),
            *(f"{source}:{NAME}", f"docker://{far}:1"),
        )

    def _regctl(self, verb: str, *arguments: str) -> str:
        hosts = {name.partition("/")[0] for name in (self.near, self.far.host)}
        options = [f"--host=reg={host},tls=disabled" for host in hosts]
        return run("regctl", "image", verb, *options, *arguments)
