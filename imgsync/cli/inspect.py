"""``imgsync inspect``: what a bundle, an archive, a registry's image or a namespace holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.options import containerd_options, format_option, selection_options
from imgsync.cli.output import human_size, say, say_json, table
from imgsync.inspect import inspect as run_inspect
from imgsync.presence import select_images

if TYPE_CHECKING:
    from imgsync.inspecting.facts import Facts, ImageFacts
    from imgsync.model.selection import Selection


@click.command(
    cls=Command,
    short_help="Show what a bundle, registry or namespace holds.",
    epilog="Example: imgsync inspect site.tar --format json",
)
@click.argument("target")
@containerd_options
@selection_options
@format_option
@click.pass_obj
def inspect(context: Context, *, target: str, selection: Selection, as_json: bool) -> None:
    """Show what a bundle, registry or namespace holds.

    TARGET is a bundle, another tool's archive, an OCI layout folder, an image of a registry,
    containerd:NAME, or containerd: for a whole namespace. Nothing is proved; verify does that.
    """
    context.after_interrupt = "nothing was written"
    holding = select_images(context.open_source(target), selection, jobs=context.jobs)
    facts = run_inspect(holding, choice=selection.choice, jobs=context.jobs)
    say_json(facts.to_json()) if as_json else say(_text(facts))


def _text(facts: Facts) -> str:
    rows = [
        (
            image.root.label,
            image.root.descriptor.digest.short,
            _platforms(image),
            str(image.n_layers),
            human_size(image.size),
            human_size(image.shared_size),
        )
        for image in facts.images
    ]
    headers = ("IMAGE", "DIGEST", "PLATFORMS", "LAYERS", "SIZE", "SHARED")
    lines = [table(headers, rows, right="LAYERS,SIZE,SHARED")]
    lines += _unseen(facts)
    absent = ", ".join(f"{number} {reason}" for reason, number in facts.absent.items())
    end = f"; absent: {absent}" if absent else ""
    amount = f"{facts.n_objects} objects, {human_size(facts.n_bytes)}"
    lines.append(f"{facts.side}: {facts.form}: {amount}{end}")
    return "\n".join(lines)


def _platforms(image: ImageFacts) -> str:
    """The platforms of an image; of what is about something, what it is and of what."""
    if image.about is not None:
        return f"{image.kind or 'something'} of {image.about.short}"
    whole = ", ".join(image.platforms)
    lacking = f"{len(image.incomplete)} not whole" if image.incomplete else ""
    return ", ".join(part for part in (whole, lacking) if part) or "-"


def _unseen(facts: Facts) -> list[str]:
    """What docker will not see, those with the same reason together."""
    reasons: dict[str, list[str]] = {}
    for image in facts.images:
        if image.docker.why and image.about is None:
            reasons.setdefault(image.docker.why, []).append(image.root.label)
    return [f"docker load does not see {', '.join(names)}: {why}" for why, names in reasons.items()]
