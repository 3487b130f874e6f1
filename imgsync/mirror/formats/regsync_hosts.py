"""The registries of a regsync.yml, ``creds``, and the templates in its texts.

``{{env "NAME"}}`` is filled in; a password is taken by reference only, ``{{env "NAME"}}`` or
``{{file "PATH"}}``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from imgsync.mirror.config import HostSettings
from imgsync.mirror.formats.common import merge_host, record, refuse_others, text
from imgsync.mirror.names import parse_host
from imgsync.mirror.nodes import MapNode, TextNode
from imgsync.model.reference import DOCKER_IO

if TYPE_CHECKING:
    from imgsync.mirror.nodes import Node
    from imgsync.mirror.reading import Reading

_TEMPLATE = re.compile(r"\{\{\s*(env|file)\s+[\"']([^\"']*)[\"']\s*\}\}")

_CREDS: Final = ("registry", "user", "pass", "tls", "reqPerSec", "reqConcurrent", "repoAuth")
_CREDS_UNABLE: Final = {
    "hostname": "reads from another host by --mirror HOST=URL",
    "regcert": "takes certificates from files: --ca-file HOST=FILE",
    "clientCert": "takes certificates from files: --cert HOST=FILE",
    "clientKey": "takes keys from files: --key HOST=FILE",
    "credHelper": "takes credential helpers from docker's and podman's files",
    "credExpire": "takes credential helpers from docker's and podman's files",
    "credHost": "takes credential helpers from docker's and podman's files",
    "token": "takes no token from this file; `imgsync login HOST` once, or --authfile",
    "mirrors": "reads from mirrors by --mirror HOST=URL",
    "pathPrefix": "reads from mirrors by --mirror HOST=URL",
    "priority": "reads from mirrors by --mirror HOST=URL",
    "api": "finds out by itself what a registry can",
    "apiOpts": "finds out by itself what a registry can",
    "scheme": "takes tls: disabled for plain HTTP",
}
TUNING: Final = (
    *("parallel", "blobLimit", "blobChunk", "blobMax", "cacheCount", "cacheTime", "userAgent"),
    *("fastCheck", "forceRecursive", "mediaTypes", "referrerSlow", "interval", "schedule"),
)
"""Without a meaning here: a run is one run, and imgsync has its own ways to be quick and whole."""


class Hosts:
    """What is known of each registry, in ``settings``."""

    def __init__(self, reading: Reading) -> None:
        self.settings: dict[str, HostSettings] = {}
        self._reading = reading

    def read(self, node: Node) -> None:
        """Read an item of ``creds``."""
        reading = self._reading
        fields = record(node, reading, "creds")
        if fields is None:
            return
        refuse_others(fields, (*_CREDS, *TUNING), reading, "regsync's creds", _CREDS_UNABLE)
        name = fields.get("registry")
        if name is None:
            reading.refuse(fields, "creds without a registry")
            return
        registry = filled(name, reading)
        host = reading.convert(name, registry, parse_host) if registry is not None else None
        if host is None:
            return
        values: dict[str, Any] = {}
        tls = fields.get("tls")
        if isinstance(tls, TextNode):
            values["plain_http"] = tls.text.lower() == "disabled"
            values["insecure"] = tls.text.lower() == "insecure"
        for key, field in (("reqPerSec", "requests_per_second"), ("reqConcurrent", "connections")):
            limit = self._number(fields.get(key))
            if limit:
                values[field] = limit if key == "reqPerSec" else int(limit)
        values |= self._login(fields)
        merge_host(self.settings, host, **values)

    def _login(self, fields: MapNode) -> dict[str, str]:
        user, secret = fields.get("user"), fields.get("pass")
        if user is None or secret is None:
            return {}
        values = {"username": filled(user, self._reading) or ""}
        found = _TEMPLATE.fullmatch(secret.text.strip()) if isinstance(secret, TextNode) else None
        if found is None:
            problem = "a password never stands in a config"
            self._reading.refuse(secret, problem, hint='{{env "NAME"}} or {{file "PATH"}}')
            return {}
        values["password_env" if found[1] == "env" else "password_file"] = found[2]
        return values

    def limit_pulls(self, node: Node | None) -> None:
        """Leave so many pulls of Docker Hub's budget."""
        least = self._number(node)
        if least:
            merge_host(self.settings, DOCKER_IO, pulls_floor=int(least))

    def _number(self, node: Node | None) -> float | None:
        written = text(node, self._reading, "a number") if node is not None else None
        if node is None or written is None:
            return None
        try:
            return max(0.0, float(written))
        except ValueError:
            self._reading.refuse(node, f"a number is expected, {written!r} stands here")
            return None


def filled(node: Node, reading: Reading) -> str | None:
    """A text with its templates filled in, or None and a problem."""
    written = text(node, reading, "a text")
    if written is None:
        return None

    def fill(found: re.Match[str]) -> str:
        value = reading.environment.get(found[2]) if found[1] == "env" else None
        if value is None:
            why = "is not set" if found[1] == "env" else "is a file, which is not read here"
            reading.refuse(node, f"{found[2]} {why}")
        return value or ""

    n_before = len(reading.problems)
    result = _TEMPLATE.sub(fill, written)
    if len(reading.problems) > n_before:
        return None
    if "{{" in result:
        hint = 'of the templates, only {{env "NAME"}} is filled in'
        reading.refuse(node, f"{written!r} is a template", hint=hint)
        return None
    return result
