"""What Harbor's database knows. No HTTP here, and no files: the bytes are the registry's."""

import fnmatch
import json
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ROLES: Mapping[str, frozenset[str]] = {
    "admin": frozenset({"pull", "push", "delete"}),
    "maintainer": frozenset({"pull", "push", "delete"}),
    "developer": frozenset({"pull", "push"}),
    "guest": frozenset({"pull"}),
    "limited-guest": frozenset({"pull"}),
}
_READS = frozenset({"project:read", "quota:read", "repository:list", "artifact:read"})
PERMISSIONS: Mapping[str, frozenset[str]] = {
    "admin": _READS
    | {"immutable-tag:list", "tag-retention:read", "robot:list", "tag:create", "tag:delete"},
    "maintainer": _READS
    | {"immutable-tag:list", "tag-retention:read", "robot:list", "tag:create", "tag:delete"},
    "developer": _READS | {"tag-retention:read", "robot:list", "tag:create"},
    "guest": _READS | {"robot:list"},
    "limited-guest": _READS,
}
"""What the API lets them do, as `resource:action`; as far as a client of the registry asks."""
PUBLIC: frozenset[str] = _READS - {"quota:read"}
"""What it lets everyone do in a public project."""
PROJECT_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
LIBRARY = "library"
SIGNATURE_TAG = re.compile(r"sha256-([0-9a-f]{64})\.sig")
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"


@dataclass(frozen=True)
class Account:
    """A user of the local database."""

    password: str
    sysadmin: bool = False


@dataclass
class Robot:
    """A robot account: `robot$NAME` of the system, or `robot$PROJECT+NAME` of a project.

    Attributes:
        rights: project, or `*` for all -> actions on repositories (`pull`), and what else its
            permissions list (`project:read`). It may nothing that they do not list, not even see
            the project.
    """

    name: str
    secret: str
    rights: Mapping[str, Iterable[str]]
    may_create_projects: bool = False
    disabled: bool = False
    expires: float = -1  # seconds since the epoch; -1: never

    @property
    def system_level(self) -> bool:
        """Whether it belongs to no project."""
        return "+" not in self.name

    @property
    def usable(self) -> bool:
        """Neither disabled nor expired."""
        return not self.disabled and (self.expires < 0 or self.expires > time.time())


@dataclass(frozen=True)
class ImmutableRule:
    """Which existing tags may not be written again, by patterns of repositories and tags."""

    repositories: str = "**"
    tags: str = "**"

    def covers(self, repository: str, tag: str) -> bool:
        """Whether it is for this tag; the repository is without its project."""
        return _matches(repository, self.repositories) and _matches(tag, self.tags)

    def as_json(self) -> dict[str, Any]:
        """As the API has it."""
        repositories = {"kind": "doublestar", "decoration": "repoMatches"}
        tags = {"kind": "doublestar", "decoration": "matches"}
        return {
            "disabled": False,
            "action": "immutable",
            "template": "immutable_template",
            "tag_selectors": [tags | {"pattern": self.tags}],
            "scope_selectors": {"repository": [repositories | {"pattern": self.repositories}]},
        }


@dataclass
class Project:
    """A project.

    Attributes:
        storage_limit: in bytes; -1 is none.
        members: user -> role, one of `ROLES`.
        upstream: the registry (`http://HOST:PORT`) that a proxy-cache project fetches from.
        upstream_is_docker_hub: single names there are `library/NAME`.
        blobs: the digests that count against its quota.
        require_signature: only images with a cosign signature can be pulled.
        blocked: digests that can not be pulled, each with the reason.
        retention: the rules of its retention policy, as the API has them.
    """

    name: str
    id: int
    public: bool = False
    owner: str = "admin"
    storage_limit: int = -1
    members: dict[str, str] = field(default_factory=dict)
    immutable: list[ImmutableRule] = field(default_factory=list)
    upstream: str | None = None
    upstream_is_docker_hub: bool = False
    require_signature: bool = False
    blocked: dict[str, str] = field(default_factory=dict)
    retention: list[dict[str, Any]] = field(default_factory=list)
    blobs: set[str] = field(default_factory=set)
    created: float = field(default_factory=time.time)

    @property
    def is_new_to(self) -> float:
        """Tokens from before this moment are refused; Harbor gives clocks a minute of leeway."""
        return self.created - 60


@dataclass
class Blob:
    """A blob or manifest that core knows of, in whatever project.

    Status is `none`, or what a garbage collection has made of it: `delete` (may go),
    `deleting`, `deletefailed`.
    """

    size: int
    status: str = "none"


@dataclass(frozen=True)
class Artifact:
    """A manifest or index of a repository."""

    digest: str
    media_type: str
    size: int
    document: Mapping[str, Any] = field(compare=False)

    @property
    def artifact_type(self) -> str:
        """Its own, or the type of its config."""
        config: str = self.document.get("config", {}).get("mediaType", "")
        own: str = self.document.get("artifactType", "")
        return own or config

    @property
    def subject(self) -> str | None:
        """The digest that it refers to."""
        digest: str | None = self.document.get("subject", {}).get("digest")
        return digest

    @property
    def parts(self) -> list[Mapping[str, Any]]:
        """Config and layers; nothing for an index, whose children have records of their own."""
        if "config" not in self.document:
            return []
        return [self.document["config"], *self.document.get("layers", [])]

    @property
    def children(self) -> list[Mapping[str, Any]]:
        """Of an index."""
        children: list[Mapping[str, Any]] = self.document.get("manifests") or []
        return children

    @property
    def is_signature(self) -> bool:
        """Whether core treats it as one of cosign's."""
        return any(part.get("mediaType") == SIMPLE_SIGNING for part in self.parts)


@dataclass
class State:
    """The tables. Whoever reads more than one thing, or writes, holds `lock`."""

    accounts: dict[str, Account] = field(default_factory=dict)
    robots: dict[str, Robot] = field(default_factory=dict)
    projects: dict[str, Project] = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Artifact]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    read_only: bool = False
    creation_restriction: str = "everyone"  # or `adminonly`
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _n_projects: int = 0

    def __post_init__(self) -> None:
        """Harbor comes with a public project."""
        self.add_project(LIBRARY, public=True)

    def add_project(self, name: str, **fields: Any) -> Project:
        """A new project; ids are never used twice."""
        with self.lock:
            self._n_projects += 1
            project = Project(name, self._n_projects, **fields)
            self.projects[name] = project
            return project

    def remove_project(self, name: str) -> None:
        """The project and all that it held are unknown."""
        with self.lock:
            del self.projects[name]
            for table in (self.artifacts, self.tags):
                for repository in [key for key in table if key.startswith(f"{name}/")]:
                    del table[repository]

    def usage(self, project: Project) -> int:
        """What counts against the quota, in bytes: each digest once, as core recorded it."""
        with self.lock:
            return sum(self.blobs[digest].size for digest in project.blobs)

    def record_blob(self, project: Project, digest: str, size: int) -> None:
        """The project has the blob; the first size that core saw stays."""
        with self.lock:
            blob = self.blobs.setdefault(digest, Blob(size))
            blob.status = "none"
            project.blobs.add(digest)

    def record_artifact(
        self, project: Project, repository: str, artifact: Artifact, tag: str | None
    ) -> None:
        """The repository has the artifact, and the tag names it."""
        with self.lock:
            self.record_blob(project, artifact.digest, artifact.size)
            for part in artifact.parts:
                # Also what it has not seen under this digest: sha512, or layers with `urls`.
                self.blobs.setdefault(part["digest"], Blob(part["size"]))
                project.blobs.add(part["digest"])
            self.artifacts.setdefault(repository, {})[artifact.digest] = artifact
            self.tags.setdefault(repository, {})
            if tag is not None:
                self.tags[repository][tag] = artifact.digest

    def find(self, repository: str, reference: str) -> Artifact | None:
        """The artifact that a tag or a digest means."""
        with self.lock:
            digest = self.tags.get(repository, {}).get(reference, reference)
            return self.artifacts.get(repository, {}).get(digest)

    def referrers(self, repository: str, digest: str) -> list[Artifact]:
        """What refers to the digest, by `subject`, and cosign's signature, by its tag."""
        with self.lock:
            known = self.artifacts.get(repository, {}).values()
            found = [artifact for artifact in known if artifact.subject == digest]
            signature = self.signature(repository, digest)
            return [*found, signature] if signature is not None else found

    def signature(self, repository: str, digest: str) -> Artifact | None:
        """What cosign's tag names, if it has a layer that makes it a signature."""
        found = self.find(repository, digest.replace(":", "-") + ".sig")
        return found if found is not None and found.is_signature else None

    def parents(self, repository: str, digest: str) -> list[Artifact]:
        """The indexes that list the digest."""
        with self.lock:
            return [
                artifact
                for artifact in self.artifacts.get(repository, {}).values()
                if any(child["digest"] == digest for child in artifact.children)
            ]

    def listed(self, repository: str) -> list[str]:
        """The digests in the API's list: not what refers to others, nor children without a tag."""
        with self.lock:
            known = self.artifacts[repository]
            signatures = {self.signature(repository, digest) for digest in known}
            hidden = {item.digest for item in known.values() if item.subject or item in signatures}
            tagged = {*self.tags[repository].values()}
            return [
                digest
                for digest in known
                if digest not in hidden
                and (digest in tagged or not self.parents(repository, digest))
            ]

    def is_signed(self, repository: str, digest: str) -> bool:
        """Whether it has cosign's signature."""
        return self.signature(repository, digest) is not None

    def repositories(self, project: str) -> Iterator[str]:
        """The names of the project's repositories, with the project, sorted."""
        with self.lock:
            yield from sorted(name for name in self.artifacts if name.startswith(f"{project}/"))


def parse_artifact(digest: str, media_type: str, data: bytes) -> Artifact:
    """The record of a manifest that the registry has accepted."""
    return Artifact(digest, media_type, len(data), json.loads(data))


def _matches(text: str, pattern: str) -> bool:
    """doublestar, as far as tests need it: `**` crosses slashes, and so does our `*`."""
    options = pattern.strip("{}").split(",") if pattern.startswith("{") else [pattern]
    return any(fnmatch.fnmatchcase(text, option.replace("**", "*")) for option in options)
