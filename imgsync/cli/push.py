"""``imgsync push``: images into a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.damage import advise_repair
from imgsync.cli.harbor_output import project_lines, projects_json
from imgsync.cli.inputs import read_input
from imgsync.cli.options import (
    containerd_options,
    dry_run_options,
    format_option,
    harbor_options,
    mapping_options,
    referrers_option,
    selection_options,
)
from imgsync.cli.output import say, say_json
from imgsync.cli.push_ctr import ViaCtr, refuse_for_ctr
from imgsync.cli.push_output import plan_json, plan_text, raise_failures, result_json, tell
from imgsync.cli.signing import (
    ReceiptOptions,
    check_signed,
    receipt_options,
    signers_option,
)
from imgsync.harbor.gate import HarborGate
from imgsync.model.image_source import Transport
from imgsync.model.inventory import Inventory
from imgsync.pushing.items import push_items
from imgsync.pushing.push import nobody, plan_push
from imgsync.pushing.push import push as run_push
from imgsync.pushing.request import DIGEST_TAG, OnExistingTag, PushOptions
from imgsync.receipts.arrivals import of_push
from imgsync.referrers.collecting import Collector
from imgsync.stores.joined import Joined
from imgsync.stores.open import read_target

if TYPE_CHECKING:
    from imgsync.harbor.preflight import HarborOptions
    from imgsync.model.mapping import Mapping
    from imgsync.model.selection import Selection
    from imgsync.pushing.outcome import Pushed
    from imgsync.pushing.targets import WhoHas
    from imgsync.referrers.choice import ReferrerChoice
    from imgsync.signing.policy import Policy


@click.command(
    cls=Command,
    short_help="Send images to a registry, only what is missing there.",
    epilog="Example: imgsync push site.tar --to harbor.example.com/project",
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@mapping_options
@selection_options
@referrers_option
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
@click.option(
    "--inventory",
    metavar="FILE",
    help="What the registry has, by `imgsync inventory`: what a delta relies on is mounted from "
    "there.",
)
@harbor_options
@signers_option
@receipt_options
@dry_run_options
@click.option(
    "--via",
    type=click.Choice(["api", "ctr"]),
    default="api",
    show_default=True,
    help="Over the registry's API, or by `ctr images push` out of containerd:NAME.",
)
@containerd_options
@format_option
@click.pass_obj
def push(
    context: Context,
    *,
    sources: tuple[str, ...],
    mapping: Mapping,
    selection: Selection,
    referrers: ReferrerChoice,
    rewrite_index: bool,
    on_existing_tag: str,
    digest_tag: str,
    inventory: str | None,
    harbor: HarborOptions,
    policy: Policy,
    receipt: ReceiptOptions,
    dry_run: bool,
    rate: int | None,
    via: str,
    as_json: bool,
) -> None:
    """Send images to a registry, only what is missing there.

    SOURCE is a bundle, another tool's archive, an OCI layout folder, an image of a registry, or
    containerd:NAME.
    Everything is proved to be whole before the first write, and each tag is set last.
    """
    holdings = []
    for source in sources:
        asked = read_target(source)
        if asked.transport is Transport.REGISTRY and asked.reference is not None:
            context.speak_to([mapping.apply(asked.reference).registry])
        holdings.append(context.open_source(asked))
        check_signed(context, policy, holdings[-1], asked)
    if via == "ctr":
        refuse_for_ctr(holdings, selection, rewrite_index=rewrite_index)
    are_apart = via == "ctr" or len(holdings) == 1
    items = [
        item
        for holding in (holdings if are_apart else [Joined(holdings)])
        for item in push_items(holding, mapping, selection, digest_tag)
    ]
    where = [item.target.registry for item in items]
    context.speak_to(where)
    by_ctr = ViaCtr(context) if via == "ctr" else None
    failed: list[Pushed] = []
    if by_ctr is not None:
        items, failed = by_ctr.whole(items)
    options = PushOptions(
        jobs=context.jobs,
        retries=context.retries,
        rewrite_index=rewrite_index,
        on_existing_tag=OnExistingTag(on_existing_tag),
        collector=Collector(referrers, context.report, jobs=context.jobs),
    )
    registries = context.registries()
    gate = HarborGate(registries, harbor, context.report, jobs=context.jobs)
    planned = plan_push(
        items,
        registries.repository,
        options,
        context.report,
        who_has=_who_has(inventory) if inventory is not None else nobody,
        gate=gate,
    )
    planned.pushed += failed
    if dry_run:
        if as_json:
            projects = projects_json(gate.projects.values())
            say_json({**plan_json(planned, rate), "harbor": projects})
        else:
            projects_text = project_lines(gate.projects.values(), harbor)
            say("\n".join([plan_text(planned, rate), *projects_text]))
        raise_failures(planned.failures, planned.n_asked, planned=True)
        return
    run = receipt.begin("push", zip(sources, holdings, strict=True))
    if by_ctr is not None:
        result = by_ctr.push(planned)
    else:
        result = run_push(planned, options, context.report)
    advise_repair(result.failures, holdings)
    try:
        receipt.write(
            run,
            where,
            lambda: of_push(result, planned.graph),
            (result.outcome.n_sent, result.outcome.n_sent_bytes),
        )
    finally:  # what was done is told, whatever comes of its receipt
        if as_json:
            say_json({**result_json(result), "harbor": projects_json(gate.projects.values())})
        else:
            tell(result)
    raise_failures(result.failures, result.n_asked)


def _who_has(path: str) -> WhoHas:
    known = Inventory.parse(read_input(path, what="--inventory"), path)
    return known.repositories_of
