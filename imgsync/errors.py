"""Every error that imgsync tells a user, with its exit code.

One class for each thing that a user can do something about. A message names the image, the
object (short digest, kind, size), the side it happened on and the fact; ``hint`` is one thing
to do next. Only ``imgsync.cli`` prints errors and exits.

None of these derive from ``OSError`` or ``ValueError``: requests, urllib3 and the standard
library catch those in places where ours must pass through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.model.descriptor import Descriptor


class ImgsyncError(Exception):
    """The base of all; never raised itself.

    Attributes:
        message: what happened, one or more lines, without a trailing full stop needed.
        hint: one thing to do, or an empty text.
        exit_code: the process's exit status when this error ends the command.
    """

    exit_code: int = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


# --- 2: what the user typed -------------------------------------------------------------------


class InvalidInput(ImgsyncError):
    """Something typed, or a file the user wrote, is not what it must be."""

    exit_code = 2


class InvalidReference(InvalidInput):
    """An image name that breaks the rules of the distribution-spec or of docker's grammar."""


class InvalidDigest(InvalidInput):
    """A digest whose algorithm is unknown or whose hex part is not what the algorithm makes."""


class InvalidPlatform(InvalidInput):
    """A platform that is not ``os/architecture[/variant]``."""


class InvalidImageList(InvalidInput):
    """A line of an image list, or a lock file, that cannot be read; names file and line."""


class Conflict(InvalidInput):
    """Two things asked for exclude each other, such as two images under one name."""


# --- 3: partly done, run again ----------------------------------------------------------------


class SomeFailed(ImgsyncError):
    """Some images failed and the others are done.

    Attributes:
        failures: for each failed image its name and the error that it failed with.
    """

    exit_code = 3

    def __init__(
        self, message: str, failures: Sequence[tuple[str, ImgsyncError]], *, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.failures = tuple(failures)


class AllFailed(SomeFailed):
    """Nothing came of it: every image failed, or those that did must not be left out.

    Attributes:
        exit_code: that of the gravest failure, so that a script can tell what to look at.
    """

    def __init__(
        self, message: str, failures: Sequence[tuple[str, ImgsyncError]], *, hint: str = ""
    ) -> None:
        super().__init__(message, failures, hint=hint)
        self.exit_code = gravest([error for _, error in failures]).exit_code


class BudgetSpent(ImgsyncError):
    """A registry's pull quota, or a limit that the user set for the run, is used up."""

    exit_code = 3


# --- 4: content -------------------------------------------------------------------------------


class ContentError(ImgsyncError):
    """Content is not what its descriptor says, or not what a specification allows."""

    exit_code = 4


class SizeMismatch(ContentError):
    """The stream ended early or went on after the descriptor's size; nothing was stored."""

    def __init__(self, descriptor: Descriptor, got: int, *, side: str, more: bool = False) -> None:
        amount = f"more than {got}" if more else str(got)
        super().__init__(
            f"{side}: {descriptor.short} has {amount} bytes, its descriptor says {descriptor.size}",
        )
        self.descriptor = descriptor
        self.got = got


class DigestMismatch(ContentError):
    """All bytes came, and they hash to something else; nothing was stored."""

    def __init__(self, descriptor: Descriptor, got: str, *, side: str) -> None:
        super().__init__(
            f"{side}: {descriptor.short} is corrupt: its bytes hash to {got}, "
            f"expected {descriptor.digest}",
        )
        self.descriptor = descriptor
        self.got = got


class InvalidManifest(ContentError):
    """A manifest or index that is not valid, or that two tools would read in two ways."""


class InvalidArchive(ContentError):
    """A tar, layout or compressed file that is damaged, hostile or of an unknown form."""


class MissingContent(ContentError):
    """Content that must be there is absent, without a declaration that it is left out."""


class VerificationFailed(ContentError):
    """``verify`` or a preflight found problems; they were reported one by one before."""


class NotSigned(ContentError):
    """A signature that was asked for is absent, not good, or of nobody who may sign."""


# --- 5: not there, or not for us --------------------------------------------------------------


class StoreError(ImgsyncError):
    """A store answered, and the answer is no."""

    exit_code = 5


class NotFound(StoreError):
    """A name, repository, file or digest that the store does not have."""


class AccessDenied(StoreError):
    """Credentials are missing, wrong, or not enough; says which were used and from where."""


class Refused(StoreError):
    """A store refuses this write by its own rules (immutable tag, read-only, quota, policy)."""


class ChildrenUnknown(Refused):
    """A registry refuses a manifest because it does not have content that it said it had.

    Its cache is stale after a garbage collection, or an earlier copy is half finished; sending
    the children once more is the cure.
    """


class ProjectFull(Refused):
    """A project's quota is used up: nothing more goes into this project in this run."""


class ReadOnly(Refused):
    """A registry takes nothing from anybody at the moment: it is in maintenance."""


class PartialRefused(StoreError):
    """The destination takes whole images only, and this one declares content absent."""


# --- 6: network -------------------------------------------------------------------------------


class NetworkError(ImgsyncError):
    """A host did not answer, or not sensibly; running again may help."""

    exit_code = 6


class Unreachable(NetworkError):
    """No connection: name resolution, refused, timeout, TLS."""


class RegistryUnavailable(NetworkError):
    """The registry went on failing after all attempts (408, 429, 5xx, cut connections)."""


class CollectingGarbage(NetworkError):
    """The registry is about to delete just this object; some minutes later it takes it again."""


class RateLimited(NetworkError):
    """429 that will not pass within the run.

    Attributes:
        reset_s: seconds until the quota is back, as the registry says, or None.
    """

    def __init__(self, message: str, *, hint: str = "", reset_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reset_s = reset_s


# --- 7: containerd ----------------------------------------------------------------------------


class ContainerdError(ImgsyncError):
    """ctr or containerd is missing, unreachable or failed; the command has no secrets in it."""

    exit_code = 7


class IncompleteImport(ContainerdError):
    """containerd says done, and a walk of its store says otherwise."""


# --- 8, 9, 10 ---------------------------------------------------------------------------------


class LockHeld(ImgsyncError):
    """Another run works on the same thing; says which process and since when."""

    exit_code = 8


class NoSpace(ImgsyncError):
    """The file system cannot hold the result; needed and free bytes are told."""

    exit_code = 9


class Differs(ImgsyncError):
    """Two things compared are not the same."""

    exit_code = 10


_GRAVITY = (9, 4, 7, 5, 2, 6, 8, 3, 10)
"""Exit codes, those first that running again will not cure."""


def gravest(failures: Sequence[ImgsyncError]) -> ImgsyncError:
    """The failure that a user should look at first."""
    ranks = {code: rank for rank, code in enumerate(_GRAVITY)}
    return min(failures, key=lambda error: ranks.get(error.exit_code, -1))
