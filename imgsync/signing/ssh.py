"""What is said to ssh-keygen (OpenSSH 8.2 and newer): ``-Y sign``, ``verify``, and their kin.

The private key is never touched here: ssh-keygen reads it, asks for its passphrase at the
terminal, or hands the work to an agent or a token. Signatures are files that ssh-keygen alone can
make and check (openssh, PROTOCOL.sshsig), so nobody needs imgsync to trust one.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imgsync.errors import AccessDenied, NotFound, NotSigned
from imgsync.stores.disk import turn_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM: Final = "ssh-keygen"
_BEGINS: Final = b"-----BEGIN SSH SIGNATURE-----"
_MAX_SIGNATURE_BYTES: Final = 64 * 1024
_GOOD: Final = re.compile(r'Good "[^"]*" signature (?:for .* )?with (?P<key>\S+ key \S+)')
_FINGERPRINT: Final = re.compile(r"\b(?:SHA256|MD5):\S+")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed: the principal that the list of allowed signers gives, and the key."""

    principal: str
    key: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.principal} with the {self.key}"


def sign(data: bytes, key: str, namespace: str) -> bytes:
    """The signature of ``data``; ``key`` is a private key, or a public one that an agent has.

    Raises:
        NotFound: there is no such key, or no ssh-keygen.
        AccessDenied: ssh-keygen cannot use it; it says why.
    """
    if not Path(key).is_file():
        msg = f"{key}: there is no such key"
        raise NotFound(msg, hint="--sign-key takes an SSH key, private or, with an agent, public")
    done = _run(["-Y", "sign", "-f", key, "-n", namespace], data)
    if done.returncode != 0 or not done.stdout.startswith(_BEGINS):
        msg = f"{key}: ssh-keygen cannot sign with it: {_said(done)}"
        raise AccessDenied(msg, hint="ssh-add puts a key with a passphrase into an agent")
    return done.stdout


def check(data: bytes, signature: bytes, namespace: str) -> str:
    """The key that made a good signature, as ``ED25519 key SHA256:…``, whoever's it is.

    Raises:
        NotSigned: it is damaged, or the signature of something else.
    """
    with _file_of(signature) as path:
        done = _run(["-Y", "check-novalidate", "-n", namespace, "-s", path], data)
    found = _GOOD.search(_text(done.stdout))
    if done.returncode != 0 or found is None:
        raise NotSigned(f"the signature is not good: {_said(done)}")
    return found["key"]


def verify(data: bytes, signature: bytes, allowed: Path, namespace: str) -> Signer:
    """Who of the allowed signers made the signature.

    Raises:
        NotSigned: nobody of them, or not for this namespace or at this time, or it is not good.
        NotFound, AccessDenied: the list cannot be read.
    """
    with turn_os_errors(allowed), allowed.open("rb"):
        pass
    key = check(data, signature, namespace)
    with _file_of(signature) as path:
        done = _run(["-Y", "find-principals", "-f", str(allowed), "-s", path], b"")
        principals = [name for name in re.split(r"[\n,]", _text(done.stdout)) if name]
        if done.returncode != 0 or not principals:
            raise NotSigned(f"it is signed with the {key}, which {allowed} does not list")
        said = ""
        for principal in principals:
            arguments = ["-f", str(allowed), "-I", principal, "-n", namespace, "-s", path]
            done = _run(["-Y", "verify", *arguments], data)
            if done.returncode == 0 and _GOOD.search(_text(done.stdout)) is not None:
                return Signer(principal, key)
            said = _said(done)
    who = ", ".join(principals)
    raise NotSigned(
        f"it is signed with the {key} of {who}, and {allowed} does not allow it: {said}"
    )


def fingerprint(key: str) -> str:
    """The fingerprint of a key file, ``SHA256:…``; an empty text if it is not told."""
    found = _FINGERPRINT.search(_text(_run(["-l", "-f", key], b"").stdout))
    return found[0] if found is not None else ""


@contextmanager
def _file_of(signature: bytes) -> Iterator[str]:
    """A file of the signature: ssh-keygen takes the data on standard input, and this by name."""
    if not signature.startswith(_BEGINS) or len(signature) > _MAX_SIGNATURE_BYTES:
        raise NotSigned("what should be a signature is none that ssh-keygen makes")
    with tempfile.NamedTemporaryFile(suffix=".sig") as file:
        file.write(signature)
        file.flush()
        yield file.name


def _run(arguments: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run([PROGRAM, *arguments], input=data, capture_output=True, check=False)
    except FileNotFoundError:
        hint = "it is in the package openssh-client, or openssh-clients"
        raise NotFound(f"{PROGRAM} is not installed, and signatures need it", hint=hint) from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """What ssh-keygen gave as the reason: the last of its lines that says something."""
    lines = [line.strip() for line in _text(done.stderr + b"\n" + done.stdout).splitlines()]
    told = [line for line in lines if line and not line.startswith("Signing ")]
    return "; ".join(told[-2:]) or f"it ended with {done.returncode}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
