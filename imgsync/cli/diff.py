"""``imgsync diff``: what differs between two things that hold images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.diff_text import differences_text
from imgsync.cli.options import (
    containerd_options,
    format_option,
    mapping_options,
    selection_options,
)
from imgsync.cli.output import say, say_json
from imgsync.cli.targets import Target
from imgsync.comparing.as_json import differences_json
from imgsync.comparing.contents import Contents, together
from imgsync.comparing.differences import differences
from imgsync.comparing.looking import View, contents_of_holding, contents_of_lock
from imgsync.errors import Differs, NotFound
from imgsync.events import Noted
from imgsync.stores.selected import Selected

if TYPE_CHECKING:
    from imgsync.model.image_list import Wish
    from imgsync.model.mapping import Mapping
    from imgsync.model.selection import Selection
    from imgsync.stores import Holding


@click.command(
    cls=Command,
    short_help="Show what differs between two bundles, registries or namespaces.",
    epilog="Example: imgsync diff old.tar.lock.json new.tar -v",
)
@click.argument("first")
@click.argument("second")
@mapping_options
@selection_options
@containerd_options
@click.option("-v", "--verbose", is_flag=True, help="Layer by layer.")
@format_option
@click.pass_obj
def diff(
    context: Context,
    *,
    first: str,
    second: str,
    mapping: Mapping,
    selection: Selection,
    verbose: bool,
    as_json: bool,
) -> None:
    """Show what differs between two bundles, registries or namespaces.

    FIRST and SECOND are each a bundle, its lock, another tool's archive, an OCI layout folder, an
    image of a registry, a file that lists images, or containerd: for a namespace. --to and --map
    rename the images of FIRST before they are compared. Exits with 0 if nothing differs, else 10.
    """
    targets = [Target.read(text) for text in (first, second)]
    context.speak_to({host for target in targets for host in target.hosts})
    views = [View(selection, mapping), View(selection)]
    one, other = (
        _contents(context, target, view) for target, view in zip(targets, views, strict=True)
    )
    if selection.globs and not one.images and not other.images:
        msg = f"neither {first} nor {second} has an image {' or '.join(selection.globs)}"
        raise NotFound(msg)
    found = differences(one, other)
    if as_json:
        say_json(differences_json(found))
    else:
        say(differences_text(found, verbose=verbose))
    if not found.is_same:
        # What differs is a result and was printed as one: there is no error to tell.
        click.get_current_context().exit(Differs.exit_code)


def _contents(context: Context, target: Target, view: View) -> Contents:
    if target.lock is not None:
        return contents_of_lock(target.lock, target.label, view)
    if len(target.wishes) == 1 and not target.is_list:
        holding = context.open_source(target.wishes[0].source)
        return contents_of_holding(holding, target.label, view, jobs=context.jobs)
    if any(target.hosts):
        context.registries()  # made once, before threads ask for it

    def look(wish: Wish) -> Contents:
        try:
            holding = _named(context.open_source(wish.source), wish)
            return contents_of_holding(holding, target.label, view, jobs=1)
        except NotFound as error:
            # What a list names and nobody has is a difference too.
            context.report(Noted(f"{wish.where}: {error.message}", "warning"))
            return Contents(target.label)

    with ThreadPoolExecutor(context.jobs, "look") as pool:
        return together(target.label, pool.map(look, target.wishes))


def _named(holding: Holding, wish: Wish) -> Holding:
    """The image under the name that the list gives it."""
    roots = holding.bundle().roots
    if wish.name is None or len(roots) != 1:
        return holding
    return Selected(holding, [roots[0].named(wish.name)])
