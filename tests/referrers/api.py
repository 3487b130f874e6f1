"""The referrers API of the distribution-spec, in front of a real registry that lacks it."""

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.images import OCI_INDEX, OCI_MANIFEST
from tests.servers.faults import Answer, Exchange, Fault
from tests.servers.registry import Registry
from tests.servers.upstream import Response

_PATH = re.compile(r"/v2/(?P<repository>.+)/referrers/(?P<digest>[^/?]+)")


@dataclass
class ReferrersApi(Fault):
    """Answers ``GET …/referrers/DIGEST`` with what the registry's manifests say themselves.

    Attributes:
        per_page: how many are listed at once; the rest is behind a Link.
        more: descriptors that are listed too, whatever is there.
    """

    registry: Registry
    per_page: int = 100
    more: tuple[dict[str, Any], ...] = ()

    def answer(self, exchange: Exchange) -> Response:
        """The index; never 404."""
        path, _, query = exchange.path.partition("?")
        found = _PATH.fullmatch(path)
        assert found is not None, exchange.path
        entries = [*self._entries(found["repository"], found["digest"]), *self.more]
        start = int(query.removeprefix("from=")) if query.startswith("from=") else 0
        end = start + self.per_page
        headers = {"Content-Type": OCI_INDEX}
        if end < len(entries):
            headers["Link"] = f'<{path}?from={end}>; rel="next"'
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries[start:end]}
        return Answer(200, headers, json.dumps(index).encode()).answer(exchange)

    def _entries(self, repository: str, subject: str) -> list[dict[str, Any]]:
        found = []
        for digest in sorted(self.registry.manifests(repository)):
            raw = self.registry.read_blob(digest)
            document = json.loads(raw)
            if document.get("subject", {}).get("digest") == subject:
                found.append(
                    {
                        "mediaType": document.get("mediaType", OCI_MANIFEST),
                        "digest": digest,
                        "size": len(raw),
                        "artifactType": document.get("artifactType", ""),
                    }
                )
        return found
