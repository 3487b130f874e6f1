"""From an answer that is no success to one of our errors, in an operator's words.

Statuses decide, not codes: Harbor says NOT_FOUND where the specification has MANIFEST_UNKNOWN,
and HEAD has no body at all. The rows for Harbor are those of its source (src/lib/http/error.go).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from imgsync.errors import (
    AccessDenied,
    ChildrenUnknown,
    CollectingGarbage,
    ImgsyncError,
    NotFound,
    ProjectFull,
    RateLimited,
    ReadOnly,
    Refused,
    RegistryUnavailable,
)
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.envelope import ENVELOPE_BYTES, Envelope, parse_envelope
from imgsync.stores.registry.origin import redacted
from imgsync.stores.registry.retry import retry_after_s

if TYPE_CHECKING:
    from imgsync.stores.registry.answer import Answer

CHILDREN_CODES: Final = ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN")

_QUOTA: Final = "will exceed the configured upper limit"
_READ_ONLY: Final = r"read.only mode"
_IN_GC: Final = r"in GC, mark it as non existing|http status code: 404, body: .*MANIFEST_UNKNOWN"
"""The second is of Harbor's core, which looks at a manifest that it has just put and is gone."""

_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_HINTS: Final = (
    (_QUOTA, "raise the project's quota, or free space in it"),
    (_READ_ONLY, "the registry is in maintenance; push again when it is over"),
    (r"proxy project", "a proxy-cache project cannot be pushed to; choose another project"),
    (r"configured as immutable", "push under another tag, or change the project's tag rules"),
    (_IN_GC, "a garbage collection is running there; push again in some minutes"),
    (r"not signed by", "the project only hands out signed images"),
    (r"vulnerab", "the project's policy blocks images with vulnerabilities"),
    (r"project \S+ not found", "create the project in Harbor first, or push with --create-project"),
    (r"requests to upstream registry", "the project fetches from a registry that wants a pause"),
    (r"CSRF token invalid", "something between here and Harbor adds a session's cookie"),
    (r"invalid repository name", "Harbor needs PROJECT/NAME"),
    (r"HTTP request to an HTTPS server", "the registry speaks https: leave --plain-http away"),
)
"""What the words of registries mean for whoever reads them."""

_HINTS_FOR_WRITES: Final = (
    (
        r"blob unknown to registry",
        (
            "if it has layers with urls (Windows images), a registry of distribution takes it "
            "only with validation.manifests.urls.allow in its configuration"
        ),
    ),
)

OTHER_DIGEST: Final = (
    "many registries take manifests by their sha256 only, and a digest cannot be changed on the "
    "way: import the bundle, or have the image built with sha256"
)
"""What to do where content is refused whose digest is of another algorithm."""

_MUST_EXIST: Final = "some registries (ECR) want a repository to be created first"

_FURTHER: Final = {507: "the registry's own storage is full"}

_TAKES_NOTHING: Final = "the registry may be read-only"

_NOT_SUPPORTED: Final = (
    r"manifest invalid|MANIFEST_INVALID|unsupported|UNSUPPORTED|media ?type|mediatype"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no success.

    Attributes:
        side: the registry and repository, as messages call it.
        what: what was asked for, such as ``manifest sha256:... (527 bytes)``.
        who: the credentials that were sent, or an empty text.
        retry_after_s: what the server asks for, in seconds.
    """

    side: str
    what: str
    method: str
    status: int
    envelope: Envelope
    who: str = ""
    retry_after_s: float | None = None

    @classmethod
    def of(cls, answer: Answer, what: str, side: str) -> Self:
        """Read a refusing answer to its end, and understand what can be understood."""
        envelope = Envelope()
        if answer.method != "HEAD":
            envelope = parse_envelope(answer.excerpt(ENVELOPE_BYTES), answer.media_type)
        return cls(
            side,
            what or redacted(answer.target),
            answer.method,
            answer.status,
            envelope,
            answer.who,
            retry_after_s(answer.headers.get("Retry-After", "")),
        )

    @property
    def says(self) -> str:
        """Status and the registry's own words."""
        return f"{self.status} {self.envelope.words}".strip()

    def error(self) -> ImgsyncError:
        """The error that tells it."""
        message = f"{self.side}: {self.what}: the registry answers {self.says}"
        hint = self._hint()
        writes = self.method in _WRITES
        match self.status:
            case 401 | 403 if self._is_missing_project:
                return NotFound(message, hint=hint)
            case 403 if self._says_that(_QUOTA):
                return ProjectFull(message, hint=hint)
            case 403 if self._says_that(_READ_ONLY):
                return ReadOnly(message, hint=hint)
            case 403 if hint and writes:
                return Refused(message, hint=hint)
            case 401 if self._says_that("unauthorized to access repository"):
                return AccessDenied(self._may_not, hint=hint or self._access_hint())
            case 401 | 403:
                return AccessDenied(f"{message} ({self._as})", hint=hint or self._access_hint())
            case 404 if self._says_that(_IN_GC):
                return CollectingGarbage(message, hint=hint)
            case 404:
                hint = hint or (_MUST_EXIST if writes else "")
                return NotFound(f"{self.side}: {self.what} is not there{self._aside}", hint=hint)
            case 405 if self.method == "POST":
                return ReadOnly(message, hint=hint or _TAKES_NOTHING)
            case 429:
                return RateLimited(message, hint=hint, reset_s=self.retry_after_s)
            case 400 | 500 if writes and self.envelope.has(*CHILDREN_CODES):
                return ChildrenUnknown(message, hint=hint)
            case 408 | 499 | 500 | 502 | 503 | 504 | 522:
                return RegistryUnavailable(message, hint=hint or "run the same command again")
            case status if 400 <= status < 500:
                return Refused(message, hint=hint or self._refused_hint())
        return RegistryUnavailable(message, hint=hint or _FURTHER.get(self.status, ""))

    @property
    def _is_missing_project(self) -> bool:
        return self._says_that(r"project \S+ not found")

    def _says_that(self, pattern: str) -> bool:
        return bool(re.search(pattern, self.envelope.text, re.IGNORECASE))

    @property
    def _may_not(self) -> str:
        """Harbor answers so to a wrong password too: it takes whoever asks for nobody then."""
        does = "push to" if self.method in _WRITES else "read"
        whom = self.who or "nobody in particular, without credentials,"
        return f"{self.side}: {self.what}: {whom} may not {does} it ({self.says})"

    @property
    def _as(self) -> str:
        return f"as {self.who}" if self.who else "without credentials"

    @property
    def _aside(self) -> str:
        return f" ({self.envelope.words})" if self.envelope.words else ""

    def _hint(self) -> str:
        for pattern, hint in _HINTS + (_HINTS_FOR_WRITES if self.method in _WRITES else ()):
            if re.search(pattern, self.envelope.text, re.IGNORECASE):
                return hint
        return ""

    def _access_hint(self) -> str:
        host = self.side.partition("/")[0]
        if not self.who:
            return f"imgsync login {host}, or check the name: it may not exist"
        if re.match(r"user robot(?: |\+)", self.who):
            return Credential("robot").doubt
        return "check user, password and rights; the repository may also not exist"

    def _refused_hint(self) -> str:
        if self.status == 405:
            return _TAKES_NOTHING
        if self.status == 413:
            return "a limit of the registry, or of a proxy in front of it"
        if self.status in {400, 415} and re.search(_NOT_SUPPORTED, self.envelope.words):
            return "the registry does not take this media type"
        return ""
