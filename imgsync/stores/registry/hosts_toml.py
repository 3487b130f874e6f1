"""containerd's ``certs.d``: ``HOST/hosts.toml`` and its mirrors. Pure but for `read_hosts`.

Grammar: containerd, docs/hosts.md and core/remotes/docker/config/hosts.go. The order of the
``[host."URL"]`` tables is the order in which they are tried. Relative paths are relative to the
file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imgsync.errors import InvalidInput
from imgsync.stores.registry.origin import Origin, split_url

ALL_CAPABILITIES = frozenset({"pull", "resolve", "push"})


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One server of a ``hosts.toml``.

    Attributes:
        url: scheme, host and path; empty for a file that names no server.
        client: pairs of certificate and key; the key is None where one file holds both.
        override_path: the URL's path is the whole API path, without ``/v2``.
        headers: sent to this server with every request.
    """

    url: str = ""
    capabilities: frozenset[str] = ALL_CAPABILITIES
    ca: tuple[Path, ...] = ()
    client: tuple[tuple[Path, Path | None], ...] = ()
    skip_verify: bool = False
    override_path: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def origin(self) -> Origin:
        """Where it is."""
        return split_url(self.url)[0]

    @property
    def api(self) -> str:
        """The path below which the distribution-spec's endpoints are."""
        path = urlsplit(self.url).path.rstrip("/")
        if self.override_path:
            return path
        return path if path.endswith("/v2") else f"{path}/v2"


@dataclass(frozen=True, slots=True)
class HostsFile:
    """The registry's own entry, and the mirrors that come before it."""

    server: HostEntry = HostEntry()
    mirrors: tuple[HostEntry, ...] = ()


def parse_hosts(text: str, folder: Path, where: str) -> HostsFile:
    """Read the text of a ``hosts.toml``.

    Raises:
        InvalidInput: no TOML, or a value of the wrong type; names the file and the key.
    """
    import tomllib  # noqa: PLC0415 - most hosts have no such file

    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{where} is not TOML: {error}"
        raise InvalidInput(msg) from None
    tables = value.get("host", {})
    if not isinstance(tables, dict):
        msg = f"{where}: host is not a table"
        raise InvalidInput(msg)
    server = value.get("server", "")
    if not isinstance(server, str):
        msg = f"{where}: server is not a text"
        raise InvalidInput(msg)
    return HostsFile(
        _entry(value, _url(server, where) if server else "", folder, where),
        tuple(_entry(table, _url(url, where), folder, where) for url, table in tables.items()),
    )


def read_hosts(folders: Iterator[Path]) -> tuple[HostsFile | None, Path | None]:
    """The first ``hosts.toml`` of these folders, and the first folder that exists.

    Raises:
        InvalidInput: the file cannot be read, or is broken.
    """
    first = None
    for folder in folders:
        if not folder.is_dir():
            continue
        first = first or folder
        path = folder / "hosts.toml"
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{path} cannot be read: {error}"
            raise InvalidInput(msg) from None
        return parse_hosts(text, folder, str(path)), folder
    return None, first


def host_folders(hosts_dir: Path, host: str) -> Iterator[Path]:
    """The folders that containerd looks into for a host, in its order."""
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit():
        yield hosts_dir / f"{name}_{port}_"
    yield hosts_dir / host
    yield hosts_dir / "_default"


def _url(text: str, where: str) -> str:
    url = text if "://" in text else f"https://{text}"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"{where}: {text!r} is not an http or https address"
        raise InvalidInput(msg)
    return url


def _entry(table: object, url: str, folder: Path, where: str) -> HostEntry:
    if not isinstance(table, dict):
        msg = f"{where}: {url} is not a table"
        raise InvalidInput(msg)

    def wrong(key: str) -> InvalidInput:
        return InvalidInput(f"{where}: {key} of {url or 'the server'} is not what it must be")

    def flag(key: str) -> bool:
        found = table.get(key, False)
        if not isinstance(found, bool):
            raise wrong(key)
        return found

    capabilities = table.get("capabilities", sorted(ALL_CAPABILITIES))
    if not isinstance(capabilities, list) or not set(capabilities) <= ALL_CAPABILITIES:
        raise wrong("capabilities")
    headers = table.get("header", {})
    if not isinstance(headers, dict):
        raise wrong("header")
    ca = table.get("ca", [])
    ca = [ca] if isinstance(ca, str) else ca
    if not isinstance(ca, list) or not all(isinstance(item, str) for item in ca):
        raise wrong("ca")
    client = _client(table.get("client", []))
    if client is None:
        raise wrong("client")
    return HostEntry(
        url,
        frozenset(capabilities),
        tuple(folder / item for item in ca),
        tuple((folder / cert, folder / key if key else None) for cert, key in client),
        flag("skip_verify"),
        flag("override_path"),
        {name: _header(text) for name, text in headers.items()},
    )


def _client(value: Any) -> list[tuple[str, str]] | None:
    """A text, a list of texts, or a list of pairs; None if it is none of these."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        return None
    pairs: list[tuple[str, str]] = []
    for item in items:
        match item:
            case str():
                pairs.append((item, ""))
            case [str() as cert]:
                pairs.append((cert, ""))
            case [str() as cert, str() as key]:
                pairs.append((cert, key))
            case _:
                return None
    return pairs


def _header(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
