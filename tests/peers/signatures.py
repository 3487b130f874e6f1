"""What was signed at one registry, and carried by imgsync, is checked at another by who signed."""

import json
import random
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.images import Images
from tests.peers.carrying import WAYS, Place, Way, served
from tests.peers.programs import Failed, has, imgsync, imgsync_succeeds, run
from tests.peers.signers import Cosign, Signer, signers
from tests.peers.zot import Zot
from tests.servers.registry import Registry
from tests.upload import upload

PREFIX = "team"
PLATFORMS = ("linux/amd64", "linux/arm64")


@dataclass(frozen=True)
class Row:
    """One thing that was tried, what came of it, and whether that is what should.

    Attributes:
        checks: what the tool found good, by what it is of.
        lost: what could not be good any more.
    """

    way: str
    where: str
    signer: str
    checks: dict[str, bool]
    lost: frozenset[str]

    @property
    def is_right(self) -> bool:
        """Whether just what was lost is not good."""
        return all(is_good is (what not in self.lost) for what, is_good in self.checks.items())

    @property
    def verdict(self) -> str:
        """In a word, as long as it is what it should be."""
        if not self.is_right:
            return ", ".join(
                f"{what} {'good' if good else 'refused'}" for what, good in self.checks.items()
            )
        return (
            ", ".join(f"{what} good" for what in self.checks if what not in self.lost)
            if self.lost
            else "good"
        )

    def __str__(self) -> str:
        """For the terminal."""
        words = {True: "good", False: "refused"}
        found = ", ".join(f"{what} {words[is_good]}" for what, is_good in self.checks.items())
        return f"| {self.way} | {self.where} | {self.signer} | {found} |"


@dataclass(frozen=True)
class Signed:
    """An image: its digest and that of its first platform."""

    index: str
    platforms: list[str]


def registries() -> dict[str, Callable[[], AbstractContextManager[Registry | Zot]]]:
    """Those that are here, by name; zot has the referrers API, docker-registry has not."""
    found: dict[str, Callable[[], AbstractContextManager[Registry | Zot]]] = {
        "docker-registry": Registry
    }
    if has("zot"):
        found["zot"] = Zot
    return found


def carried(folder: Path) -> Iterator[Row]:
    """Every way, between every two registries, of everything that every tool signed."""
    tools = signers()
    for tool in tools:
        (folder / tool.word).mkdir()
        tool.prepare(folder / tool.word)
    for near_name, near_kind in registries().items():
        with near_kind() as near:
            signed = _sign(near.url, near.host, tools)
            for far_name, far_kind in registries().items():
                with far_kind() as far:
                    place = Place(near.host, far.host, folder / "way", PREFIX, tuple(signed))
                    names = f"{near_name} → {far_name}"
                    for way in WAYS:
                        _empty(place.folder)
                        before, tag = way.carry(place)
                        yield from _check(way, names, before, tag, tools, signed)
            _empty(place.folder)
            with served(place) as before:
                way = Way("bundle, imgsync serve", lambda _: ("", ""))
                yield from _check(way, near_name, before, "1", tools, signed)


def refused(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """What must not be good at the far side: what, whose it is, and whether it was refused."""
    for tool in signers():
        keys = folder / f"{tool.word}-again"
        keys.mkdir()
        tool.prepare(keys)
        with Registry() as near, Registry() as far:
            signed = _sign(near.url, near.host, [tool])
            place = Place(near.host, far.host, folder / "refused", PREFIX, tuple(signed))
            _empty(place.folder)
            name = f"{PREFIX}/{tool.word}"
            imgsync("push", "-q", place.bundle("--referrers", "none"), "--to", f"{far.host}/none")
            checks = tool.check(f"{far.host}/none/{name}", "1", signed[tool.word].platforms[0])
            yield "carried with --referrers none", tool.title, not any(checks.values())
            damaged = place.bundle()
            _flip_what_is_about_images(damaged)
            pushed = imgsync_succeeds("push", "-q", damaged, "--to", f"{far.host}/bad")
            checks = tool.check(f"{far.host}/bad/{name}", "1", signed[tool.word].platforms[0])
            is_refused = not pushed and not any(checks.values())
            yield "a bit of its manifest flipped in the bundle", tool.title, is_refused
            if isinstance(tool, Cosign):
                damaged.unlink()
                imgsync("push", "-q", place.bundle(), "--to", f"{far.host}/all")
                image = f"{far.host}/all/{name}"
                yield "another key", tool.title, not tool.verify(f"{image}:1", key="other.pub")
                if tool.form == "tags":
                    _put_on_another(far, f"all/{name}", signed[tool.word])
                    is_good = tool.verify(f"{image}@{signed[tool.word].platforms[1]}")
                    yield "the signature of another image", tool.title, not is_good


def _flip_what_is_about_images(path: Path) -> None:
    """One bit of each manifest that is about something."""
    with tarfile.open(path) as tar:
        index = json.loads(_member(tar, "index.json"))
        digests = [
            entry["digest"].replace(":", "/")
            for entry in index["manifests"]
            if "io.imgsync.extra.subject" in entry.get("annotations", {})
        ]
        places = [tar.getmember(f"blobs/{digest}").offset_data for digest in digests]
    data = bytearray(path.read_bytes())
    for place in places:
        data[place + 30] ^= 1
    path.write_bytes(data)


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise Failed(name)
    return file.read()


def _put_on_another(far: Registry, repository: str, signed: Signed) -> None:
    """Whoever can push puts the index's signature where that of a platform belongs."""
    index, platform = (digest.replace(":", "-") for digest in (signed.index, signed.platforms[1]))
    image = f"{far.host}/{repository}"
    copy = ("skopeo", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false")
    run(*copy, f"docker://{image}:{index}.sig", f"docker://{image}:{platform}.sig")


def _sign(url: str, host: str, tools: Iterable[Signer]) -> dict[str, Signed]:
    images, signed = Images(), {}
    for tool in tools:
        children = [
            images.image(
                [
                    images.layer(
                        {"app": random.Random(f"{tool.word} {platform}").randbytes(100_000)}
                    )
                ],
                platform=platform,
            )
            for platform in PLATFORMS
        ]
        index = images.index(children)
        images.name(f"registry.example/{PREFIX}/{tool.word}:1", index)
        digests = [child["digest"] for child in children]
        signed[tool.word] = Signed(index["digest"], digests)
    upload(url, images)
    for tool in tools:
        mine = signed[tool.word]
        tool.sign(f"{host}/{PREFIX}/{tool.word}", mine.index, mine.platforms)
    return signed


def _check(
    way: Way, far: str, before: str, tag: str, tools: Iterable[Signer], signed: dict[str, Signed]
) -> Iterator[Row]:
    for tool in tools:
        image = f"{before}/{tool.word}"
        checks = tool.check(image, tag, signed[tool.word].platforms[0])
        yield Row(way.title, far, tool.title, checks, way.loses)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
