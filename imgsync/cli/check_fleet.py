"""``imgsync check -i``: a matrix of nodes and images."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from imgsync.cli.fleet_progress import fleet_reporter
from imgsync.cli.output import say, say_json, table
from imgsync.cli.written import STDOUT, write_output
from imgsync.errors import AllFailed, ImgsyncError, SomeFailed, VerificationFailed
from imgsync.fleet.checking import FleetRequest, NodeCheck, check_fleet
from imgsync.reporting.fleet_facts import (
    NOT_ASKED,
    UNREACHABLE,
    FleetFacts,
    ImageOnNode,
    NodeFacts,
)
from imgsync.reporting.page import fleet_page

if TYPE_CHECKING:
    from imgsync.cli.context import Context
    from imgsync.cli.fleet_options import FleetOptions
    from imgsync.model.lock import Lock
    from imgsync.model.mapping import Mapping

_MAX_COLUMNS: Final = 8
"""More images than this are rows of their own, and only those that are not right."""


def check_nodes(
    context: Context,
    fleet: FleetOptions,
    lock: Lock,
    mapping: Mapping,
    *,
    title: str,
    require: str,
    with_hash: bool,
    html: str,
    as_json: bool,
) -> None:
    """Look at all nodes, print the matrix, write the page ``html``, and end as they are.

    Raises:
        SomeFailed, AllFailed: nodes could not be asked, or have images that are not right.
    """
    hosts = fleet.hosts()
    context.report_with(fleet_reporter(context.output, len(hosts)))
    options = context.containerd_options
    request = FleetRequest(
        lock,
        mapping.apply,
        options.namespace,
        options.address,
        options.ctr,
        context.jobs,
        with_hash,
        fleet.ssh,
    )
    checks = check_fleet(hosts, request, context.report)
    facts = facts_of(checks, request, title, require)
    if html:
        # Before anything is printed: with `-` the page is all of the output.
        write_output(html, fleet_page(facts))
    if html != STDOUT:
        say_json(facts.to_json()) if as_json else say(fleet_text(checks, require))
    _end(checks, require)


def fleet_text(checks: list[NodeCheck], require: str) -> str:
    """A column for each image, or a row for each that is not right where there are many."""
    names = [image.name for image in next((item.images for item in checks if item.images), ())]
    right = sum(1 for item in checks if item.passes(require))
    sums = f"{right} of {len(checks)} nodes are right, of {len(names)} images each"
    if len(names) <= _MAX_COLUMNS:
        return "\n".join((_matrix(checks, names), sums))
    rows = [
        (item.host.label, image.verdict.value, image.name)
        for item in checks
        for image in item.images
        if not image.verdict.passes(require)
    ]
    rows += [
        (item.host.label, _unknown(item.error), "-") for item in checks if item.error is not None
    ]
    return "\n".join((table(("NODE", "VERDICT", "IMAGE"), rows), sums)) if rows else sums


def facts_of(
    checks: list[NodeCheck], request: FleetRequest, title: str, require: str
) -> FleetFacts:
    """What is written as JSON, and as a page."""
    return FleetFacts(
        title,
        request.lock.descriptor().digest,
        request.namespace,
        require,
        request.with_hash,
        datetime.now(UTC),
        tuple(_node(item) for item in checks),
    )


def _matrix(checks: list[NodeCheck], names: list[str]) -> str:
    short = [name.rpartition("/")[2] for name in names]
    headers = short if len(set(short)) == len(short) else names
    rows = [
        (
            item.host.label,
            *(
                [image.verdict.value for image in item.images]
                if item.error is None
                else [_unknown(item.error)] * len(names)
            ),
        )
        for item in checks
    ]
    return table(("NODE", *headers), rows)


def _unknown(error: ImgsyncError) -> str:
    return UNREACHABLE if error.exit_code == 6 else NOT_ASKED


def _node(item: NodeCheck) -> NodeFacts:
    if item.error is not None:
        error = item.error
        return NodeFacts(item.host.label, verdict=_unknown(error), error=error.message)
    return NodeFacts(
        item.host.label,
        str(item.platform or ""),
        tuple(
            ImageOnNode(
                image.name,
                image.root.digest,
                image.verdict,
                image.means,
                image.names,
                tuple(entry.digest for entry in image.lacking),
            )
            for image in item.images
        ),
    )


def _end(checks: list[NodeCheck], require: str) -> None:
    failures: list[tuple[str, ImgsyncError]] = []
    for item in checks:
        bad = [image for image in item.images if not image.verdict.passes(require)]
        if item.error is not None:
            failures.append((item.host.label, item.error))
        elif bad:
            msg = f"{len(bad)} of {len(item.images)} images are not right"
            failures.append((item.host.label, VerificationFailed(msg)))
    hint = "imgsync seed brings what is missing"
    if failures and len(failures) == len(checks):
        raise AllFailed("no node is right", failures, hint=hint)
    if failures:
        msg = f"{len(failures)} of {len(checks)} nodes are not right"
        raise SomeFailed(msg, failures, hint=hint)
