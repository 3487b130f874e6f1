"""A policy's verdict among the findings of ``imgsync verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import ContentError
from imgsync.verifying.findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imgsync.signing.policy import Policy
    from imgsync.stores import Holding


def signature_findings(policy: Policy, holding: Holding, path: Path | None) -> Iterator[Finding]:
    """Who signed a bundle, or why nobody did; nothing without a policy.

    Raises:
        NotFound, AccessDenied: the list of signers, or ssh-keygen, is not there.
    """
    if policy.allowed_signers is None:
        return
    if path is None:
        problem = "bundles are signed; of this nobody says who made it"
        yield Finding(Level.WARNING, "signature", problem)
        return
    try:
        signed = policy.signer_of(holding, path)
    except ContentError as error:  # NotSigned, or a lock that is lost
        problem = error.message.removeprefix(f"{holding.side}: ")
        yield Finding(Level.ERROR, "signature", problem, advice=error.hint)
        return
    if signed is None:
        return
    yield Finding(Level.NOTE, "signature", f"signed by {signed.signer}")
    level = Level.WARNING if policy.accepts_renamed else Level.ERROR
    for line in signed.renamed:
        advice = "--accept-renamed, if that was done on this side"
        yield Finding(level, "signature", f"renamed after it was signed: {line}", advice=advice)
