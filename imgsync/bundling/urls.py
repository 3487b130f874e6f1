"""Where else a blob may be had: the ``urls`` that its descriptor names, tried last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.plan import Plan
    from imgsync.stores import Source


def with_urls(
    plan: Plan, n_sources: int, at_url: Callable[[int], Source]
) -> tuple[Plan, list[Source]]:
    """The plan with one more source for each url of a blob, and these sources.

    Args:
        plan: of a bundle.
        n_sources: how many it has; the new ones are numbered from there on.
        at_url: opens the first url of every blob, the second, ….
    """
    blobs = [step.descriptor for step in plan.steps if not step.descriptor.is_document]
    n_urls = max((len(item.urls) for item in blobs), default=0)
    numbers = range(n_sources, n_sources + n_urls)
    steps = tuple(
        step
        if step.descriptor.is_document
        else replace(step, sources=(*step.sources, *numbers[: len(step.descriptor.urls)]))
        for step in plan.steps
    )
    return replace(plan, steps=steps), [at_url(number) for number in range(n_urls)]
