"""Storage behind a registry, as S3 or Azure: another origin, which refuses credentials.

with Registry() as registry, ObjectStore(registry) as store, FaultyProxy(registry.url) as proxy:
    proxy.on("GET", "/blobs/", Redirect(store.address_of), times=None)
"""

import re
from dataclasses import dataclass

from tests.servers.http_server import Handler, HttpServer
from tests.servers.registry import Registry

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass
class ObjectStore(HttpServer):
    """Serves the blobs of a registry's disk to whoever has a presigned address.

    Attributes:
        registry: whose blobs.
        ranges: answers Range with 206; otherwise it is ignored.
        expired: refuses every address, as when the signature is too old.
    """

    registry: Registry | None = None
    ranges: bool = True
    expired: bool = False

    def address_of(self, path: str) -> str:
        """The presigned address of the blob that a registry's path names."""
        found = _DIGEST.search(path)
        assert found is not None
        return f"{self.url}/bucket/{found[0]}?X-Signature=of-this-address-only"

    def handler(self) -> type[Handler]:
        """See `_StoreHandler`."""
        return _StoreHandler


class _StoreHandler(Handler):
    def do_GET(self) -> None:
        store = self.server.owner
        assert isinstance(store, ObjectStore)
        digest = _DIGEST.search(self.path)
        if "Authorization" in self.headers:
            # Azure's words; S3 answers 400 too.
            text = b"Authentication information is not given in the correct format."
            self.answer(400, text)
        elif store.expired or "X-Signature=" not in self.path:
            self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        elif digest is None or store.registry is None or not store.registry.has_blob(digest[0]):
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._give(store.registry.read_blob(digest[0]), ranges=store.ranges)

    do_HEAD = do_GET

    def _give(self, data: bytes, *, ranges: bool) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None or not ranges:
            self.answer(200, data)
            return
        start = int(asked[1])
        if start >= len(data):
            self.answer(416, headers={"Content-Range": f"bytes */{len(data)}"})
            return
        end = min(int(asked[2] or len(data)), len(data) - 1)
        part = {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
        self.answer(206, data[start : end + 1], part)
