"""``imgsync prune``: take away at a mirror's destination what its config does not want any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.inputs import read_input
from imgsync.cli.mirror import amount, connect, files_of, load_config
from imgsync.cli.options import format_option, mapping_options, platform_option
from imgsync.cli.output import say, say_json, table
from imgsync.errors import AllFailed, InvalidImageList, SomeFailed
from imgsync.events import Noted
from imgsync.mirror.lock import hold_lock
from imgsync.mirror.pruning import Pruned, digests_of, plan_prune, remove
from imgsync.mirror.quantities import parse_duration
from imgsync.mirror.receipts import ReceiptBook, append_receipts
from imgsync.mirror.removing import keeps_artifacts, remove_tag
from imgsync.model.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgsync.mirror.receipts import Receipt
    from imgsync.model.digest import Digest
    from imgsync.model.mapping import Mapping
    from imgsync.model.platform import PlatformChoice


@click.command(
    cls=Command,
    short_help="Take away what a mirror has put there and its config does not want any more.",
    epilog="Example: imgsync prune site.yaml --keep 30d",
)
@click.argument("config_path", metavar="CONFIG")
@mapping_options
@platform_option
@click.option(
    "--keep",
    default="30d",
    show_default=True,
    metavar="TIME",
    help="Keep what was pushed later than so long ago.",
)
@click.option(
    "--lock",
    "locks",
    multiple=True,
    metavar="FILE",
    help="Keep what the lock of a bundle needs; repeatable.",
)
@click.option("--yes", is_flag=True, help="Remove them; else they are only shown.")
@click.option(
    "--state",
    "state_file",
    metavar="FILE",
    help="The state of the mirror, which the receipts are beside.",
)
@format_option
@click.pass_obj
def prune(
    context: Context,
    *,
    config_path: str,
    mapping: Mapping,
    choice: PlatformChoice,
    keep: str,
    locks: tuple[str, ...],
    yes: bool,
    state_file: str | None,
    as_json: bool,
) -> None:
    """Take away what a mirror has put there and its config does not want any more.

    Only tags go that a receipt says this mirror has pushed, that still mean what it pushed, that
    the config no longer selects, and that are older than --keep; never a digest that another tag
    or a lock needs. Signatures and the like that the mirror has put there go with what they are
    about. CONFIG and options are those of `imgsync mirror`.
    """
    config = load_config(config_path, mapping, choice)
    files = files_of(config_path, state_file)
    keep_s = amount("--keep", keep, parse_duration) or 0.0
    locked = digests_of(_locked(path) for path in locks)
    with (
        hold_lock(files.lock, f"imgsync prune {config_path}"),
        connect(context, config) as registries,
    ):
        book = ReceiptBook.read(files.receipts)
        if book.n_unreadable:
            message = f"{files.receipts}: {book.n_unreadable} lines are damaged and claim nothing"
            context.report(Noted(message, "warning"))
        pruned = plan_prune(
            config,
            registries,
            book,
            context.report,
            now_s=time.time(),
            keep_s=keep_s,
            locked=locked,
            keeps_artifacts=lambda tag: keeps_artifacts(registries.host(tag.registry)),
            jobs=context.jobs,
        )
        if yes:
            remove(
                pruned,
                registries,
                lambda tag, digest: remove_tag(registries.host(tag.registry), tag, digest),
                lambda receipt: append_receipts(files.receipts, [receipt]),
                time.time,
            )
    say_json(_json(pruned)) if as_json else _tell(pruned, done=yes)
    _raise_failures(pruned, done=yes)


def _locked(path: str) -> Collection[Digest]:
    lock = Lock.parse(read_input(path, what="--lock"), path, error=InvalidImageList)
    return lock.objects.keys()


def _tell(pruned: Pruned, *, done: bool) -> None:
    rows = [
        (str(item.receipt.destination), item.receipt.digest.short, item.why or _goes(item.receipt))
        for item in (*pruned.verdicts, *pruned.about)
    ]
    if rows:
        say(table(("TAG", "DIGEST", "WHY"), rows))
    n_all = len(pruned.verdicts)
    about = {item.receipt.destination for item in pruned.about_going}
    if done:
        n_about = len(about.intersection(pruned.removed))
        n_tags = len(pruned.removed) - n_about
        more = f", and {n_about} signatures and the like" if about else ""
        say(f"removed {n_tags} of {n_all} tags that this mirror has pushed{more}")
    elif pruned.going:
        more = f", and {len(about)} signatures and the like" if about else ""
        say(f"{len(pruned.going)} of {n_all} tags would be removed{more}; --yes does it")
    else:
        say("nothing to remove")


def _goes(receipt: Receipt) -> str:
    return "goes" if receipt.subject is None else f"goes with {receipt.subject.short}"


def _json(pruned: Pruned) -> dict[str, object]:
    return {
        "about": [
            {
                "digest": str(item.receipt.digest),
                "goes": item.goes,
                "name": str(item.receipt.destination),
                "subject": str(item.receipt.subject),
                "why": item.why or None,
            }
            for item in pruned.about
        ],
        "removed": [str(tag) for tag in pruned.removed],
        "tags": [
            {
                "digest": str(item.receipt.digest),
                "goes": item.goes,
                "tag": str(item.receipt.destination),
                "why": item.why or None,
            }
            for item in pruned.verdicts
        ],
    }


def _raise_failures(pruned: Pruned, *, done: bool) -> None:
    failures = pruned.failures
    if not failures:
        return
    msg = f"{len(failures)} could not be {'removed' if done else 'looked at'}"
    if done and not pruned.removed:
        raise AllFailed(msg, failures)
    raise SomeFailed(msg, failures)
