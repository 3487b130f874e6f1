"""``imgsync import``: images into containerd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.damage import advise_repair
from imgsync.cli.host import host_platform
from imgsync.cli.import_output import plan_json, plan_text, raise_failures, result_json, tell
from imgsync.cli.options import (
    containerd_options,
    dry_run_options,
    format_option,
    mapping_options,
    selection_options,
    source_labels_option,
)
from imgsync.cli.output import say, say_json
from imgsync.cli.signing import (
    ReceiptOptions,
    check_signed,
    receipt_options,
    signers_option,
)
from imgsync.errors import NotFound
from imgsync.events import Noted
from imgsync.gathering import gather
from imgsync.model.volume_progress import SetProgress, set_progress
from imgsync.model.volumes import volume_numbers
from imgsync.receipts.arrivals import of_import, of_unfit
from imgsync.stores import Locked
from imgsync.stores.containerd.import_plan import ImportPlan
from imgsync.stores.containerd.import_request import (
    Carrier,
    ImportOptions,
    ImportResult,
    OnExistingName,
)
from imgsync.stores.containerd.importing import import_images
from imgsync.stores.containerd.room import check_room
from imgsync.stores.joined import Joined
from imgsync.stores.open import read_target

if TYPE_CHECKING:
    from imgsync.gathering import Gathered
    from imgsync.model.lock import Lock
    from imgsync.model.mapping import Mapping
    from imgsync.model.platform import Platform, PlatformChoice
    from imgsync.model.selection import Selection
    from imgsync.signing.policy import Policy
    from imgsync.stores import Holding


@click.command(
    "import",
    cls=Command,
    short_help="Load images into containerd, and prove that they are there.",
    epilog="Example: imgsync import site.tar -n k8s.io --to harbor.example.com/project",
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@containerd_options
@mapping_options
@selection_options
@click.option("--keep-names", is_flag=True, help="Keep the original names beside the new ones.")
@click.option(
    "--digests/--no-digests",
    "twins",
    default=True,
    show_default=True,
    help="Also name each image REPOSITORY@DIGEST, by which digest-pinned pods find it.",
)
@click.option("--pin", is_flag=True, help="Let the kubelet's garbage collection leave them alone.")
@click.option("--unpack", is_flag=True, help="Also unpack them, now instead of at the first start.")
@click.option(
    "--on-existing-name",
    type=click.Choice([str(choice) for choice in OnExistingName]),
    default=str(OnExistingName.REPLACE),
    show_default=True,
    help="Where a name stands there with another digest.",
)
@click.option(
    "--carrier",
    type=click.Choice([str(choice) for choice in Carrier]),
    help="How content gets in: fetched from a registry on loopback, or sent as a stream; the "
    "faster one for each image is the default.",
)
@source_labels_option
@signers_option
@receipt_options
@dry_run_options
@format_option
@click.pass_obj
def import_(
    context: Context,
    *,
    sources: tuple[str, ...],
    mapping: Mapping,
    selection: Selection,
    keep_names: bool,
    twins: bool,
    pin: bool,
    unpack: bool,
    on_existing_name: str,
    carrier: str | None,
    source_labels: bool,
    policy: Policy,
    receipt: ReceiptOptions,
    dry_run: bool,
    rate: int | None,
    as_json: bool,
) -> None:
    """Load images into containerd, and prove that they are there.

    SOURCE is a bundle, another tool's archive, an OCI layout folder, or an image of a registry.
    Only what the namespace lacks moves. Nothing is said to be there that was not found again
    after a garbage collection. Volumes of a bundle come in any order, together or one by one: an
    image gets its name when all of it is there.
    """
    containerd = context.containerd()
    holdings = _open(context, sources, policy)
    holding = holdings[0] if len(holdings) == 1 else Joined(holdings)
    lock = holding.lock() if isinstance(holding, Locked) else None
    volumes = volume_numbers(lock) if lock is not None else {}
    gathered = gather(holding, mapping, selection, jobs=context.jobs)
    unfit = gathered.failures
    _check_named(context, gathered, holding.side)
    roots = (*gathered.roots, *gathered.originals) if keep_names else gathered.roots
    node = host_platform()
    options = ImportOptions(
        node=node,
        required=_required(selection.choice, node),
        carrier=Carrier(carrier) if carrier is not None else None,
        twins=twins,
        pin=pin,
        sources=source_labels,
        unpack=unpack,
        on_existing_name=OnExistingName(on_existing_name),
        jobs=context.jobs,
    )
    if dry_run:
        plan = ImportPlan(containerd, roots, gathered.graph, holding, options, gathered.absent)
        plan.tell(context.report)
        if as_json:
            say_json(plan_json(plan, volumes, rate, unfit=gathered.unfit))
        else:
            say(plan_text(plan, volumes, containerd.side, rate))
        check_room(containerd, plan.coming, plan.present, context.report)
        raise_failures([*unfit, *plan.failures], len(unfit) + len(plan.wanted), planned=True)
        return
    run = receipt.begin("import", zip(sources, holdings, strict=True))
    result = import_images(
        containerd,
        roots,
        gathered.graph,
        holding,
        options,
        context.report,
        absent=gathered.absent,
    )
    advise_repair(result.failures, holdings)
    progress = _progress(lock, result) if selection.is_all else None
    try:
        receipt.write(
            run,
            [f"containerd:{context.containerd_options.namespace}"],
            lambda: [
                *of_import(result, gathered.originals, mapping),
                *of_unfit(gathered.unfit, mapping),
            ],
            (result.n_moved, result.n_moved_bytes),
        )
    finally:  # what was done is told, whatever comes of its receipt
        if as_json:
            say_json(result_json(result, volumes, progress, unfit=gathered.unfit))
        else:
            tell(result, volumes, progress)
    raise_failures([*unfit, *result.failures], len(unfit) + len(result.imported))


def _open(context: Context, sources: tuple[str, ...], policy: Policy) -> list[Holding]:
    holdings = []
    for source in sources:
        asked = read_target(source)
        holdings.append(context.open_source(asked))
        check_signed(context, policy, holdings[-1], asked)
    return holdings


def _progress(lock: Lock | None, result: ImportResult) -> SetProgress | None:
    return None if lock is None else set_progress(lock, result.present, result.named)


def _required(choice: PlatformChoice, node: Platform) -> Platform:
    """The node's own platform, unless somebody chose others on purpose."""
    if choice.includes(node) or not choice.wanted:
        return node
    return choice.wanted[0]


def _check_named(context: Context, gathered: Gathered, side: str) -> None:
    nameless = [root for root in gathered.roots if root.name is None]
    if len(nameless) == len(gathered.roots):
        msg = f"{side} holds nothing with the name of an image"
        raise NotFound(msg, hint="name it first: imgsync retag, or a list with SOURCE=NAME")
    if nameless:
        about = [root for root in nameless if root.subject is not None]
        what = "signatures and the like" if len(about) == len(nameless) else "without a name"
        context.report(Noted(f"not loaded, containerd has no place for it: {len(nameless)} {what}"))
