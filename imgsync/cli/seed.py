"""``imgsync seed``: images into the containerd of many nodes at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.fleet_options import FleetOptions, fleet_options
from imgsync.cli.fleet_progress import fleet_reporter
from imgsync.cli.host import host_platform
from imgsync.cli.options import (
    containerd_options,
    format_option,
    mapping_options,
    selection_options,
    source_labels_option,
)
from imgsync.cli.output import human_size, human_time, say, say_json, table
from imgsync.cli.signing import (
    ReceiptOptions,
    check_signed,
    receipt_options,
    signers_option,
)
from imgsync.cli.sizes import RATE
from imgsync.errors import AllFailed, ImgsyncError, InvalidInput, SomeFailed
from imgsync.receipts.arrivals import nodes_of_seed, of_seed
from imgsync.seeding.reaching import Direct
from imgsync.seeding.request import JOBS_A_NODE, NodeResult, SeedRequest
from imgsync.seeding.seed import seed as seed_nodes
from imgsync.serve.server import parse_listen
from imgsync.stores.containerd.import_request import Carrier, ImportOptions
from imgsync.stores.open import read_target

if TYPE_CHECKING:
    from imgsync.model.mapping import Mapping
    from imgsync.model.selection import Selection
    from imgsync.signing.policy import Policy


@click.command(
    cls=Command,
    short_help="Load images into many nodes over ssh; each gets what it lacks.",
    epilog="Example: imgsync seed site.tar -i nodes.txt --to harbor.example.com/project",
)
@click.argument("source")
@fleet_options
@containerd_options
@mapping_options
@selection_options
@click.option(
    "--digests/--no-digests",
    "twins",
    default=True,
    show_default=True,
    help="Also name each image REPOSITORY@DIGEST, by which digest-pinned pods find it.",
)
@click.option("--pin", is_flag=True, help="Let the kubelet's garbage collection leave them alone.")
@click.option(
    "--rate",
    metavar="SIZE/s",
    type=RATE,
    help="Send no more than this, to all nodes together: 20MB/s.",
)
@click.option(
    "--relay",
    metavar="N",
    type=click.IntRange(0, 8),
    default=0,
    help="Serve no more than N nodes at once, and let each node that is done serve N others. They "
    "reach each other by ssh with your agent, which is lent for that.",
)
@click.option(
    "--carrier",
    type=click.Choice([str(choice) for choice in Carrier]),
    help="How content gets in: fetched by the node over ssh's port forwarding, or sent as a "
    "stream; the faster one for each image is the default.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Let nodes fetch from this address of this host, without ssh in between; port 0 is any "
    "free one, any other needs -j 1. Needs --tls-cert.",
)
@click.option("--tls-cert", metavar="FILE", help="The certificate of --listen (PEM).")
@click.option("--tls-key", metavar="FILE", help="Its key (PEM), if it is not in the same file.")
@source_labels_option
@signers_option
@receipt_options
@format_option
@click.pass_obj
def seed(
    context: Context,
    *,
    source: str,
    fleet: FleetOptions,
    mapping: Mapping,
    selection: Selection,
    twins: bool,
    pin: bool,
    rate: int | None,
    relay: int,
    carrier: str | None,
    source_labels: bool,
    listen: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    policy: Policy,
    receipt: ReceiptOptions,
    as_json: bool,
) -> None:
    """Load images into many nodes over ssh; each gets what it lacks.

    A node needs sshd, a shell and ctr. Each gets the images for its own platform, unless
    --platform says otherwise. -j is how many nodes at once. The same command again touches only
    what is not right.
    """
    if relay and carrier == Carrier.LOOPBACK:
        raise InvalidInput("--relay goes by stream: leave --carrier loopback out")
    hosts = fleet.hosts()
    direct = _direct(listen, tls_cert, tls_key)
    asked = read_target(source)
    holding = context.open_source(asked)
    check_signed(context, policy, holding, asked)
    context.report_with(fleet_reporter(context.output, len(hosts)))
    typed = click.get_current_context().get_parameter_source("platforms")
    options = ImportOptions(
        node=host_platform(),
        required=selection.choice.wanted[0] if selection.choice.wanted else None,
        carrier=Carrier(carrier) if carrier is not None else None,
        twins=twins,
        pin=pin,
        sources=source_labels,
        jobs=JOBS_A_NODE,
    )
    request = SeedRequest(
        mapping,
        selection,
        options,
        namespace=context.containerd_options.namespace,
        address=context.containerd_options.address,
        ctr=context.containerd_options.ctr,
        own_platform=typed is ParameterSource.DEFAULT,
        jobs=context.jobs,
        rate=rate,
        relay=relay,
        direct=direct,
        ssh=fleet.ssh,
    )
    run = receipt.begin("seed", [(source, holding)])
    results = seed_nodes(holding, hosts, request, context.report)
    receipt.write(
        run,
        [f"containerd:{request.namespace}"],
        lambda: of_seed(results, mapping, own_platform=request.own_platform),
        (sum(item.sent for item in results), sum(item.sent_bytes for item in results)),
        nodes_of_seed(results),
    )
    say_json(_json(results)) if as_json else say(_table(results))
    raise_failures([(item.host.label, item.error) for item in results])


def raise_failures(results: list[tuple[str, ImgsyncError | None]]) -> None:
    """End with the list of nodes that are not right.

    Raises:
        SomeFailed, AllFailed: there are such.
    """
    failures = [(label, error) for label, error in results if error is not None]
    if not failures:
        return
    if len(failures) == len(results):
        raise AllFailed("no node is seeded", _flat(failures))
    msg = f"{len(failures)} of {len(results)} nodes are not seeded, the others are"
    hint = "the same command again touches only what is not right"
    raise SomeFailed(msg, _flat(failures), hint=hint)


def _flat(failures: list[tuple[str, ImgsyncError]]) -> list[tuple[str, ImgsyncError]]:
    """Every image that failed on a node, where that is what failed."""
    return [
        (f"{label}: {name}" if name else label, inner)
        for label, error in failures
        for name, inner in (error.failures if isinstance(error, SomeFailed) else [("", error)])
    ]


def _direct(listen: str | None, certificate: str | None, key: str | None) -> Direct | None:
    if listen is None:
        if certificate is not None or key is not None:
            raise InvalidInput("--tls-cert and --tls-key are for --listen")
        return None
    if certificate is None:
        hint = "for example: openssl req -x509 -newkey ed25519 -nodes -subj /CN=seed"
        raise InvalidInput("--listen needs a certificate for this address: --tls-cert", hint=hint)
    host, port = parse_listen(listen)
    return Direct(host, Path(certificate), Path(key or certificate), port)


def _table(results: list[NodeResult]) -> str:
    rows = [
        (
            item.host.label,
            item.status,
            item.peer or item.how or "-",
            str(len(item.result.imported) if item.result is not None else 0),
            human_size(item.lacked_bytes),
            human_size(item.sent_bytes),
            human_size(item.relayed_bytes),
            human_time(item.seconds),
        )
        for item in results
    ]
    headers = ("NODE", "STATUS", "BY", "IMAGES", "LACKED", "SENT", "RELAYED", "TIME")
    return table(headers, rows, right="IMAGES,LACKED,SENT,RELAYED,TIME")


def _json(results: list[NodeResult]) -> dict[str, Any]:
    return {
        "nodes": [_node_json(item) for item in results],
        "sent_bytes": sum(item.sent_bytes for item in results),
    }


def _node_json(item: NodeResult) -> dict[str, Any]:
    images = item.result.imported if item.result is not None else ()
    value: dict[str, Any] = {
        "node": item.host.label,
        "status": item.status,
        "by": item.how,
        "images": [
            {
                "names": list(image.names),
                "digest": str(image.root.digest),
                "status": image.status,
                "runs_here": image.runs_here,
                "whole": image.state.is_whole,
                **({"error": image.error.message} if image.error is not None else {}),
            }
            for image in images
        ],
        "lacked_objects": item.lacked,
        "lacked_bytes": item.lacked_bytes,
        "had_objects": item.had,
        "had_bytes": item.had_bytes,
        "sent_objects": item.sent,
        "sent_bytes": item.sent_bytes,
        **(
            {
                "peer": item.peer,
                "relayed_objects": item.relayed,
                "relayed_bytes": item.relayed_bytes,
            }
            if item.peer
            else {}
        ),
        "seconds": round(item.seconds, 2),
    }
    if item.error is not None:
        value["error"] = item.error.message
        value["exit_code"] = item.error.exit_code
    return value
