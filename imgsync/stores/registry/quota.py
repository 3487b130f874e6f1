"""Pull quotas, as Docker Hub tells them in headers: ``ratelimit-remaining: 20;w=21600``. Pure.

They come with GET and HEAD of manifests; a registry without the headers has no limit. A HEAD does
not count, each GET of a manifest does, so each platform of an index costs one
(docker/docs, content/manuals/docker-hub/usage/pulls.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Quota:
    """How many manifests may be pulled in a window of time, and how many are left."""

    limit: int
    remaining: int
    window_s: float


def parse_quota(headers: Mapping[str, str]) -> Quota | None:
    """The quota of an answer, or None if it tells none."""
    remaining = headers.get("ratelimit-remaining")
    if remaining is None:
        return None
    count, window_s = _parsed(remaining)
    limit, _ = _parsed(headers.get("ratelimit-limit", ""))
    return None if count is None else Quota(count if limit is None else limit, count, window_s)


def _parsed(text: str) -> tuple[int | None, float]:
    count, _, rest = text.partition(";")
    number = int(count) if count.strip().isdecimal() and count.isascii() else None
    name, _, window = rest.strip().partition("=")
    known = name == "w" and window.isdecimal() and window.isascii()
    return number, float(window) if known else 0.0
