"""What the entries mean that other tools write into ``index.json`` beside the images.

- oras lists everything that it stored, without a name: also each manifest of an index. That is a
  part of an image, and no image.
- regctl, and what copies all tags of a registry without the referrers API, keep the index of the
  fallback tag. What it lists is about the image; the index itself is made anew at a destination.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.errors import ImgsyncError
from imgsync.model.bundle import Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.manifest import Index, parse_document
from imgsync.model.referrer_tags import subject_of_fallback_tag, subject_of_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from imgsync.model.digest import Digest
    from imgsync.model.manifest import Document


def roots_of_others(roots: Sequence[Root], read: Callable[[Descriptor], bytes]) -> tuple[Root, ...]:
    """The images, and behind them what is about them, each with its subject.

    ``read`` gives the bytes of a document or raises one of our errors; an entry that cannot be
    read stays as it is. Nothing is read where each entry has a name of its own.
    """
    if not any(_is_bare(root) or _is_fallback(root) for root in roots):
        return tuple(_with_subject(root, None) for root in roots)
    documents = {root.descriptor.digest: _document(root.descriptor, read) for root in roots}
    images: list[Root] = []
    about: dict[tuple[str, Digest], Root] = {}
    others: list[Root] = []
    for root in roots:
        document = documents[root.descriptor.digest]
        if _is_fallback(root) and isinstance(document, Index):
            about.update(
                ((item.tag, item.descriptor.digest), item) for item in _listed(root, document)
            )
        else:
            others.append(root)
    parts = {part.digest for root in others for part in _parts(documents[root.descriptor.digest])}
    for root in others:
        known = _with_subject(root, documents[root.descriptor.digest])
        if known.subject is not None:
            about.setdefault((known.tag, known.descriptor.digest), known)
        elif not (_is_bare(root) and root.descriptor.digest in parts):
            images.append(root)
    return (*images, *about.values())


def _is_bare(root: Root) -> bool:
    return root.name is None and not root.extra and root.subject is None


def _is_fallback(root: Root) -> bool:
    return subject_of_fallback_tag(root.tag) is not None


def _listed(root: Root, index: Index) -> Iterator[Root]:
    """What the index under a fallback tag lists, in the repository of the tag if that is known."""
    name, subject = root.full_name, subject_of_fallback_tag(root.tag)
    for part in index.manifests:
        extra = str(name.at(part.digest)) if name is not None else ""
        bare = Descriptor(part.media_type, part.digest, part.size)
        yield Root(None, bare, extra=extra, subject=subject)


def _with_subject(root: Root, document: Document | None) -> Root:
    """By its tag; what has no name at all is asked itself."""
    subject = root.subject or subject_of_tag(root.tag)
    if subject is None and _is_bare(root) and document is not None and document.subject is not None:
        subject = document.subject.digest
    return replace(root, subject=subject)


def _parts(document: Document | None) -> Sequence[Descriptor]:
    return document.manifests if isinstance(document, Index) else ()


def _document(descriptor: Descriptor, read: Callable[[Descriptor], bytes]) -> Document | None:
    if not descriptor.is_document:
        return None
    try:
        return parse_document(read(descriptor), descriptor)
    except ImgsyncError:
        return None
