"""Pushing out of containerd: what ``imgsync push --via ctr`` runs.

``ctr images push`` stops with ``content digest … not found`` where an image is not whole, and in
some ways succeeds without having set a tag. So an image is walked before, under every flag that
matters, and afterwards the registry is asked what the tag means.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from imgsync.completeness import completeness
from imgsync.documents import reader_of
from imgsync.errors import (
    AccessDenied,
    ContainerdError,
    ImgsyncError,
    InvalidReference,
    MissingContent,
)
from imgsync.events import Copied, Failed, Named, Report, Retried
from imgsync.model.descriptor import Descriptor
from imgsync.model.reference import DOCKER_IO
from imgsync.platforms import platforms_of
from imgsync.stores.containerd.command import Ended, failure
from imgsync.stores.containerd.hosts_dir import hosts_dir, hosts_toml
from imgsync.stores.containerd.password import run_with_password
from imgsync.stores.containerd.sources import with_source
from imgsync.walk import Graph, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.stores.containerd.namespace import Containerd
    from imgsync.stores.containerd.parse import ImageRecord

_PASSING: Final = (
    "unexpected EOF",
    "connection reset",
    "500 Internal Server Error",
    "502 Bad",
    "503 ",
)
"""Failures that go away: Debian's 1.6.20 has one in a hundred pushes, without any reason."""


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """How ``ctr`` reaches a registry.

    Attributes:
        url: ``https://host:port``, or ``http``.
        ca: PEM files of authorities to trust.
        client: PEM files of a client certificate and its key.
    """

    url: str
    ca: tuple[Path, ...] = ()
    client: tuple[Path, Path] | None = None
    skip_verify: bool = False
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CtrPush:
    """One image of the namespace, and where it goes."""

    source: Reference
    target: Reference


@dataclass(frozen=True, slots=True)
class CtrPushed:
    """What came of one; ``root`` is what the tag means now, as the registry said."""

    push: CtrPush
    root: Descriptor | None
    error: ImgsyncError | None = None


AccessOf = "Callable[[str], RegistryAccess]"
Confirm = "Callable[[Reference], Descriptor | None]"


def push_through_ctr(
    containerd: Containerd,
    pushes: Sequence[CtrPush],
    access_of: Callable[[str], RegistryAccess],
    confirm: Callable[[Reference], Descriptor | None],
    report: Report,
    *,
    retries: int = 3,
) -> list[CtrPushed]:
    """Push one image after the other; one that fails stops no other.

    ``access_of`` says how a host is reached, and ``confirm`` asks a registry what a tag means.

    Raises:
        InvalidReference: a target has no tag: ``ctr`` would upload, succeed, and set none.
        ContainerdError: containerd cannot be asked.
    """
    return CtrPusher(containerd, access_of, confirm, report, retries).run(pushes)


@dataclass(frozen=True, slots=True)
class _Whole:
    """An image that was walked, and of which nothing is missing."""

    record: ImageRecord
    root: Descriptor
    items: tuple[Descriptor, ...]


class CtrPusher:
    """The pushes of one run; each image is walked once."""

    def __init__(
        self,
        containerd: Containerd,
        access_of: Callable[[str], RegistryAccess],
        confirm: Callable[[Reference], Descriptor | None],
        report: Report,
        retries: int,
    ) -> None:
        """See `push_through_ctr`; nothing is pushed yet.

        Raises:
            ContainerdError: containerd cannot be asked.
        """
        self._containerd = containerd
        self._access_of = access_of
        self._confirm = confirm
        self._report = report
        self._retries = retries
        self._present = containerd.content.digests()
        self._pushed: dict[str, dict[Digest, str]] = {}
        self._walked: dict[Reference, _Whole] = {}

    def check(self, source: Reference) -> None:
        """Prove that an image is whole in the namespace.

        Raises:
            NotFound: it is not there.
            MissingContent: ctr would stop at what it lacks.
            ContentError, ContainerdError: it cannot be read.
        """
        if source in self._walked:
            return
        record = self._containerd.record(source)
        root = self._containerd.descriptor(record)
        graph = walk([root], reader_of(self._containerd))
        self._check_whole(record, root, graph)
        self._walked[source] = _Whole(record, root, tuple(graph.closure([root])))

    def run(self, pushes: Sequence[CtrPush]) -> list[CtrPushed]:
        """What came of each; see `push_through_ctr`."""
        for push in pushes:
            if not push.target.tag or push.target.digest is not None:
                msg = f"{push.target} has no tag, and ctr sets none then"
                hint = "give it one, or push over HTTP, without --via ctr"
                raise InvalidReference(msg, hint=hint)
        done = []
        for push in pushes:
            try:
                done.append(CtrPushed(push, self._one(push)))
            except ImgsyncError as error:
                self._report(Failed(str(push.source), error))
                done.append(CtrPushed(push, None, error))
        return done

    def _one(self, push: CtrPush) -> Descriptor:
        self.check(push.source)
        whole = self._walked[push.source]
        record, root, items = whole.record, whole.root, whole.items
        self._offer_mounts(push.target, items)
        access = self._access_of(push.target.registry)
        toml = hosts_toml(
            access.url, ca=access.ca, client=access.client, skip_verify=access.skip_verify
        )
        with hosts_dir({push.target.registry: toml}) as folder:
            self._push(push.target, record, access, folder)
        there = self._confirm(push.target)
        if there is None or there.digest != root.digest:
            means = f"means {there.digest}" if there is not None else "is not there"
            msg = f"ctr says that {push.target} was pushed; at the registry it {means}"
            raise ContainerdError(msg, hint="push it over HTTP, without --via ctr")
        at_host = self._pushed.setdefault(push.target.registry, {})
        for item in items:
            at_host.setdefault(item.digest, push.target.repository)
            self._report(Copied(item, push.target.name))
        self._report(Named(str(push.target), root))
        return root

    def _check_whole(self, record: ImageRecord, root: Descriptor, graph: Graph) -> None:
        state = completeness(
            graph,
            root,
            lambda item: item.digest in self._present,
            platforms=platforms_of(graph, [root], reader_of(self._containerd)),
        )
        if state.is_whole:
            return
        whole = ", ".join(item.label for item in state.whole) or "nothing"
        lost = ", ".join(item.label for item in state.incomplete) or "its manifests"
        msg = f"{self._containerd.side}: {record.name} is not whole: {whole} is there, not {lost}"
        raise MissingContent(
            msg,
            hint="load it with all platforms (imgsync import), or push it from a bundle with "
            "--rewrite-index",
        )

    def _offer_mounts(self, target: Reference, items: Sequence[Descriptor]) -> None:
        """Tell containerd which repositories of the host have content, so that it asks for a mount.

        What another image brought there in this run need not be sent again.
        """
        known = self._pushed.get(target.registry, {})
        labels = self._containerd.content.labels() if known else {}
        for item in items:
            repository = known.get(item.digest)
            if repository is None or item.is_document or repository == target.repository:
                continue
            said = labels.get(item.digest, {})
            if new := with_source(said, target.registry, repository):
                self._containerd.content.label(item.digest, new)

    def _push(
        self, target: Reference, record: ImageRecord, access: RegistryAccess, folder: Path
    ) -> None:
        attempt = 0
        while True:
            ended = self._run(target, record, access, folder)
            if ended.status == 0:
                return
            error = failure(ended)
            attempt += 1
            if attempt > self._retries or not any(text in ended.message for text in _PASSING):
                raise _explained(error, ended.message, access)
            self._report(Retried(str(target), error.message))

    def _run(
        self, target: Reference, record: ImageRecord, access: RegistryAccess, folder: Path
    ) -> Ended:
        ctr, namespace = self._containerd.ctr, self._containerd.namespace
        command = ("images", "push")
        words = (*command, *ctr.local(*command), "--hosts-dir", str(folder))
        names = (str(target), record.name)
        if not access.user:
            return ctr.ended(namespace, *words, *names)
        return run_with_password(
            ctr, namespace, access.password, *words, "--user", access.user, *names
        )


def default_url(host: str) -> str:
    """Where the registry of a name is, if nothing else is said."""
    return f"https://{'registry-1.docker.io' if host == DOCKER_IO else host}"


def _explained(error: ImgsyncError, message: str, access: RegistryAccess) -> ImgsyncError:
    lower = message.lower()
    if any(text in lower for text in ("401", "unauthorized", "denied", "authorization failed")):
        who = f"as {access.user}" if access.user else "without credentials"
        return AccessDenied(f"{access.url} refuses the push {who}: {message}", hint="imgsync login")
    if "x509" in lower or "certificate" in lower:
        return ContainerdError(error.message, hint="trust its authority with --ca-file HOST=FILE")
    return error
