"""``--request FILE`` of verify: what an offline side asks the other one for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.cli.output import tell
from imgsync.cli.written import write_output
from imgsync.errors import InvalidInput
from imgsync.repairing.damaged import DamagedBundle
from imgsync.repairing.repair import damage_of, request_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_request(targets: Sequence[str], path: str) -> None:
    """Look at every byte of a bundle, and write the request for what has to come from elsewhere.

    Raises:
        InvalidInput: not one bundle; or an image of it came from no registry.
        InvalidArchive: its lock is lost.
    """
    if len(targets) != 1:
        msg = "--request is about one bundle"
        raise InvalidInput(msg, hint="name one file")
    with DamagedBundle(Path(targets[0]), writable=False) as bundle:
        damage = damage_of(bundle)
        if not damage.blobs:
            tell(f"{targets[0]}: no blob is bad; {path} was not written")
            return
        request = request_of(bundle, damage)
    write_output(path, request.to_bytes())
    tell(f"{path}: asks for {len(request.blobs)} blobs of {len(request.images)} images")
