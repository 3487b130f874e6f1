"""``imgsync check``: the truth about the images of a node."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from imgsync.cli.check_output import (
    check_json,
    check_text,
    lock_json,
    lock_text,
)
from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.fleet_options import FleetOptions, with_fleet
from imgsync.cli.host import host_platform
from imgsync.cli.inputs import read_input
from imgsync.cli.options import containerd_options, format_option, mapping_options
from imgsync.cli.output import say, say_json
from imgsync.errors import InvalidImageList, InvalidInput, VerificationFailed
from imgsync.events import Noted
from imgsync.model.lock import Lock
from imgsync.model.volumes import whole_lock
from imgsync.nodes.against_lock import compare
from imgsync.nodes.checking import check_images, check_namespace
from imgsync.nodes.looking import look

if TYPE_CHECKING:
    from imgsync.model.mapping import Mapping
    from imgsync.nodes.facts import NamespaceFacts

RUNS, WHOLE = "runs", "whole"


@click.command(
    cls=Command,
    short_help="Say which images of a node are whole, run, or are damaged, and what pods see.",
    epilog="Example: imgsync check -n k8s.io --lock site.tar.lock.json",
)
@containerd_options
@partial(with_fleet, required=False)
@click.option(
    "--hash",
    "with_hash",
    is_flag=True,
    help="Read every byte; without it only manifests are, and a bad sector is not found.",
)
@click.option(
    "--require",
    type=click.Choice([RUNS, WHOLE]),
    default=RUNS,
    show_default=True,
    help="What each image must be: all that this node needs is there, or everything.",
)
@click.option(
    "--lock",
    "lock_file",
    metavar="FILE",
    help="The images that must be there, NAME.tar.lock.json; --to and --map say how import named "
    "them.",
)
@click.option(
    "--html",
    default="",
    metavar="FILE|-",
    help="With -i: also write a page about all nodes; `imgsync report --fleet` takes the JSON.",
)
@mapping_options
@format_option
@click.pass_obj
def check(
    context: Context,
    *,
    with_hash: bool,
    require: str,
    lock_file: str | None,
    html: str,
    fleet: FleetOptions,
    mapping: Mapping,
    as_json: bool,
) -> None:
    """Say which images of a node are whole, run, or are damaged, and what pods see.

    Each image of the namespace is walked, platform by platform, and each name is looked at as a
    kubelet would; where CRI answers on the same socket, it is asked. With -i, all nodes of an
    inventory are compared with a lock, over ssh. Nothing is changed.
    """
    lock = _read_lock(lock_file) if lock_file is not None else None
    if fleet.inventory:
        from imgsync.cli.check_fleet import check_nodes  # noqa: PLC0415 - many modules

        if lock is None:
            raise InvalidInput(
                "-i compares nodes with a lock", hint="add --lock NAME.tar.lock.json"
            )
        check_nodes(
            context,
            fleet,
            lock,
            mapping,
            title=lock_file or "",
            require=require,
            with_hash=with_hash,
            html=html,
            as_json=as_json,
        )
        return
    if html:
        raise InvalidInput("--html is about many nodes", hint="name them: -i FILE")
    containerd = context.containerd()
    names = containerd.namespaces()
    if containerd.namespace not in names:
        there = f"; there are {', '.join(sorted(names))}" if names else ""
        text = f"containerd has no namespace {containerd.namespace}{there}"
        context.report(Noted(text, "warning"))
    facts = look(
        containerd,
        host_platform(),
        context.report,
        with_hash=with_hash,
        jobs=context.jobs,
    )
    if lock is None:
        _check(facts, require, as_json=as_json)
        return
    images = compare(facts, lock, mapping.apply)
    say_json(lock_json(facts, images)) if as_json else say(lock_text(facts, images))
    bad = [image for image in images if not image.verdict.passes(require)]
    if bad:
        msg = f"{facts.side}: {len(bad)} of {len(images)} images of {lock_file} are not right"
        raise VerificationFailed(msg, hint="imgsync import brings what is missing")


def _check(facts: NamespaceFacts, require: str, *, as_json: bool) -> None:
    images, findings = check_images(facts), check_namespace(facts)
    if as_json:
        say_json(check_json(facts, images, findings))
    else:
        say(check_text(facts, images, findings))
    bad = [image for image in images if not image.passes(require)]
    if bad:
        what = "run here" if require == RUNS else "are whole"
        msg = f"{facts.side}: {len(images) - len(bad)} of {len(images)} images {what}"
        raise VerificationFailed(msg, hint="imgsync heal --from SOURCE brings what is missing")


def _read_lock(path: str) -> Lock:
    raw = read_input(path, what="--lock")
    return whole_lock(Lock.parse(raw, path, error=InvalidImageList))
