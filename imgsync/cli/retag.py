"""``imgsync retag``: other names, the same content."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.options import containerd_options, format_option, mapping_options
from imgsync.cli.output import say, say_json, tell
from imgsync.errors import InvalidInput
from imgsync.events import Noted
from imgsync.model.image_source import Transport
from imgsync.model.reference import Reference
from imgsync.model.selection import choose_images, itself
from imgsync.parity import par2
from imgsync.retagging import (
    Renaming,
    documents_below,
    find_labelled,
    plan_name,
    plan_renaming,
    refuse,
    rename_bundle,
    rename_layout,
)
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.containerd.tagging import tag_image
from imgsync.stores.disk import final_path
from imgsync.stores.image_layout import ImageLayout
from imgsync.stores.layout import Layout
from imgsync.stores.open import read_target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgsync.model.image_source import ImageSource
    from imgsync.model.mapping import Mapping
    from imgsync.stores import Holding


@click.command(
    cls=Command,
    short_help="Give images other names; their content stays.",
    epilog="Example: imgsync retag site.tar --to harbor.example.com/project -o moved.tar",
)
@click.argument("source", metavar="SOURCE")
@click.argument("name", required=False, metavar="[NAME]")
@mapping_options
@click.option(
    "--image", "globs", multiple=True, metavar="GLOB", help="Rename only these; repeatable."
)
@click.option(
    "-o", "--output", metavar="FILE", help="The bundle to make; it shares the blobs if it can."
)
@click.option("--in-place", is_flag=True, help="Change the bundle or the folder itself.")
@click.option("--dry-run", is_flag=True, help="Show the names and change nothing.")
@click.option("--force", is_flag=True, help="In containerd, take a name away from another digest.")
@containerd_options
@format_option
@click.pass_obj
def retag(
    context: Context,
    *,
    source: str,
    name: str | None,
    mapping: Mapping,
    globs: tuple[str, ...],
    output: str | None,
    in_place: bool,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Give images other names; their content stays.

    SOURCE is a bundle, oci:DIR, or containerd:NAME. New names come from --to and --map, or NAME
    is the new one of a single image.
    """
    asked = read_target(source)
    if (name is None) == mapping.is_identity:
        msg = "the new names are missing" if name is None else "NAME and --to exclude each other"
        raise InvalidInput(msg, hint="--to HOST/PROJECT for all images, NAME for a single one")
    new_name = Reference.parse(name) if name is not None else None
    if asked.transport is Transport.CONTAINERD:
        if output is not None or in_place or globs:
            msg = "-o, --in-place and --image are for bundles and folders"
            raise InvalidInput(msg, hint="name the image: containerd:NAME")
        rename = mapping.apply if new_name is None else lambda _: new_name
        changes = _in_containerd(context, asked, rename, force=force, dry_run=dry_run)
    else:
        holding = _open(context, asked)
        renaming = _planned(holding, asked, globs, new_name or mapping)
        if not dry_run:
            _write(holding, Path(asked.path), renaming, output, in_place=in_place)
        changes = [(old.label, new.label) for old, new in renaming.changes]
    _tell(changes, as_json=as_json, dry_run=dry_run)


def _planned(
    holding: Holding, asked: ImageSource, globs: Sequence[str], new: Reference | Mapping
) -> Renaming:
    lock = holding.lock() if isinstance(holding, ImageLayout) else None
    if lock is None and isinstance(holding, ImageLayout):
        roots = holding.index().roots  # every entry of another tool's folder is written again
    else:
        roots = holding.bundle().roots
    documents_of = itself if lock is None else partial(documents_below, lock)
    labelled = find_labelled(roots, asked.label, holding.side)
    chosen = choose_images(labelled, globs, documents_of, side=holding.side)
    if isinstance(new, Reference):
        return plan_name(roots, chosen, new, documents_of)
    return plan_renaming(roots, chosen, new)


def _in_containerd(
    context: Context,
    asked: ImageSource,
    rename: Callable[[Reference], Reference],
    *,
    force: bool,
    dry_run: bool,
) -> list[tuple[str, str]]:
    if asked.reference is None:
        msg = "containerd: names no image"
        raise InvalidInput(msg, hint="containerd:NAME; one image at a time")
    tagged = tag_image(
        context.containerd(),
        asked.reference,
        rename(asked.reference),
        force=force,
        twin=True,
        dry_run=dry_run,
    )
    if tagged.before is not None:
        context.report(Noted(f"{tagged.target} meant {tagged.before}, and now {tagged.digest}"))
    return [(tagged.source, tagged.target)] if tagged.is_new else []


def _open(context: Context, asked: ImageSource) -> Holding:
    if not asked.transport.is_path:
        msg = f"{asked} is not a file or a folder; retag changes names, not registries"
        hint = f"push it under its new name: imgsync push {asked} --to HOST/PROJECT"
        raise InvalidInput(msg, hint=hint)
    path = Path(asked.path)
    return Layout(path) if path.is_dir() else open_archive(path, report=context.report)


def _write(
    holding: Holding, path: Path, renaming: Renaming, output: str | None, *, in_place: bool
) -> None:
    if (output is None) != in_place:
        msg = "-o and --in-place exclude each other" if in_place else "where to is missing"
        raise InvalidInput(msg, hint="-o NEW.tar makes a new bundle, --in-place changes this one")
    match holding:
        case Layout() if output is not None:
            msg = f"{path} is a folder, which is renamed in place only"
            hint = f"--in-place, or a copy of it: imgsync bundle oci:{path} --to … -o oci:NEW"
            raise InvalidInput(msg, hint=hint)
        case Layout():
            rename_layout(holding, renaming)
        case Archive():
            out = final_path(Path(output)) if output is not None else None
            rename_bundle(holding, path, renaming, out)
            # Not before: a refused change may be of a bundle that its parity would heal.
            if (out is not None or renaming.changes) and par2.forget(out or path):
                tell(f"{out or path}: its parity was of other bytes, and is removed")
        case _:
            refuse(holding, f"docker-archive:{path}")


def _tell(changes: Sequence[tuple[str, str]], *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        say_json({"renamed": [{"from": old, "to": new} for old, new in changes]})
        return
    for old, new in changes:
        say(f"{old} -> {new}")
    if not changes:
        say("unchanged: every image has its name already")
    elif dry_run:
        say(f"{len(changes)} name{'s' if len(changes) > 1 else ''} would change")
