"""The uploads of one repository: sent, or linked from another repository of the registry."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from imgsync.errors import NetworkError
from imgsync.stores.registry.request import Request
from imgsync.stores.registry.scope import Scopes, pull_scope, push_scope
from imgsync.stores.registry.upload import Upload

if TYPE_CHECKING:
    from imgsync.content import VerifiedStream
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores.registry.endpoint import Endpoint


class Uploads:
    """Begins them, and keeps those that a refused mount has begun."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._begun: dict[Digest, Upload] = {}

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        """Store a blob.

        Raises:
            NetworkError: but for RateLimited, worth another call with a new stream.
            Refused, AccessDenied: the registry does not want it.
        """
        with self._lock:
            upload = self._begun.pop(descriptor.digest, None)
        if upload is None:
            upload = self.new(descriptor)
            upload.begin()
        upload.send(stream)

    def mount(self, descriptor: Descriptor, origin: str) -> bool:
        """Let the registry link a blob from this repository of it.

        Where it begins an upload instead, the next `put` of this blob uses that.
        """
        endpoint = self._endpoint
        host, target = endpoint.host, endpoint.repository
        if origin == target or not host.stops.may_mount(target, origin):
            return False
        host.stops.check(target)
        path = endpoint.other("blobs/uploads/", {"mount": str(descriptor.digest), "from": origin})
        # The right to write comes first: some token servers only look at the first scope.
        scopes: Scopes = (push_scope(target), pull_scope(origin))
        no_body = {"Content-Length": "0"}
        try:
            answer = host.ask(Request("POST", path, scopes, target, descriptor.short, no_body, b""))
            if answer.status == 202:
                upload = self.new(descriptor)
                upload.continue_at(answer)
                with self._lock:
                    self._begun[descriptor.digest] = upload
        except NetworkError:
            # Sending it will show whether the registry is there; mounting is not tried again.
            host.stops.no_mount(target, origin)
            return False
        answer.close()
        if answer.status in {401, 403}:
            host.stops.no_mount(target, origin)
        return answer.status == 201

    def new(self, descriptor: Descriptor) -> Upload:
        """One that is not begun yet."""
        endpoint = self._endpoint
        scopes = (push_scope(endpoint.repository),)
        return Upload(endpoint.host, endpoint.repository, scopes, descriptor, endpoint.side)
