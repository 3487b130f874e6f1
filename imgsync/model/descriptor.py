"""Descriptor: what content must turn out to be (image-spec, descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

from imgsync.errors import ContentError, InvalidDigest, InvalidManifest
from imgsync.model.digest import Digest
from imgsync.model.media_types import Kind, kind_of
from imgsync.model.platform import Platform

MAX_SIZE_BYTES: Final = 2**53
"""Sizes from here on are not exact in every JSON reader (RFC 8259, section 6)."""


_NO_ANNOTATIONS: Final[Mapping[str, str]] = MappingProxyType({})
"""One for all: most descriptors have none, and there may be a hundred thousand."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Media type, digest and size (bytes) of content; two are the same content if digests agree.

    ``platform`` and ``annotations`` say where it stands in an index; they take no part in
    comparisons, because one content may be listed in several places.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = field(default=None, compare=False)
    annotations: Mapping[str, str] = field(default_factory=lambda: _NO_ANNOTATIONS, compare=False)
    urls: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def from_json(cls, value: object, where: str = "descriptor") -> Self:
        """Check a descriptor as it stands in a document and make one of it.

        Raises:
            InvalidManifest: a field is absent or not what the image-spec says; names ``where``.
        """
        if not isinstance(value, dict):
            msg = f"{where} is not a JSON object"
            raise InvalidManifest(msg)
        media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
        if not isinstance(media_type, str):
            msg = f"{where} has no mediaType"
            raise InvalidManifest(msg)
        if not isinstance(digest, str):
            msg = f"{where} has no digest"
            raise InvalidManifest(msg)
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < MAX_SIZE_BYTES:
            msg = f"{where} has the size {size!r}; a whole number of bytes expected"
            raise InvalidManifest(msg)
        try:
            parsed = Digest.parse(digest)
        except InvalidDigest as error:
            msg = f"{where}: {error.message}"
            raise InvalidManifest(msg) from None
        platform, annotations, urls = (
            value.get("platform"),
            value.get("annotations"),
            value.get("urls"),
        )
        return cls(
            media_type,
            parsed,
            size,
            Platform.from_json(platform) if isinstance(platform, dict) else None,
            _texts(annotations),
            tuple(url for url in urls if isinstance(url, str)) if isinstance(urls, list) else (),
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON object of this descriptor, for documents that imgsync writes itself."""
        value: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.platform is not None:
            value["platform"] = self.platform.to_json()
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        if self.urls:
            value["urls"] = list(self.urls)
        return value

    @property
    def kind(self) -> Kind:
        """Index, manifest or blob."""
        return kind_of(self.media_type)

    @property
    def is_document(self) -> bool:
        """Whether the content is an index or a manifest, which name other content."""
        return self.kind is not Kind.BLOB

    @property
    def short(self) -> str:
        """For messages: kind, short digest and size."""
        return f"{self.kind} {self.digest.short} ({self.size} bytes)"

    def check_same(self, other: Descriptor) -> None:
        """Refuse two descriptors of one digest that disagree.

        Raises:
            ContentError: same digest, other size or kind; one of the two documents lies.
        """
        if self.size != other.size or self.kind is not other.kind:
            msg = (
                f"{self.digest.short} is described twice, as {self.short} of type "
                f"{self.media_type} and as {other.short} of type {other.media_type}"
            )
            raise ContentError(msg, hint="one of the manifests that name it is wrong")


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or not value:
        return _NO_ANNOTATIONS
    return {key: text for key, text in value.items() if isinstance(text, str)}
