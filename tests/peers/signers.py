"""What signs and checks: cosign in each of its forms, notation, oras.

A signer has its keys in a folder of its own. It signs an index and each manifest in it, without a
transparency log, and says of a name at the far side whether what it signed is found and good.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.peers.programs import has, run, succeeds

INDEX, PLATFORM, ATTESTATION = "index", "platform", "attestation"

EMPTY_ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
"""Trusts no service: with a key, none is needed."""


class Signer(Protocol):
    """One tool in one form."""

    @property
    def title(self) -> str:
        """For the page."""
        ...

    @property
    def word(self) -> str:
        """For names of repositories."""
        ...

    def prepare(self, folder: Path) -> None:
        """Keys are made."""
        ...

    def sign(self, image: str, index: str, platforms: list[str]) -> None:
        """The image (without a tag) is signed, by digests."""
        ...

    def check(self, image: str, tag: str, platform: str) -> dict[str, bool]:
        """What is good there: of the index, found by its tag, and of one platform."""
        ...


@dataclass
class Cosign:
    """cosign with a key pair.

    Attributes:
        program: `cosign2` or `cosign3`.
        form: `tags` (sha256-….sig, .att), `referrers` (OCI 1.1), or `bundle` (sigstore's).
    """

    program: str
    form: str
    folder: Path = field(default=Path(), init=False)

    @property
    def title(self) -> str:
        """For the page."""
        forms = {"tags": "tags", "referrers": "referrers, OCI 1.1", "bundle": "sigstore bundles"}
        return f"{self.program[:-1]} {self.program[-1]}, {forms[self.form]}"

    @property
    def word(self) -> str:
        """For names of repositories."""
        return f"{self.program}-{self.form}"

    def prepare(self, folder: Path) -> None:
        """Keys, and a second pair that signs nothing."""
        self.folder = folder
        for name in ("cosign", "other"):
            self._run("generate-key-pair", "--output-key-prefix", name)
        (folder / "root.json").write_text(json.dumps(EMPTY_ROOT))
        (folder / "sbom.json").write_text('{"spdxVersion":"SPDX-2.3","name":"app"}')

    def sign(self, image: str, index: str, platforms: list[str]) -> None:
        """All of it, and an attestation of the index."""
        common = ["--yes", "--key", "cosign.key", "--tlog-upload=false", "--allow-http-registry"]
        modern = self.program != "cosign2"
        if modern:
            common.append("--use-signing-config=false")
        bundle = f"--new-bundle-format={str(self.form == 'bundle').lower()}"
        signing = ["--registry-referrers-mode=oci-1-1"] if self.form == "referrers" else []
        self._run("sign", *common, bundle, *signing, "--recursive", f"{image}@{index}")
        predicate = ["--type", "spdxjson", "--predicate", "sbom.json"]
        self._run("attest", *common, bundle, *predicate, f"{image}@{index}")

    def check(self, image: str, tag: str, platform: str) -> dict[str, bool]:
        """The index, a platform, the attestation."""
        return {
            INDEX: self.verify(f"{image}:{tag}"),
            PLATFORM: self.verify(f"{image}@{platform}"),
            ATTESTATION: self._verify("verify-attestation", f"{image}:{tag}", "--type", "spdxjson"),
        }

    def verify(self, image: str, key: str = "cosign.pub") -> bool:
        """Whether a signature of the image is there and good."""
        more = ["--experimental-oci11"] if self.form == "referrers" else []
        return self._verify("verify", image, *more, key=key)

    def _verify(self, verb: str, image: str, *more: str, key: str = "cosign.pub") -> bool:
        options = ["--key", key, "--private-infrastructure", "--allow-http-registry"]
        if self.form == "bundle":
            options += ["--new-bundle-format", "--trusted-root", "root.json"]
        elif self.program != "cosign2":
            options.append("--new-bundle-format=false")
        return succeeds(
            self.program, verb, *options, *more, image, cwd=self.folder, COSIGN_PASSWORD=""
        )

    def _run(self, *arguments: str) -> None:
        run(
            self.program,
            *arguments,
            cwd=self.folder,
            COSIGN_PASSWORD="",
            COSIGN_EXPERIMENTAL="1" if self.form == "referrers" else "",
        )


@dataclass
class Notation:
    """notation with a test certificate and a trust policy for all repositories."""

    title = "notation"
    word = "notation"
    folder: Path = field(default=Path(), init=False)

    def prepare(self, folder: Path) -> None:
        """Certificate, trust store and policy, in a home of its own."""
        self.folder = folder
        self._run("cert", "generate-test", "--default", "peers.example")
        statement = {
            "name": "all",
            "registryScopes": ["*"],
            "signatureVerification": {"level": "strict"},
            "trustStores": ["ca:peers.example"],
            "trustedIdentities": ["*"],
        }
        policy = {"version": "1.0", "trustPolicies": [statement]}
        (folder / "policy.json").write_text(json.dumps(policy))
        self._run("policy", "import", str(folder / "policy.json"))

    def sign(self, image: str, index: str, platforms: list[str]) -> None:
        """Each by its digest."""
        for digest in (index, *platforms):
            self._run("sign", "--insecure-registry", f"{image}@{digest}")

    def check(self, image: str, tag: str, platform: str) -> dict[str, bool]:
        """The index and a platform."""
        return {
            INDEX: self.verify(f"{image}:{tag}"),
            PLATFORM: self.verify(f"{image}@{platform}"),
        }

    def verify(self, image: str) -> bool:
        """Whether a signature that the policy trusts is there."""
        return succeeds(
            "notation",
            "verify",
            "--insecure-registry",
            image,
            HOME=str(self.folder),
            XDG_CONFIG_HOME="",
        )

    def _run(self, *arguments: str) -> None:
        run("notation", *arguments, HOME=str(self.folder), XDG_CONFIG_HOME="")


@dataclass
class Oras:
    """`oras attach`, found by `oras discover` and, where it is here, by `regctl artifact list`."""

    title = "oras attach"
    word = "oras"
    folder: Path = field(default=Path(), init=False)

    def prepare(self, folder: Path) -> None:
        """A file to attach."""
        self.folder = folder
        (folder / "scan.json").write_text("{}")

    def sign(self, image: str, index: str, platforms: list[str]) -> None:
        """A scan of each."""
        for digest in (index, *platforms):
            what = ["--artifact-type", "application/vnd.example.scan", f"{image}@{digest}"]
            run(
                "oras",
                "attach",
                "--plain-http",
                *what,
                "scan.json:application/json",
                cwd=self.folder,
            )

    def check(self, image: str, tag: str, platform: str) -> dict[str, bool]:
        """The index and a platform."""
        return {
            INDEX: self.verify(f"{image}:{tag}"),
            PLATFORM: self.verify(f"{image}@{platform}"),
        }

    def verify(self, image: str) -> bool:
        """Whether both list it."""
        said: list[tuple[str, ...]] = [("oras", "discover", "--plain-http", image)]
        if has("regctl"):
            host = f"reg={image.partition('/')[0]},tls=disabled"
            said.append(("regctl", "artifact", "list", "--host", host, image))
        return all("vnd.example.scan" in _said(command) for command in said)


def _said(command: Sequence[str]) -> str:
    return run(*command) if succeeds(*command) else ""


def signers() -> list[Signer]:
    """Those whose program is here."""
    found: list[Signer] = [
        Cosign(program, form)
        for program, forms in (
            ("cosign2", ("tags", "referrers", "bundle")),
            ("cosign3", ("tags", "bundle")),
        )
        if has(program)
        for form in forms
    ]
    found += [signer for name, signer in (("notation", Notation()), ("oras", Oras())) if has(name)]
    return found
