"""Copies artifacts between repositories on the server's side, with what belongs to them."""

from collections.abc import Iterable
from urllib.parse import quote

from tests.servers.harbor.state import Artifact, State
from tests.servers.upstream import Response, Upstream


class Copier:
    """Mounts blobs and writes manifests at the registry behind, and records them."""

    def __init__(self, state: State, registry_url: str) -> None:
        self._state = state
        self._url = registry_url

    def __call__(self, source: str, reference: str, target: str) -> str:
        """The target has the artifact, its tags, its children, its referrers and its signature.

        Returns:
            The artifact's digest.
        """
        root = self._known(source, reference)
        upstream = Upstream(self._url)
        try:
            self._copy(upstream, root, source, target)
            for tag, digest in [*self._state.tags[source].items()]:
                if digest == root.digest:
                    self._state.tags[target][tag] = digest
            for referrer in self._state.referrers(source, root.digest):
                self._copy(upstream, referrer, source, target)
            tag = root.digest.replace(":", "-") + ".sig"
            signature = self._state.find(source, tag)
            if signature is not None:
                self._copy(upstream, signature, source, target)
                self._state.tags[target][tag] = signature.digest
        finally:
            upstream.close()
        return root.digest

    def _known(self, repository: str, reference: str) -> Artifact:
        artifact = self._state.find(repository, reference)
        if artifact is None:
            raise LookupError(f"{repository} has no {reference}")
        return artifact

    def _copy(self, upstream: Upstream, artifact: Artifact, source: str, target: str) -> None:
        for child in artifact.document.get("manifests", []):
            self._copy(upstream, self._known(source, child["digest"]), source, target)
        for part in artifact.parts:
            query = f"mount={quote(part['digest'])}&from={quote(source, safe='')}"
            self._ask(upstream, 201, "POST", f"/v2/{target}/blobs/uploads/?{query}")
        accept = [("Accept", artifact.media_type)]
        path = f"/v2/{source}/manifests/{artifact.digest}"
        data = self._ask(upstream, 200, "GET", path, accept).read()
        content_type = [("Content-Type", artifact.media_type)]
        path = f"/v2/{target}/manifests/{artifact.digest}"
        self._ask(upstream, 201, "PUT", path, content_type, data)
        project = self._state.projects[target.split("/", maxsplit=1)[0]]
        self._state.record_artifact(project, target, artifact, None)

    def _ask(
        self,
        upstream: Upstream,
        expected: int,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]] = (),
        data: bytes = b"",
    ) -> Response:
        length = [("Host", upstream.host), ("Content-Length", str(len(data)))]
        response = upstream.ask(method, path, [*headers, *length], [data])
        response.read()
        if response.status != expected:
            raise LookupError(f"{method} {path}: {response.status}")
        return response
