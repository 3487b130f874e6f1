"""``imgsync receipt``: what arrived at the other side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imgsync.cli.command import Command
from imgsync.cli.inputs import read_input
from imgsync.cli.options import format_option
from imgsync.cli.output import say, say_json, table
from imgsync.errors import Differs, InvalidInput
from imgsync.model.lock import Lock
from imgsync.receipts.checking import State, check_receipts
from imgsync.receipts.writing import read_receipt
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.image_layout import ImageLayout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.cli.context import Context
    from imgsync.receipts.checking import Verdict
    from imgsync.receipts.record import Receipt

_MOST: Final = 5


@click.command(
    cls=Command,
    short_help="Prove by a receipt of push, import or seed what arrived.",
    epilog="Example: imgsync receipt check site.receipt.json --lock site.tar.lock.json "
    "--allowed-signers signers",
)
@click.argument("action", type=click.Choice(["check"]), metavar="check")
@click.argument("files", nargs=-1, required=True, metavar="RECEIPT...")
@click.option(
    "--lock",
    "locks",
    multiple=True,
    metavar="FILE",
    help="The lock of the bundle, or the bundle, of which everything must have arrived; "
    "repeatable.",
)
@click.option(
    "--allowed-signers",
    default="",
    metavar="FILE",
    help="Who may sign receipts, a file as ssh-keygen(1) has it; else signatures are not looked "
    "at.",
)
@format_option
@click.pass_obj
def receipt(
    context: Context,
    *,
    action: str,  # noqa: ARG001 - there is one as yet
    files: tuple[str, ...],
    locks: tuple[str, ...],
    allowed_signers: str,
    as_json: bool,
) -> None:
    """Prove by a receipt of push, import or seed what arrived.

    RECEIPT is what --receipt wrote there; several are taken together. It is altered or not to be
    trusted: exit code 4. Something has not arrived: exit code 10, and each such image is named.
    """
    context.after_interrupt = "nothing was written"
    allowed = Path(allowed_signers) if allowed_signers else None
    read = [read_receipt(Path(file), allowed) for file in files]
    receipts = [item for item, _ in read]
    told = [str(signer) if signer is not None else None for _, signer in read]
    verdicts = check_receipts(receipts, [_read_lock(path) for path in locks])
    if as_json:
        say_json(_json(files, receipts, told, verdicts))
    else:
        _tell(files, receipts, told, verdicts)
    if not verdicts:
        raise Differs("no image has arrived", hint="the same command at the other side goes on")
    lost = [verdict for verdict in verdicts if not verdict.is_there]
    if lost:
        msg = f"{len(lost)} of {len(verdicts)} images have not arrived whole"
        raise Differs(msg, hint="the same command at the other side goes on")


def _read_lock(path: str) -> Lock:
    raw = read_input(path, what="--lock") if _is_small(path) else b""
    if raw.lstrip()[:1] == b"{":
        return Lock.parse(raw, path)
    holding = open_archive(Path(path))
    lock = holding.lock() if isinstance(holding, ImageLayout) else None
    if lock is None:
        raise InvalidInput(f"{path} is no lock and no bundle of imgsync")
    return lock


def _is_small(path: str) -> bool:
    """Whether it can be a lock: a bundle need not be read to see that it is none."""
    file = Path(path)
    if not file.is_file():
        return True
    with file.open("rb") as opened:
        return opened.read(1) == b"{"


def _tell(
    files: Sequence[str],
    receipts: Sequence[Receipt],
    signers: Sequence[str | None],
    verdicts: Sequence[Verdict],
) -> None:
    rows = [
        (
            str(verdict.state),
            verdict.source.partition("@")[0],
            verdict.source.rpartition("@")[2][:19],
            verdict.arrival.destination if verdict.arrival is not None else "-",
            _remark(verdict),
        )
        for verdict in verdicts
    ]
    say(table(("STATE", "IMAGE", "DIGEST", "DESTINATION", "REMARK"), rows))
    for file, item, signer in zip(files, receipts, signers, strict=True):
        by = f", signed by {signer}" if signer else ", signature not looked at"
        where = ", ".join(item.where)
        say(f"{file}: {item.command} to {where} on {item.host}, {item.ended.isoformat()}{by}")
        for node in item.nodes:
            if node.error:
                say(f"{node.label}: {node.error}")
    n_there = sum(1 for verdict in verdicts if verdict.is_there)
    say(f"{n_there} of {len(verdicts)} images arrived")


def _remark(verdict: Verdict) -> str:
    on_nodes = _nodes(verdict)
    about = _about(verdict)
    return f"{on_nodes}; {about}" if on_nodes and about else on_nodes or about


def _nodes(verdict: Verdict) -> str:
    if not verdict.nodes:
        return ""
    labels = [label for label, _ in verdict.nodes]
    more = f" and {len(labels) - _MOST} more" if len(labels) > _MOST else ""
    return f"not on {', '.join(labels[:_MOST])}{more}"


def _about(verdict: Verdict) -> str:
    arrival = verdict.arrival
    if verdict.nodes and arrival is None:
        return ""
    if arrival is None:
        return "no receipt names it" if verdict.state is State.MISSING else ""
    if arrival.error:
        return arrival.error
    if verdict.lacks:
        return f"without {', '.join(verdict.lacks)}"
    if str(arrival.digest) != verdict.source.rpartition("@")[2]:
        return f"as {arrival.digest.short}, {', '.join(arrival.platforms or ())}"
    return ", ".join(arrival.platforms or ())


def _json(
    files: Sequence[str],
    receipts: Sequence[Receipt],
    signers: Sequence[str | None],
    verdicts: Sequence[Verdict],
) -> dict[str, Any]:
    return {
        "complete": bool(verdicts) and all(verdict.is_there for verdict in verdicts),
        "receipts": [
            {
                "file": file,
                "command": item.command,
                "host": item.host,
                "where": list(item.where),
                "ended": item.ended.isoformat(),
                "signer": signer,
                "nodes": [node.to_json() for node in item.nodes],
            }
            for file, item, signer in zip(files, receipts, signers, strict=True)
        ],
        "images": [
            {
                "source": verdict.source,
                "state": str(verdict.state),
                "destination": verdict.arrival.destination if verdict.arrival is not None else None,
                "digest": str(verdict.arrival.digest) if verdict.arrival is not None else None,
                "lacks": list(verdict.lacks),
                "not_on": {label: str(state) for label, state in verdict.nodes},
            }
            for verdict in verdicts
        ],
    }
