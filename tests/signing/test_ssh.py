"""Signatures by the real ssh-keygen: whose they are, of what, for what."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from imgsync.errors import AccessDenied, NotFound, NotSigned
from imgsync.signing.ssh import Signer, check, fingerprint, sign, verify
from tests.servers.programs import program
from tests.signing.keys import agent_with, allow, new_key

DATA = b"what is signed\n"
ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
def ann(tmp_path: Path) -> Path:
    return new_key(tmp_path, "ann")


@pytest.fixture
def bob(tmp_path: Path) -> Path:
    return new_key(tmp_path, "bob")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_signature_is_good_for_who_made_it(tmp_path: Path, bob: Path, kind: str) -> None:
    ann = new_key(tmp_path, "key", kind=kind)
    signature = sign(DATA, str(ann), "imgsync")
    allowed = allow(tmp_path / "allowed", {BOB: bob, ANN: ann})
    signer = verify(DATA, signature, allowed, "imgsync")
    assert signer.principal == ANN
    assert signer.key == check(DATA, signature, "imgsync")
    assert signer.key.endswith(fingerprint(str(ann)))
    assert str(signer) == f"{ANN} with the {signer.key}"


def test_ssh_keygen_makes_and_checks_the_same(tmp_path: Path, ann: Path) -> None:
    keygen = str(program("ssh-keygen"))
    file = tmp_path / "site.tar.lock.json"
    file.write_bytes(DATA)
    by_hand = [keygen, "-q", "-Y", "sign", "-n", "imgsync", "-f", str(ann), str(file)]
    subprocess.run(by_hand, check=True, capture_output=True)
    beside = tmp_path / "site.tar.lock.json.sig"
    allowed = allow(tmp_path / "allowed", {ANN: ann})
    assert isinstance(verify(DATA, beside.read_bytes(), allowed, "imgsync"), Signer)
    beside.write_bytes(sign(DATA, str(ann), "imgsync"))
    checked = [keygen, "-Y", "verify", "-f", str(allowed), "-I", ANN, "-n", "imgsync"]
    subprocess.run([*checked, "-s", str(beside)], check=True, input=DATA, capture_output=True)


def test_another_content_another_purpose_or_another_signature_is_refused(
    tmp_path: Path, ann: Path
) -> None:
    allowed = allow(tmp_path / "allowed", {ANN: ann})
    signature = sign(DATA, str(ann), "imgsync")
    with pytest.raises(NotSigned, match=r"not good: .*incorrect signature"):
        verify(DATA + b"!", signature, allowed, "imgsync")
    with pytest.raises(NotSigned, match="not good"):
        verify(DATA, signature, allowed, "imgsync-receipt")
    lines = signature.splitlines()
    with pytest.raises(NotSigned, match="not good"):
        verify(DATA, b"\n".join([*lines[:2], *lines[3:]]), allowed, "imgsync")
    for nonsense in (b"", b"nonsense", signature + bytes(70_000)):
        with pytest.raises(NotSigned, match="none that ssh-keygen makes"):
            verify(DATA, nonsense, allowed, "imgsync")


def test_who_is_not_listed_may_not_sign(tmp_path: Path, ann: Path, bob: Path) -> None:
    allowed = allow(tmp_path / "allowed", {ANN: ann})
    with pytest.raises(NotSigned, match=r"which .*allowed does not list"):
        verify(DATA, sign(DATA, str(bob), "imgsync"), allowed, "imgsync")


@pytest.mark.parametrize("options", ['namespaces="git"', 'valid-before="20200101"'])
def test_a_key_that_is_listed_for_something_else_may_not_sign(
    tmp_path: Path, ann: Path, options: str
) -> None:
    allowed = allow(tmp_path / "allowed", {ANN: ann}, options)
    with pytest.raises(NotSigned):
        verify(DATA, sign(DATA, str(ann), "imgsync"), allowed, "imgsync")


def test_a_key_may_be_listed_for_this_alone_and_for_several_people(
    tmp_path: Path, ann: Path
) -> None:
    allowed = allow(tmp_path / "allowed", {f"{BOB},*@example.org": ann}, 'namespaces="imgsync"')
    assert verify(DATA, sign(DATA, str(ann), "imgsync"), allowed, "imgsync").principal == BOB


def test_a_list_that_is_not_there_is_told(tmp_path: Path, ann: Path) -> None:
    with pytest.raises(NotFound, match="no-list"):
        verify(DATA, sign(DATA, str(ann), "imgsync"), tmp_path / "no-list", "imgsync")


def test_a_key_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no such key"):
        sign(DATA, str(tmp_path / "none"), "imgsync")
    (tmp_path / "text").write_text("no key\n")
    with pytest.raises(AccessDenied, match=r"text: ssh-keygen cannot sign"):
        sign(DATA, str(tmp_path / "text"), "imgsync")
    locked = new_key(tmp_path, "locked", passphrase="a pass phrase")
    with pytest.raises(AccessDenied, match="passphrase"):
        sign(DATA, str(locked), "imgsync")
    assert fingerprint(str(tmp_path / "text")) == ""


def test_an_agent_signs_for_a_public_key(
    tmp_path: Path, ann: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = tmp_path / "ann.pub"
    # A socket has a short path.
    with tempfile.TemporaryDirectory() as folder, agent_with(ann, Path(folder)) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        ann.unlink()
        signature = sign(DATA, str(public), "imgsync")
    allowed = tmp_path / "allowed"
    allowed.write_text(f"{ANN} {public.read_text()}")
    assert verify(DATA, signature, allowed, "imgsync").principal == ANN
    monkeypatch.delenv("SSH_AUTH_SOCK")
    with pytest.raises(AccessDenied):
        sign(DATA, str(public), "imgsync")


def test_without_ssh_keygen_its_package_is_named(
    tmp_path: Path, ann: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "PATH" in os.environ
    with pytest.raises(NotFound, match="ssh-keygen is not installed") as caught:
        sign(DATA, str(ann), "imgsync")
    assert "openssh-client" in caught.value.hint
