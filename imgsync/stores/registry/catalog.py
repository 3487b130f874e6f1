"""Catalog: which repositories a registry has, where it tells (distribution, docs/spec/api.md).

It is no part of the distribution-spec: public registries have none, and others show it to
administrators only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import AccessDenied, InvalidReference, NotFound
from imgsync.model.reference import Reference
from imgsync.stores.registry.endpoint import Endpoint
from imgsync.stores.registry.pages import pages
from imgsync.stores.registry.scope import Scope, Scopes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.stores.registry.client import Host

PAGE_SIZE: Final = 1000
"""distribution refuses more than it is set to give, which is this (CVE-2023-2253)."""

_SCOPES: Final = (Scope("registry", "catalog", frozenset({"*"})),)
_WHAT: Final = "the list of repositories"
_HINT: Final = "many registries show it to administrators only, or to nobody: name repositories"


class Catalog:
    """The list that a registry gives itself."""

    def __init__(self, host: Host) -> None:
        """Ask this registry."""
        self._endpoint = _Registry(host)

    def repositories(self, prefix: str = "") -> list[str]:
        """Those whose path begins with ``prefix``, sorted; what no repository is called is not.

        Raises:
            NotFound, AccessDenied: the registry has no catalog, or not for this user.
        """
        endpoint = self._endpoint
        answer = endpoint.ask("GET", f"{endpoint.host.api}/_catalog?n={PAGE_SIZE}", _WHAT)
        if answer.status != 200:
            error = endpoint.error(answer, _WHAT)
            if isinstance(error, (AccessDenied, NotFound)):
                raise type(error)(error.message, hint=_HINT)
            raise error
        names = {
            name
            for page in pages(endpoint, answer, _WHAT)
            for name in _names(page)
            if name.startswith(prefix) and _is_valid(endpoint.host.name, name)
        }
        return sorted(names)


class _Registry(Endpoint):
    """The addresses of a registry that are of none of its repositories."""

    def __init__(self, host: Host) -> None:
        super().__init__(host, "")
        self.side = host.name

    @property
    def scopes(self) -> Scopes:
        """What a token must allow."""
        return _SCOPES


def _names(page: dict[str, Any]) -> Iterator[str]:
    names = page.get("repositories")
    yield from (name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _is_valid(host: str, repository: str) -> bool:
    """Whether it is a path: addresses are made of it, and a stranger gave it."""
    try:
        Reference(host, repository, "x")
    except InvalidReference:
        return False
    return True
