"""Each shared option, once.

Those that every command has are in `imgsync.cli.common_options`. These are decorators, and each
gives its command one frozen value:

    @mapping_options      mapping: imgsync.model.mapping.Mapping
    @selection_options    selection: imgsync.model.selection.Selection
    @platform_option      choice: imgsync.model.platform.PlatformChoice
    @referrers_option     referrers: imgsync.referrers.choice.ReferrerChoice
    @socket_options       nothing; which containerd
    @containerd_options   nothing; they are for ``containerd:`` sources and destinations
    @harbor_options       harbor: imgsync.harbor.preflight.HarborOptions
    @format_option        as_json: bool

Every help text needs this module, and none needs what the options turn into: the model is
imported where values are made of them.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

from imgsync.cli.context import Context
from imgsync.cli.option_values import ContainerdOptions
from imgsync.cli.sizes import RATE, SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imgsync.model.map_rule import Rule
    from imgsync.model.platform import PlatformChoice

R = TypeVar("R")


# --- names ------------------------------------------------------------------------------------


def mapping_options(command: Callable[..., R]) -> Callable[..., R]:
    """``--to``, ``--map`` and ``--keep-registry``; the command gets ``mapping``."""

    @wraps(command)
    def with_mapping(
        *args: Any, to: str, maps: Sequence[str], keep_registry: bool, **rest: Any
    ) -> R:
        from imgsync.model.mapping import Mapping  # noqa: PLC0415 - see above

        rules = [rule for text in maps for rule in _rules_of(text)]
        mapping = Mapping.parse(to, rules, keep_registry=keep_registry)
        return command(*args, mapping=mapping, **rest)

    return _add(
        with_mapping,
        click.option(
            "--to",
            default="",
            metavar="HOST/PROJECT",
            help="Put every name under this prefix: docker.io/library/redis:7 becomes "
            "HOST/PROJECT/redis:7. Names that are there already stay.",
        ),
        click.option(
            "--map",
            "maps",
            multiple=True,
            metavar="PATTERN=TEMPLATE",
            help="Rename what matches; repeatable, the first that matches wins. * is within a part "
            "of the path, ** across; {1} is what the first of them stood for. A file of such "
            "lines may be named instead.",
        ),
        click.option(
            "--keep-registry",
            is_flag=True,
            help="Keep the source's host as a part of the path under --to.",
        ),
    )


def _rules_of(text: str) -> Iterable[Rule]:
    from imgsync.model.map_rule import Rule, parse_rules  # noqa: PLC0415 - see above

    if "=" in text:
        return [Rule.parse(text)]
    from imgsync.cli.inputs import read_input  # noqa: PLC0415 - see above

    return parse_rules(read_input(text, what="--map"), text)


# --- which content ----------------------------------------------------------------------------


def selection_options(command: Callable[..., R]) -> Callable[..., R]:
    """``--image`` and ``--platform``; the command gets ``selection``."""

    @wraps(command)
    def with_selection(*args: Any, images: Sequence[str], choice: PlatformChoice, **rest: Any) -> R:
        from imgsync.model.selection import Selection  # noqa: PLC0415 - see above

        return command(*args, selection=Selection(tuple(images), choice), **rest)

    return _add(
        platform_option(with_selection),
        click.option(
            "--image",
            "images",
            multiple=True,
            metavar="GLOB",
            help="Only these images, 'redis*' or 'quay.io/*'; repeatable.",
        ),
    )


def platform_option(command: Callable[..., R]) -> Callable[..., R]:
    """``--platform``; the command gets ``choice``."""

    @wraps(command)
    def with_choice(*args: Any, platforms: Sequence[str], **rest: Any) -> R:
        from imgsync.cli.host import host_platform  # noqa: PLC0415 - see above
        from imgsync.model.selection import choose_platforms  # noqa: PLC0415 - see above

        return command(*args, choice=choose_platforms(platforms, host_platform()), **rest)

    return _add(
        with_choice,
        click.option(
            "--platform",
            "platforms",
            multiple=True,
            metavar="LIST",
            help="Only these platforms, linux/amd64,linux/arm64; !windows leaves one out, host is "
            "this machine's, all is the default.",
        ),
    )


def referrers_option(command: Callable[..., R]) -> Callable[..., R]:
    """``--referrers``; the command gets ``referrers``."""

    @wraps(command)
    def with_referrers(*args: Any, referrers: Sequence[str], **rest: Any) -> R:
        from imgsync.referrers.choice import ReferrerChoice  # noqa: PLC0415 - see above

        return command(*args, referrers=ReferrerChoice.parse(referrers), **rest)

    return _add(
        with_referrers,
        click.option(
            "--referrers",
            multiple=True,
            metavar="all|none|TYPE",
            help="Which signatures, attestations and SBOMs come along: all (the default), none, "
            "or those of a type, 'application/spdx+json', '*cosign*'; repeatable.",
        ),
    )


# --- Harbor ------------------------------------------------------------------------------------


def harbor_options(command: Callable[..., R]) -> Callable[..., R]:
    """``--create-project`` and how; the command gets ``harbor``."""

    @wraps(command)
    def with_harbor(
        *args: Any,
        create_project: bool,
        project_public: bool,
        storage_limit: int | None,
        **rest: Any,
    ) -> R:
        from imgsync.harbor.preflight import HarborOptions  # noqa: PLC0415 - see above

        if (project_public or storage_limit is not None) and not create_project:
            msg = "--project-public and --storage-limit are for projects that are created"
            raise click.UsageError(msg + "; add --create-project")
        harbor = HarborOptions(create_project, project_public, storage_limit)
        return command(*args, harbor=harbor, **rest)

    return _add(
        with_harbor,
        click.option(
            "--create-project",
            is_flag=True,
            help="Create the projects that a Harbor lacks, private ones.",
        ),
        click.option("--project-public", is_flag=True, help="Make new projects public."),
        click.option(
            "--storage-limit",
            type=SIZE,
            metavar="SIZE",
            help="The quota of new projects, 50G; Harbor lets only administrators set it.",
        ),
    )


# --- containerd -------------------------------------------------------------------------------

_SOCKET: Final = (
    click.option(
        "--address",
        default="",
        metavar="SOCKET",
        help="containerd's socket; else CONTAINERD_ADDRESS, /etc/crictl.yaml, and where "
        "containerd, k3s, rke2, k0s and microk8s have it.",
    ),
    click.option("--ctr", default="", metavar="COMMAND", help="How ctr is called, 'k3s ctr'."),
)


def containerd_options(command: Callable[..., R]) -> Callable[..., R]:
    """``-n``, ``--address`` and ``--ctr``; the Context gets them, for ``containerd:NAME``."""

    @wraps(command)
    def with_containerd(*args: Any, namespace: str, address: str, ctr: str, **rest: Any) -> R:
        context = click.get_current_context().ensure_object(Context)
        context.containerd_options = ContainerdOptions(namespace, address, ctr)
        return command(*args, **rest)

    return _add(
        with_containerd,
        click.option(
            "-n",
            "--namespace",
            envvar=["IMGSYNC_NAMESPACE", "CONTAINERD_NAMESPACE"],
            default="k8s.io",
            show_default=True,
            help="The namespace in containerd; kubelet sees k8s.io only.",
        ),
        *_SOCKET,
    )


def socket_options(command: Callable[..., R]) -> Callable[..., R]:
    """``--address`` and ``--ctr``, for commands that name their namespaces themselves."""

    @wraps(command)
    def with_socket(*args: Any, address: str, ctr: str, **rest: Any) -> R:
        context = click.get_current_context().ensure_object(Context)
        context.containerd_options = ContainerdOptions(address=address, ctr=ctr)
        return command(*args, **rest)

    return _add(with_socket, *_SOCKET)


def source_labels_option(command: Callable[..., R]) -> Callable[..., R]:
    """``--source-labels``; the command gets ``source_labels``."""
    return _add(
        command,
        click.option(
            "--source-labels",
            is_flag=True,
            help="Label content with the repositories of its names, as a pull does: what Spegel "
            "shares, and a push mounts.",
        ),
    )


# --- plans ------------------------------------------------------------------------------------


def dry_run_options(command: Callable[..., R]) -> Callable[..., R]:
    """``--dry-run`` and ``--rate``; the command gets ``dry_run`` and ``rate`` (bytes a second)."""

    @wraps(command)
    def with_dry_run(*args: Any, dry_run: bool, rate: int | None, **rest: Any) -> R:
        # Of the environment it may be there for a command that it does limit: seed.
        source = click.get_current_context().get_parameter_source("rate")
        if not dry_run and source is ParameterSource.COMMANDLINE:
            msg = "--rate says how long it would take, and limits nothing: it needs --dry-run"
            raise click.UsageError(msg)
        return command(*args, dry_run=dry_run, rate=rate, **rest)

    return _add(
        with_dry_run,
        click.option("--dry-run", is_flag=True, help="Show what would move, and change nothing."),
        click.option(
            "--rate",
            metavar="SIZE/s",
            type=RATE,
            help="With --dry-run: how long it takes at this rate, 20MB/s.",
        ),
    )


# --- results ----------------------------------------------------------------------------------


def format_option(command: Callable[..., R]) -> Callable[..., R]:
    """``--format``; the command gets ``as_json``."""

    @wraps(command)
    def with_format(*args: Any, format_name: str, **rest: Any) -> R:
        return command(*args, as_json=format_name == "json", **rest)

    return _add(
        with_format,
        click.option(
            "--format",
            "format_name",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="How results are printed.",
        ),
    )


def _add(
    command: Callable[..., R], *options: Callable[[Callable[..., R]], Callable[..., R]]
) -> Callable[..., R]:
    for option in reversed(options):
        command = option(command)
    return command
