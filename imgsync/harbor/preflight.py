"""What to think of a Harbor before a push: each conflict with what to do. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from imgsync.errors import (
    AccessDenied,
    ImgsyncError,
    InvalidReference,
    NotFound,
    ProjectFull,
    ReadOnly,
    Refused,
)
from imgsync.stores.registry.refusals import OTHER_DIGEST

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from imgsync.harbor.facts import Project, Quota, SystemInfo
    from imgsync.harbor.grants import Grants
    from imgsync.harbor.immutable import Rule
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.stores.registry.credential import Credential

_PROJECT: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
"""Harbor, src/server/v2.0/handler/project.go; narrower than what a repository may be called."""

_PROJECT_CHARS: Final = 255


@dataclass(frozen=True, slots=True)
class HarborOptions:
    """What the user lets a push do.

    Attributes:
        storage_limit: of a new project, in bytes; None is what Harbor has for new ones.
    """

    create_project: bool = False
    public: bool = False
    storage_limit: int | None = None


@dataclass(slots=True)
class ProjectState:
    """What is known of a project that images go to.

    Attributes:
        exists: None where Harbor does not tell us.
        grants: what our token for it says; None where it says nothing.
        is_administrator: None for robots, and where it was not asked for.
        is_new: it is missing, and will be made.
        quota, n_new_bytes: as the last plan found them.
    """

    host: str
    name: str
    info: SystemInfo
    credential: Credential | None = None
    exists: bool | None = None
    project: Project | None = None
    grants: Grants | None = None
    is_administrator: bool | None = None
    is_new: bool = False
    quota: Quota | None = None
    n_new_bytes: int = 0

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"{self.host}/{self.name}"

    @property
    def who(self) -> str:
        """Who we are, for messages."""
        return str(self.credential) if self.credential is not None else "nobody in particular"

    def verdict(self, options: HarborOptions) -> ImgsyncError | None:
        """Why nothing can be pushed into this project; None if it can, as far as is known."""
        if self.credential is None:
            msg = f"{self.title}: Harbor takes nothing from anybody without credentials"
            return AccessDenied(msg, hint=f"imgsync login {self.host}, or --username")
        if self.info.read_only:
            msg = f"{self.host} is in read-only mode: it takes nothing at the moment"
            return ReadOnly(msg, hint="push again when the maintenance is over")
        if self.exists is False:
            return self._missing(options)
        if self.project is not None and self.project.is_proxy:
            msg = f"{self.title} is a proxy-cache project, which only Harbor itself fills"
            return Refused(msg, hint="choose another project, or create one")
        return self._unknown_or_unallowed()

    def _missing(self, options: HarborOptions) -> ImgsyncError | None:
        msg = f"the project {self.title} does not exist"
        if not options.create_project:
            return NotFound(msg, hint="create it in Harbor, or add --create-project")
        if _PROJECT.fullmatch(self.name) is None or len(self.name) > _PROJECT_CHARS:
            msg = f"Harbor takes no project of the name {self.name!r}"
            hint = "lower case letters and digits, with single . _ - in between: --to or --map"
            return InvalidReference(msg, hint=hint)
        if self.info.creation_restriction == "adminonly" and self.is_administrator is False:
            msg = f"{msg}, and only administrators may create projects there, not {self.who}"
            return AccessDenied(msg, hint="let an administrator create it")
        return None

    def _unknown_or_unallowed(self) -> ImgsyncError | None:
        grants = self.grants
        if grants is None or "push" in grants.of(self.name):
            return None
        if not grants.subject:
            msg = f"{self.host} does not know {self.who}, or the password is wrong"
            return AccessDenied(msg, hint=_doubt(self.credential, self.info))
        if self.exists is None:
            msg = f"{self.who} may not push to {self.title}, or there is no such project"
        else:
            may = ", ".join(sorted(grants.of(self.name))) or "nothing"
            msg = f"{self.who} may not push to {self.title} (may: {may})"
        hint = "let a project's administrator add the account, as developer or more"
        return AccessDenied(msg, hint=hint)


def _doubt(credential: Credential | None, info: SystemInfo) -> str:
    """What is mostly wrong with a login that Harbor does not take."""
    if credential is not None and credential.doubt:
        return credential.doubt
    if info.auth_mode == "oidc_auth":
        return "where Harbor logs in by OIDC, the password is the CLI secret of the user's profile"
    return "is the password right? A robot may be disabled or expired; its name has a $ in it"


def without_project(target: Reference) -> InvalidReference:
    """The error of a name that has no project in it."""
    msg = f"{target.name}: Harbor needs HOST/PROJECT/NAME, and this has no project"
    return InvalidReference(msg, hint="name one: --to HOST/PROJECT, or a rule of --map")


def immutable_error(target: Reference, now: Digest, wanted: Digest, rule: Rule | None) -> Refused:
    """The error of a tag that must stay what it is; ``rule`` is None where we may not see it."""
    why = f" (rule {rule})" if rule is not None else ""
    msg = f"{target} is immutable{why} and means {now.short}; it cannot become {wanted.short}"
    hint = "push under another tag (--map), leave it (--on-existing-tag skip), or change the rule"
    return Refused(msg, hint=hint)


def digest_error(target: Reference, document: Descriptor) -> Refused:
    """The error of an image with a manifest that Harbor cannot name."""
    msg = f"{target}: {document.short} has a digest of {document.digest.algorithm}"
    msg += ", and Harbor takes manifests by their sha256 only"
    return Refused(msg, hint=OTHER_DIGEST)


# --- room -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Room:
    """What images add to a project, each digest once, and which of them fit, in their order.

    Attributes:
        refused: numbers of images, with the bytes that each would have added.
        n_bytes: what those that fit add together.
    """

    refused: dict[int, int] = field(default_factory=dict)
    n_bytes: int = 0


def room_for(
    needs: Sequence[Mapping[Digest, int]], free: int | None, known: Collection[Digest]
) -> Room:
    """Which images fit. ``needs``: for each image what its repository lacks, by size.

    ``known`` is what the project has in other repositories: that costs nothing, and neither does
    what an earlier image brings. A small image may fit behind a large one that does not.
    """
    room = Room()
    counted = set(known)
    for number, need in enumerate(needs):
        fresh = {digest: size for digest, size in need.items() if digest not in counted}
        n_bytes = sum(fresh.values())
        if free is not None and n_bytes and room.n_bytes + n_bytes > free:
            room.refused[number] = n_bytes
            continue
        counted |= fresh.keys()
        room.n_bytes += n_bytes
    return room


def full_error(title: str, n_bytes: int, quota: Quota, before: int) -> ProjectFull:
    """The error of an image for which a project has no room.

    ``before`` is what other images of the same push add.
    """
    others = f", of which other images of this push take {_size(before)}" if before else ""
    msg = (
        f"{title} has no room for it: it adds {_size(n_bytes)}, and {_size(quota.free or 0)} of "
        f"{_size(quota.limit)} are free{others}"
    )
    return ProjectFull(msg, hint="raise the project's quota, or delete from it and collect garbage")


_STEP: Final = 1024


def _size(n_bytes: int) -> str:
    amount = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < _STEP:
            return f"{amount:.1f} {unit}" if unit != "B" else f"{n_bytes} B"
        amount /= _STEP
    return f"{amount:.1f} TiB"
