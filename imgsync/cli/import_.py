"""``imgsync import``: images into containerd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.host import host_platform
from imgsync.cli.options import (
    containerd_options,
    format_option,
    mapping_options,
    selection_options,
)
from imgsync.cli.output import human_size, say, say_json
from imgsync.cli.signing import (
    ReceiptOptions,
    check_signed,
    receipt_options,
    signers_option,
)
from imgsync.errors import AllFailed, NotFound, SomeFailed
from imgsync.events import Noted
from imgsync.gathering import gather
from imgsync.receipts.arrivals import of_import
from imgsync.stores.containerd.import_request import (
    Carrier,
    Imported,
    ImportOptions,
    ImportResult,
    OnExistingName,
)
from imgsync.stores.containerd.importing import import_images
from imgsync.stores.open import read_target

if TYPE_CHECKING:
    from imgsync.gathering import Gathered
    from imgsync.model.mapping import Mapping
    from imgsync.model.platform import Platform, PlatformChoice
    from imgsync.model.selection import Selection
    from imgsync.signing.policy import Policy


@click.command(
    "import",
    cls=Command,
    short_help="Load images into containerd, and prove that they are there.",
    epilog="Example: imgsync import site.tar -n k8s.io --to harbor.example.com/project",
)
@click.argument("source")
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
@signers_option
@receipt_options
@format_option
@click.pass_obj
def import_(
    context: Context,
    *,
    source: str,
    mapping: Mapping,
    selection: Selection,
    keep_names: bool,
    twins: bool,
    pin: bool,
    unpack: bool,
    on_existing_name: str,
    carrier: str | None,
    policy: Policy,
    receipt: ReceiptOptions,
    as_json: bool,
) -> None:
    """Load images into containerd, and prove that they are there.

    SOURCE is a bundle, another tool's archive, an OCI layout folder, or an image of a registry.
    Only what the namespace lacks moves. Nothing is said to be there that was not found again
    after a garbage collection.
    """
    containerd = context.containerd()
    asked = read_target(source)
    holding = context.open_source(asked)
    check_signed(context, policy, holding, asked)
    gathered = gather(holding, mapping, selection, context.report, jobs=context.jobs)
    _check_named(context, gathered, holding.side)
    roots = (*gathered.roots, *gathered.originals) if keep_names else gathered.roots
    node = host_platform()
    options = ImportOptions(
        node=node,
        required=_required(selection.choice, node),
        carrier=Carrier(carrier) if carrier is not None else None,
        twins=twins,
        pin=pin,
        unpack=unpack,
        on_existing_name=OnExistingName(on_existing_name),
        jobs=context.jobs,
    )
    run = receipt.begin("import", [(source, holding)])
    result = import_images(
        containerd,
        roots,
        gathered.graph,
        holding,
        options,
        context.report,
        absent=gathered.absent,
    )
    receipt.write(
        run,
        [f"containerd:{context.containerd_options.namespace}"],
        lambda: of_import(result, gathered.originals, mapping),
        (result.n_moved, result.n_moved_bytes),
    )
    say_json(_json(result)) if as_json else _tell(result)
    _raise_failures(result)


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


def _tell(result: ImportResult) -> None:
    for image in result.imported:
        if image.error is None:
            # Those by digest say nothing that is not on the line anyway.
            for name in [name for name in image.names if "@" not in name] or image.names:
                say(f"{name} {image.root.digest} {image.status}, {_verdict(image)}")
    say(f"sent {result.n_moved} objects, {human_size(result.n_moved_bytes)}")


def _verdict(image: Imported) -> str:
    if image.state.is_whole:
        return "whole" if image.runs_here or not image.state.whole else "whole, not for this node"
    whole = ", ".join(state.label for state in image.state.whole)
    return f"partial: {whole}"


def _json(result: ImportResult) -> dict[str, Any]:
    return {
        "images": [_image_json(image) for image in result.imported],
        "sent_objects": result.n_moved,
        "sent_bytes": result.n_moved_bytes,
    }


def _image_json(image: Imported) -> dict[str, Any]:
    value: dict[str, Any] = {
        "names": list(image.names),
        "digest": str(image.root.digest),
        "status": image.status,
        "before": {name: str(digest) for name, digest in image.before.items()},
        "whole": image.state.is_whole,
        "runs_here": image.runs_here,
        "platforms": [
            {"platform": state.label, "whole": state.is_whole} for state in image.state.states
        ],
    }
    if image.error is not None:
        value["error"] = image.error.message
    return value


def _raise_failures(result: ImportResult) -> None:
    failures, n_images = result.failures, len(result.imported)
    if not failures:
        return
    if len(failures) == n_images:
        msg = "no image was imported" if n_images > 1 else "the image was not imported"
        raise AllFailed(msg, failures)
    msg = f"{len(failures)} of {n_images} images were not imported, the others were"
    raise SomeFailed(msg, failures, hint="the same command again sends only what is missing")
