"""`/v2/` behind the checks: what core does itself, and what it leaves to the registry.

Tags are core's: the registry behind knows manifests by digest only, as since Harbor 2.15.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.servers.harbor.checks import (
    MANIFEST_LIMIT,
    check_immutable,
    check_not_in_gc,
    check_not_proxy_cache,
    check_pull_policy,
    check_quota,
)
from tests.servers.harbor.errors import Refused, bad_request, not_found
from tests.servers.harbor.proxy_cache import ProxyCache
from tests.servers.harbor.routes import Route
from tests.servers.harbor.state import Artifact, Project, State, parse_artifact
from tests.servers.upstream import Response

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-f]+")
_WHOLE_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


class Asked(Protocol):
    """A request, and the way to the registry behind; the handler is one."""

    @property
    def command(self) -> str:
        """The method."""

    @property
    def path(self) -> str:
        """With its query."""

    @property
    def body(self) -> Iterable[bytes]:
        """What the client sends, once."""

    def header(self, name: str) -> str | None:
        """A header of the request."""

    def forward(self, path: str | None = None, body: Iterable[bytes] | None = None) -> Response:
        """The registry's answer to the same request; with another path, or body."""


class V2:
    """Answers what has passed `checks.check_access`."""

    def __init__(self, state: State, cache: ProxyCache) -> None:
        self._state = state
        self._cache = cache
        self._n_patched: dict[str, int] = {}  # bytes that were acknowledged, by upload

    def answer(self, route: Route, asked: Asked) -> Response:
        """The response to send.

        Raises:
            Refused: with Harbor's words.
        """
        if route.kind == "base":
            response = registry_response({})
            response.set("Docker-Distribution-Api-Version", "registry/2.0")
            return response
        if route.kind == "catalog":
            names = sorted(self._state.artifacts)
            return registry_response({"repositories": names})
        project = self._state.projects[route.project]
        answer = {
            "manifest": self._manifest,
            "upload": self._upload,
            "blob": self._blob,
            "tags": self._tags,
            "referrers": self._referrers,
        }[route.kind]
        return answer(project, route, asked)

    # Manifests.

    def _manifest(self, project: Project, route: Route, asked: Asked) -> Response:
        if not (_TAG.fullmatch(route.reference) or _DIGEST.fullmatch(route.reference)):
            if asked.command == "PUT":
                raise bad_request(f"invalid tag name: {route.reference}")
            raise not_found("invalid reference format")
        if asked.command == "PUT":
            return self._put_manifest(project, route, asked)
        if asked.command == "DELETE":
            return self._delete_manifest(project, route, asked)
        if project.upstream is not None:
            return self._from_elsewhere(project, route, asked)
        artifact = self._found(route)
        check_pull_policy(self._state, project, route.repository, artifact)
        return asked.forward(f"/v2/{route.repository}/manifests/{artifact.digest}")

    def _found(self, route: Route) -> Artifact:
        artifact = self._state.find(route.repository, route.reference)
        if artifact is None:
            mark = "@" if _WHOLE_DIGEST.fullmatch(route.reference) else ":"
            if mark == ":" and route.repository not in self._state.artifacts:
                raise not_found(f"repository {route.repository} not found")
            raise not_found(f"artifact {route.repository}{mark}{route.reference} not found")
        return artifact

    def _put_manifest(self, project: Project, route: Route, asked: Asked) -> Response:
        check_not_proxy_cache(project)
        is_tag = ":" not in route.reference
        if is_tag:
            check_immutable(self._state, project, route)
        data = _read_at_most(asked.body, MANIFEST_LIMIT)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}" if is_tag else route.reference
        check_not_in_gc(self._state, digest)
        check_quota(self._state, project, self._growth(project, digest, data))
        response = asked.forward(f"/v2/{route.repository}/manifests/{digest}", [data])
        if response.status == 400 and b"MANIFEST_INVALID" in response.read():
            # Core reads a manifest before the registry does.
            text = "unmarshal manifest failed: missing signature key"
            raise Refused(400, "MANIFEST_INVALID", text)
        if response.status != 201:
            return response
        artifact = parse_artifact(digest, asked.header("Content-Type") or "", data)
        tag = route.reference if is_tag else None
        self._state.record_artifact(project, route.repository, artifact, tag)
        if artifact.subject is not None:
            response.set("OCI-Subject", artifact.subject)
        return response

    def _growth(self, project: Project, digest: str, data: bytes) -> int:
        """What the manifest adds to the project: itself, and what it needs from elsewhere."""
        try:
            parts = parse_artifact(digest, "", data).parts
        except (ValueError, AttributeError):
            return len(data)  # the registry will say what is wrong with it
        with self._state.lock:
            new = {part["digest"] for part in parts} - project.blobs
            known = sum(self._state.blobs[part].size for part in new if part in self._state.blobs)
            return known + (0 if digest in project.blobs else len(data))

    def _delete_manifest(self, project: Project, route: Route, asked: Asked) -> Response:
        if ":" not in route.reference:
            text = f"unsupported digest {route.reference}: invalid checksum digest format"
            raise Refused(400, "UNSUPPORTED", text)
        artifact = self._found(route)
        if self._state.parents(route.repository, artifact.digest):
            text = "the deleting artifact is referenced by others"
            raise Refused(412, "VIOLATE_FOREIGN_KEY_CONSTRAINT", text)
        response = asked.forward()
        with self._state.lock:
            del self._state.artifacts[route.repository][artifact.digest]
            tags = self._state.tags[route.repository]
            for tag in [tag for tag, digest in tags.items() if digest == artifact.digest]:
                del tags[tag]
            project.blobs.discard(artifact.digest)
        return response

    # Blobs.

    def _blob(self, project: Project, route: Route, asked: Asked) -> Response:
        if project.upstream is not None:
            return self._from_elsewhere(project, route, asked)
        if asked.command == "HEAD":
            with self._state.lock:
                blob = self._state.blobs.get(route.reference)
                if blob is None or blob.status in {"deleting", "deletefailed"}:
                    raise not_found(f"blob {route.reference} not found")
                blob.status = "none"  # looking at it saves it from the garbage collection
        return asked.forward()

    def _upload(self, project: Project, route: Route, asked: Asked) -> Response:
        if asked.command in {"POST", "PUT", "PATCH"}:
            check_not_proxy_cache(project)
        if asked.command == "POST":
            return self._begin(project, route, asked)
        if asked.command == "PUT":
            return self._finish(project, route, asked)
        response = asked.forward()
        if asked.command == "PATCH" and response.status == 202:
            acknowledged = (response.get("Range") or "0-0").rpartition("-")[2]
            self._n_patched[route.reference] = int(acknowledged) + 1
        return response

    def _begin(self, project: Project, route: Route, asked: Asked) -> Response:
        blob = self._state.blobs.get(route.mount)
        if not route.mount:
            check_quota(self._state, project, 0)
        elif blob is not None and route.mount not in project.blobs:
            check_quota(self._state, project, blob.size)
        response = asked.forward()
        if response.status == 201 and route.mount:
            self._state.record_blob(project, route.mount, blob.size if blob else 0)
        return response

    def _finish(self, project: Project, route: Route, asked: Asked) -> Response:
        digest = parse_qs(urlsplit(asked.path).query).get("digest", [""])[0]
        # Core believes the Content-Length of this request; only if that is 0 or missing it
        # takes what was patched. So a last chunk in the PUT gives a blob that is too small.
        size = int(asked.header("Content-Length") or 0) or self._n_patched.pop(route.reference, 0)
        check_not_in_gc(self._state, digest)
        if digest not in project.blobs:
            check_quota(self._state, project, size)
        response = asked.forward()
        if response.status == 201:
            # The registry's digest: it is sha256, also where the client's was sha512.
            self._state.record_blob(project, response.get("Docker-Content-Digest") or digest, size)
        return response

    def _from_elsewhere(self, project: Project, route: Route, asked: Asked) -> Response:
        target = self._cache.redirect(project, route)
        if target is not None:
            location = asked.path.replace(f"/v2/{route.repository}/", f"/v2/{target}/", 1)
            return Response(301, [("Location", location), ("Content-Length", "0")], iter(()))
        return self._cache.fetch(project, route, asked.command, asked.header("Accept"))

    # Lists.

    def _tags(self, project: Project, route: Route, asked: Asked) -> Response:
        if asked.command != "GET":
            raise Refused(405, "UNSUPPORTED", "Method Not Allowed")
        if project.upstream is None and route.repository not in self._state.artifacts:
            raise not_found(f"repository {route.repository} not found")
        query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
        if not query.get("n", "0").isdecimal():
            raise Refused(400, "BAD_REQUEST", "the N must be a positive int type")
        remote = self._cache.tags(project, route) if project.upstream is not None else []
        with self._state.lock:
            every = sorted({*self._state.tags.get(route.repository, ()), *remote})
        rest = [tag for tag in every if tag > query.get("last", "")]
        page = rest[: int(query["n"])] if "n" in query else rest
        response = registry_response({"name": route.repository, "tags": page})
        if page and len(page) < len(rest):
            more = urlencode({"last": page[-1], "n": query["n"]})
            response.set("Link", f'</v2/{route.repository}/tags/list?{more}>; rel="next"')
        return response

    def _referrers(self, project: Project, route: Route, asked: Asked) -> Response:
        if asked.command != "GET":
            raise not_found("404 page not found")
        if not _WHOLE_DIGEST.fullmatch(route.reference):
            text = f"unsupported digest {route.reference}: invalid checksum digest format"
            raise Refused(400, "BAD_REQUEST", text)
        wanted = parse_qs(urlsplit(asked.path).query).get("artifactType")
        every = self._state.referrers(route.repository, route.reference)
        found = [
            artifact for artifact in every if wanted is None or artifact.artifact_type in wanted
        ]
        entries = [
            {
                "mediaType": artifact.media_type,
                "digest": artifact.digest,
                "size": artifact.size,
                "artifactType": artifact.artifact_type,
                **(
                    {"annotations": artifact.document["annotations"]}
                    if "annotations" in artifact.document
                    else {}
                ),
            }
            for artifact in found
        ]
        response = json_response({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
        response.set("Content-Type", OCI_INDEX)
        response.set("X-Total-Count", str(len(every)))  # of all types
        if wanted is not None:
            response.set("OCI-Filters-Applied", "artifactType")
        return response


def json_response(document: object, status: int = 200) -> Response:
    """A whole answer."""
    data = json.dumps(document, separators=(",", ":")).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    return Response(status, headers, iter([data]))


def registry_response(document: object) -> Response:
    """A whole answer of `/v2/`."""
    response = json_response(document)
    response.set("Content-Type", "application/json; charset=utf-8")
    return response


def _read_at_most(pieces: Iterable[bytes], limit: int) -> bytes:
    data = b""
    for piece in pieces:
        data += piece
        if len(data) > limit:
            raise Refused(413, "REQUEST_ENTITY_TOO_LARGE", "request entity too large")
    return data
