"""`imgsync serve` as a user runs it, pulled from by the tools that users have."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import requests

from tests.cli.run import imgsync
from tests.images import Images
from tests.servers.htpasswd import write_htpasswd
from tests.servers.programs import program, require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.certificates import Authority
    from tests.servers.containerd import Containerd

APP = "registry.example/team/app:1.0"


@contextmanager
def _serving(source: Path, *options: str | Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    words = [sys.executable, "-m", "imgsync", "serve", str(source), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*words, *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if match := re.match(r"serving at (\S+),", line):
                yield match[1], process
                break
        else:
            assert process.stderr is not None
            pytest.fail(process.stderr.read())
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


@pytest.fixture
def archive(fixture_images: Images, tmp_path: Path) -> Path:
    return fixture_images.write_archive(tmp_path / "site.tar")


def test_by_hand(archive: Path, fixture_images: Images) -> None:
    with _serving(archive, "--to", "harbor.example.com/tmp") as (url, process):
        names = requests.get(f"{url}/v2/_catalog", timeout=10).json()["repositories"]
        assert "harbor.example.com/tmp/team/app" in names
        root = requests.get(f"{url}/v2/tmp/team/app/manifests/1.0", timeout=10)
        assert root.headers["Docker-Content-Digest"] == fixture_images.names[APP]["digest"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert process.returncode == 0
        assert out.endswith("stopped\n")
        assert "127.0.0.1 GET /v2/_catalog 200 " in out
        assert err == ""


def test_only_what_was_chosen(archive: Path, fixture_images: Images) -> None:
    with _serving(archive, "--image", "*/team/app:1.0", "--platform", "linux/arm64") as (url, _):
        names = requests.get(f"{url}/v2/_catalog", timeout=10).json()["repositories"]
        assert names == ["registry.example/team/app"]
        amd64, arm64 = fixture_images.children(fixture_images.names[APP])[:2]
        for child, status in ((amd64, 404), (arm64, 200)):
            own = fixture_images.children(child)[0]["digest"]
            assert requests.get(f"{url}/v2/team/app/blobs/{own}", timeout=10).status_code == status


def test_with_tls_and_passwords(archive: Path, authority: Authority, tmp_path: Path) -> None:
    certificate = authority.issue("127.0.0.1")
    write_htpasswd(tmp_path / "users", {"ann": "pw"})
    options: list[str | Path] = [
        "--tls-cert",
        certificate.certificate,
        "--tls-key",
        certificate.key,
    ]
    with _serving(archive, *options, "--htpasswd", tmp_path / "users") as (url, _):
        assert url.startswith("https://")
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(authority.ca)
            assert session.get(f"{url}/v2/", timeout=10).status_code == 401
            assert session.get(f"{url}/v2/", auth=("ann", "no"), timeout=10).status_code == 401
            assert session.get(f"{url}/v2/", auth=("ann", "pw"), timeout=10).status_code == 200


@pytest.mark.real
def test_skopeo_takes_everything(archive: Path, tmp_path: Path, fixture_images: Images) -> None:
    require("skopeo")
    with _serving(archive) as (url, _):
        name = f"docker://{url.partition('//')[2]}/registry.example/team/app:1.0"
        subprocess.run(
            [
                program("skopeo"),
                "--insecure-policy",
                "copy",
                "--all",
                "--src-tls-verify=false",
                name,
                f"dir:{tmp_path / 'copy'}",
            ],
            check=True,
            capture_output=True,
            env={**os.environ, "HOME": str(tmp_path)},
        )
    copied = (tmp_path / "copy/manifest.json").read_bytes()
    assert copied == fixture_images.blobs[fixture_images.names[APP]["digest"]]


@pytest.mark.real
def test_containerd_uses_it_as_a_mirror(
    archive: Path, containerd: Containerd, namespace: str, tmp_path: Path, fixture_images: Images
) -> None:
    """`?ns=` says whose mirror is meant; nothing about it is in the name of the image."""
    with _serving(archive) as (url, _):
        folder = tmp_path / "certs.d/registry.example"
        folder.mkdir(parents=True)
        (folder / "hosts.toml").write_text(
            f'[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
        )
        words = ("content", "fetch", "--all-platforms", "--hosts-dir", folder.parent, APP)
        containerd.ctr(*words, namespace=namespace)
    assert containerd.images(namespace) == {APP: fixture_images.names[APP]["digest"]}
    assert containerd.blobs(namespace) == fixture_images.digests(APP)


@pytest.mark.real
def test_imgsync_itself_bundles_from_it(archive: Path, tmp_path: Path) -> None:
    with _serving(archive) as (url, _):
        host = url.partition("//")[2]
        imgsync("bundle", f"{host}/registry.example/team/app:1.0", "-o", tmp_path / "again.tar")
    ran = imgsync("verify", tmp_path / "again.tar", "--format", "json")
    assert json.loads(ran.out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--listen", "nowhere"], "is not an address to listen on"),
        (["--tls-key", "key.pem"], "--tls-key needs --tls-cert"),
        (["--tls-cert", "/nonexistent.pem"], "--tls-cert /nonexistent.pem"),
        (["--htpasswd", "/nonexistent"], "--htpasswd /nonexistent"),
    ],
)
def test_what_is_typed_wrong(archive: Path, options: list[str], message: str) -> None:
    assert message in imgsync("serve", archive, *options, code=2).err


def test_everybody_is_told_of(archive: Path) -> None:
    with _serving(archive, "--listen", "0.0.0.0:0") as (url, process):
        assert url.startswith("http://0.0.0.0:")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert "everybody who reaches this host can read" in err
