"""The facts of a report as CSV: a line for each platform of each image, and for everything else.

Spreadsheets run what begins like a formula, so a text of a stranger that does gets an apostrophe
in front, as they mark texts themselves (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from imgsync.reporting.evidence import Kind
from imgsync.reporting.facts import LICENCES, SOURCE, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.reporting.facts import ImageReport, PlatformFacts, Report

HEADERS: Final = (
    "what",
    "name",
    "platform",
    "digest",
    "manifest",
    "size",
    "whole",
    "not_whole_because",
    "created",
    "signed",
    "sbom",
    "version",
    "source",
    "licences",
    "origin",
    "about",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_of(report: Report) -> bytes:
    """The table, as RFC 4180 has it, in UTF-8."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(HEADERS)
    for row in _rows(report):
        writer.writerow([_harmless(row.get(key, "")) for key in HEADERS])
    return out.getvalue().encode("utf-8", "backslashreplace")


def _rows(report: Report) -> Iterator[dict[str, str]]:
    for image in report.images:
        for platform in image.platforms:
            yield {**_image(image), **_platform(platform)}
        if not image.platforms:
            yield _image(image)
    for item in report.others:
        yield {
            "what": str(item.kind),
            "name": item.name,
            "digest": str(item.descriptor.digest),
            "size": str(item.size),
            "whole": _yes(item.is_whole),
            "about": str(item.about) if item.about is not None else "",
        }


def _image(image: ImageReport) -> dict[str, str]:
    return {
        "what": "image",
        "name": image.name,
        "digest": str(image.root.descriptor.digest),
        "size": str(image.size),
        "whole": _yes(not image.absences),
        "signed": _yes(image.is_signed),
        "sbom": _yes(image.has(Kind.SBOM)),
        "version": image.label(VERSION),
        "source": image.label(SOURCE),
        "licences": image.label(LICENCES),
        "origin": image.root.origin,
    }


def _platform(platform: PlatformFacts) -> dict[str, str]:
    reasons = {str(item.reason or "unknown") for item in platform.absences}
    return {
        "platform": platform.name,
        "manifest": str(platform.manifest.digest),
        "size": str(platform.size),
        "whole": _yes(platform.is_whole),
        "not_whole_because": " ".join(sorted(reasons)),
        "created": platform.created,
    }


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
