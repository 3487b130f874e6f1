"""Shared options, and what they turn into; a Context and what it opens."""

from __future__ import annotations

import platform
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from imgsync.cli import main
from imgsync.cli.context import Context
from imgsync.cli.host import host_platform
from imgsync.cli.inputs import read_input
from imgsync.cli.option_values import ContainerdOptions
from imgsync.cli.options import (
    containerd_options,
    format_option,
    mapping_options,
    platform_option,
    selection_options,
)
from imgsync.errors import InvalidInput, InvalidPlatform
from imgsync.model.map_rule import Rule
from imgsync.model.mapping import Mapping
from imgsync.model.platform import PlatformChoice
from imgsync.model.selection import Selection
from tests.images import Images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Try

    Trying = Callable[..., Try]


def _given(decorate: Callable[..., Any], *args: str, **env: str) -> dict[str, Any]:
    """What a command gets of some options."""
    got: dict[str, Any] = {}

    @click.command()
    @decorate
    def command(**values: Any) -> None:
        got.update(values)

    result = CliRunner().invoke(command, args, env=env, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return got


def test_mapping_options_make_a_mapping(tmp_path: Path) -> None:
    assert _given(mapping_options) == {"mapping": Mapping()}
    (tmp_path / "rules").write_text("# ours\nquay.io/**=x/{1}\n")
    got = _given(
        mapping_options,
        "--to=h.example/p",
        "--map=ghcr.io/**=y/{1}",
        f"--map={tmp_path / 'rules'}",
        "--keep-registry",
    )
    rules = [Rule.parse("ghcr.io/**=y/{1}"), Rule.parse("quay.io/**=x/{1}")]
    mapping = got["mapping"]
    assert [(rule.pattern, rule.template) for rule in mapping.rules] == [
        (rule.pattern, rule.template) for rule in rules
    ]
    assert str(mapping.to) == "h.example/p"
    assert mapping.keep_registry
    with pytest.raises(InvalidInput, match="--map none: No such file"):
        _given(mapping_options, "--map=none")


def test_selection_options_make_a_selection() -> None:
    assert _given(selection_options) == {"selection": Selection()}
    got = _given(selection_options, "--image=a*", "--image=b", "--platform=linux,!linux/arm64")
    choice = PlatformChoice.parse(["linux,!linux/arm64"])
    assert got == {"selection": Selection(("a*", "b"), choice)}


def test_platform_option_knows_this_host() -> None:
    assert _given(platform_option) == {"choice": PlatformChoice()}
    got = _given(platform_option, "--platform=host", "--platform=windows")
    assert got["choice"].wanted == tuple(
        sorted(PlatformChoice.parse([str(host_platform()), "windows"]).wanted)
    )
    with pytest.raises(InvalidPlatform):
        _given(platform_option, "--platform=linux/amd64/v1/x")


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("i686", "linux/386"),
        ("s390x", "linux/s390x"),
        ("riscv64", "linux/riscv64"),
    ],
)
def test_the_host_s_platform_is_called_as_in_images(
    machine: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert str(host_platform()) == expected


def test_format_option_is_text_or_json() -> None:
    assert _given(format_option) == {"as_json": False}
    assert _given(format_option, "--format=json") == {"as_json": True}


def test_the_environment_calls_an_option_as_the_command_line_does(trying: Trying) -> None:
    got: list[Any] = []

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def inner(*args: Any, as_json: bool, selection: Selection, **rest: Any) -> Any:
            got.append((as_json, selection.globs))
            return command(*args, **rest)

        return selection_options(format_option(inner))

    trying(lambda _context: None, decorate)(
        "try", env={"IMGSYNC_FORMAT": "json", "IMGSYNC_IMAGE": "a/* b"}
    )
    assert got == [(True, ("a/*", "b"))]


@pytest.mark.parametrize("command", ["seed", "heal", "bundle"])
def test_what_is_required_is_missed(command: str) -> None:
    ended = CliRunner().invoke(main, [command, "x.tar"] if command == "seed" else [command])
    assert ended.exit_code == 2
    assert "Missing option" in ended.stderr


def test_containerd_options_go_to_the_context(trying: Trying) -> None:
    seen: list[ContainerdOptions] = []
    run = trying(lambda context: seen.append(context.containerd_options), containerd_options)
    run("try")
    run("try", env={"CONTAINERD_NAMESPACE": "moby", "IMGSYNC_ADDRESS": "/run/x.sock"})
    run("try", env={"CONTAINERD_NAMESPACE": "moby", "IMGSYNC_NAMESPACE": "mine"})
    run("try", "-n", "other", "--ctr", "k3s ctr", env={"IMGSYNC_NAMESPACE": "mine"})
    assert seen == [
        ContainerdOptions(),
        ContainerdOptions("moby", "/run/x.sock"),
        ContainerdOptions("mine"),
        ContainerdOptions("other", "", "k3s ctr"),
    ]


def test_small_files_and_standard_input_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"here")
    assert read_input(str(tmp_path / "x"), what="the list") == b"here"
    with pytest.raises(InvalidInput, match=r"the list .*: Is a directory"):
        read_input(str(tmp_path), what="the list")
    Images().write_archive(tmp_path / "site.tar")
    with pytest.raises(InvalidInput, match="this is an archive") as caught:
        read_input(str(tmp_path / "site.tar"), what="--have")
    assert "site.tar.lock.json" in caught.value.hint
    with (tmp_path / "x").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert read_input("-", what="the list") == b"here"


def test_a_context_opens_registries_once_and_closes_them(trying: Trying) -> None:
    opened: list[object] = []

    def body(context: Context) -> None:
        context.speak_to(["harbor.example.com"])
        opened.extend([context.registries(), context.registries()])
        assert context.jobs == 3
        assert context.retries == 0

    env = {"IMGSYNC_USERNAME": "ann", "IMGSYNC_PASSWORD": "pw"}
    result = trying(body)("try", "-j3", "--retries", "0", env=env)
    assert result.exit_code == 0, result.output
    assert opened[0] is opened[1]


def test_credentials_that_could_be_for_two_registries_are_for_none(trying: Trying) -> None:
    def body(context: Context) -> None:
        context.speak_to(["a.example", "b.example"])
        context.registries()

    env = {"IMGSYNC_PASSWORD": "pw"}
    result = trying(body)("--username", "ann", "try", env=env)
    assert result.exit_code == 2
    assert "it is not clear which registry it is for (a.example, b.example)" in result.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--username", "h.example=ann", "--password-stdin"), "the password is to come from"),
        (("--have", "-"), "--have is to come from"),
        (("-f", "-"), "the list is to come from"),
    ],
)
def test_standard_input_is_read_for_one_thing(more: tuple[str, ...], said: str) -> None:
    words = ["bundle", "-f", "-", "-o", "never.tar", *more]
    ended = CliRunner().invoke(main, words, input="h.example/app:1\n")
    assert ended.exit_code == 2, ended.output
    assert said in ended.stderr
    assert "the list has come from there already" in ended.stderr
    assert "hint: give one of them as a file" in ended.stderr
