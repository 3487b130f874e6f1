"""What to do about a damaged bundle that was found out while its content passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import DigestMismatch, SizeMismatch
from imgsync.stores import Locked
from imgsync.stores.selected import Selected
from imgsync.verifying.own_bundle import advice_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgsync.errors import ImgsyncError
    from imgsync.stores import Holding


def advise_repair(
    failures: Iterable[tuple[str, ImgsyncError]], holdings: Iterable[Holding]
) -> None:
    """Give errors about content of bundles of ours the hint that heals them."""
    by_side = {}
    for holding in holdings:
        whole = holding.inner if isinstance(holding, Selected) else holding
        by_side[f"{whole.side}: "] = whole
    for _, error in failures:
        if error.hint or not isinstance(error, (DigestMismatch, SizeMismatch)):
            continue
        for side, holding in by_side.items():
            if error.message.startswith(side) and isinstance(holding, Locked):
                error.hint = advice_for(holding, holding.lock())
