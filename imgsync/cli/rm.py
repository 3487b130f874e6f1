"""``imgsync rm``: images off a node, and all that holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.host import host_platform
from imgsync.cli.inputs import read_input
from imgsync.cli.options import containerd_options, format_option
from imgsync.cli.output import human_size, say, say_json
from imgsync.errors import InvalidImageList, InvalidInput, Refused
from imgsync.model.lock import Lock
from imgsync.nodes.looking import look
from imgsync.nodes.removing import names_asked_for, names_not_in, plan_removal
from imgsync.nodes.removing import remove as run_remove

if TYPE_CHECKING:
    from imgsync.model.digest import Digest
    from imgsync.nodes.removing import Freed, Removal


@click.command(
    cls=Command,
    short_help="Take images off a node; without --yes it only says which.",
    epilog="Example: imgsync rm -n k8s.io --not-in site.tar.lock.json --yes",
)
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option(
    "--not-in",
    "lock_file",
    metavar="LOCK",
    help="All images but those of this bundle, NAME.tar.lock.json.",
)
@click.option(
    "--waiting",
    is_flag=True,
    help="What is kept for volumes that have not come, and for imports that were killed.",
)
@click.option("--yes", is_flag=True, help="Do it.")
@containerd_options
@format_option
@click.pass_obj
def rm(
    context: Context,
    *,
    names: tuple[str, ...],
    lock_file: str | None,
    waiting: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take images off a node; without --yes it only says which.

    NAME may have * in it. With a name goes the one by digest, and the record by which CRI holds
    the content; what a container was made from stays.
    """
    if not names and lock_file is None and not waiting:
        msg = "nothing was named"
        raise InvalidInput(msg, hint="NAME..., --not-in LOCK or --waiting")
    wanted = _wanted(lock_file)
    containerd = context.containerd()
    facts = look(containerd, host_platform(), context.report, jobs=context.jobs)
    chosen = names_asked_for(facts, names)
    if lock_file is not None:
        chosen |= names_not_in(facts, wanted)
    removal = plan_removal(facts, chosen, containerd.used_images(), waiting=waiting)
    freed = run_remove(containerd, facts, removal) if yes else None
    if as_json:
        say_json(_json(removal, freed))
    else:
        _tell(removal, freed)
    if yes and names and removal.kept:
        kept = ", ".join(f"{name} (container {used})" for name, used in removal.kept.items())
        raise Refused(f"in use, so it stays: {kept}", hint="stop and delete the container first")


def _wanted(lock_file: str | None) -> set[Digest]:
    if lock_file is None:
        return set()
    lock = Lock.parse(read_input(lock_file, what="--not-in"), lock_file, error=InvalidImageList)
    return {root.descriptor.digest for root in lock.roots}


def _tell(removal: Removal, freed: Freed | None) -> None:
    for name in removal.records:
        say(f"{name} {'removed' if freed is not None else 'would be removed'}")
    for name, container in removal.kept.items():
        say(f"{name} stays: container {container} uses it")
    if freed is not None:
        shared = human_size(freed.shared_bytes)
        more = f"; {shared} more are in another namespace too" if freed.shared_bytes else ""
        say(f"freed {freed.n_objects} objects, {human_size(freed.n_bytes)}{more}")
        return
    say(f"would free {len(removal.content)} objects, {human_size(removal.n_bytes)}; --yes does it")


def _json(removal: Removal, freed: Freed | None) -> dict[str, object]:
    value: dict[str, object] = {
        "records": list(removal.records),
        "kept": dict(removal.kept),
        "objects": len(removal.content),
        "bytes": removal.n_bytes,
        "done": freed is not None,
    }
    if freed is not None:
        value["freed_objects"] = freed.n_objects
        value["freed_bytes"] = freed.n_bytes
        value["shared_bytes"] = freed.shared_bytes
    return value
