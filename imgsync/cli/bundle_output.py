"""Where a bundle goes: a file, volumes, a folder or a pipe; and what is told when it is there."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsync.bundling.bundle import (
    Bundled,
    bundle_to_file,
    bundle_to_store,
    bundle_to_stream,
    bundle_to_volumes,
)
from imgsync.cli.inputs import STDIN
from imgsync.cli.output import human_size, say, say_json
from imgsync.content import CHUNK_BYTES
from imgsync.errors import InvalidInput
from imgsync.events import Noted
from imgsync.stores.archive.packed_file import is_packed_name
from imgsync.stores.disk import final_path, turn_os_errors, write_whole
from imgsync.stores.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.bundling.request import BundleOptions, Request
    from imgsync.cli.context import Context
    from imgsync.model.platform import Platform

LAYOUT: str = "oci:"
READ_ONLY = frozenset({".gz", ".tgz", ".xz", ".txz", ".bz2", ".tbz2"})


@dataclass(frozen=True, slots=True)
class Output:
    """One thing that was made; ``names`` are those of the images and of what is about them."""

    path: str
    bundled: Bundled
    names: tuple[tuple[str, str], ...]


def make(
    requests: Sequence[Request],
    output: str,
    platform: Platform,
    options: BundleOptions,
    context: Context,
    *,
    volume_size: int | None = None,
) -> list[Output]:
    """Make what ``-o`` asks for.

    Raises:
        InvalidInput: the output cannot be; nothing was fetched.
    """
    if output != STDIN and not output.startswith(LAYOUT):
        path = _file_path(output, is_cut=volume_size is not None)
        if volume_size is None:
            return [
                _output(
                    str(path), bundle_to_file(requests, path, platform, options, context.report)
                )
            ]
        made = bundle_to_volumes(requests, path, volume_size, platform, options, context.report)
        return [
            Output(
                str(file),
                bundled,
                tuple((root.label, str(root.descriptor.digest)) for root in plan.roots),
            )
            for file, plan, bundled in made
        ]
    if volume_size is not None:
        msg = f"-o {output} cannot be cut into volumes"
        raise InvalidInput(msg, hint="-o FILE")
    if output != STDIN:
        layout = Layout(Path(output.removeprefix(LAYOUT)), create=True)
        bundled = bundle_to_store(requests, layout, platform, options, context.report)
        return [_output(output, bundled)]
    out = sys.stdout.buffer
    if out.isatty():
        msg = "standard output is a terminal; a bundle is no text"
        raise InvalidInput(msg, hint="-o FILE, or a pipe behind it")
    context.after_interrupt = "a stream cannot be continued; write to a file with -o FILE"
    return [_output(output, bundle_to_stream(requests, out, platform, options, context.report))]


def tell(outputs: Sequence[Output], context: Context, *, as_json: bool) -> None:
    """Say what was made: each name with its digest, then the files."""
    if any(output.bundled.prepared.has_left_out_platforms for output in outputs):
        context.report(
            Noted(
                "the bundle holds chosen platforms only; digests stay, and pushing it to a "
                "registry needs --rewrite-index"
            )
        )
    if outputs[0].path == STDIN:
        return
    if as_json:
        values = [_json(output) for output in outputs]
        say_json(values[0] if len(values) == 1 else {"volumes": values})
        return
    for name, digest in sorted({pair for output in outputs for pair in output.names}):
        say(f"{name} {digest}")
    for output in outputs:
        made = output.bundled.made
        state = "unchanged" if made.unchanged else "made"
        size = f"{human_size(made.size)} ({made.size} bytes)"
        say(f"{output.path}: {state}, {_count(output)}, {size}")


def _count(output: Output) -> str:
    """How many images it names, and how many things about them."""
    named = {name for name, _ in output.names}
    roots = output.bundled.prepared.lock.extras
    n_about = sum(1 for root in roots if root.subject is not None and root.label in named)
    n_images = len(output.names) - n_about
    return f"{n_images} image{'' if n_images == 1 else 's'}" + (
        f" and {n_about} signatures, attestations or SBOMs" if n_about else ""
    )


def write_sha256(path: Path) -> None:
    """Write ``FILE.sha256`` beside a file, in the form of sha256sum(1)."""
    hasher = hashlib.sha256()
    target = path.with_name(f"{path.name}.sha256")
    with turn_os_errors(path), path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            hasher.update(chunk)
    write_whole(target, f"{hasher.hexdigest()}  {path.name}\n".encode())


def _file_path(output: str, *, is_cut: bool) -> Path:
    path = Path(output)
    if path.suffix.lower() in READ_ONLY:
        msg = f"-o {output}: {path.suffix} is read and not written"
        raise InvalidInput(msg, hint="-o site.tar, or -o site.tar.zst for a compressed bundle")
    if is_cut and is_packed_name(path):
        msg = f"-o {output} cannot be cut into volumes: their size is that of plain tars"
        raise InvalidInput(msg, hint="-o site.tar with --volume-size")
    if path.is_dir():
        msg = f"{path} is a folder"
        raise InvalidInput(msg, hint=f"-o {path / 'site.tar'}, or -o oci:{path}")
    if not path.parent.is_dir():
        msg = f"{path.parent} is no folder"
        raise InvalidInput(msg, hint=f"make it first: mkdir -p {path.parent}")
    return final_path(path)


def _output(path: str, bundled: Bundled) -> Output:
    chosen = bundled.prepared.chosen
    pairs = [(item.root.label, str(item.root.descriptor.digest)) for item in chosen]
    return Output(path, bundled, tuple(sorted(pairs)))


def _json(output: Output) -> dict[str, Any]:
    prepared, made = output.bundled.prepared, output.bundled.made
    return {
        "file": output.path,
        "size": made.size,
        "unchanged": made.unchanged,
        "lock": str(prepared.lock.descriptor().digest),
        "images": [{"name": name, "digest": digest} for name, digest in output.names],
        "failed": [label for label, _ in prepared.failures],
        "fetched_objects": made.outcome.n_sent,
        "fetched_bytes": made.outcome.n_sent_bytes,
    }
