"""A generated ``--hosts-dir``: how ``ctr`` is told where a registry is, and who we are.

It is the one way that works in every version and for every command, keeps certificates and
headers out of the process list, and is read before any of the host's own configuration.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def hosts_toml(
    server: str,
    *,
    headers: Mapping[str, str] | None = None,
    ca: Sequence[Path] = (),
    client: tuple[Path, Path] | None = None,
    skip_verify: bool = False,
) -> str:
    """One ``hosts.toml`` (containerd, docs/hosts.md) that sends everything to ``server``.

    All stands at the top, where it is said of the server itself. With a table for it below
    ``host``, containerd would ask a second time, without our headers, whenever ours says no, and
    report that answer. 1.6 wants the table ``host`` all the same.
    """
    lines = [f"server = {_text(server)}", 'capabilities = ["pull", "resolve", "push"]']
    if ca:
        lines.append(f"ca = [{', '.join(_text(str(path)) for path in ca)}]")
    if client is not None:
        lines.append(f"client = [[{_text(str(client[0]))}, {_text(str(client[1]))}]]")
    if skip_verify:
        lines.append("skip_verify = true")
    if headers:
        lines.append("[header]")
        lines += [f"{_text(name)} = {_text(value)}" for name, value in headers.items()]
    return "\n".join([*lines, "[host]", ""])


@contextmanager
def hosts_dir(files: Mapping[str, str]) -> Iterator[Path]:
    """A folder that only we may read, with a ``hosts.toml`` for each host; removed at the end.

    The host ``_default`` stands for every host that has no folder of its own.
    """
    folder = Path(tempfile.mkdtemp(prefix="imgsync-hosts-"))  # made with mode 0700
    try:
        for host, text in files.items():
            own = folder / folder_name(host)
            own.mkdir(mode=0o700)
            (own / "hosts.toml").write_text(text, encoding="utf-8")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def folder_name(host: str) -> str:
    """The folder of a host: ``host_port_`` where it has a port (colons are no good on Windows)."""
    name, colon, port = host.rpartition(":")
    return f"{name}_{port}_" if colon and port.isdigit() else host


def _text(value: str) -> str:
    return json.dumps(value)  # a TOML basic string is a JSON string
