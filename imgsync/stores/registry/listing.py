"""Listing: which repositories a registry has, and which tags a repository has.

Pages are followed by their ``Link`` (distribution-spec, "Listing Tags"), which is taken as the
registry gives it. What is listed comes from a stranger: names that none could have are passed over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import AccessDenied, ContentError, InvalidReference, NotFound
from imgsync.model.reference import Reference
from imgsync.model.strict_json import parse_object
from imgsync.stores.registry.refusals import Refusal
from imgsync.stores.registry.request import Request
from imgsync.stores.registry.scope import Scope, pull_scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.stores.registry.client import Host
    from imgsync.stores.registry.scope import Scopes

PAGE: Final = 1000
"""ECR refuses more, and newer registries refuse more than they are set to give."""

_MAX_PAGES: Final = 10_000
_PAGE_BYTES: Final = 64 * 1024 * 1024
"""Old registries ignore the size of a page and give everything at once."""

_CATALOG: Final[Scopes] = (Scope("registry", "catalog", frozenset({"*"})),)
_LINK = re.compile(r'<([^>]*)>\s*;(?:[^,]*;)?\s*rel\s*=\s*"?next"?', re.IGNORECASE)
_HINT: Final = "many registries show it to administrators only, or not at all: name repositories"


class Listing:
    """The lists that one registry gives; used by many threads at once."""

    def __init__(self, host: Host) -> None:
        """Ask this registry."""
        self.host = host

    def repositories(self, prefix: str = "") -> list[str]:
        """Those whose path begins with ``prefix``, sorted; all that may be seen, without one.

        Raises:
            NotFound, AccessDenied: the registry has no catalog, or not for this user.
        """
        first = f"{self.host.api}/_catalog?n={PAGE}"
        try:
            found = set(
                self._pages(first, "repositories", _CATALOG, "", "its list of repositories")
            )
        except (AccessDenied, NotFound) as error:
            raise type(error)(error.message, hint=_HINT) from None
        return sorted(
            name for name in found if name.startswith(prefix) and self._is_valid(name, "x")
        )

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository, sorted.

        Raises:
            NotFound, AccessDenied: the registry says no.
        """
        first = f"{self.host.api}/{repository}/tags/list?n={PAGE}"
        pages = self._pages(first, "tags", (pull_scope(repository),), repository, "list of tags")
        return sorted(tag for tag in set(pages) if self._is_valid(repository, tag))

    def _pages(
        self, first: str, key: str, scopes: Scopes, repository: str, what: str
    ) -> Iterator[str]:
        side = f"{self.host.name}/{repository}" if repository else self.host.name
        target, origin, seen = first, self.host.origin, {first}
        for _ in range(_MAX_PAGES):
            request = Request("GET", target, scopes, repository, what, origin=origin)
            answer = self.host.ask(request)
            if answer.status != 200:
                raise Refusal.of(answer, what, side).error()
            yield from _texts(parse_object(answer.content(_PAGE_BYTES), f"{side}: {what}"), key)
            link = _LINK.search(", ".join(answer.header_lines("Link")))
            if link is None:
                return
            origin, target = self.host.resolved(link[1], answer.url)
            if origin != self.host.origin:
                msg = f"{side}: {what} goes on at another host, {origin}"
                raise ContentError(msg)
            if target in seen:
                return
            seen.add(target)
        msg = f"{side}: {what} has more than {_MAX_PAGES} pages"
        raise ContentError(msg)

    def _is_valid(self, repository: str, tag: str) -> bool:
        """Whether it can be a name at all; Artifactory lists digests among the tags."""
        try:
            Reference(self.host.name, repository, tag)
        except InvalidReference:
            return False
        return True


def _texts(page: dict[str, Any], key: str) -> Iterator[str]:
    """The names of a page; Nexus gives null for none, and sometimes null among them."""
    names = page.get(key)
    yield from (name for name in names if isinstance(name, str)) if isinstance(names, list) else ()
