"""Sending a blob: one PUT of all of it where that works, and what to do where it does not.

1. POST, then one PUT with the whole blob. containerd knows no other way, so every registry that
   it pushes to takes this, and the token only has to live until the PUT begins.
2. Where the PUT is not understood (old Artifactory): POST, one PATCH with the whole blob, and an
   empty PUT that closes it.
3. Where a proxy takes no large bodies (413): PATCH after PATCH, then the empty PUT. Always an
   empty one: Harbor takes the blob's size from the closing PUT unless that has no body, and a
   wrong size stays in the project's quota for ever.

A way that a host refused is not tried there again. Nothing is resumed over broken requests, nor
cancelled: distribution 2.8, and so Harbor, answers 404 for an upload whose state it has lost count
of, and clears it away by itself some days later.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from imgsync.errors import CollectingGarbage, ImgsyncError, NetworkError
from imgsync.stores.registry.outgoing import Outgoing
from imgsync.stores.registry.refusals import Refusal
from imgsync.stores.registry.request import Request
from imgsync.stores.registry.upload_ways import Way

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.content import VerifiedStream
    from imgsync.model.descriptor import Descriptor
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.client import Host
    from imgsync.stores.registry.origin import Origin
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
        self._origin: Origin | None = None
        self._target = ""

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
        outgoing = Outgoing(stream)
        try:
            self._send(outgoing)
        except ImgsyncError as error:
            is_final = isinstance(error, (UploadBroken, CollectingGarbage)) or not isinstance(
                error, NetworkError
            )
            if is_final or outgoing.error is error:
                raise
            # The answer may have been lost and the blob not: then all is well.
            if outgoing.n_left or not self._is_there():
                raise UploadBroken(error.message, hint=error.hint) from error

    def _send(self, stream: Outgoing) -> None:
        if stream.n_left <= SMALL_BYTES:
            data = stream.read_full(stream.n_left)
            self._check_created(self._ask("PUT", self._closing(), data, _OCTETS))
            return
        match self._ways.way:
            case Way.WHOLE:
                self._send_whole(stream)
            case Way.ONE_PATCH:
                answer = self._stream("PATCH", self._target, stream)
                self._check_patched(answer, self._descriptor.size)
                self._finish()
            case Way.CHUNKS:
                self._send_chunks(stream)
                self._finish()

    def _send_whole(self, stream: Outgoing) -> None:
        answer = self._stream("PUT", self._closing(), stream)
        if answer.status in _NOT_UNDERSTOOD:
            answer.close()
            self._ways.no_whole()
            msg = f"{self._side}: it does not take a blob in one request ({answer.status})"
            raise UploadBroken(msg)
        self._check_created(answer)

    def _send_chunks(self, stream: Outgoing) -> None:
        position = 0
        data = b""
        while True:
            data += stream.read_full(self._ways.chunk_bytes - len(data))
            piece, data = data[: self._ways.chunk_bytes], data[self._ways.chunk_bytes :]
            if not piece:
                return
            span = f"{position}-{position + len(piece) - 1}"
            answer = self._ask("PATCH", self._target, piece, {**_OCTETS, "Content-Range": span})
            if answer.status == 413 and self._ways.too_large(len(piece)):
                answer.close()
                data = piece + data
                continue
            position += len(piece)
            self._check_patched(answer, position)

    def _finish(self) -> None:
        self._check_created(self._ask("PUT", self._closing()))

    # What the answers mean.

    def _check_patched(self, answer: Answer, position: int) -> None:
        if answer.status not in {201, 202, 204}:
            raise self._error(answer)
        found = _RANGE.fullmatch(str(answer.headers.get("Range", "")).strip())
        # ECR answers 201, with a Range that stays at the first chunk.
        if answer.status == 202 and found and int(found[1]) + 1 != position:
            answer.close()
            msg = (
                f"{self._side}: {self._descriptor.short}: the registry has {int(found[1]) + 1} "
                f"bytes of the {position} that were sent"
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
        error = self._error(answer)
        if answer.status != 404 or not self._is_there():
            raise error

    def _error(self, answer: Answer) -> ImgsyncError:
        """What a refusal means here: some are only about this attempt."""
        refusal = Refusal.of(answer, self._descriptor.short, self._side)
        what = f"{self._side}: {self._descriptor.short}"
        if answer.method == "POST":
            return refusal.error()
        is_whole = self._ways.way is not Way.CHUNKS
        if answer.status == 413 and is_whole and self._ways.too_large(self._descriptor.size):
            return UploadBroken(f"{what} is too large for one request; going on in pieces")
        if answer.status == 401:
            return UploadBroken(f"{what}: the token ended on the way")
        if refusal.envelope.has("DIGEST_INVALID", "SIZE_INVALID"):
            return UploadBroken(
                f"{what}: other bytes arrived than were sent ({refusal.says})",
                hint="something between here and the registry damages data",
            )
        error = refusal.error()
        if isinstance(error, CollectingGarbage):
            return error
        if answer.status in {404, 416} or refusal.envelope.has("BLOB_UPLOAD_INVALID"):
            return UploadBroken(
                f"{what}: the registry does not know the upload any more ({refusal.says})",
                hint="behind a load balancer, all replicas need the same http.secret",
            )
        return error

    def _is_there(self) -> bool:
        """Whether the registry has the blob after all."""
        path = f"{self._host.api}/{self._repository}/blobs/{self._descriptor.digest}"
        with contextlib.suppress(ImgsyncError):
            answer = self._host.ask(self._request("HEAD", path, {}, None))
            answer.close()
            return answer.status == 200 and answer.length in {None, self._descriptor.size}
        return False

    # The requests.

    def _closing(self) -> str:
        mark = "&" if "?" in self._target else "?"
        return f"{self._target}{mark}digest={quote(str(self._descriptor.digest), safe='')}"

    def _ask(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        with_length = {**(headers or {}), "Content-Length": str(len(body))}
        return self._host.ask(self._request(method, target, with_length, self._origin, body))

    def _stream(self, method: str, target: str, stream: Outgoing) -> Answer:
        headers = {**_OCTETS, "Content-Length": str(stream.n_left)}
        return self._host.send(self._request(method, target, headers, self._origin), stream)

    def _request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        origin: Origin | None,
        body: bytes | None = None,
    ) -> Request:
        return Request(
            method,
            target,
            self._scopes,
            self._repository,
            self._descriptor.short,
            headers,
            body,
            origin,
            COMMIT_TIMEOUT_S if method == "PUT" else None,
        )
