"""imgsync's own config: its keys, each once, with what they mean.

``docs/mirror.schema.json`` is made of this (``python -m imgsync.mirror.schema``), and
`imgsync.mirror.native` reads by it.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from imgsync.mirror.config import HostSettings
from imgsync.mirror.names import (
    parse_host,
    parse_image,
    parse_platform,
    parse_prefix,
    parse_repository,
    parse_rule,
    parse_tag,
)
from imgsync.mirror.nodes import MapNode, TextNode
from imgsync.mirror.quantities import parse_size
from imgsync.mirror.reading import Reading
from imgsync.mirror.shapes import Flag, Number, Shape, Text, Word
from imgsync.mirror.structures import Either, Key, Many, Placed, Record, Table
from imgsync.mirror.tags import WHOLE, TagPattern, TagRule
from imgsync.mirror.version_range import Range

ALL: Final = "all"
_NO_SECRETS: Final = "a password never stands in a config; say password-file or password-env"


def _texts(shape: Text) -> Shape:
    return Many(shape, or_one=True, least=1)


_GLOBS: Final = _texts(Text("a pattern such as 1.2*", TagPattern.of_glob, is_number=True))
_REGEXES: Final = _texts(
    Text(
        "a regular expression",
        lambda text: TagPattern.of_regex(text, before=WHOLE[0], behind=WHOLE[1]),
        is_number=True,
    )
)
_RANGES: Final = _texts(Text("a range such as >=1.25 <2", Range.parse, is_number=True))
_EXACT: Final = Text("a tag or a digest", parse_tag, is_number=True)
_TEXT: Final = Text()


def _excluded(_node: MapNode, values: dict[str, Any], _reading: Reading) -> dict[str, Any]:
    return {
        "excluded": (*values.get("glob", ()), *values.get("regex", ())),
        "excluded_semver": values.get("semver", ()),
    }


_EXCLUDE: Final = Either(
    (
        Many(Text("a pattern such as *-rc*", TagPattern.of_glob, is_number=True), or_one=True),
        Record(
            "exclude",
            {
                "glob": Key(_GLOBS, "Shell patterns for whole tags."),
                "regex": Key(_REGEXES, "Regular expressions for whole tags."),
                "semver": Key(_RANGES, "Ranges of versions."),
            },
            build=_excluded,
        ),
    )
)


def _tag_rule(node: MapNode, values: dict[str, Any], reading: Reading) -> TagRule | None:
    narrows = set(values) - {"exact", "prereleases"}
    if not narrows and not values.get("exact"):
        reading.refuse(node, "tags selects nothing", hint="tags: all is every tag")
        return None
    if "prereleases" in values and not {"semver", "latest"} & set(values):
        reading.refuse(node, "prereleases is about semver and latest, of which none stands here")
        return None
    excluded = values.get("exclude", {})
    if isinstance(excluded, tuple):
        excluded = {"excluded": excluded}
    groups = (values.get("glob", ()), values.get("regex", ()))
    return TagRule(
        exact=values.get("exact", ()),
        patterns=tuple(group for group in groups if group),
        semver=values.get("semver", ()),
        is_filter=bool(narrows),
        latest=values.get("latest"),
        suffix=values.get("suffix", ""),
        prereleases=values.get("prereleases", False),
        **excluded,
    )


_TAGS: Final = Either(
    (
        Word((ALL,)),
        Record(
            "tags",
            {
                "exact": Key(
                    _texts(_EXACT), "Tags, digests or TAG@DIGEST, in addition to all else."
                ),
                "glob": Key(_GLOBS, "Shell patterns for whole tags, of which one must match."),
                "regex": Key(
                    _REGEXES, "Regular expressions for whole tags, of which one must match."
                ),
                "semver": Key(
                    _RANGES, "Ranges of versions, of which one must hold; >=1.25 <2, ~1.4, ^2."
                ),
                "latest": Key(
                    Number("a number of versions", 1),
                    "Only so many of the candidates, by version, from the highest on. A tag that "
                    "moves along with a longer one, such as 7 with 7.2.4, does not count.",
                ),
                "suffix": Key(
                    _TEXT, "What stands behind each version, such as -alpine; others are left out."
                ),
                "prereleases": Key(Flag(), "Whether 2.0.0-rc.1 counts for semver and latest."),
                "exclude": Key(_EXCLUDE, "Candidates that are not wanted."),
            },
            build=_tag_rule,
        ),
        Many(_EXACT, or_one=True, least=1),
    )
)

_PLATFORMS: Final = _texts(Text("a platform such as linux/amd64", parse_platform))
_REFERRERS: Final = Many(Text("all, none or an artifact type"), or_one=True, least=1)

_COMMON: Final = {
    "to": Key(
        Text("a prefix HOST/PROJECT", parse_prefix),
        "The prefix that every name is put under, HOST/PROJECT.",
    ),
    "map": Key(
        Many(Text("a rule PATTERN=TEMPLATE", parse_rule), or_one=True),
        "Rules that rename what matches, as `imgsync retag --map` has them; the first wins.",
    ),
    "keep-registry": Key(Flag(), "Keep the source's host as a part of the path under `to`."),
    "platforms": Key(
        _PLATFORMS,
        "Only these platforms; !windows leaves one out. To a registry the index is then written "
        "anew, and has another digest.",
    ),
    "referrers": Key(
        _REFERRERS, "What about an image comes along: all (default), none, or artifact types."
    ),
}

_SOURCE: Final = Record(
    "a source",
    {
        "image": Key(Text("the name of an image", parse_image), "A single image, redis:7."),
        "repository": Key(
            Text("the name of a repository", parse_repository), "A repository; tags says which."
        ),
        "tags": Key(Placed(_TAGS), "Which tags: a list of them, all, or rules."),
        "as": Key(
            _TEXT,
            "The repository that it becomes, instead of what `to` and `map` make; without a host "
            "it is under `to`. With `image` it may have a tag.",
        ),
        **_COMMON,
    },
    build=lambda _node, values, _reading: values,
)


def _host(name: TextNode, values: dict[str, Any], reading: Reading) -> HostSettings | None:
    host = reading.convert(name, name.text, parse_host)
    if host is None:
        return None
    has_password = [key for key in ("password-file", "password-env") if key in values]
    if len(has_password) > 1 or bool(has_password) != ("username" in values):
        reading.refuse(name, "username and one of password-file and password-env belong together")
        return None
    if "key" in values and "cert" not in values:
        reading.refuse(name, "key is that of a cert, which is missing")
        return None
    return HostSettings(host, **{key.replace("-", "_"): value for key, value in values.items()})


_HOSTS: Final = Table(
    "hosts",
    Record(
        "a host",
        {
            "authfile": Key(_TEXT, "A file of credentials in the form of docker and podman."),
            "username": Key(_TEXT, "The user; the password comes from one of the next two."),
            "password-file": Key(
                Text("a path", is_public=False), "The file that the password stands in."
            ),
            "password-env": Key(
                Text("the name of a variable", is_public=False),
                "The name of the environment variable that the password stands in.",
            ),
            "ca-file": Key(_TEXT, "Certificate authorities to trust too (PEM)."),
            "cert": Key(_TEXT, "Client certificate (PEM)."),
            "key": Key(_TEXT, "Key of the client certificate (PEM)."),
            "plain-http": Key(Flag(), "Speak HTTP without TLS."),
            "insecure": Key(Flag(), "Take the host's certificate unchecked."),
            "requests-per-second": Key(
                Number("a number of requests", 0.01, is_whole=False), "At most so many requests."
            ),
            "connections": Key(Number("a number of connections", 1), "At most so many at once."),
            "bytes-per-second": Key(
                Text("an amount such as 20MiB", parse_size, is_number=True), "At most so fast."
            ),
            "pulls-floor": Key(
                Number("a number of pulls"),
                "Stop while so many pulls of a counted budget (Docker Hub) are left.",
            ),
        },
        refused={"password": _NO_SECRETS, "token": _NO_SECRETS},
    ),
    _host,
)

CONFIG: Final = Record(
    "a mirror config",
    {
        "version": Key(Word(("1",), (1,)), "The version of this format."),
        "interpolate": Key(
            Flag(),
            "Fill in ${NAME} from the environment in every text; else only in texts behind !env. "
            "Never where a password is named.",
        ),
        "output": Key(_TEXT, "oci:DIR or a bundle's file to write to, instead of registries."),
        "defaults": Key(
            Record("defaults", {"tags": Key(_TAGS, "For every repository without."), **_COMMON}),
            "What holds for every source that says nothing else.",
        ),
        "hosts": Key(_HOSTS, "Credentials and limits, by host."),
        "sources": Key(
            Many(Placed(Either((_SOURCE, Text("the name of an image", parse_image)))), least=1),
            "What is mirrored.",
            is_required=True,
        ),
    },
    refused={"creds": _NO_SECRETS, "credentials": _NO_SECRETS},
)


def json_schema() -> dict[str, Any]:
    """The published schema."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "imgsync mirror config",
        **CONFIG.schema(),
    }


def schema_text() -> str:
    """The published schema as the file has it."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
