"""Catalog: what a served store holds, by the names that clients may use. Pure.

Three ways to say which repository is meant, because clients differ in what they can say:

- ``/v2/<host>/<repository>/…``: always unambiguous, for people and scripts
- ``/v2/<repository>/…?ns=<host>``: containerd, when it uses us as the mirror of a host
- ``/v2/<repository>/…``: any client, where only one host has it; ``library/`` may be left out

Content is one pool: what one repository has is found under the name of each. Nothing is gained by
keeping apart what came in one file, and clients ask by digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.model.manifest import Manifest
from imgsync.model.reference import DOCKER_IO
from imgsync.serve.routes import Name, Page, RequestRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Any

    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.walk import Graph

_DOCKER_IO_MIRRORED = "registry-1.docker.io"
"""How some clients call docker.io in ``ns``."""


class Catalog:
    """Repositories, their tags, and one pool of content; nothing in it changes."""

    def __init__(
        self, roots: Sequence[Root], graph: Graph, absent: Collection[Digest] = ()
    ) -> None:
        """Show these roots and what they are made of, but for what is absent."""
        self._tags: dict[tuple[str, str], dict[str, Descriptor]] = {}
        self._hosts: dict[str, set[str]] = {}
        self._content = {
            item.digest: item
            for item in graph.closure([root.descriptor for root in roots])
            if item.digest not in absent
        }
        self._graph = graph
        for root in roots:
            self._add(root)
        self._referrers = self._by_subject()

    def repositories(self, page: Page) -> list[str]:
        """Their names, host first, sorted."""
        return _part((f"{host}/{repository}" for host, repository in self._tags), page)

    def tags(self, name: Name, page: Page) -> tuple[str, list[str]]:
        """The repository's full name, and its tags, sorted."""
        host, repository = self._find(name)
        return f"{host}/{repository}", _part(self._tags[host, repository], page)

    def manifest(self, name: Name, tag: str, digest: Digest | None) -> tuple[Descriptor, bytes]:
        """The document that the tag or the digest means, with its bytes.

        Raises:
            RequestRefused: there is no such repository, or no such document in it.
        """
        tags = self._tags[self._find(name)]
        descriptor = tags.get(tag) if digest is None else self._content.get(digest)
        document = self._graph.documents.get(descriptor.digest) if descriptor is not None else None
        if descriptor is None or document is None:
            msg = f"{name.path} has no manifest {digest or tag}"
            raise RequestRefused(404, "MANIFEST_UNKNOWN", msg)
        return descriptor, document.raw

    def blob(self, name: Name, digest: Digest) -> Descriptor:
        """The content that has this digest; documents too.

        Raises:
            RequestRefused: there is none.
        """
        self._find(name)
        descriptor = self._content.get(digest)
        if descriptor is None:
            raise RequestRefused(404, "BLOB_UNKNOWN", f"there is no {digest}")
        return descriptor

    def referrers(self, digest: Digest, artifact_type: str) -> list[dict[str, Any]]:
        """Descriptors of what names the digest as its subject ("Listing Referrers")."""
        return [
            entry
            for entry in self._referrers.get(digest, ())
            if not artifact_type or entry["artifactType"] == artifact_type
        ]

    def _add(self, root: Root) -> None:
        name = root.full_name
        if name is None:
            return
        tags = self._tags.setdefault((name.registry, name.repository), {})
        self._hosts.setdefault(name.repository, set()).add(name.registry)
        if name.tag:
            tags[name.tag] = root.descriptor

    def _find(self, name: Name) -> tuple[str, str]:
        if name.host:
            host = DOCKER_IO if name.host == _DOCKER_IO_MIRRORED else name.host
            candidates = [(host, name.path)]
        else:
            host, _, rest = name.path.partition("/")
            hosts = sorted(self._hosts.get(name.path, ()))
            candidates = [(host, rest), *((host, name.path) for host in hosts)]
            if len(hosts) > 1 and (host, rest) not in self._tags:
                one = f"{hosts[0]}/{name.path}"
                msg = f"{name.path} is at several hosts; ask for one of them, such as {one}"
                raise RequestRefused(404, "NAME_UNKNOWN", msg)
        candidates.append((DOCKER_IO, f"library/{name.path}"))
        for candidate in candidates:
            if candidate in self._tags and (not name.host or candidate[0] == host):
                return candidate
        raise RequestRefused(404, "NAME_UNKNOWN", f"there is no repository {name.path}")

    def _by_subject(self) -> dict[Digest, list[dict[str, Any]]]:
        found: dict[Digest, list[dict[str, Any]]] = {}
        for digest in sorted(self._graph.documents):
            document = self._graph.documents[digest]
            descriptor = self._content.get(digest)
            if document.subject is None or descriptor is None:
                continue
            kind = document.artifact_type
            if not kind and isinstance(document, Manifest):
                kind = document.config.media_type
            entry: dict[str, Any] = {
                "mediaType": descriptor.media_type,
                "digest": str(digest),
                "size": descriptor.size,
                "artifactType": kind,
            }
            if document.annotations:
                entry["annotations"] = document.annotations
            found.setdefault(document.subject.digest, []).append(entry)
        return found


def _part(names: Iterable[str], page: Page) -> list[str]:
    behind = [name for name in sorted(names) if name > page.last]
    return behind if page.n is None else behind[: page.n]
