"""``imgsync push``: images into a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.options import format_option, mapping_options, selection_options
from imgsync.cli.output import human_size, say, say_json, table
from imgsync.errors import AllFailed, SomeFailed
from imgsync.model.image_source import Transport
from imgsync.pushing.items import push_items
from imgsync.pushing.push import PushPlan, PushResult, plan_push
from imgsync.pushing.push import push as run_push
from imgsync.pushing.request import DIGEST_TAG, OnExistingTag, PushOptions
from imgsync.stores.open import read_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.model.mapping import Mapping
    from imgsync.model.selection import Selection
    from imgsync.pushing.push import Pushed


@click.command(
    cls=Command,
    short_help="Send images to a registry, only what is missing there.",
    epilog="Example: imgsync push site.tar --to harbor.example.com/project",
)
@click.argument("source")
@mapping_options
@selection_options
@click.option(
    "--rewrite-index",
    is_flag=True,
    help="Push the platforms that are whole under an index of just those, with a new digest.",
)
@click.option(
    "--on-existing-tag",
    type=click.Choice([str(choice) for choice in OnExistingTag]),
    default=str(OnExistingTag.OVERWRITE),
    show_default=True,
    help="Where a tag stands there with another digest.",
)
@click.option(
    "--digest-tag",
    metavar="TEMPLATE",
    default=DIGEST_TAG,
    show_default=True,
    help="The tag of an image that has none; {digest12} is the beginning of its digest; none "
    "pushes by digest alone.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
@format_option
@click.pass_obj
def push(
    context: Context,
    *,
    source: str,
    mapping: Mapping,
    selection: Selection,
    rewrite_index: bool,
    on_existing_tag: str,
    digest_tag: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send images to a registry, only what is missing there.

    SOURCE is a bundle, another tool's archive, an OCI layout folder, or an image of a registry.
    Everything is proved to be whole before the first write, and each tag is set last.
    """
    asked = read_target(source)
    if asked.transport is Transport.REGISTRY and asked.reference is not None:
        context.speak_to([mapping.apply(asked.reference).registry])
    holding = context.open_source(asked)
    items = push_items(holding, mapping, selection, digest_tag)
    context.speak_to(item.target.registry for item in items)
    options = PushOptions(
        jobs=context.jobs,
        retries=context.retries,
        rewrite_index=rewrite_index,
        on_existing_tag=OnExistingTag(on_existing_tag),
    )
    planned = plan_push(items, context.registries().repository, options, context.report)
    if dry_run:
        say_json(_plan_json(planned)) if as_json else say(_plan_text(planned))
        return
    result = run_push(planned, options, context.report)
    say_json(_json(result)) if as_json else _tell(result)
    _raise_failures(result.failures, len(result.pushed))


def _tell(result: PushResult) -> None:
    for pushed in result.pushed:
        if pushed.error is None:
            say(f"{pushed.item.target} {pushed.root.descriptor.digest} {pushed.status}")
    outcome = result.outcome
    say(
        f"sent {outcome.n_sent} objects, {human_size(outcome.n_sent_bytes)}; "
        f"mounted {outcome.n_mounted}"
    )


def _json(result: PushResult) -> dict[str, Any]:
    return {
        "images": [_image_json(pushed) for pushed in result.pushed],
        "sent_objects": result.outcome.n_sent,
        "sent_bytes": result.outcome.n_sent_bytes,
        "mounted_objects": result.outcome.n_mounted,
    }


def _image_json(pushed: Pushed) -> dict[str, Any]:
    value: dict[str, Any] = {
        "image": pushed.item.label,
        "target": str(pushed.item.target),
        "digest": str(pushed.root.descriptor.digest),
        "source_digest": str(pushed.item.root.descriptor.digest),
        "before": str(pushed.before.digest) if pushed.before is not None else None,
        "status": pushed.status,
    }
    if pushed.error is not None:
        value["error"] = pushed.error.message
    return value


def _plan_text(planned: PushPlan) -> str:
    rows = [
        (
            str(pushed.item.target),
            pushed.root.descriptor.digest.short,
            pushed.status if pushed.status != "pushed" else "to push",
            pushed.before.digest.short if pushed.before is not None else "",
        )
        for pushed in planned.pushed
    ]
    plan = planned.plan
    images = table(("TARGET", "DIGEST", "STATUS", "TAG NOW"), rows)
    sums = (
        f"to send: {len(plan.steps)} objects, at most {human_size(plan.n_bytes)}; "
        f"{plan.n_present} objects are there already"
    )
    return f"{images}\n{sums}"


def _plan_json(planned: PushPlan) -> dict[str, Any]:
    return {
        "images": [_image_json(pushed) for pushed in planned.pushed],
        "objects": len(planned.plan.steps),
        "bytes": planned.plan.n_bytes,
        "present_objects": planned.plan.n_present,
        "present_bytes": planned.plan.n_present_bytes,
    }


def _raise_failures(failures: Sequence[tuple[str, Any]], n_images: int) -> None:
    if not failures:
        return
    if len(failures) == n_images:
        msg = "no image was pushed" if n_images > 1 else "the image was not pushed"
        raise AllFailed(msg, failures)
    msg = f"{len(failures)} of {n_images} images were not pushed, the others were"
    raise SomeFailed(msg, failures, hint="the same command again sends only what is missing")
