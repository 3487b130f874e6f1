"""What is told of a mirror: what its config asks for, what a run would do, what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.cli.output import human_size, say, table
from imgsync.errors import AllFailed, BudgetSpent, SomeFailed
from imgsync.mirror.summary import Status

if TYPE_CHECKING:
    from imgsync.mirror.config import MirrorConfig, MirrorSource
    from imgsync.mirror.summary import Summary


def tell_sources(config: MirrorConfig) -> None:
    """For ``--check``: each source, and where it goes."""
    rows = [
        (str(source.place.line), source.repository.name, tags_text(source), _where(source))
        for source in config.sources
    ]
    say(table(("LINE", "SOURCE", "TAGS", "GOES TO"), rows, right="LINE"))
    for note in config.notes:
        say(f"note: {note}")


def tags_text(source: MirrorSource) -> str:
    """Which tags a source wants, in a few words."""
    rule = source.tags
    parts = list(rule.exact)
    if rule.is_filter:
        filters = [
            *(" or ".join(item.text for item in group) for group in rule.patterns),
            *(f"semver {item}" for item in rule.semver),
            *([f"latest {rule.latest}"] if rule.latest is not None else []),
            *([f"*{rule.suffix}"] if rule.suffix else []),
            *(f"not {item.text}" for item in rule.excluded),
            *(f"not semver {item}" for item in rule.excluded_semver),
        ]
        parts.append(" and ".join(filters) or "all")
    return ", ".join(parts)


def _where(source: MirrorSource) -> str:
    if source.target is not None:
        return str(source.target)
    name = source.name or source.repository
    return str(source.mapping.apply(name))


def tell_plan(summary: Summary) -> None:
    """For ``--dry-run``: what would be moved, and what a counted budget allows."""
    rows = [
        (
            image.target or image.source,
            str(image.status) if image.error is None else f"{image.status}: {image.error.message}",
            image.source,
            human_size(image.n_bytes) if image.n_bytes is not None else "-",
        )
        for image in summary.images
        if image.status is not Status.UNCHANGED
    ]
    if any(image.n_bytes is not None for image in summary.images):
        say(table(("TARGET", "STATUS", "SOURCE", "BYTES"), rows, right="BYTES"))
    elif rows:
        say(table(("TARGET", "STATUS", "SOURCE"), [row[:3] for row in rows]))
    for name, error in summary.repository_failures:
        say(f"{name}: {error.message}")
    for host, budget in sorted(summary.budgets.items()):
        say(f"{host}: {budget.remaining} of {budget.limit} pulls are left")
    say(summary.line())
    if rows and summary.n_planned_bytes is None:
        say("how many bytes that is, --bytes tells: it reads their manifests")


def raise_unfinished(summary: Summary) -> None:
    """Let the exit code say that something is not as it should be.

    Raises:
        SomeFailed, AllFailed: images failed.
        BudgetSpent: nothing failed, and some are left for the next run.
    """
    failures = summary.failures
    n_images = len(summary.images) + len(summary.repository_failures)
    if failures:
        if len(failures) == n_images:
            raise AllFailed("nothing could be mirrored", failures)
        msg = f"{len(failures)} of {n_images} failed, the others are as they should be"
        raise SomeFailed(msg, failures, hint="the next run tries them again")
    left = [image for image in summary.images if image.status is Status.LEFT]
    if left:
        first = left[0].error
        why = first.message if first is not None else summary.stopped
        hint = first.hint if first is not None else ""
        raise BudgetSpent(f"{len(left)} images are left for the next run: {why}", hint=hint)
