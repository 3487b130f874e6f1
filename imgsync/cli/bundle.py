"""``imgsync bundle``: images into one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgsync.bundling.bundle import prepare_only
from imgsync.bundling.request import BundleOptions
from imgsync.bundling.wishing import requests_of
from imgsync.cli.bundle_output import LAYOUT, make, tell, write_sha256
from imgsync.cli.bundle_plan import plan_json, plan_text
from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.inputs import STDIN, read_input
from imgsync.cli.options import (
    containerd_options,
    dry_run_options,
    format_option,
    mapping_options,
    platform_option,
    referrers_option,
)
from imgsync.cli.output import say, say_json
from imgsync.cli.signing import sign_key_option
from imgsync.cli.sizes import SIZE
from imgsync.errors import Conflict, InvalidInput, SomeFailed
from imgsync.events import Noted
from imgsync.model.image_list import ImageList, parse_list, parse_wish
from imgsync.model.image_source import Transport
from imgsync.model.inventory import read_have
from imgsync.model.lock import DOCKER_PLATFORM
from imgsync.model.platform import Platform
from imgsync.parity import par2
from imgsync.repairing.request import RepairRequest

if TYPE_CHECKING:
    from imgsync.model.digest import Digest
    from imgsync.model.mapping import Mapping
    from imgsync.model.platform import PlatformChoice
    from imgsync.referrers.choice import ReferrerChoice


@click.command(
    cls=Command,
    short_help="Put images into one file that can be carried.",
    epilog="Example: imgsync bundle docker.io/library/redis:7 -f images.txt -o site.tar",
)
@click.argument("references", nargs=-1, metavar="[IMAGE]...")
@click.option(
    "-f",
    "--file",
    "lists",
    multiple=True,
    metavar="LIST",
    help="Images from a file, one a line: SOURCE, SOURCE NAME or SOURCE=NAME; - is standard "
    "input. The lock of a bundle is a list too; repeatable.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE|oci:DIR|-",
    help="The file to make, an OCI layout folder, or - for standard output.",
)
@platform_option
@mapping_options
@referrers_option
@click.option(
    "--platform-missing",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="Where an image lacks a platform that was named.",
)
@click.option(
    "--docker-platform",
    metavar="PLATFORM",
    help="The one that `docker load` gets of each image; linux/amd64, or the lock's.",
)
@click.option("--keep-going", is_flag=True, help="Leave out what cannot be had, and exit with 3.")
@click.option(
    "--refresh", is_flag=True, help="Resolve names anew that a broken-off run has resolved."
)
@click.option(
    "--strict-tags", is_flag=True, help="NAME:TAG@DIGEST fails where the tag means another digest."
)
@click.option(
    "--have",
    "have",
    multiple=True,
    metavar="FILE",
    help="Leave out what the receiver has: an inventory of it, or the lock of an earlier bundle; "
    "repeatable.",
)
@click.option(
    "--fetch-urls",
    is_flag=True,
    help="Fetch layers that no registry has from the addresses that their manifests name (old "
    "Windows images), without any credential. Not done unless asked for.",
)
@click.option(
    "--only",
    metavar="FILE",
    help="Answer a request of `imgsync verify --request`: its images, and of their blobs just "
    "those that are bad there.",
)
@click.option(
    "--volume-size",
    metavar="SIZE",
    type=SIZE,
    help="Cut the bundle into volumes of at most this size (4G, 700M), each a bundle by itself.",
)
@sign_key_option
@click.option("--sha256sum", is_flag=True, help="Write FILE.sha256 too, for sha256sum -c.")
@click.option(
    "--parity",
    type=click.IntRange(1, 100),
    metavar="PERCENT",
    help="Write recovery data beside it (par2), with which `imgsync repair` heals bad sectors "
    "without anything from elsewhere.",
)
@click.option(
    "--with-imgsync", is_flag=True, help="Put imgsync beside it as one file, for the far side."
)
@dry_run_options
@containerd_options
@format_option
@click.pass_obj
def bundle(
    context: Context,
    *,
    references: tuple[str, ...],
    lists: tuple[str, ...],
    output: str,
    choice: PlatformChoice,
    mapping: Mapping,
    referrers: ReferrerChoice,
    platform_missing: str,
    docker_platform: str | None,
    keep_going: bool,
    refresh: bool,
    strict_tags: bool,
    have: tuple[str, ...],
    fetch_urls: bool,
    only: str | None,
    volume_size: int | None,
    sign_key: str,
    sha256sum: bool,
    parity: int | None,
    with_imgsync: bool,
    dry_run: bool,
    rate: int | None,
    as_json: bool,
) -> None:
    """Put images into one file that can be carried.

    The file is an OCI layout and a docker-save archive at once, with all platforms of each image.
    A run that stops can be started again with the same command, and goes on where it was.
    """
    lists_read = [_read_list(path) for path in lists]
    lists_read.append(ImageList(tuple(parse_wish(text) for text in references)))
    wanted = _wanted(only)
    if wanted is not None:
        lists_read.append(ImageList(wanted.wishes()))
    wishes = [wish for part in lists_read for wish in part.wishes]
    context.speak_to(
        wish.source.reference.registry
        for wish in wishes
        if wish.source.transport is Transport.REGISTRY and wish.source.reference is not None
    )
    requests = requests_of(
        wishes,
        lambda reference: context.registries().repository(reference),
        context.open_source,
        choice,
        mapping,
    )
    options = BundleOptions(
        at_url=context.registries().at_url if fetch_urls else None,
        sign_key=sign_key,
        jobs=context.jobs,
        retries=context.retries,
        refresh=refresh,
        strict_tags=strict_tags,
        skip_missing_platforms=platform_missing == "skip",
        keep_going=keep_going,
        have=_have(have),
        only=frozenset(wanted.blobs) if wanted is not None else None,
        referrers=referrers,
        failed_before=tuple(
            name for part in lists_read if part.lock is not None for name in part.lock.failed
        ),
    )
    platform = _docker_platform(docker_platform, lists_read)
    if dry_run:
        prepared = prepare_only(requests, platform, options, context.report)
        if as_json:
            say_json(plan_json(prepared, rate))
        else:
            say(plan_text(prepared, rate))
        return
    if sign_key and output == STDIN:
        msg = "--sign-key needs a file or a folder as the output: the signature stands beside it"
        raise InvalidInput(msg)
    if sha256sum and (output == STDIN or output.startswith(LAYOUT)):
        msg = "--sha256sum needs a file as the output"
        raise InvalidInput(msg)
    if parity is not None:
        if output == STDIN or output.startswith(LAYOUT):
            msg = "--parity needs a file as the output"
            raise InvalidInput(msg)
        par2.check_program()
    if with_imgsync:
        from imgsync.standalone.build import check_tools  # noqa: PLC0415 - seldom asked for

        check_tools()
    outputs = make(requests, output, platform, options, context, volume_size=volume_size)
    if sha256sum:
        for made in outputs:
            write_sha256(Path(made.path))
    for made in outputs if output != STDIN and not output.startswith(LAYOUT) else ():
        path = Path(made.path)
        if parity is not None and not (made.bundled.made.unchanged and par2.exists(path)):
            par2.make(path, parity)
        elif not made.bundled.made.unchanged:
            par2.forget(path)
    if with_imgsync and output != STDIN:
        from imgsync.standalone.build import standalone  # noqa: PLC0415 - seldom asked for

        beside = Path(output.removeprefix(LAYOUT)).parent / "imgsync"
        standalone(beside)
        context.report(Noted(f"{beside}: imgsync itself, for hosts without Python"))
    tell(outputs, context, as_json=as_json)
    failures = outputs[0].bundled.prepared.failures
    if failures:
        n_wanted = len(failures) + len(outputs[0].bundled.prepared.chosen)
        msg = f"{len(failures)} of {n_wanted} images were left out"
        raise SomeFailed(msg, failures, hint="the lock names them; run it again later")


def _read_list(path: str) -> ImageList:
    label = "standard input" if path == STDIN else path
    return parse_list(read_input(path, what="the list"), label)


def _docker_platform(text: str | None, lists: list[ImageList]) -> Platform:
    if text is not None:
        return Platform.parse(text)
    locked = {part.lock.docker_platform for part in lists if part.lock is not None}
    if len(locked) > 1:
        msg = "the locks differ in their --docker-platform"
        raise Conflict(msg, hint="say which one: --docker-platform linux/amd64")
    return locked.pop() if locked else DOCKER_PLATFORM


def _wanted(path: str | None) -> RepairRequest | None:
    if path is None:
        return None
    return RepairRequest.parse(read_input(path, what="--only"), path)


def _have(paths: tuple[str, ...]) -> frozenset[Digest]:
    found: set[Digest] = set()
    for path in paths:
        found |= read_have(read_input(path, what="--have"), path)
    return frozenset(found)
