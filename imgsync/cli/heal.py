"""``imgsync heal``: what is broken on a node comes again, for good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.host import host_platform
from imgsync.cli.options import containerd_options, dry_run_options, format_option, platform_option
from imgsync.cli.output import at_rate, human_size, say, say_json, seconds_at
from imgsync.errors import AllFailed, SomeFailed
from imgsync.inventory.places import Place
from imgsync.model.platform import PlatformChoice
from imgsync.nodes.healing import heal as run_heal
from imgsync.nodes.healing import plan_heal
from imgsync.nodes.looking import look
from imgsync.nodes.pool import Pool
from imgsync.stores.containerd.import_request import ImportOptions, ImportResult

if TYPE_CHECKING:
    from imgsync.errors import ImgsyncError
    from imgsync.nodes.healing import HealPlan


@click.command(
    cls=Command,
    short_help="Bring again what a node's images lack, or what rotted on its disk.",
    epilog="Example: imgsync heal -n k8s.io --from site.tar --hash",
)
@containerd_options
@click.option(
    "--from",
    "sources",
    multiple=True,
    required=True,
    metavar="SOURCE",
    help="Where the content is: a bundle, a delta, volumes, an archive, a folder, whatever it is "
    "called there; an image of a registry, a registry or a part of it (HOST, HOST/PROJECT/, "
    "HOST/PROJECT/NAME); repeatable.",
)
@click.option(
    "--hash",
    "with_hash",
    is_flag=True,
    help="Read every byte first, and replace what is damaged.",
)
@platform_option
@dry_run_options
@format_option
@click.pass_obj
def heal(
    context: Context,
    *,
    sources: tuple[str, ...],
    with_hash: bool,
    choice: PlatformChoice,
    dry_run: bool,
    rate: int | None,
    as_json: bool,
) -> None:
    """Bring again what a node's images lack, or what rotted on its disk.

    Of each image, what this node needs; with --platform also others, with --platform all
    everything. Names stay as they are. What is damaged is removed from every namespace before it
    comes again, and read back afterwards.
    """
    containerd = context.containerd()
    source = _pool(context, sources)
    node = host_platform()
    if not _was_said():
        choice = PlatformChoice.parse([str(node)])
    facts = look(containerd, node, context.report, with_hash=with_hash, jobs=context.jobs)
    plan = plan_heal(containerd, facts, source, choice, jobs=context.jobs)
    result = ImportResult(())
    if not dry_run:
        options = ImportOptions(node, twins=False, jobs=context.jobs)
        result = run_heal(containerd, plan, source, options, context.report)
    say_json(_json(plan, result, rate)) if as_json else _tell(plan, result, rate, dry_run=dry_run)
    _raise_failures(plan, result)


def _pool(context: Context, sources: tuple[str, ...]) -> Pool:
    """All that was named, taken together."""
    # Files are meant before registries, as everywhere.
    places = {text: None if Path(text).exists() else Place.parse(text) for text in sources}
    found = [place for place in places.values() if place is not None]
    context.speak_to(place.host for place in found)
    stores = [context.open_source(text) for text, place in places.items() if place is None]
    return Pool(stores, found, lambda reference: context.registries().repository(reference))


def _was_said() -> bool:
    """Whether platforms were chosen, ``all`` too, which is what nothing means elsewhere."""
    source = click.get_current_context().get_parameter_source("platforms")
    return source is not click.core.ParameterSource.DEFAULT


def _tell(plan: HealPlan, result: ImportResult, rate: int | None, *, dry_run: bool) -> None:
    failed = dict(_failures(plan, result))
    for item in plan.broken:
        if item.label in failed:
            continue
        amount = f"{len(item.lacking)} objects, {human_size(sum(x.size for x in item.lacking))}"
        say(f"{item.label} {'would be healed' if dry_run else 'healed'}: {amount}")
    if not plan.broken:
        say("nothing to heal")
    elif dry_run:
        n_bytes = _n_bytes(plan)
        say(f"to bring: at most {human_size(n_bytes)}{at_rate(n_bytes, rate)}")
    else:
        say(f"sent {result.n_moved} objects, {human_size(result.n_moved_bytes)}")


def _json(plan: HealPlan, result: ImportResult, rate: int | None) -> dict[str, Any]:
    failed = dict(_failures(plan, result))
    return {
        "images": [
            {
                "names": list(item.check.names),
                "digest": str(item.check.root.digest),
                "lacking": [
                    {"digest": str(entry.digest), "size": entry.size} for entry in item.lacking
                ],
                "error": failed[item.label].message if item.label in failed else None,
            }
            for item in plan.broken
        ],
        "damaged": [str(entry.digest) for entry in plan.rotten],
        "bytes": _n_bytes(plan),
        "seconds": seconds_at(_n_bytes(plan), rate),
        "sent_objects": result.n_moved,
        "sent_bytes": result.n_moved_bytes,
    }


def _n_bytes(plan: HealPlan) -> int:
    items = {entry.digest: entry.size for item in plan.broken for entry in item.lacking}
    return sum(items.values())


def _failures(plan: HealPlan, result: ImportResult) -> list[tuple[str, ImgsyncError]]:
    errors = {image.root.digest: image.error for image in result.imported}
    found = []
    for item in plan.broken:
        error = item.error or errors.get(item.root.descriptor.digest)
        if error is not None:
            found.append((item.label, error))
    return found


def _raise_failures(plan: HealPlan, result: ImportResult) -> None:
    failures = _failures(plan, result)
    if not failures:
        return
    if len(failures) == len(plan.broken):
        msg = "no image can be healed" if len(failures) > 1 else "the image cannot be healed"
        raise AllFailed(msg, failures)
    msg = f"{len(failures)} of {len(plan.broken)} broken images cannot be healed, the others are"
    raise SomeFailed(msg, failures, hint="name another source that has them: --from SOURCE")
