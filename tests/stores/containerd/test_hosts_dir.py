"""The generated --hosts-dir: who may read it, and that TOML readers agree on it."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from imgsync.stores.containerd.hosts_dir import folder_name, hosts_dir, hosts_toml


def test_everything_that_can_be_said() -> None:
    text = hosts_toml(
        "https://harbor.example.com:8443",
        headers={"Authorization": 'Basic "quoted" \\ ä'},
        ca=[Path("/ca 1.pem"), Path("/ca2.pem")],
        client=(Path("/cert.pem"), Path("/key.pem")),
        skip_verify=True,
    )
    assert tomllib.loads(text) == {
        "server": "https://harbor.example.com:8443",
        "capabilities": ["pull", "resolve", "push"],
        "ca": ["/ca 1.pem", "/ca2.pem"],
        "client": [["/cert.pem", "/key.pem"]],
        "skip_verify": True,
        "header": {"Authorization": 'Basic "quoted" \\ ä'},
        "host": {},
    }


def test_nothing_but_the_server() -> None:
    assert tomllib.loads(hosts_toml("http://127.0.0.1:5000")) == {
        "server": "http://127.0.0.1:5000",
        "capabilities": ["pull", "resolve", "push"],
        "host": {},
    }


def test_only_we_may_read_it_and_it_goes() -> None:
    with hosts_dir({"_default": "a", "harbor.example.com:8443": "b"}) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.is_absolute()
        assert (folder / "_default/hosts.toml").read_text() == "a"
        assert (folder / "harbor.example.com_8443_/hosts.toml").read_text() == "b"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("docker.io", "docker.io"),
        ("h:443", "h_443_"),
        ("[::1]:5000", "[::1]_5000_"),
        ("_default", "_default"),
    ],
)
def test_folders(host: str, name: str) -> None:
    assert folder_name(host) == name
