"""Whether a registry is a Harbor: found out without a flag, by one question a host and run.

The question is ``GET /v2/`` without credentials. Harbor never answers it with 200, and its
challenge names the service ``harbor-registry``; for every other registry with tokens the challenge
is what its first request would have had to learn anyway. Only then is Harbor's own API asked, with
credentials, because now it is known whose they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsync.errors import ImgsyncError
from imgsync.harbor.api import HarborApi
from imgsync.stores.registry.request import Login, Request

if TYPE_CHECKING:
    from imgsync.stores.registry.client import Host

_NEVER: Final = (
    "docker.io",
    "gcr.io",
    "ghcr.io",
    "pkg.dev",
    "mcr.microsoft.com",
    "azurecr.io",
    "amazonaws.com",
    "public.ecr.aws",
    "quay.io",
    "k8s.io",
    "gitlab.com",
    "nvcr.io",
)
"""Registries of others, known not to be Harbors; what is below them too."""


def is_candidate(name: str) -> bool:
    """Whether it is worth asking."""
    host = name.partition(":")[0]
    return not any(host == known or host.endswith(f".{known}") for known in _NEVER)


def find_harbor(host: Host) -> HarborApi | None:
    """The API of this host if it is a Harbor. A host that does not answer is none, for now."""
    if not host.auth.is_harbor:
        if host.auth.bearer is not None or host.auth.wants_basic or not is_candidate(host.name):
            return None
        try:
            host.ask(Request("GET", f"{host.api}/", what="the API", login=Login.NOBODY)).close()
        except ImgsyncError:
            return None  # whoever pushes there hears of it soon enough
    return HarborApi(host) if host.auth.is_harbor else None
