"""containerd for commands: opened by the options ``-n``, ``--address`` and ``--ctr``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imgsync.stores.containerd.socket import open_containerd

if TYPE_CHECKING:
    from imgsync.cli.option_values import ContainerdOptions
    from imgsync.model.reference import Reference
    from imgsync.stores import Holding
    from imgsync.stores.containerd.namespace import Containerd


def containerd_of(options: ContainerdOptions) -> Containerd:
    """The namespace that the options say, with somebody behind its socket.

    Raises:
        ContainerdError, AccessDenied: see `imgsync.stores.containerd.socket.open_containerd`.
    """
    return open_containerd(
        options.namespace,
        address=options.address,
        command=options.ctr,
        environment=os.environ,
    )


def images_of(options: ContainerdOptions, reference: Reference | None) -> Holding:
    """``containerd:NAME``, or the whole namespace without a name.

    Raises:
        NotFound: the namespace has no such image; the message says which other one has.
    """
    containerd = containerd_of(options)
    return containerd if reference is None else containerd.image(reference)
