"""Answers in pages: ``Link: <...>; rel="next"``, followed with a leash."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import ContentError, NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.endpoint import Endpoint

PAGE_BYTES: Final = 16 * 1024 * 1024
"""distribution 2.8 sends all tags at once; a hundred thousand of them fit."""

MAX_PAGES: Final = 1000

_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next"?(?:\s*[;,]|\s*$)', re.IGNORECASE)


def next_link(header: str) -> str:
    """The target of the link to the next page, or an empty text (RFC 8288). Pure."""
    found = _NEXT.search(header)
    return found[1] if found else ""


def pages(endpoint: Endpoint, first: Answer, what: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of an answer and of all that its links lead to.

    Raises:
        NetworkError: a link leads to another server (GHSA-h7vf-4x9w-h99v), or in a circle.
        ContentError: a page is no JSON object, or too large.
    """
    answer, seen = first, {first.target}
    for _ in range(MAX_PAGES):
        link, url = next_link(", ".join(answer.header_lines("Link"))), answer.url
        yield _object(answer, f"{endpoint.side}: {what}")
        if not link:
            return
        origin, target = endpoint.host.resolved(link, url)
        if origin != endpoint.host.origin:
            msg = f"{endpoint.side}: {what}: the next page is on another server, {origin}"
            raise NetworkError(msg)
        if target in seen:
            msg = f"{endpoint.side}: {what}: the pages go round in a circle"
            raise NetworkError(msg)
        seen.add(target)
        answer = endpoint.ask("GET", target, what)
        if answer.status != 200:
            raise endpoint.error(answer, what)
    msg = f"{endpoint.side}: {what}: more than {MAX_PAGES} pages"
    raise ContentError(msg)


def _object(answer: Answer, where: str) -> dict[str, Any]:
    try:
        value = json.loads(answer.content(PAGE_BYTES))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        msg = f"{where}: the answer is not a JSON object"
        raise ContentError(msg)
    return value
