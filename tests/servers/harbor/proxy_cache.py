"""Projects that fetch from another registry when they are asked.

What was fetched once stays, so that it is there when upstream is not. Harbor stores it in the
background, a manifest when its layers are there too; here it is kept in memory, and at once.
"""

import threading
from dataclasses import dataclass, field

import requests

from tests.servers.harbor.errors import Refused, not_found
from tests.servers.harbor.routes import Route
from tests.servers.harbor.state import Project
from tests.servers.upstream import Response

_TIMEOUT_S = 30
_KEPT = ("Content-Type", "Content-Length", "Docker-Content-Digest", "ETag")


@dataclass
class ProxyCache:
    """Fetches and keeps, for all proxy-cache projects."""

    _kept: dict[tuple[str, str], tuple[list[tuple[str, str]], bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def redirect(self, project: Project, route: Route) -> str | None:
        """The repository's full name, where Docker Hub has it under `library/`."""
        if not project.upstream_is_docker_hub or "/" in route.name or not route.name:
            return None
        return f"{project.name}/library/{route.name}"

    def fetch(self, project: Project, route: Route, method: str, accept: str | None) -> Response:
        """The manifest or blob, from upstream or as it was kept.

        Raises:
            Refused: upstream has it not, or has had enough of us.
        """
        key = (route.repository, route.reference)
        if route.reference.startswith("sha256:") and key in self._kept:
            return self._from_kept(key)
        plural = {"manifest": "manifests", "blob": "blobs"}[route.kind]
        address = f"{project.upstream}/v2/{route.name}/{plural}/{route.reference}"
        try:
            # Upstream is asked with HEAD only when we are: one request for one request.
            answer = self._ask(method, address, accept)
        except requests.RequestException:
            return self._from_kept(key)
        if answer.status_code == 429:
            raise Refused(429, "TOO_MANY_REQUEST", "too many requests to upstream registry")
        if answer.status_code != 200:
            raise not_found(f"artifact {route.repository}:{route.reference} not found")
        headers = [(name, answer.headers[name]) for name in _KEPT if name in answer.headers]
        if method == "GET":
            with self._lock:
                self._kept[key] = (headers, answer.content)
                digest = answer.headers.get("Docker-Content-Digest")
                if digest:
                    self._kept[route.repository, digest] = (headers, answer.content)
        return Response(200, headers, iter([answer.content]))

    def tags(self, project: Project, route: Route) -> list[str]:
        """Those of upstream; none where it is not there."""
        address = f"{project.upstream}/v2/{route.name}/tags/list"
        try:
            answer = self._ask("GET", address, None)
        except requests.RequestException:
            return []
        return list(answer.json()["tags"] or []) if answer.status_code == 200 else []

    def _ask(self, method: str, address: str, accept: str | None) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Accept-Encoding": "identity", **({"Accept": accept} if accept else {})}
            return session.request(method, address, headers=headers, timeout=_TIMEOUT_S)

    def _from_kept(self, key: tuple[str, str]) -> Response:
        with self._lock:
            if key not in self._kept:
                raise not_found(f"artifact {key[0]}:{key[1]} not found")
            headers, data = self._kept[key]
        return Response(200, [*headers], iter([data]))
