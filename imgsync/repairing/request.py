"""What an offline side asks for: the bad blobs, and where the images that need them came from.

A few lines of JSON that can be carried out, ``verify --request``; ``bundle --only`` answers it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import ImgsyncError, InvalidInput
from imgsync.model.image_list import Wish
from imgsync.model.image_source import ImageSource, Transport
from imgsync.model.json_fields import Fields
from imgsync.model.reference import Reference
from imgsync.model.strict_json import parse_object

if TYPE_CHECKING:
    from imgsync.model.digest import Digest

FORMAT: Final = "imgsync.want/1"


@dataclass(frozen=True, slots=True)
class WantedImage:
    """An image with damage: how the bundle calls it, and its origin with the digest."""

    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """The blobs that are bad in the bundle with this lock, and the images that need them."""

    lock: Digest
    blobs: tuple[Digest, ...]
    images: tuple[WantedImage, ...]

    @staticmethod
    def parse(raw: bytes, where: str) -> RepairRequest:
        """Read a request.

        Raises:
            InvalidInput: it is none; the message says what is wrong.
        """
        fields = Fields(where, InvalidInput)
        try:
            value = parse_object(raw, where)
            if value.get("format") != FORMAT:
                fields.refuse(f"the format is {value.get('format')!r}, {FORMAT} expected")
            fields.keys(value, {"format", "lock", "blobs", "images"}, "the request")
            return RepairRequest(
                fields.digest(value["lock"], "lock"),
                tuple(
                    fields.digest(text, "blobs") for text in fields.list(value["blobs"], "blobs")
                ),
                tuple(_image(fields, entry) for entry in fields.list(value["images"], "images")),
            )
        except InvalidInput:
            raise
        except ImgsyncError as error:
            raise InvalidInput(f"{where}: {error.message}", hint=error.hint) from None

    def wishes(self) -> tuple[Wish, ...]:
        """The images as a list of images has them, by their digests."""
        return tuple(
            Wish(
                ImageSource(Transport.REGISTRY, Reference.parse(image.origin)),
                Reference.parse(image.name),
                "the request",
            )
            for image in self.images
        )

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        value: dict[str, Any] = {
            "format": FORMAT,
            "lock": str(self.lock),
            "blobs": [str(digest) for digest in self.blobs],
            "images": [{"name": image.name, "origin": image.origin} for image in self.images],
        }
        return f"{json.dumps(value, indent=1, sort_keys=True)}\n".encode()


def _image(fields: Fields, entry: object) -> WantedImage:
    value = fields.mapping(entry, "images")
    fields.keys(value, {"name", "origin"}, "images")
    origin = fields.text(value["origin"], "origin")
    if Reference.parse(origin).digest is None:
        fields.refuse(f"the origin {origin} has no digest")
    return WantedImage(fields.text(value["name"], "name"), origin)
