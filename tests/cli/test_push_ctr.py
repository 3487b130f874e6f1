"""imgsync push --via ctr: the famous failure, and how it ends."""

import json
from pathlib import Path

import pytest

from tests.cli.run import Ran, imgsync
from tests.images import Images
from tests.servers.containerd import Containerd
from tests.servers.harbor import ADMIN, ADMIN_PASSWORD, Harbor, ImmutableRule
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real

APP = "registry.example/team/app:1.0"


def test_the_famous_failure_and_the_same_through_imgsync(
    registry: Registry,
    repository: str,
    fixture_images: Images,
    new_containerd: Containerd,
    namespace: str,
    tmp_path: Path,
) -> None:
    name = upload(registry.url, fixture_images, [APP], prefix=f"{repository}/")[APP]
    ctr = new_containerd
    node: list[str | Path] = ["--address", str(ctr.socket), "-n", namespace]
    with Registry(users={"ann": "s3:cr$t"}) as private:
        target = f"{private.host}/site/team/app:1.0"
        # What every guide says: pull, tag, push.
        ctr.ctr("images", "pull", "--plain-http", name, namespace=namespace)
        ctr.ctr("images", "tag", name, target, namespace=namespace)
        login = ("--user", "ann:s3:cr$t")
        failed = ctr.run("images", "push", "--plain-http", *login, target, namespace=namespace)
        assert failed.returncode == 1
        assert b"not found" in failed.stderr
        checked = ctr.ctr("images", "check", namespace=namespace)
        assert "complete" in checked
        private.forget()
        # imgsync says what is wrong with it, before and instead of a push.
        verified = imgsync("verify", f"containerd:{name}", *node, "--require", "whole", code=4)
        assert "arm64" in verified.out
        push: list[str | Path] = [
            "push",
            f"containerd:{name}",
            "--via",
            "ctr",
            *node,
            "--to",
            f"{private.host}/site",
        ]
        account: list[str | Path] = [
            "--username",
            f"{private.host}=ann",
            "--password-file",
            tmp_path / "password",
        ]
        (tmp_path / "password").write_text("s3:cr$t\n")
        refused = imgsync(*push, *account, code=4)
        assert "is not whole" in refused.err
        assert not private.requests("PUT", "")
        # And does it, with everything.
        imgsync("bundle", name, "-o", tmp_path / "site.tar")
        imgsync("import", tmp_path / "site.tar", *node)
        imgsync("verify", f"containerd:{name}", *node, "--require", "whole")
        receipt = tmp_path / "receipt.json"
        planned = imgsync(*push, *account, "--dry-run", "--format", "json").json
        assert not private.requests("PUT|POST|PATCH")
        said = imgsync(*push, *account, "--receipt", receipt)
        assert "pushed" in said.out
        written = json.loads(receipt.read_text())
        assert [image["what"] for image in written["images"]] == ["pushed"]
        # All of it was missing there, and that is what counts as sent.
        digests = fixture_images.digests(APP)
        n_bytes = sum(len(fixture_images.blobs[digest]) for digest in digests)
        assert written["sent"] == {"objects": len(digests), "bytes": n_bytes}
        assert planned["bytes"] == n_bytes
        private.forget()
        assert "unchanged" in imgsync(*push, *account).out
        assert not private.requests("PUT|POST|PATCH")
        digest = fixture_images.names[APP]["digest"]
        assert private.tags(f"site/{repository}/team/app")["1.0"] == digest
        for blob in fixture_images.digests(APP):
            assert private.has_blob(blob)


def test_a_harbor_is_asked_before(
    fixture_images: Images, new_containerd: Containerd, namespace: str, tmp_path: Path
) -> None:
    archive = fixture_images.write_archive(tmp_path / "i.tar", [APP])
    node = ("--address", new_containerd.socket, "-n", namespace)
    imgsync("import", archive, *node)
    with Harbor(users={}) as harbor:
        harbor.project("site", immutable=[ImmutableRule("team/**", "1*")])
        other = Images()
        image = other.image([other.layer({"other": b"other"})], platform="linux/amd64")
        other.name("registry.example/site/team/app:1.0", image)
        upload(harbor.url, other, auth=(ADMIN, ADMIN_PASSWORD))
        secret = tmp_path / "pw"
        secret.write_text(ADMIN_PASSWORD)
        login = ("--username", f"{harbor.host}={ADMIN}", "--password-file", secret)

        def push(to: str, *more: str, code: int = 0) -> Ran:
            words = ("push", f"containerd:{APP}", "--via", "ctr", *node, *login)
            return imgsync(*words, "--to", f"{harbor.host}/{to}", *more, code=code)

        harbor.forget()
        assert "is immutable (rule" in push("site", code=5).err
        assert "does not exist" in push("new", code=5).err
        assert not harbor.count("PUT|POST|PATCH", "/v2/")
        assert "pushed" in push("new", "--create-project").out
        assert harbor.tags("new/team/app")["1.0"] == fixture_images.names[APP]["digest"]


def test_only_images_of_a_namespace_go_through_ctr(tmp_path: Path, fixture_images: Images) -> None:
    fixture_images.write_archive(tmp_path / "i.tar", [APP])
    refused = imgsync("push", tmp_path / "i.tar", "--via", "ctr", "--to", "h.example/x", code=2)
    assert "is not in containerd" in refused.err
