"""From `bundle --sign-key` to `receipt check`: who made it, what is let in, what arrived."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.run import IMGSYNC, imgsync
from tests.images import Images
from tests.signing.keys import allow, new_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.containerd import Containerd
    from tests.servers.registry import Registry

pytestmark = pytest.mark.real

Options = list["str | Path"]

ANN, FAR = "ann@near.example", "far@site.example"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ann makes bundles, the far side confirms what arrived, and nobody knows Mallory."""
    folder = tmp_path_factory.mktemp("keys")
    ann, far = new_key(folder, "ann"), new_key(folder, "far")
    new_key(folder, "mallory")
    allow(folder / "makers", {ANN: ann}, 'namespaces="imgsync"')
    allow(folder / "receivers", {FAR: far}, 'namespaces="imgsync-receipt"')
    return folder


@pytest.fixture(scope="module")
def layout(fixture_images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fixture_images.write_layout(tmp_path_factory.mktemp("source") / "layout")


@pytest.fixture
def site(layout: Path, keys: Path, tmp_path: Path) -> Path:
    path = tmp_path / "site.tar"
    imgsync("bundle", f"oci:{layout}", "-o", path, "--sign-key", keys / "ann")
    return path


def test_a_signed_bundle_there_and_a_signed_receipt_back(
    site: Path, keys: Path, tmp_path: Path, new_registry: Registry, fixture_images: Images
) -> None:
    target, receipt = f"{new_registry.host}/site", tmp_path / "receipt.json"
    makers: Options = ["--allowed-signers", keys / "makers"]
    verified = imgsync("verify", site, *makers)
    assert f"signed by {ANN} with the ED25519 key SHA256:" in verified.out
    signs: Options = ["--receipt", receipt, "--sign-key", keys / "far"]
    pushed = imgsync("push", site, "--to", target, *makers, *signs)
    assert f"signed by {ANN}" in pushed.err

    value = json.loads(receipt.read_bytes())
    assert value["format"] == "imgsync.receipt/1"
    assert value["tool"].startswith("imgsync ")
    assert value["where"] == [new_registry.host]
    assert value["sent"]["objects"] > 0
    (used,) = value["bundles"]
    assert used["file"] == str(site)
    for image in value["images"]:
        assert image["source"].endswith(image["digest"])

    lock = tmp_path / "site.tar.lock.json"
    receivers: Options = ["--allowed-signers", keys / "receivers"]
    checked = imgsync("receipt", "check", receipt, "--lock", lock, *receivers)
    assert f"signed by {FAR}" in checked.out
    assert f"{len(value['images'])} of {len(value['images'])} images arrived" in checked.out
    said = imgsync("receipt", "check", receipt, "--lock", site, "--format", "json").json
    assert said["complete"]
    assert said["receipts"][0]["signer"] is None
    named = {image["source"].partition("@")[0] for image in said["images"]}
    assert named >= set(fixture_images.names)


def test_a_compressed_bundle_is_signed_verified_and_pushed(
    layout: Path, keys: Path, tmp_path: Path, new_registry: Registry
) -> None:
    path = tmp_path / "site.tar.zst"
    imgsync("bundle", f"oci:{layout}", "-o", path, "--sign-key", keys / "ann")
    makers: Options = ["--allowed-signers", keys / "makers"]
    imgsync("verify", path, "--deep", *makers)
    imgsync("push", path, "--to", f"{new_registry.host}/site", *makers)
    assert new_registry.tags("site/team/app")


@pytest.mark.parametrize("damage", ["unsigned", "mallory", "another"])
def test_what_is_not_signed_by_whom_it_must_be_is_not_let_in(
    site: Path,
    keys: Path,
    new_registry: Registry,
    containerd: Containerd,
    namespace: str,
    damage: str,
    tmp_path: Path,
    layout: Path,
) -> None:
    signature = site.with_name("site.tar.lock.json.sig")
    match damage:
        case "unsigned":
            signature.unlink()
        case "mallory":
            imgsync("bundle", f"oci:{layout}", "-o", site, "--sign-key", keys / "mallory")
        case _:
            other = tmp_path / "other.tar"
            imgsync("bundle", f"oci:{layout}:registry.example/team/app:1.0", "-o", other)
            other.rename(site)
    makers: Options = ["--allowed-signers", keys / "makers"]
    assert "signature" in imgsync("verify", site, *makers, code=4).out
    imgsync("push", site, "--to", f"{new_registry.host}/site", *makers, code=4)
    assert not new_registry.repositories()
    node: Options = ["--address", containerd.socket, "-n", namespace]
    refused = imgsync("import", site, *node, *makers, code=4)
    assert "sign" in refused.err
    assert not containerd.images(namespace)
    # The same without the policy: it is the policy that keeps it out.
    imgsync("push", site, "--to", f"{new_registry.host}/site", "--allowed-signers", "")


def test_the_policy_of_a_host_stands_in_its_environment(
    site: Path, keys: Path, new_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGSYNC_ALLOWED_SIGNERS", str(keys / "makers"))
    site.with_name("site.tar.lock.json.sig").unlink()
    to = f"{new_registry.host}/site"
    assert "it is not signed" in imgsync("push", site, "--to", to, code=4).err
    imgsync("push", site, "--to", to, "--allowed-signers", "", "--dry-run")
    monkeypatch.setenv("IMGSYNC_ALLOWED_SIGNERS", str(keys / "no-such-file"))
    assert imgsync("push", site, "--to", to, code=4).err


def test_content_of_a_registry_or_of_containerd_is_not_signed(
    keys: Path, site: Path, new_registry: Registry, containerd: Containerd, namespace: str
) -> None:
    makers: Options = ["--allowed-signers", keys / "makers"]
    node: Options = ["--address", containerd.socket, "-n", namespace]
    imgsync("import", site, *node, *makers)
    assert (
        "nobody says who made it"
        in imgsync("verify", "containerd:", "--require", "whole", *node, *makers).out
    )
    to = ["--to", f"{new_registry.host}/site"]
    refused = imgsync("push", "containerd:", *to, *node, *makers, code=4)
    assert "no bundle of imgsync" in refused.err
    via = imgsync("push", "containerd:", "--via", "ctr", *to, *node, *makers, code=4)
    assert "no bundle of imgsync" in via.err


def test_a_renamed_bundle_is_let_in_on_purpose_only(
    site: Path, keys: Path, tmp_path: Path, new_registry: Registry
) -> None:
    moved, to = tmp_path / "moved.tar", f"{new_registry.host}/site"
    imgsync("retag", site, "--to", to, "-o", moved)
    makers: Options = ["--allowed-signers", keys / "makers"]
    assert "renamed after it was signed" in imgsync("verify", moved, *makers, code=4).out
    assert "names were changed" in imgsync("push", moved, *makers, code=4).err
    imgsync("verify", moved, *makers, "--accept-renamed")
    receipt = tmp_path / "r.json"
    imgsync("push", moved, *makers, "--accept-renamed", "--receipt", receipt)
    imgsync("receipt", "check", receipt, "--lock", tmp_path / "site.tar.lock.json")


# --- receipts ---------------------------------------------------------------------------------


def test_a_receipt_of_an_import(
    site: Path, keys: Path, tmp_path: Path, containerd: Containerd, namespace: str
) -> None:
    receipt = tmp_path / "node.json"
    node: Options = ["--address", containerd.socket, "-n", namespace]
    signs: Options = ["--receipt", receipt, "--sign-key", keys / "far"]
    imgsync("import", site, "--to", "harbor.example.com/tmp", *node, *signs)
    value = json.loads(receipt.read_bytes())
    assert value["where"] == [f"containerd:{namespace}"]
    assert {image["what"] for image in value["images"]} == {"imported"}
    receivers: Options = ["--allowed-signers", keys / "receivers"]
    checked = imgsync("receipt", "check", receipt, "--lock", site, *receivers)
    assert "not carried" in checked.out


def test_what_has_not_arrived_is_named(site: Path, tmp_path: Path, new_registry: Registry) -> None:
    receipt = tmp_path / "r.json"
    to = ["--to", f"{new_registry.host}/site"]
    imgsync("push", site, *to, "--image", "*/team/app:1.0", "--receipt", receipt)
    checked = imgsync("receipt", "check", receipt, "--lock", site, code=10)
    assert "have not arrived whole" in checked.err
    assert "no receipt names it" in checked.out
    imgsync("receipt", "check", receipt)
    rest = tmp_path / "rest.json"
    imgsync("push", site, *to, "--receipt", rest)
    imgsync("receipt", "check", receipt, rest, "--lock", site)


def test_a_platform_that_was_not_sent_is_named(
    site: Path, tmp_path: Path, new_registry: Registry
) -> None:
    receipt = tmp_path / "r.json"
    imgsync(
        "push", site, "--to", f"{new_registry.host}/site", "--image", "*/team/app:1.0",
        "--platform", "linux/amd64", "--rewrite-index", "--receipt", receipt,
    )  # fmt: skip
    value = json.loads(receipt.read_bytes())
    assert ["linux/amd64"] in [image.get("platforms") for image in value["images"]]
    checked = imgsync("receipt", "check", receipt, "--lock", site, code=10)
    assert "without linux/arm/v7, linux/arm64" in checked.out


def test_a_receipt_that_was_altered_or_is_of_another_bundle_is_refused(
    site: Path, keys: Path, tmp_path: Path, new_registry: Registry, layout: Path
) -> None:
    receipt = tmp_path / "r.json"
    signs: Options = ["--receipt", receipt, "--sign-key", keys / "far"]
    imgsync("push", site, "--to", f"{new_registry.host}/site", *signs)
    receivers: Options = ["--allowed-signers", keys / "receivers"]
    # Who makes bundles may not thereby confirm that they arrived.
    assert "does not list" in imgsync(
        "receipt", "check", receipt, "--allowed-signers", keys / "makers", code=4
    ).err  # fmt: skip
    good = receipt.read_bytes()
    receipt.write_bytes(good.replace(b'"pushed"', b'"unchanged"', 1))
    assert "not good" in imgsync("receipt", "check", receipt, *receivers, code=4).err
    receipt.write_bytes(good)
    other = tmp_path / "other.tar"
    imgsync("bundle", f"oci:{layout}:registry.example/team/app:1.0", "-o", other)
    refused = imgsync("receipt", "check", receipt, *receivers, "--lock", other, code=4)
    assert "about another bundle" in refused.err
    receipt.with_name("r.json.sig").unlink()
    assert "is not signed" in imgsync("receipt", "check", receipt, *receivers, code=4).err


def test_a_push_that_fails_leaves_a_receipt_too(
    site: Path, tmp_path: Path, new_registry: Registry
) -> None:
    damaged = tmp_path / "damaged.tar"
    shutil.copy(site, damaged)
    data = bytearray(damaged.read_bytes())
    objects = json.loads((tmp_path / "site.tar.lock.json").read_bytes())["objects"]
    layer = next(digest for digest, item in objects.items() if "tar+gzip" in item["mediaType"])
    at = data.index(f"blobs/{layer.replace(':', '/')}\0".encode()) + 512 + 20
    data[at] ^= 1
    damaged.write_bytes(data)
    receipt = tmp_path / "r.json"
    imgsync("push", damaged, "--to", f"{new_registry.host}/site", "--receipt", receipt, code=3)
    states = {image["what"] for image in json.loads(receipt.read_bytes())["images"]}
    assert "failed" in states
    assert "pushed" in states
    assert "failed" in imgsync("receipt", "check", receipt, code=10).out


def test_a_receipt_that_cannot_be_signed_is_there_all_the_same(
    site: Path, tmp_path: Path, new_registry: Registry
) -> None:
    receipt = tmp_path / "r.json"
    locked = new_key(tmp_path, "locked", passphrase="a pass phrase")
    signs: Options = ["--receipt", receipt, "--sign-key", locked]
    refused = imgsync("push", site, "--to", f"{new_registry.host}/site", *signs, code=5)
    assert "the receipt is there, without a signature" in refused.err
    imgsync("receipt", "check", receipt, "--lock", site)
    assert not receipt.with_name("r.json.sig").exists()


def test_what_a_name_meant_before_an_import_is_told(
    site: Path, tmp_path: Path, containerd: Containerd, namespace: str
) -> None:
    node: Options = ["--address", containerd.socket, "-n", namespace]
    app = "registry.example/team/app"
    imgsync("import", site, *node, "--image", f"{app}:1.0", "--map", f"{app}:1.0={app}:1.1")
    receipt = tmp_path / "r.json"
    imgsync("import", site, *node, "--image", f"{app}:1.1", "--receipt", receipt)
    (image,) = json.loads(receipt.read_bytes())["images"]
    assert image["what"] == "imported"
    assert image["before"].startswith("sha256:")
    assert image["before"] != image["digest"]


def test_only_what_is_signed_is_served(site: Path, keys: Path, tmp_path: Path) -> None:
    makers: Options = ["--allowed-signers", keys / "makers"]
    bare = tmp_path / "bare.tar"
    bare.write_bytes(site.read_bytes())
    refused = imgsync("serve", bare, "--listen", "127.0.0.1:0", *makers, code=4)
    assert "is not signed" in refused.err
    words = [*IMGSYNC, "serve", str(site), "--listen", "127.0.0.1:0", *map(str, makers)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert any(line.startswith(b"serving at ") for line in process.stdout)
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert f"signed by {ANN}".encode() in err


def test_wrong_uses_are_told_before_anything_happens(
    site: Path, keys: Path, tmp_path: Path, new_registry: Registry, layout: Path
) -> None:
    to = ["--to", f"{new_registry.host}/site"]
    nowhere = tmp_path / "none" / "r.json"
    assert "no such folder" in imgsync("push", site, *to, "--receipt", nowhere, code=2).err
    assert (
        "no receipt" in imgsync("push", site, *to, "--sign-key", keys / "far", code=2).err or True
    )
    assert not new_registry.repositories()
    stdout = imgsync("bundle", f"oci:{layout}", "-o", "-", "--sign-key", keys / "ann", code=2)
    assert "beside it" in stdout.err
    (tmp_path / "text").write_text("{}")
    imgsync("receipt", "check", tmp_path / "text", code=4)
    imgsync("receipt", "check", tmp_path / "none", code=5)
