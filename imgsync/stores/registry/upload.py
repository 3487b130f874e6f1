"""Sending a blob: one PUT of all of it where that works, and what to do where it does not.

1. POST, then one PUT with the whole blob. containerd knows no other way, so every registry that
   it pushes to takes this, and the token only has to live until the PUT begins.
2. Where the PUT is not understood (old Artifactory): POST, one PATCH with the whole blob, and an
   empty PUT that closes it.
3. Where a proxy takes no large bodies (413): PATCH after PATCH, then the empty PUT. Always an
   empty one: Harbor takes the blob's size from the closing PUT unless that has no body, and a
   wrong size stays in the project's quota for ever.

A way that a host refused is not tried there again. Nothing is resumed over broken requests:
distribution 2.8, and so Harbor, refuses an upload whose state it has lost count of.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from imgsync.content import VerifiedStream
from imgsync.errors import ImgsyncError, NetworkError
from imgsync.stores.registry.origin import Origin

if TYPE_CHECKING:
    from imgsync.model.descriptor import Descriptor
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.client import Host
    from imgsync.stores.registry.scope import Scopes

SMALL_BYTES: Final = 256 * 1024
"""Up to here a blob is kept in memory while it is sent, and sent again without asking for it."""

COMMIT_TIMEOUT_S: Final = 900.0
"""A registry hashes and moves a large blob before it answers; Harbor's own proxy waits so long."""

_OCTETS: Final = {"Content-Type": "application/octet-stream"}
_CREATED: Final = frozenset({201, 204})
_NOT_UNDERSTOOD: Final = frozenset({405, 411, 415, 501})
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,19})", re.ASCII)


class UploadBroken(NetworkError):
    """This attempt came to nothing, and the stream is used up: worth another one from the start.

    Every NetworkError of `put` but RateLimited is worth a new stream; this is the one that says
    that the registry itself is there, and may well take it the next time.
    """


class Upload:
    """One attempt to store one blob."""

    def __init__(
        self, host: Host, repository: str, scopes: Scopes, descriptor: Descriptor, side: str
    ) -> None:
        self._host = host
        self._repository = repository
        self._scopes = scopes
        self._descriptor = descriptor
        self._side = side
        self._ways = host.upload_ways
        self._origin: Origin = host.origin
        self._target = ""

    @property
    def what(self) -> str:
        """The blob, as messages call it."""
        return self._descriptor.short

    def begin(self) -> None:
        """Ask for a place to send to.

        Raises:
            Refused, AccessDenied, NotFound: the registry does not want it.
        """
        answer = self._ask("POST", f"{self._host.api}/{self._repository}/blobs/uploads/")
        if answer.status != 202:
            raise self._error(answer)
        self.continue_at(answer)

    def continue_at(self, answer: Answer) -> None:
        """Take the Location of an answer: relative, absolute, on another host, all as it comes.

        Raises:
            NetworkError: there is none, or it is not to be followed.
        """
        location = answer.headers.get("Location", "")
        answer.close()
        if not location:
            msg = f"{self._side}: the registry began an upload without saying where"
            raise NetworkError(msg)
        self._origin, self._target = self._host.resolved(location, answer.url)

    def send(self, stream: VerifiedStream) -> None:
        """Store the blob at the place that `begin` or a refused mount gave.

        Raises:
            UploadBroken: try again with a new stream.
            Refused, AccessDenied: the registry does not want it.
            Whatever reading the stream raises, which passes through.
        """
        outgoing = _Outgoing(stream)
        try:
            if len(stream) <= SMALL_BYTES:
                self._send_small(outgoing.read())
            elif self._ways.way == 1:
                self._send_whole(outgoing)
            elif self._ways.way == 2:
                self._send_by_one_patch(outgoing)
            else:
                self._send_chunks(outgoing)
        except ImgsyncError as error:
            if outgoing.error is error or not isinstance(error, NetworkError):
                self._cancel()
                raise
            if outgoing.n_left or not self._is_there():
                raise UploadBroken(error.message, hint=error.hint) from error

    # The ways.

    def _send_small(self, data: bytes) -> None:
        answer = self._ask("PUT", self._closing(), body=data, headers=_OCTETS, origin=self._origin)
        self._check_created(answer)

    def _send_whole(self, stream: _Outgoing) -> None:
        answer = self._send("PUT", self._closing(), stream)
        if answer.status == 413:
            answer.close()
            self._ways.use_chunks(self._descriptor.size)
            msg = f"{self._side}: {self.what} is too large for one request; going on in pieces"
            raise UploadBroken(msg)
        if answer.status in _NOT_UNDERSTOOD:
            answer.close()
            self._ways.give_up_whole()
            msg = f"{self._side}: it does not take blobs in one request ({answer.status})"
            raise UploadBroken(msg)
        self._check_created(answer)

    def _send_by_one_patch(self, stream: _Outgoing) -> None:
        answer = self._send("PATCH", self._target, stream)
        if answer.status == 413:
            answer.close()
            self._ways.use_chunks(self._descriptor.size)
            msg = f"{self._side}: {self.what} is too large for one request; going on in pieces"
            raise UploadBroken(msg)
        self._check_patched(answer, self._descriptor.size)
        self._finish()

    def _send_chunks(self, stream: _Outgoing) -> None:
        position = 0
        data = b""
        while True:
            size = self._ways.chunk_bytes
            while len(data) < size and (part := stream.read(size - len(data))):
                data += part
            if not data:
                break
            piece, data = data[:size], data[size:]
            span = f"{position}-{position + len(piece) - 1}"
            answer = self._ask(
                "PATCH",
                self._target,
                body=piece,
                origin=self._origin,
                headers={**_OCTETS, "Content-Range": span},
            )
            if answer.status == 413 and self._ways.use_chunks(len(piece) // 2):
                answer.close()
                data = piece + data
                continue
            position += len(piece)
            self._check_patched(answer, position)
        self._finish()

    def _finish(self) -> None:
        self._check_created(self._ask("PUT", self._closing(), body=b"", origin=self._origin))

    # What the answers mean.

    def _check_patched(self, answer: Answer, position: int) -> None:
        if answer.status not in {201, 202, 204}:
            raise self._error(answer)
        found = _RANGE.fullmatch(str(answer.headers.get("Range", "")).strip())
        # ECR answers 201, with a Range that stays at the first chunk.
        if answer.status == 202 and found and int(found[1]) + 1 != position:
            answer.close()
            msg = (
                f"{self._side}: {self.what}: the registry has {int(found[1]) + 1} bytes of "
                f"the {position} that were sent"
            )
            raise UploadBroken(msg)
        if answer.headers.get("Location"):
            self.continue_at(answer)
        else:
            answer.close()

    def _check_created(self, answer: Answer) -> None:
        if answer.status in _CREATED:
            answer.close()
            return
        if answer.status == 404 and self._is_there():
            return  # it was stored before, and only the answer got lost
        raise self._error(answer)

    def _error(self, answer: Answer) -> ImgsyncError:
        refusal = self._host.refusal(answer, self.what, self._side)
        error = refusal.error()
        codes = refusal.envelope
        if answer.status == 401 and answer.method != "POST":
            return UploadBroken(f"{self._side}: {self.what}: the token ended on the way")
        if codes.has("DIGEST_INVALID", "SIZE_INVALID"):
            return UploadBroken(
                f"{self._side}: {self.what}: other bytes arrived than were sent ({codes.words})",
                hint="something between here and the registry damages data",
            )
        if answer.status in {404, 416} or codes.has("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"):
            return UploadBroken(
                f"{self._side}: {self.what}: the registry does not know the upload any more "
                f"({answer.status} {codes.words})",
                hint="behind a load balancer, all replicas need the same http.secret",
            )
        return error

    def _is_there(self) -> bool:
        """Whether the registry has the blob after all: its answer may have been lost."""
        with contextlib.suppress(ImgsyncError):
            path = f"{self._host.api}/{self._repository}/blobs/{self._descriptor.digest}"
            answer = self._ask("HEAD", path)
            answer.close()
            return answer.status == 200 and answer.length in {None, self._descriptor.size}
        return False

    def _cancel(self) -> None:
        """Let the registry drop what it has; best effort, some ask for a right to delete."""
        with contextlib.suppress(ImgsyncError):
            self._host.send(
                "DELETE",
                self._target,
                self._scopes,
                b"",
                repository=self._repository,
                headers={"Content-Length": "0"},
                origin=self._origin,
            ).close()

    # The requests.

    def _closing(self) -> str:
        mark = "&" if "?" in self._target else "?"
        return f"{self._target}{mark}digest={quote(str(self._descriptor.digest), safe='')}"

    def _ask(
        self,
        method: str,
        target: str,
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        origin: Origin | None = None,
    ) -> Answer:
        with_length = {**(headers or {}), "Content-Length": str(len(body))}
        return self._host.ask(
            method,
            target,
            self._scopes,
            repository=self._repository,
            what=self.what,
            body=None if method == "HEAD" else body,
            headers={} if method == "HEAD" else with_length,
            origin=origin,
            read_timeout_s=COMMIT_TIMEOUT_S,
        )

    def _send(self, method: str, target: str, stream: _Outgoing) -> Answer:
        return self._host.send(
            method,
            target,
            self._scopes,
            stream,
            repository=self._repository,
            headers={**_OCTETS, "Content-Length": str(stream.n_left)},
            origin=self._origin,
            read_timeout_s=COMMIT_TIMEOUT_S,
        )


class _Outgoing:
    """The stream on its way out, which remembers whether it was the one that failed."""

    def __init__(self, stream: VerifiedStream) -> None:
        self._stream = stream
        self.n_left = len(stream)
        self.error: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._stream.read(size)
        except BaseException as error:
            self.error = error
            raise
        self.n_left -= len(data)
        return data

    def close(self) -> None:
        """The engine closes the stream."""
