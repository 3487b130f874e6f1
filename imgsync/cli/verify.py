"""``imgsync verify``: proof that content is whole and what it claims to be."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.host import host_platform
from imgsync.cli.options import containerd_options, format_option, selection_options
from imgsync.cli.output import human_size, say, say_json, table, tell
from imgsync.cli.signing import signers_option
from imgsync.cli.want import write_request
from imgsync.errors import ImgsyncError, NotFound, VerificationFailed
from imgsync.presence import is_containerd, select_images
from imgsync.signing.findings import signature_findings
from imgsync.stores.open import read_target
from imgsync.verify import verify as run_verify
from imgsync.verifying.findings import Level

if TYPE_CHECKING:
    from imgsync.model.platform import Platform
    from imgsync.model.selection import Selection
    from imgsync.signing.policy import Policy
    from imgsync.verifying.verdicts import ImageVerdict, Verification

RUNS, WHOLE = "runs", "whole"


@click.command(
    cls=Command,
    short_help="Prove that content is whole and what it claims to be.",
    epilog="Example: imgsync verify site.tar",
)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--deep", is_flag=True, help="Decompress every layer too, and compare with the config."
)
@click.option(
    "--require",
    type=click.Choice([RUNS, WHOLE]),
    default=RUNS,
    show_default=True,
    help="What an image in containerd must be: all that this node needs is there, or everything.",
)
@click.option(
    "--request",
    "request_file",
    metavar="FILE",
    help="Write down what is bad in a bundle of ours, for `imgsync bundle --only FILE` at the "
    "other side.",
)
@signers_option
@containerd_options
@selection_options
@format_option
@click.pass_obj
def verify(
    context: Context,
    *,
    targets: tuple[str, ...],
    deep: bool,
    require: str,
    request_file: str | None,
    policy: Policy,
    selection: Selection,
    as_json: bool,
) -> None:
    """Prove that content is whole and what it claims to be.

    TARGET is a bundle, another tool's archive, an OCI layout folder, an image of a registry,
    containerd:NAME, or containerd: for a whole namespace. Every digest and size is checked, that
    nothing is absent without a declaration, and of our own bundles every byte. All findings are
    told, not only the first.
    """
    context.after_interrupt = "nothing was written"
    if request_file is not None:
        write_request(targets, request_file)
    results: list[tuple[Verification, bool]] = []
    failed: list[tuple[str, ImgsyncError]] = []
    for target in targets:
        try:
            results.append(_verify(context, target, selection, policy, deep=deep))
        except ImgsyncError as error:
            if len(targets) == 1:
                raise
            failed.append((target, error))
            tell(f"{target}: {error.message}")
            continue
        if not as_json:
            _say(*results[-1])
    if as_json:
        say_json({"targets": [_json(result, is_node=is_node) for result, is_node in results]})
    bad = [result for result, is_node in results if not _passes(result, require, is_node=is_node)]
    if bad:
        raise VerificationFailed(_summary(bad), hint=_hint(bad))
    if failed:
        raise failed[0][1]


def _verify(
    context: Context, target: str, selection: Selection, policy: Policy, *, deep: bool
) -> tuple[Verification, bool]:
    asked = read_target(target)
    holding = context.open_source(asked, even_damaged=True)
    holding = select_images(holding, selection, jobs=context.jobs)
    is_node = is_containerd(holding)
    path = Path(asked.path) if asked.transport.is_path else None
    signature = tuple(signature_findings(policy, holding, path))
    result = run_verify(holding, choice=selection.choice, deep=deep, report=context.report)
    if not result.images:
        msg = f"{holding.side} holds no image"
        raise NotFound(msg)
    return replace(result, findings=(*signature, *result.findings)), is_node


def _passes(result: Verification, require: str, *, is_node: bool) -> bool:
    if not is_node or require == WHOLE:
        return result.is_ok
    return all(image.runs_on(host_platform()) for image in result.images)


def _say(result: Verification, is_node: bool) -> None:
    host = host_platform()
    rows = [
        (
            _verdict(image, host, is_node=is_node),
            image.root.label,
            image.root.descriptor.digest.short,
            ", ".join(image.platforms) or "-",
        )
        for image in result.images
    ]
    say(table(("VERDICT", "IMAGE", "DIGEST", "WHOLE PLATFORMS"), rows))
    for finding, following in zip_longest(result.findings, result.findings[1:]):
        say(f"{finding.level}: {finding}")
        # What heals many of them is said once.
        is_said_below = following is not None and following.advice == finding.advice
        if finding.advice and finding.level is not Level.NOTE and not is_said_below:
            say(f"  {finding.advice}")
    if result.partial:
        say(f"partial: {', '.join(result.partial)}")
    verdict = "ok" if result.is_ok else "not ok"
    amount = f"{result.n_objects} objects, {human_size(result.n_bytes)}"
    declared = f"; {result.declared} declared absent" if result.declared else ""
    say(f"{result.side}: {verdict}: {amount} proved{declared}")


def _verdict(image: ImageVerdict, host: Platform, *, is_node: bool) -> str:
    if is_node:
        runs = "runs here" if image.runs_on(host) else "does not run here"
        return f"{runs}, {'whole' if image.is_ok else 'not whole'}"
    if not image.is_ok:
        return "not ok"
    return "partial" if image.is_partial else "ok"


def _json(result: Verification, *, is_node: bool) -> dict[str, Any]:
    value = result.to_json()
    if is_node:
        for image, verdict in zip(value["images"], result.images, strict=True):
            image["runsHere"] = verdict.runs_on(host_platform())
            image["whole"] = verdict.is_ok
    return value


def _summary(bad: list[Verification]) -> str:
    parts = []
    for result in bad:
        errors = sum(1 for finding in result.findings if finding.level is Level.ERROR)
        images = sum(1 for image in result.images if not image.is_ok)
        problems = "1 problem" if errors == 1 else f"{errors} problems"
        parts.append(f"{result.side}: {problems}, {images} of {len(result.images)} images affected")
    return "\n".join(parts)


def _hint(bad: list[Verification]) -> str:
    for result in bad:
        for finding in result.findings:
            if finding.level is Level.ERROR and finding.advice:
                return finding.advice
    return ""
