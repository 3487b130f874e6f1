"""From options to connections: values for hosts, and whose credentials go where."""

from __future__ import annotations

import io
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click
import pytest

from imgsync.cli.common_options import CONNECTION
from imgsync.cli.connection import connection_options, private_host
from imgsync.errors import InvalidInput
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.options import ForHosts, Mirror

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgsync.stores.registry.options import ConnectionOptions

HARBOR = "harbor.example.com"


def _options(
    *args: str, hosts: tuple[str, ...] = (), environ: Mapping[str, str] = MappingProxyType({})
) -> ConnectionOptions:
    command = click.Command("try", params=list(CONNECTION))
    values: dict[str, Any] = command.make_context("try", list(args)).params
    return connection_options(values, hosts, environ)


def _users(options: ConnectionOptions) -> dict[str, tuple[str, str]]:
    return {host: (who.username, who.password) for host, who in options.credentials.items()}


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO("se$cret\n"))
    return "se$cret"


def test_values_are_for_all_hosts_or_for_one(tmp_path: Path) -> None:
    options = _options(
        "--ca-file=all.pem",
        f"--ca-file={HARBOR}=its.pem",
        "--plain-http-host=LOCALHOST:5000",
        "--insecure-host=index.docker.io",
        "--mirror=docker.io=https://m.example/x/",
        "--trusted-host=tokens.example",
        f"--hosts-dir={tmp_path}",
    )
    assert options.ca_files == ForHosts("all.pem", {HARBOR: "its.pem"})
    assert options.is_plain_http("localhost:5000")
    assert not options.is_plain_http(HARBOR)
    assert options.is_insecure("docker.io")
    assert options.mirrors == (Mirror("docker.io", "https://m.example/x"),)
    assert options.trusted_hosts == {"tokens.example"}
    assert options.hosts_dir == tmp_path
    assert options.authfile is None


def test_a_folder_of_settings_that_is_not_there_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such folder"):
        _options(f"--hosts-dir={tmp_path}/certs")


def test_flags_are_for_every_host() -> None:
    options = _options("--plain-http", "-k")
    assert options.is_plain_http(HARBOR)
    assert options.is_insecure(HARBOR)


def test_a_user_without_a_host_is_for_the_one_private_registry(password: str) -> None:
    options = _options(
        "--username=ann", "--password-stdin", hosts=("docker.io", HARBOR, "docker.io")
    )
    assert _users(options) == {HARBOR: ("ann", password)}


def test_the_only_registry_of_a_command_may_be_a_public_one(password: str) -> None:
    options = _options("--username=ann", "--password-stdin", hosts=("registry-1.docker.io",))
    assert _users(options) == {"docker.io": ("ann", password)}


@pytest.mark.parametrize("hosts", [(), (HARBOR, "other.example"), ("docker.io", "quay.io")])
def test_where_it_is_not_clear_whom_a_user_is_for_nothing_is_sent(
    hosts: tuple[str, ...], password: str
) -> None:
    assert password
    with pytest.raises(InvalidInput, match="not clear which registry") as caught:
        _options("--username=ann", "--password-stdin", hosts=hosts)
    assert "HOST=USER" in caught.value.hint
    with pytest.raises(InvalidInput):
        private_host(hosts, "x")


def test_each_host_may_have_a_user_and_a_password_of_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"{name}{name}\n")
    options = _options(
        f"--username={HARBOR}=robot$p+x",
        f"--password-file={HARBOR}={tmp_path / 'a'}",
        "--username=quay.io=bob",
        f"--password-file={tmp_path / 'b'}",
    )
    assert _users(options) == {HARBOR: ("robot$p+x", "aa"), "quay.io": ("bob", "bb")}


def test_one_password_is_not_tried_for_several_users(password: str) -> None:
    assert password
    with pytest.raises(InvalidInput, match=f"several users: {HARBOR}, quay"):
        _options(f"--username={HARBOR}=a", "--username=quay.io=b", "--password-stdin")


def test_the_environment_may_give_the_password_alone_or_the_user_too() -> None:
    options = _options(f"--username={HARBOR}=ann", environ={"IMGSYNC_PASSWORD": "pw"})
    assert _users(options) == {HARBOR: ("ann", "pw")}
    both = {"IMGSYNC_USERNAME": "eve", "IMGSYNC_PASSWORD": "pw"}
    assert _users(_options(hosts=(HARBOR, "docker.io"), environ=both)) == {HARBOR: ("eve", "pw")}
    assert _users(_options(environ=both)) == {}
    assert _users(_options(f"--username={HARBOR}=ann", environ=both)) == {HARBOR: ("ann", "pw")}


def test_a_token_user_is_a_token(password: str) -> None:
    options = _options(f"--username={HARBOR}=<token>", "--password-stdin")
    assert options.credentials == {HARBOR: Credential(identity_token=password)}


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="no password is given for the user ann"):
        _options(f"--username={HARBOR}=ann")
    with pytest.raises(InvalidInput, match="a password is given and no user"):
        _options("--password-stdin")
    with pytest.raises(InvalidInput, match="cannot be read"):
        _options(f"--username={HARBOR}=ann", f"--password-file={tmp_path / 'none'}")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(InvalidInput, match="the password of the user ann is empty"):
        _options(f"--username={HARBOR}=ann", "--password-stdin")


def test_no_secret_is_in_what_options_look_like(password: str) -> None:
    options = _options(f"--username={HARBOR}=ann", "--password-stdin")
    assert password not in repr(options)
