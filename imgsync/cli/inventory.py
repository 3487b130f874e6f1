"""``imgsync inventory``: which content a place has, to be carried to where bundles are made."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.options import containerd_options
from imgsync.cli.output import human_size, say
from imgsync.cli.targets import Target
from imgsync.cli.written import STDOUT, write_output
from imgsync.errors import NotFound
from imgsync.events import Noted
from imgsync.inventory.places import Place
from imgsync.inventory.taking import Catalog, Found, found_in_holding, found_in_repository
from imgsync.model.inventory import Inventory, of_lock
from imgsync.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@click.command(
    cls=Command,
    short_help="Write down which content a registry, namespace or file has.",
    epilog="Example: imgsync inventory harbor.example.com/project/ -o far.json",
)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@containerd_options
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE|-",
    help="The file to write; FILE.gz is compressed, - is standard output.",
)
@click.option(
    "--digests-only", is_flag=True, help="Do not tell the names of registries and repositories."
)
@click.pass_obj
def inventory(
    context: Context, *, targets: tuple[str, ...], output: str, digests_only: bool
) -> None:
    """Write down which content a registry, namespace or file has.

    The file is carried to where bundles are made: bundle --have FILE leaves out what is in it. A
    TARGET is a registry (HOST), the repositories below a path (HOST/PROJECT/), one repository
    (HOST/PROJECT/NAME), an image, containerd: for a namespace, or a bundle, its lock, another
    tool's archive or a layout folder.
    """
    # Files are meant before registries, as everywhere.
    places = {text: None if Path(text).exists() else Place.parse(text) for text in targets}
    others = {text: Target.read(text) for text, place in places.items() if place is None}
    hosts = {place.host for place in places.values() if place is not None}
    context.speak_to(hosts.union(*(target.hosts for target in others.values())))

    def found() -> Iterator[Found]:
        for text, place in places.items():
            if place is None:
                yield from _in_target(context, others[text])
            else:
                yield from _in_place(context, place)

    taken = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    whole = Inventory.make(targets, found(), taken=taken)
    if digests_only:
        whole = whole.without_repositories()
    if not whole.digests:
        context.report(Noted(f"{', '.join(targets)}: nothing is there", "warning"))
    raw = whole.to_bytes()
    write_output(output, raw)
    if output != STDOUT:
        n_names = len({name for names in whole.repositories.values() for name in names})
        what = f"{len(whole.digests)} objects"
        where = f" of {n_names} repositories" if n_names else ""
        say(f"{output}: {what}{where}, {human_size(len(raw))}")


def _in_target(context: Context, target: Target) -> Iterator[Found]:
    if target.lock is not None:
        listed = of_lock(target.lock, target.label)
        for digest, names in listed.repositories.items():
            yield from ((digest, name) for name in names or ("",))
    for wish in target.wishes:
        holding = context.open_source(wish.source)
        yield from found_in_holding(holding, context.report, jobs=context.jobs)


def _in_place(context: Context, place: Place) -> Iterator[Found]:
    paths: Iterable[str] = (place.path,)
    if place.is_prefix:
        paths = _catalog(context, place.host).repositories(place.path)
    for path in paths:
        repository = context.registries().repository(Reference(place.host, path, "latest"))
        try:
            tags = repository.tags()
        except NotFound:
            if not place.is_prefix:
                raise
            continue  # catalogs go on listing what was emptied
        names = [Reference(place.host, path, tag) for tag in tags]
        if names:
            yield from found_in_repository(repository, names, context.report, jobs=context.jobs)


def _catalog(context: Context, host: str) -> Catalog:
    from imgsync.stores.registry.catalog import (  # noqa: PLC0415 - only for a registry
        Catalog as RegistryCatalog,
    )

    return RegistryCatalog(context.registries().host(host))
