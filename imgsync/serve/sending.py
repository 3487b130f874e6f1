"""Sending content to a client: by the kernel where it may, through a `VerifiedStream` else.

A client of a registry asks by digest and checks what it gets; containerd, docker, podman and
skopeo all do. So for containerd's own fetch, which is the import, nothing is hashed here: the
bytes go by ``sendfile`` straight out of the archive. For everybody else (``prove``) each object is
hashed the first time that it is asked for: bytes that turn out wrong are never sent to the end,
so even ``curl`` sees a broken download. What was proved once goes by ``sendfile`` from then on.
"""

from __future__ import annotations

import os
import select
import ssl
from typing import TYPE_CHECKING, Final

from imgsync.content import CHUNK_BYTES, VerifiedStream
from imgsync.stores import Placed

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores import Source

SENDFILE_BYTES: Final = 8 * 1024 * 1024
"""How much the kernel is asked to send at once, so that progress is seen."""


class Sender:
    """Sends the content of one source, for any number of connections at once."""

    def __init__(self, source: Source, *, prove: bool) -> None:
        """With ``prove``, nothing is sent whole whose digest was not checked here."""
        self._source = source
        self._prove = prove
        self.proved: set[Digest] = set()

    def prepare(self, descriptor: Descriptor, start: int, length: int) -> None:
        """Prove the whole before a part of it is sent, where that is wanted.

        Raises:
            ImgsyncError: it is not there, or not what it must be.
        """
        is_part = (start, length) != (0, descriptor.size)
        if not is_part or not self._prove or descriptor.digest in self.proved:
            return
        with self._verified(descriptor) as stream:
            while stream.read(CHUNK_BYTES):
                pass
        self.proved.add(descriptor.digest)

    def send(
        self,
        connection: socket.socket,
        descriptor: Descriptor,
        start: int,
        length: int,
        on_bytes: Callable[[int], None],
    ) -> None:
        """Send ``length`` bytes from ``start`` on.

        Raises:
            ImgsyncError: the source failed or lied; the client must not believe it has all.
            OSError: the connection failed.
        """
        if length == 0:
            return
        if self._prove and descriptor.digest not in self.proved:
            with self._verified(descriptor) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    connection.sendall(chunk)
                    on_bytes(len(chunk))
            self.proved.add(descriptor.digest)
            return
        source_stream = self._source.open(descriptor, start)
        try:
            if isinstance(source_stream, Placed) and not isinstance(connection, ssl.SSLSocket):
                fd, offset, _ = source_stream.place
                _send_file(connection, fd, offset, length, on_bytes)
                return
            left = length
            while left and (chunk := source_stream.read(min(left, CHUNK_BYTES))):
                connection.sendall(chunk)
                on_bytes(len(chunk))
                left -= len(chunk)
            if left:
                raise ConnectionAbortedError
        finally:
            source_stream.close()

    def _verified(self, descriptor: Descriptor) -> VerifiedStream:
        inner = self._source.open(descriptor)
        return VerifiedStream(inner, descriptor, side=self._source.side)


def _send_file(
    connection: socket.socket,
    fd: int,
    offset: int,
    length: int,
    on_bytes: Callable[[int], None],
) -> None:
    """``socket.sendfile`` would do, but wants a file object with a position of its own."""
    out = connection.fileno()
    poll = select.poll()
    poll.register(out, select.POLLOUT)
    timeout = connection.gettimeout()
    end = offset + length
    while offset < end:
        try:
            n_bytes = os.sendfile(out, fd, offset, min(end - offset, SENDFILE_BYTES))
        except BlockingIOError:
            # A socket with a timeout never blocks by itself.
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise TimeoutError from None
            continue
        if n_bytes == 0:
            raise ConnectionAbortedError  # the file was cut under our eyes
        offset += n_bytes
        on_bytes(n_bytes)
