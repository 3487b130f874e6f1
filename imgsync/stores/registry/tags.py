"""The tags of a repository, from registries that do not all list them in the same way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from imgsync.stores.registry.pages import pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.stores.registry.endpoint import Endpoint

PAGE_SIZE: Final = 1000
"""The most that ECR gives; others may ignore it (distribution 2.8)."""

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)


def list_tags(endpoint: Endpoint) -> list[str]:
    """All tags, each once, sorted.

    Raises:
        NotFound, AccessDenied: the registry says no.
    """
    what = "the list of tags"
    answer = endpoint.ask("GET", endpoint.other("tags/list", {"n": str(PAGE_SIZE)}), what)
    if answer.status != 200:
        raise endpoint.error(answer, what)
    return sorted({tag for page in pages(endpoint, answer, what) for tag in tags_of(page)})


def tags_of(page: dict[str, Any]) -> Iterator[str]:
    """The tags of one page. Pure.

    Old Nexus has ``null`` and empty texts among them, Artifactory digests; none of these is a tag.
    """
    tags = page.get("tags")
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, str) and _TAG.fullmatch(tag):
            yield tag
