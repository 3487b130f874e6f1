"""``imgsync report``: a page for those who must approve a transfer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.inputs import read_input
from imgsync.cli.options import containerd_options
from imgsync.cli.output import human_size, say
from imgsync.cli.written import STDOUT, write_output
from imgsync.errors import InvalidInput
from imgsync.model.selection import Selection
from imgsync.model.volumes import whole_lock
from imgsync.presence import select_images
from imgsync.reporting.fleet_facts import FleetFacts
from imgsync.reporting.gathering import report_of
from imgsync.reporting.page import page
from imgsync.reporting.tables import csv_of
from imgsync.stores import Locked
from imgsync.stores.joined import Joined

if TYPE_CHECKING:
    from imgsync.model.digest import Digest
    from imgsync.reporting.facts import Report
    from imgsync.stores import Holding

FORMATS: Final = ("html", "csv", "json")


@click.command(
    cls=Command,
    short_help="Write a page about what a bundle holds, for who must approve it.",
    epilog="Example: imgsync report site.tar -o site.html",
)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@containerd_options
@click.option(
    "--image", "globs", multiple=True, metavar="GLOB", help="Only these images; repeatable."
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE|-",
    help="The file to write, or - for standard output.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="What is written; else the end of FILE's name says it, and html is the default.",
)
@click.option(
    "--fleet",
    "fleet_file",
    default="",
    metavar="FILE",
    help="Add what nodes have of it: what `imgsync check -i … --lock … --format json` wrote.",
)
@click.pass_obj
def report(
    context: Context,
    *,
    targets: tuple[str, ...],
    globs: tuple[str, ...],
    output: str,
    form: str | None,
    fleet_file: str,
) -> None:
    """Write a page about what a bundle holds, for who must approve it.

    One HTML file that needs no other: images, platforms, digests, sizes, dates, what is shared,
    labels, signatures, SBOMs, and what is left out. TARGET is a bundle, another tool's archive, an
    OCI layout folder, an image of a registry, or containerd: for a namespace; several files or
    folders, such as the volumes of a bundle, make one page. Nothing is proved; verify does that.
    """
    form = form or _form_of(output)
    if fleet_file and form == "csv":
        raise InvalidInput("--fleet has no place in a CSV", hint="html and json take it")
    fleet = None
    if fleet_file:
        fleet = FleetFacts.parse(read_input(fleet_file, what="--fleet"), fleet_file)
    holdings = [context.open_source(target) for target in targets]
    holding = holdings[0] if len(holdings) == 1 else Joined(holdings)
    chosen = select_images(holding, Selection(globs), jobs=context.jobs)
    paths = [Path(target) for target in targets]
    labels = tuple(map(_label, targets))
    are_files = all(path.is_file() for path in paths)
    found = report_of(
        chosen,
        ", ".join(labels),
        file_size=sum(path.stat().st_size for path in paths) if are_files else None,
        files=labels if len(labels) > 1 else (),
        jobs=context.jobs,
    )
    if fleet is not None and fleet.lock not in _locks(holding):
        msg = f"{fleet_file} compares nodes with another lock, {fleet.lock}"
        raise InvalidInput(msg, hint="imgsync check -i takes the lock of this bundle: --lock")
    raw = _written(found, form, fleet)
    write_output(output, raw)
    if output != STDOUT:
        say(f"{output}: {len(found.images)} images, {human_size(len(raw))}")


def _label(target: str) -> str:
    path = Path(target)
    return path.name if path.exists() else target


def _locks(holding: Holding) -> set[Digest]:
    """The lock of a bundle, and that of its whole set; a check of either is about it."""
    lock = holding.lock() if isinstance(holding, Locked) else None
    return set() if lock is None else {x.descriptor().digest for x in (lock, whole_lock(lock))}


def _form_of(output: str) -> str:
    suffix = Path(output.removesuffix(".gz")).suffix.lower().lstrip(".")
    if suffix in {"", "htm"} or output == STDOUT:
        return "html"
    if suffix not in FORMATS:
        msg = f"{output}: the end of the name is none of {', '.join(FORMATS)}"
        raise InvalidInput(msg, hint="say what to write with --format")
    return suffix


def _written(found: Report, form: str, fleet: FleetFacts | None) -> bytes:
    match form:
        case "csv":
            return csv_of(found)
        case "json":
            value = found.to_json()
            if fleet is not None:
                value["fleet"] = fleet.to_json()
            return f"{json.dumps(value, indent=1, sort_keys=True)}\n".encode()
        case _:
            return page(found, human_size, fleet)
