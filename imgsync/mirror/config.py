"""What a mirror is asked to do, whatever format it was written in. Frozen, and without any I/O."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from typing import Final

from imgsync.mirror.nodes import Place
from imgsync.mirror.tags import TagRule
from imgsync.model.mapping import Mapping
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import Reference
from imgsync.referrers.choice import ReferrerChoice

ALL_REFERRERS: Final = ReferrerChoice()
NO_REFERRERS: Final = ReferrerChoice(())


@dataclass(frozen=True, slots=True)
class HostSettings:
    """How to speak with one registry. Secrets are never here, only where they are.

    Attributes:
        host: as in names, with its port: ``docker.io``, ``harbor.example.com:8443``.
        authfile: credentials in the form of docker and podman.
        username: with one of ``password_file`` and ``password_env``, the name of a variable.
        requests_per_second, connections, bytes_per_second: limits; None is none.
        pulls_floor: how many pulls of a counted budget are left for others.
    """

    host: str
    authfile: str = ""
    username: str = ""
    password_file: str = ""
    password_env: str = ""
    ca_file: str = ""
    cert: str = ""
    key: str = ""
    plain_http: bool = False
    insecure: bool = False
    requests_per_second: float | None = None
    connections: int | None = None
    bytes_per_second: int | None = None
    pulls_floor: int | None = None


@dataclass(frozen=True, slots=True)
class MirrorSource:
    """One repository, which of its tags are wanted, and where they go.

    Attributes:
        place: where it was asked for.
        repository: the source, without tag and digest.
        name: what it is called before `mapping`; None leaves it its own name.
        target: the repository that it goes to, whatever `mapping` says; with a tag only where
            a single image is asked for.
        platforms: which platforms of each image.
        referrers: what about an image comes along.
    """

    place: Place
    repository: Reference
    tags: TagRule
    mapping: Mapping = field(default_factory=Mapping)
    name: Reference | None = None
    target: Reference | None = None
    platforms: PlatformChoice = field(default_factory=PlatformChoice)
    referrers: ReferrerChoice = ALL_REFERRERS


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every source that says nothing else; None is not said.

    The command line makes one, which a file's own defaults stand behind.
    """

    to: str | None = None
    rules: tuple[str, ...] | None = None
    keep_registry: bool | None = None
    platforms: PlatformChoice | None = None
    referrers: ReferrerChoice | None = None


@dataclass(frozen=True, slots=True)
class MirrorConfig:
    """A whole config.

    Attributes:
        label: how messages call it.
        sources: in the order in which they were written.
        hosts: settings by host.
        output: ``oci:DIR`` or a bundle's file, instead of registries.
        notes: what the format says that has no meaning here, for the user to know.
    """

    label: str
    sources: tuple[MirrorSource, ...]
    hosts: Table[str, HostSettings] = field(default_factory=dict)
    output: str = ""
    notes: tuple[str, ...] = ()
