"""Taking a tag away at a registry, in the least harmful way that it offers.

Harbor has an address for it, which leaves the artifact to its own garbage collection. Else the
tag is asked to be deleted by its name, as the distribution-spec has it; a registry that does not
know that (distribution 2.8) deletes by digest, and with it every tag that means the same. That is
only asked for after `imgsync.mirror.prune` has said that nobody needs the digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from imgsync.errors import AccessDenied, Refused
from imgsync.harbor.api import API, repository_path
from imgsync.harbor.detect import find_harbor
from imgsync.stores.registry.refusals import Refusal
from imgsync.stores.registry.request import Login, Request
from imgsync.stores.registry.scope import Scope

if TYPE_CHECKING:
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.client import Host

_DONE: Final = frozenset({200, 202, 204, 404})
"""404: somebody else was quicker."""

_NOT_BY_TAG: Final = frozenset({400, 405})
_MAINTAINER: Final = "Harbor lets maintainers do that, and robots that may delete tags"
_HINT: Final = "distribution deletes only with REGISTRY_STORAGE_DELETE_ENABLED=true"


def keeps_artifacts(host: Host) -> bool:
    """Whether a tag can be removed there without what it means, or anything else that has it."""
    return find_harbor(host) is not None


def remove_tag(host: Host, tag: Reference, digest: Digest) -> None:
    """Let a tag be gone; ``digest`` is what it was just seen to mean.

    Of a name without a tag, the manifest goes.

    Raises:
        AccessDenied, Refused: the registry does not let us.
    """
    if keeps_artifacts(host):
        address = f"{API}{repository_path(tag.repository)}/artifacts/{digest}/tags/"
        request = Request(
            "DELETE",
            f"{address}{quote(tag.tag, safe='')}",
            what=f"tag {tag.tag}",
            login=Login.BASIC,
        )
        _expect(host.ask(request), tag, _MAINTAINER)
        return
    answer = host.ask(_by(host, tag, tag.tag or str(digest)))
    if answer.status in _NOT_BY_TAG and tag.tag:
        answer.close()
        answer = host.ask(_by(host, tag, str(digest)))
    if answer.status == 405:
        answer.close()
        msg = f"{tag.name}: {_what(tag)} stays: the registry deletes nothing"
        raise Refused(msg, hint=_HINT)
    _expect(answer, tag)


def _by(host: Host, tag: Reference, reference: str) -> Request:
    scope = Scope("repository", tag.repository, frozenset({"pull", "delete"}))
    target = f"{host.api}/{tag.repository}/manifests/{reference}"
    return Request("DELETE", target, (scope,), tag.repository, _what(tag))


def _what(tag: Reference) -> str:
    return f"tag {tag.tag}" if tag.digest is None else f"manifest {tag.digest.short}"


def _expect(answer: Answer, tag: Reference, hint: str = "") -> None:
    """Take an answer that says that it is gone; ``hint`` is what helps who may not."""
    if answer.status not in _DONE:
        error = Refusal.of(answer, f"deleting {_what(tag)}", tag.name).error()
        if hint and isinstance(error, AccessDenied):
            raise AccessDenied(error.message, hint=hint)
        raise error
    answer.close()
