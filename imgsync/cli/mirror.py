"""``imgsync mirror``: registries to registries by a config, once, for cron."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from imgsync.cli.command import Command
from imgsync.cli.connection import connection_options
from imgsync.cli.context import Context
from imgsync.cli.inputs import STDIN, read_input
from imgsync.cli.mirror_output import raise_unfinished, tell_plan, tell_sources
from imgsync.cli.options import (
    harbor_options,
    mapping_options,
    platform_option,
    referrers_option,
)
from imgsync.cli.output import say
from imgsync.errors import Differs, ImgsyncError, InvalidInput
from imgsync.harbor.gate import HarborGate
from imgsync.mirror.config import Defaults, MirrorConfig
from imgsync.mirror.connecting import with_hosts
from imgsync.mirror.files import state_path
from imgsync.mirror.formats import FORMATS
from imgsync.mirror.limits import jitter_s
from imgsync.mirror.pacing import PacedRegistries
from imgsync.mirror.quantities import parse_duration, parse_size
from imgsync.mirror.read import read_config
from imgsync.mirror.run import RunOptions
from imgsync.mirror.session import MirrorFiles, MirrorInterrupted, mirror_once, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from imgsync.harbor.preflight import HarborOptions
    from imgsync.model.mapping import Mapping
    from imgsync.model.platform import PlatformChoice
    from imgsync.referrers.choice import ReferrerChoice

T = TypeVar("T")


@click.command(
    cls=Command,
    short_help="Carry from registries to registries what changed, by a config.",
    epilog="Example: imgsync mirror images.txt --to harbor.example.com/mirror",
)
@click.argument("config_path", metavar="CONFIG")
@mapping_options
@platform_option
@referrers_option
@harbor_options
@click.option(
    "--recheck-referrers",
    default="24h",
    show_default=True,
    metavar="TIME",
    help="How often to ask what is new about images that are the same.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="What CONFIG is; recognised if not said.",
)
@click.option("--check", is_flag=True, help="Read the config, say what it asks for, and end.")
@click.option("--dry-run", is_flag=True, help="Look at both sides, and move nothing.")
@click.option(
    "--bytes",
    "measure",
    is_flag=True,
    help="With --dry-run: read the manifests of what changed too, and tell how many bytes a run "
    "would send. A registry that counts pulls counts each of them.",
)
@click.option(
    "--state",
    "state_file",
    metavar="FILE",
    help="What to remember from run to run; else a file for CONFIG below XDG_STATE_HOME. "
    "Receipts and the lock are beside it.",
)
@click.option("--jitter", metavar="TIME", help="Wait up to so long first.")
@click.option("--time-limit", metavar="TIME", help="Stop after so long; the next run goes on.")
@click.option("--byte-limit", metavar="SIZE", help="Move only whole images that fit into this.")
@click.option("--quiet-unchanged", is_flag=True, help="Say nothing where nothing had to be done.")
@click.option("--exit-code", is_flag=True, help="Exit with 10 if something changed.")
@click.option("--report", "report_file", metavar="FILE", help="Write what happened as JSON.")
@click.option(
    "--metrics-file",
    metavar="FILE",
    help="Write metrics for Prometheus' textfile collector; a name that ends with .prom.",
)
@click.pass_obj
def mirror(
    context: Context,
    *,
    config_path: str,
    mapping: Mapping,
    choice: PlatformChoice,
    referrers: ReferrerChoice,
    harbor: HarborOptions,
    recheck_referrers: str,
    format_name: str | None,
    check: bool,
    dry_run: bool,
    measure: bool,
    state_file: str | None,
    jitter: str | None,
    time_limit: str | None,
    byte_limit: str | None,
    quiet_unchanged: bool,
    exit_code: bool,
    report_file: str | None,
    metrics_file: str | None,
) -> None:
    """Carry from registries to registries what changed, by a config.

    CONFIG is YAML (docs/mirror.md), a plain list of images with --to, or the config of skopeo
    sync, regsync, image-syncer or hauler. It is one run: cron, a systemd timer or a CronJob is
    the clock.
    """
    if measure and not dry_run:
        msg = "--bytes is for --dry-run"
        raise InvalidInput(msg, hint="--byte-limit SIZE bounds what a run moves")
    config = load_config(config_path, mapping, choice, referrers, format_name or "")
    if check:
        tell_sources(config)
        return
    files = files_of(config_path, state_file, report_file, metrics_file)
    options = RunOptions(
        context.jobs,
        context.retries,
        amount("--time-limit", time_limit, parse_duration),
        amount("--byte-limit", byte_limit, parse_size),
        dry_run,
        measure,
        amount("--recheck-referrers", recheck_referrers, parse_duration) or 0.0,
    )
    most_s = amount("--jitter", jitter, parse_duration)
    if most_s is not None and not dry_run:
        wait(jitter_s(most_s))
    with connect(context, config) as registries:
        gate = HarborGate(registries, harbor, context.report, jobs=context.jobs)
        command = f"imgsync mirror {config_path}"
        try:
            summary = mirror_once(config, registries, files, context.report, options, command, gate)
        except MirrorInterrupted as stopped:
            say(stopped.summary.line())
            raise
    if dry_run:
        tell_plan(summary)
        return
    if summary.has_changed or not summary.is_complete or not quiet_unchanged:
        say(summary.line())
    raise_unfinished(summary)
    if exit_code and summary.has_changed:
        click.get_current_context().exit(Differs.exit_code)


def amount(option: str, text: str | None, parse: Callable[[str], T]) -> T | None:
    """What an option's text means; None where it was not given.

    Raises:
        InvalidInput: nothing; the option is named.
    """
    if text is None:
        return None
    try:
        return parse(text)
    except InvalidInput as error:
        msg = f"{option}: {error.message}"
        raise InvalidInput(msg, hint=error.hint) from None


def load_config(
    path: str,
    mapping: Mapping,
    choice: PlatformChoice,
    referrers: ReferrerChoice | None = None,
    format_name: str = "",
) -> MirrorConfig:
    """Read CONFIG, with what the command line says in front of its own defaults.

    Raises:
        InvalidInput: it is wrong; every mistake is told with its line and column.
    """
    label = "standard input" if path == STDIN else path
    raw = read_input(path, what="the config")
    defaults = Defaults(
        to=str(mapping.to) if mapping.to is not None else None,
        rules=tuple(f"{rule.pattern}={rule.template}" for rule in mapping.rules) or None,
        keep_registry=mapping.keep_registry or None,
        platforms=None if choice.is_all else choice,
        referrers=None if referrers is None or referrers.is_all else referrers,
    )
    return read_config(raw, label, format_name=format_name, defaults=defaults)


def files_of(
    path: str, state: str | None, report: str | None = None, metrics: str | None = None
) -> MirrorFiles:
    """Where a mirror keeps what it keeps.

    Raises:
        InvalidInput: a config from standard input has no name that a state could go by.
    """
    if state is None and path == STDIN:
        msg = "a config from standard input has no state of its own"
        raise InvalidInput(msg, hint="say where to keep it: --state FILE")
    return MirrorFiles(
        Path(state) if state is not None else state_path(path, os.environ),
        Path(report) if report is not None else None,
        Path(metrics) if metrics is not None else None,
    )


def connect(context: Context, config: MirrorConfig) -> PacedRegistries:
    """The registries of a config, with its credentials and limits."""
    hosts = set(_hosts(config))
    options = connection_options(context.values, tuple(hosts), os.environ)
    options = with_hosts(options, config.hosts, os.environ)
    registries = PacedRegistries(options, context.report, os.environ, config.hosts)
    context.on_abort(registries.abort)
    return registries


def _hosts(config: MirrorConfig) -> Iterable[str]:
    """Every registry that a run can speak to."""
    for source in config.sources:
        yield source.repository.registry
        if source.target is not None:
            yield source.target.registry
            continue
        name = source.name or source.repository
        try:
            yield source.mapping.apply(replace(name, tag=name.tag or "x")).registry
        except ImgsyncError:
            # It is told with the images that it is about.
            continue
