"""The image records of a namespace: a name, and the digest that it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsync.errors import ContainerdError
from imgsync.stores.containerd.parse import ImageRecord, parse_images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.stores.containerd.command import Ctr

PINNED: Final = {"io.cri-containerd.pinned": "pinned"}
"""The label by which the kubelet's garbage collection leaves an image alone."""


class Images:
    """All image records of one namespace."""

    def __init__(self, ctr: Ctr, namespace: str) -> None:
        """Ask through this ``ctr``."""
        self._ctr = ctr
        self._namespace = namespace

    def all(self) -> dict[str, ImageRecord]:
        """The records by their names, which are verbatim."""
        text = self._ctr.text(self._namespace, "images", "ls")
        return {record.name: record for record in parse_images(text)}

    def tag(self, source: str, target: str) -> None:
        """Let ``target`` mean what ``source`` means, whatever it meant before.

        Whether it may is decided before: 1.x refuses an existing name without ``--force``, and
        2.x repoints it either way.
        """
        command = ("images", "tag")
        flags = self._ctr.local(*command)
        self._ctr.run(self._namespace, *command, *flags, "--force", source, target)

    def label(self, name: str, labels: Mapping[str, str]) -> None:
        """Set labels of a record, and keep its others; an empty value removes one."""
        words = [f"{key}={value}" for key, value in labels.items()]
        self._ctr.run(self._namespace, "images", "label", name, *words)

    def remove(self, *names: str) -> None:
        """Forget names; their content goes with the next collection, if nothing else needs it.

        Raises:
            ContainerdError: one of them is still there (``ctr`` says so with status 0).
        """
        self._ctr.run(self._namespace, "images", "rm", *names)
        left = sorted(set(names) & set(self.all()))
        if left:
            msg = f"namespace {self._namespace}: {', '.join(left)} could not be removed"
            raise ContainerdError(msg)
