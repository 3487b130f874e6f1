"""``imgsync repair``: heal a damaged bundle in place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.options import containerd_options, format_option
from imgsync.cli.output import human_size, say, say_json
from imgsync.errors import InvalidArchive, MissingContent
from imgsync.parity import par2
from imgsync.repairing.damaged import DamagedBundle
from imgsync.repairing.repair import Repaired, damage_of
from imgsync.repairing.repair import repair as run_repair

if TYPE_CHECKING:
    from imgsync.model.descriptor import Descriptor


@click.command(
    cls=Command,
    short_help="Heal a damaged bundle in place; only what is bad is fetched.",
    epilog="Example: imgsync repair site.tar",
)
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "--from",
    "helpers",
    multiple=True,
    metavar="SOURCE",
    help="Take right bytes from here: another bundle, a patch made by `imgsync bundle --only`, a "
    "folder, containerd:; repeatable, tried before the registries.",
)
@click.option("--offline", is_flag=True, help="Ask no registry.")
@containerd_options
@format_option
@click.pass_obj
def repair(
    context: Context, *, bundle: str, helpers: tuple[str, ...], offline: bool, as_json: bool
) -> None:
    """Heal a damaged bundle in place; only what is bad is fetched.

    Right bytes come from the sources given, then from the registries that the images came from,
    as its lock says. Headers and the small files are computed again. It can be broken off at any
    moment and started again.
    """
    healed_by_parity = _by_parity(Path(bundle))
    if healed_by_parity and not as_json:
        say(f"{bundle}: healed by its parity")
    sources = [context.open_source(text) for text in helpers]
    with DamagedBundle(Path(bundle)) as damaged:
        result = run_repair(
            damaged,
            sources,
            None if offline else context.registries().repository,
            context.report,
            jobs=context.jobs,
            retries=context.retries,
        )
    if as_json:
        say_json(_json(bundle, result))
    else:
        _tell(bundle, result)
    if result.left:
        blobs, n_bytes = _amount([item for item, _ in result.left])
        msg = f"{bundle}: {blobs} ({n_bytes}) are still bad: no source has them"
        hint = f"imgsync verify {bundle} --request want.json says what to ask the other side for"
        raise MissingContent(msg, hint=hint)


def _by_parity(path: Path) -> bool:
    """Heal with the recovery data that stands beside a bundle, if something is wrong with it."""
    if not par2.exists(path):
        return False
    try:
        with DamagedBundle(path, writable=False) as damaged:
            if damage_of(damaged).is_none:
                return False
    except InvalidArchive:
        pass  # its lock is lost: parity may bring that back too
    par2.check_program()
    return par2.heal(path)


def _tell(bundle: str, result: Repaired) -> None:
    if result.damage.is_none:
        say(f"{bundle}: nothing to heal")
        return
    blobs, n_bytes = _amount(list(result.healed))
    own = sum(1 for member in result.damage.members if member.data is not None)
    say(f"{bundle}: healed {blobs} ({n_bytes}), {own} files of its own and all headers")
    for item, images in result.left:
        say(f"still bad: {item.short}, needed by {', '.join(images)}")


def _amount(items: list[Descriptor]) -> tuple[str, str]:
    noun = "blob" if len(items) == 1 else "blobs"
    return f"{len(items)} {noun}", human_size(sum(item.size for item in items))


def _json(bundle: str, result: Repaired) -> dict[str, Any]:
    return {
        "bundle": bundle,
        "damaged_members": [member.name for member in result.damage.members],
        "healed": [str(item.digest) for item in result.healed],
        "left": [
            {"digest": str(item.digest), "size": item.size, "images": list(images)}
            for item, images in result.left
        ],
        "names_lost": result.names_lost,
    }
