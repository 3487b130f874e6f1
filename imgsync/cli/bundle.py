"""``imgsync bundle``: images into one file."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgsync.bundling.bundle import (
    Bundled,
    bundle_to_file,
    bundle_to_store,
    bundle_to_stream,
    prepare_only,
)
from imgsync.bundling.request import BundleOptions, Request
from imgsync.bundling.wishing import requests_of
from imgsync.cli.bundle_plan import plan_json, plan_text
from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.inputs import STDIN, read_input
from imgsync.cli.options import format_option, mapping_options, platform_option
from imgsync.cli.output import human_size, say, say_json
from imgsync.content import CHUNK_BYTES
from imgsync.errors import Conflict, InvalidInput, SomeFailed
from imgsync.events import Noted
from imgsync.model.image_list import ImageList, parse_list, parse_wish
from imgsync.model.lock import DOCKER_PLATFORM
from imgsync.model.platform import Platform
from imgsync.stores.archive.disk import turn_os_errors
from imgsync.stores.layout import Layout

if TYPE_CHECKING:
    from imgsync.model.mapping import Mapping
    from imgsync.model.platform import PlatformChoice


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
@click.option("--sha256sum", is_flag=True, help="Write FILE.sha256 too, for sha256sum -c.")
@click.option("--dry-run", is_flag=True, help="Show the plan and fetch no blob.")
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
    platform_missing: str,
    docker_platform: str | None,
    keep_going: bool,
    refresh: bool,
    strict_tags: bool,
    sha256sum: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put images into one file that can be carried.

    The file is an OCI layout and a docker-save archive at once, with all platforms of each image.
    A run that stops can be started again with the same command, and goes on where it was.
    """
    lists_read = [_read_list(path) for path in lists]
    lists_read.append(ImageList(tuple(parse_wish(text) for text in references)))
    requests = requests_of(
        [wish for part in lists_read for wish in part.wishes],
        context.registries().repository,
        lambda source: context.open_source(str(source)),
        choice,
        mapping,
    )
    options = BundleOptions(
        jobs=context.jobs,
        retries=context.retries,
        refresh=refresh,
        strict_tags=strict_tags,
        skip_missing_platforms=platform_missing == "skip",
        keep_going=keep_going,
        failed_before=tuple(
            name for part in lists_read if part.lock is not None for name in part.lock.failed
        ),
    )
    platform = _docker_platform(docker_platform, lists_read)
    if dry_run:
        prepared = prepare_only(requests, platform, options, context.report)
        if as_json:
            say_json(plan_json(prepared))
        else:
            say(plan_text(prepared))
        return
    if sha256sum and (output == STDIN or output.startswith("oci:")):
        msg = "--sha256sum needs a file as the output"
        raise InvalidInput(msg)
    bundled = _make(requests, output, platform, options, context)
    if sha256sum:
        _write_sha256(Path(output))
    _tell(bundled, output, context, as_json=as_json)
    failures = bundled.prepared.failures
    if failures:
        n_wanted = len(failures) + len(bundled.prepared.chosen)
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


def _make(
    requests: list[Request],
    output: str,
    platform: Platform,
    options: BundleOptions,
    context: Context,
) -> Bundled:
    if output == STDIN:
        out = sys.stdout.buffer
        if out.isatty():
            msg = "standard output is a terminal; a bundle is no text"
            raise InvalidInput(msg, hint="-o FILE, or a pipe behind it")
        context.after_interrupt = "a stream cannot be continued; write to a file with -o FILE"
        return bundle_to_stream(requests, out, platform, options, context.report)
    if output.startswith("oci:"):
        layout = Layout(Path(output.removeprefix("oci:")), create=True)
        return bundle_to_store(requests, layout, platform, options, context.report)
    path = Path(output)
    if path.is_dir():
        msg = f"{output} is a folder"
        raise InvalidInput(msg, hint=f"-o {output.rstrip('/')}/site.tar, or -o oci:{output}")
    if not path.parent.is_dir():
        msg = f"{path.parent} is no folder"
        raise InvalidInput(msg, hint=f"make it first: mkdir -p {path.parent}")
    return bundle_to_file(requests, path, platform, options, context.report)


def _tell(bundled: Bundled, output: str, context: Context, *, as_json: bool) -> None:
    prepared, made = bundled.prepared, bundled.made
    if prepared.is_partial:
        context.report(
            Noted(
                "the bundle holds chosen platforms only; digests stay, and pushing it to a "
                "registry needs --rewrite-index"
            )
        )
    if output == STDIN:
        return
    images = [
        {"name": item.root.label, "digest": str(item.root.descriptor.digest)}
        for item in sorted(prepared.chosen, key=lambda item: item.root.label)
    ]
    if as_json:
        value: dict[str, Any] = {
            "file": output,
            "size": made.size,
            "unchanged": made.unchanged,
            "images": images,
            "failed": [label for label, _ in prepared.failures],
            "fetched_objects": made.outcome.n_sent,
            "fetched_bytes": made.outcome.n_sent_bytes,
        }
        say_json(value)
        return
    for image in images:
        say(f"{image['name']} {image['digest']}")
    state = "unchanged" if made.unchanged else "made"
    noun = "image" if len(images) == 1 else "images"
    say(f"{output}: {state}, {len(images)} {noun}, {human_size(made.size)} ({made.size} bytes)")


def _write_sha256(path: Path) -> None:
    hasher = hashlib.sha256()
    target = path.with_name(f"{path.name}.sha256")
    fresh = path.with_name(f"{path.name}.sha256.partial")
    with turn_os_errors(target), path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            hasher.update(chunk)
        fresh.write_text(f"{hasher.hexdigest()}  {path.name}\n")
        fresh.replace(target)
