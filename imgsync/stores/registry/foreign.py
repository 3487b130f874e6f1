"""Layers that stand elsewhere: the ``urls`` of a descriptor (image-spec, old Windows images).

Whoever wrote a manifest chose these addresses. So they are asked only where the user wants it,
as nobody: without a credential, a client certificate or an answer to a challenge; not within a
private network, unless its host is trusted; and what comes is believed by its digest alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import NetworkError, NotFound
from imgsync.events import Noted
from imgsync.stores.registry.guard import is_private
from imgsync.stores.registry.origin import redacted, split_url
from imgsync.stores.registry.request import Login, Request
from imgsync.stores.registry.resume import ResumingBody

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.content import Readable
    from imgsync.events import Report
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.reference import Reference
    from imgsync.stores import Resolved
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.client import Host
    from imgsync.stores.registry.origin import Origin


class ForeignLayers:
    """A Source: of each blob, one of the addresses that its descriptor names."""

    side = "the urls of layers"

    def __init__(self, number: int, host_of: Callable[[Origin], Host], report: Report) -> None:
        """``number`` says which one, from 0; ``host_of`` gives hosts that know no credentials."""
        self._number = number
        self._host_of = host_of
        self._report = report

    def resolve(self, reference: Reference) -> Resolved:
        """Nothing: addresses have no names.

        Raises:
            NotFound: always.
        """
        raise NotFound(f"{self.side}: {reference} is not there")

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The blob's bytes from an offset on, unproved.

        Raises:
            NotFound: it names no such address, or nobody gets it there.
            NetworkError: the address is none of http or https, has credentials in it, or is
                within a private network; or its host does not answer.
        """
        if self._number >= len(descriptor.urls):
            raise NotFound(f"{descriptor.short} names no further url")
        url = descriptor.urls[self._number]
        origin, target = split_url(url)
        host, shown = self._host_of(origin), redacted(url)

        def ask(start: int) -> Answer:
            headers = {"Range": f"bytes={start}-"} if start else {}
            request = Request(
                "GET", target, what=descriptor.short, headers=headers, login=Login.NOBODY
            )
            answer = host.ask(request)
            if answer.status not in {200, 206}:
                answer.close()
                raise NotFound(f"{shown}: {descriptor.short}: the answer is {answer.status}")
            return answer

        body = ResumingBody(ask, descriptor, offset, shown, host.retries)
        self._report(Noted(f"{descriptor.short} is taken from {shown}"))
        return body


def refuse_private(address: str) -> None:
    """Do not let a manifest lead us into our own network.

    Raises:
        NetworkError: the address is private, loopback or link-local.
    """
    if is_private(address):
        msg = f"a layer's url leads to {address}, an address of a private network"
        raise NetworkError(msg, hint="if that is right, allow its host with --trusted-host")
