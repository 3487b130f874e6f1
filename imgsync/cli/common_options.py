"""The options that every command has; `imgsync.cli.command.Command` adds them."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

CONNECTION: Final = (
    click.Option(["--plain-http"], is_flag=True, help="Speak HTTP without TLS, with every host."),
    click.Option(
        ["--plain-http-host"],
        multiple=True,
        metavar="HOST",
        help="Speak HTTP without TLS with this host; repeatable.",
    ),
    click.Option(
        ["-k", "--insecure"], is_flag=True, help="Take every host's certificate, unchecked."
    ),
    click.Option(
        ["--insecure-host"],
        multiple=True,
        metavar="HOST",
        help="Take this host's certificate unchecked; repeatable.",
    ),
    click.Option(
        ["--ca-file"],
        multiple=True,
        metavar="[HOST=]FILE",
        help="Trust these certificate authorities too (PEM).",
    ),
    click.Option(
        ["--cert"], multiple=True, metavar="[HOST=]FILE", help="Client certificate (PEM)."
    ),
    click.Option(
        ["--key"], multiple=True, metavar="[HOST=]FILE", help="Key of the client certificate."
    ),
    click.Option(
        ["--username"],
        multiple=True,
        metavar="[HOST=]USER",
        help="Log in as this user. The password comes from --password-stdin, --password-file or "
        "IMGSYNC_PASSWORD, never from the command line.",
    ),
    click.Option(["--password-stdin"], is_flag=True, help="Read the password from standard input."),
    click.Option(
        ["--password-file"],
        multiple=True,
        metavar="[HOST=]FILE",
        help="Read the password from a file.",
    ),
    click.Option(
        ["--authfile"],
        metavar="FILE",
        help="Credentials in the form of docker and podman, instead of the usual files.",
    ),
    click.Option(
        ["--hosts-dir"],
        metavar="DIR",
        help="Connection settings in the form of containerd's certs.d.",
    ),
    click.Option(
        ["--trusted-host"],
        multiple=True,
        metavar="HOST",
        help="Let registries send us to this host too, for tokens and storage; repeatable.",
    ),
    click.Option(
        ["--mirror"],
        multiple=True,
        metavar="HOST=URL",
        help="Read from here what is named HOST/..., and from HOST what is not there; repeatable. "
        "Names stay HOST's.",
    ),
    click.Option(
        ["--retries"],
        metavar="N",
        type=click.IntRange(0, 100),
        default=3,
        show_default=True,
        help="How often a request or an object is tried again.",
    ),
    click.Option(
        ["-j", "--jobs"],
        metavar="N",
        type=click.IntRange(1, 256),
        default=8,
        show_default=True,
        help="How much is done at once.",
    ),
)

NOT_FROM_ENVIRONMENT: Final = frozenset({"username", "password_stdin", "password_file"})
"""`imgsync.stores.registry.credentials` reads IMGSYNC_USERNAME and its password itself."""

OUTPUT: Final = (
    click.Option(
        ["--progress"],
        type=click.Choice(["auto", "bar", "plain", "json", "none"]),
        default="auto",
        show_default=True,
        help="auto is bar on a terminal and plain elsewhere; json is one object a line, on "
        "standard error.",
    ),
    click.Option(["-q", "--quiet"], is_flag=True, help="Print results and errors only."),
    click.Option(["--debug"], is_flag=True, help="Say more, and where errors come from."),
)


def copies_of(
    options: Iterable[click.Option], *, from_environment: bool = True
) -> list[click.Parameter]:
    """Options for one more command; without ``from_environment`` they must be typed."""
    copies: list[click.Parameter] = []
    for option in options:
        fresh = copy(option)
        fresh.allow_from_autoenv = from_environment and fresh.name not in NOT_FROM_ENVIRONMENT
        copies.append(fresh)
    return copies
