"""The lists of what is left out, and of content that no runtime runs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.reporting.markup import Markup, tag
from imgsync.reporting.words import REASONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imgsync.model.digest import Digest
    from imgsync.reporting.evidence import Evidence
    from imgsync.reporting.facts import Report

    HumanSize = Callable[[int], str]


def absence_list(report: Report, human_size: HumanSize) -> Markup:
    """What is not in the file, image by image; nothing where all is there."""
    bodies = []
    for image in report.images:
        lacking = [item for item in image.platforms if not item.is_whole]
        for absence in image.absences:
            reasons = (
                item for item in lacking if absence.reason in {a.reason for a in item.absences}
            )
            platforms = ", ".join(dict.fromkeys(item.name for item in reasons))
            bodies.append(
                tag(
                    "tbody",
                    tag(
                        "tr",
                        tag("td", tag("strong", image.name), class_="name"),
                        tag("td", platforms or "parts of no platform", data_l="Of"),
                        tag("td", REASONS[absence.reason], data_l="Why"),
                        tag("td", str(absence.n_objects), class_="number", data_l="Objects"),
                        tag("td", human_size(absence.n_bytes), class_="number", data_l="Size"),
                    ),
                )
            )
    if not bodies:
        return Markup("")
    about = (
        "These images need content that is not here. What is declared is so on purpose, and an "
        "image is used for the platforms that are whole."
    )
    return _section("What is left out", about, ("Image", "Of", "Why", "Objects", "Size"), bodies)


def other_list(report: Report, human_size: HumanSize) -> Markup:
    """Signatures, SBOMs, charts and what else no runtime runs; nothing where there is none."""
    if not report.others:
        return Markup("")
    about = (
        "Content that no runtime runs. That a signature is present does not say that it is good, "
        "or whose it is."
    )
    subjects = _subjects(report)
    groups: dict[tuple[str, ...], list[Evidence]] = {}
    for item in report.others:
        # What is a part of an image stands in one line with the same of its other platforms.
        image, _ = _subject(item, subjects)
        own = item.name or (str(item.descriptor.digest) if not image else "")
        groups.setdefault((str(item.kind), item.form, image, own), []).append(item)
    bodies = [_other(items, subjects, human_size) for items in groups.values()]
    headers = ("Kind", "About", "Form", "Digest", "Size")
    return _section("Signatures, SBOMs and other content", about, headers, bodies)


def _other(
    items: list[Evidence], subjects: Mapping[Digest, tuple[str, str]], human_size: HumanSize
) -> Markup:
    first = items[0]
    found = [_subject(item, subjects) for item in items]
    image = found[0][0]
    parts = dict.fromkeys(part for _, part in found if part)
    lines = [", ".join(parts), first.name if image else ""]
    lost = sum(not item.is_whole for item in items)
    if lost:
        lines.append(f"{lost} of them not whole" if len(items) > 1 else "not whole")
    digest = tag("code", str(first.descriptor.digest), class_="digest")
    return tag(
        "tbody",
        tag(
            "tr",
            tag("td", str(first.kind), class_="kind"),
            tag(
                "td",
                tag("strong", image or first.name),
                [tag("span", line, class_="soft") for line in lines if line],
                class_="name lines",
            ),
            tag("td", first.form, class_="wide", data_l="Form"),
            tag("td", digest if len(items) == 1 else f"{len(items)} documents", data_l="Digest"),
            tag(
                "td",
                human_size(sum(item.size for item in items)),
                class_="number",
                data_l="Size",
            ),
        ),
    )


def _subject(item: Evidence, subjects: Mapping[Digest, tuple[str, str]]) -> tuple[str, str]:
    if item.about is None:
        return "", ""
    return subjects.get(item.about, (str(item.about), ""))


def _subjects(report: Report) -> Mapping[Digest, tuple[str, str]]:
    """What to call a digest that something speaks about: an image, and which part of it."""
    names: dict[Digest, tuple[str, str]] = {}
    for item in report.others:
        names[item.descriptor.digest] = (f"{item.kind} {item.descriptor.digest.short}", "")
    # The first of several names counts.
    for image in reversed(report.images):
        for platform in image.platforms:
            names[platform.manifest.digest] = (image.name, platform.name)
    for image in reversed(report.images):
        names[image.root.descriptor.digest] = (image.name, "")
    return names


def _section(title: str, about: str, headers: tuple[str, ...], bodies: list[Markup]) -> Markup:
    numbers = {"Objects", "Size"}
    head = [
        tag("th", name, scope="col", class_="number" if name in numbers else None)
        for name in headers
    ]
    table = tag("table", tag("thead", tag("tr", head)), bodies, class_="list")
    return tag(
        "section",
        tag("h2", title),
        tag("p", about, class_="about"),
        tag("div", table, class_="sheet"),
    )
