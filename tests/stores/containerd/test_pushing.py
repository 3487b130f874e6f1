"""Pushing through ctr to real registries: what is proved before, and what afterwards."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import (
    AccessDenied,
    ContainerdError,
    InvalidReference,
    MissingContent,
    NotFound,
)
from imgsync.events import Event, Retried
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.reference import Reference
from imgsync.stores.containerd.command import Ctr, Ended
from imgsync.stores.containerd.namespace import Containerd
from imgsync.stores.containerd.pushing import (
    CtrPush,
    RegistryAccess,
    default_url,
    push_through_ctr,
)
from tests.images import Images, digest_of
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.servers.tokens import TokenServer, User
from tests.upload import upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.certificates import Authority
    from tests.servers.containerd import Containerd as Server
    from tests.stores.containerd.conftest import Loader

pytestmark = pytest.mark.real

NAME = "harbor.example.com/team/app:1"
PASSWORD = 'p:w$ "quoted" \''


@pytest.fixture
def images(repository: str) -> Images:
    images = Images()
    shared = images.layer({"shared": repository.encode()})
    children = [
        images.image([shared, images.layer({"own": f"{repository}{name}".encode()})], platform=name)
        for name in ("linux/amd64", "linux/arm64")
    ]
    images.name(NAME, images.index([*children, images.attestation(children[0])]))
    return images


def _confirm(registry: Registry) -> Callable[[Reference], Descriptor | None]:
    def ask(reference: Reference) -> Descriptor | None:
        digest = registry.tags(reference.repository).get(reference.tag)
        return Descriptor("x", Digest.parse(digest), 0) if digest else None

    return ask


def _target(registry: Registry, repository: str, tag: str = "1") -> Reference:
    return Reference(registry.host, repository, tag)


def _push(
    ours: Containerd,
    registry: Registry,
    target: Reference,
    access: RegistryAccess | None = None,
    events: list[Event] | None = None,
) -> Digest:
    (pushed,) = push_through_ctr(
        ours,
        [CtrPush(Reference.parse(NAME), target)],
        lambda _host: access or RegistryAccess(registry.url),
        _confirm(registry),
        (events if events is not None else []).append,
    )
    if pushed.error is not None:
        raise pushed.error
    assert pushed.root is not None
    return pushed.root.digest


def test_the_famous_failure(
    ours: Containerd,
    containerd: Server,
    registry: Registry,
    other_registry: Registry,
    repository: str,
    images: Images,
) -> None:
    """`ctr images pull`, tag, push: `content digest … not found`, while `check` says complete."""
    name = upload(registry.url, images, prefix=f"{repository}/from/")[NAME]
    target = f"{other_registry.host}/{repository}/to:1"
    namespace = ours.namespace
    containerd.ctr("images", "pull", "--plain-http", name, namespace=namespace)
    check = containerd.ctr("images", "check", namespace=namespace)
    assert re.search(r"\bcomplete \(", check)
    containerd.ctr("images", "tag", name, target, namespace=namespace)
    failed = containerd.run("images", "push", "--plain-http", target, namespace=namespace)
    assert failed.returncode != 0
    assert re.search(r"content digest sha256:[0-9a-f]{64}.*not found", failed.stderr.decode())
    # Through imgsync the same push says before the first byte what is the matter.
    (pushed,) = push_through_ctr(
        ours,
        [CtrPush(Reference.parse(name), _target(other_registry, f"{repository}/ours"))],
        lambda _host: RegistryAccess(other_registry.url),
        _confirm(other_registry),
        lambda _event: None,
    )
    assert isinstance(pushed.error, MissingContent)
    assert "linux/arm64" in pushed.error.message
    assert not other_registry.requests("", f"{repository}/ours/")


def test_the_famous_failure_fixed(
    load: Loader, ours: Containerd, registry: Registry, repository: str, images: Images
) -> None:
    load(images)
    digest = _push(ours, registry, _target(registry, repository))
    assert str(digest) == images.names[NAME]["digest"]
    assert registry.tags(repository) == {"1": images.names[NAME]["digest"]}
    assert registry.manifests(repository) | registry.layers(repository) >= images.digests()


def test_the_second_push_sends_nothing(
    load: Loader, ours: Containerd, new_registry: Registry, images: Images
) -> None:
    load(images)
    for _ in range(2):
        _push(ours, new_registry, _target(new_registry, "team/app"))
    assert len(new_registry.requests("PUT", "/blobs/")) == 7


def test_another_repository_of_the_host_is_mounted_from(
    load: Loader, ours: Containerd, new_registry: Registry, images: Images
) -> None:
    load(images)
    done = push_through_ctr(
        ours,
        [
            CtrPush(Reference.parse(NAME), _target(new_registry, "one/app")),
            CtrPush(Reference.parse(NAME), _target(new_registry, "two/app")),
        ],
        lambda _host: RegistryAccess(new_registry.url),
        _confirm(new_registry),
        lambda _event: None,
    )
    assert [pushed.error for pushed in done] == [None, None]
    assert not new_registry.requests("PUT", "/two/app/blobs/")
    assert len(new_registry.requests("POST", "/two/app/blobs/uploads/.*mount=")) == 7


@pytest.mark.parametrize("kind", ["basic", "bearer", "tls", "skip_verify"])
def test_credentials_and_certificates(
    load: Loader, ours: Containerd, images: Images, authority: Authority, kind: str, tmp_path: Path
) -> None:
    load(images)
    users = {"ann": PASSWORD}
    script = tmp_path / "ctr"
    told = f'echo "$@" >> {tmp_path}/words; env >> {tmp_path}/env'
    script.write_text(f'#!/bin/sh\n{told}\nexec ctr "$@"\n')
    script.chmod(0o755)
    ours = Containerd(Ctr(ours.ctr.address, str(script)), ours.namespace)
    with TokenServer(users={"ann": User(PASSWORD, {"*": ("pull", "push")})}) as tokens:
        access = RegistryAccess("", user="ann", password=PASSWORD)
        match kind:
            case "basic":
                server = Registry(users=users)
            case "bearer":
                server = Registry(token_server=tokens)
            case "tls":
                server = Registry(users=users, certificate=authority.issue("127.0.0.1"))
                access = replace(access, ca=(authority.ca,))
            case _:
                server = Registry(users=users, certificate=authority.issue("127.0.0.1"))
                access = replace(access, skip_verify=True)
        with server as registry:
            access = replace(access, url=registry.url)
            _push(ours, registry, _target(registry, "team/app"), access)
            for told in ("words", "env"):
                assert PASSWORD not in (tmp_path / told).read_text()
            assert "images push" in (tmp_path / "words").read_text()
            assert PASSWORD not in repr(access)


def test_wrong_and_missing_credentials(load: Loader, ours: Containerd, images: Images) -> None:
    load(images)
    with Registry(users={"ann": PASSWORD}) as registry:
        target = _target(registry, "team/app")
        with pytest.raises(AccessDenied, match="without credentials"):
            _push(ours, registry, target)
        wrong = RegistryAccess(registry.url, user="ann", password="wrong")
        with pytest.raises(AccessDenied, match="as ann"):
            _push(ours, registry, target, wrong)


def test_a_certificate_that_is_not_trusted(
    load: Loader, ours: Containerd, images: Images, authority: Authority
) -> None:
    load(images)
    with Registry(certificate=authority.issue("127.0.0.1")) as registry:
        with pytest.raises(ContainerdError) as error:
            _push(ours, registry, _target(registry, "team/app"))
        assert "--ca-file" in error.value.hint


def test_nobody_at_the_address(load: Loader, ours: Containerd, images: Images) -> None:
    load(images)
    with Registry() as registry:
        target, url = _target(registry, "team/app"), registry.url
    with pytest.raises(ContainerdError, match=r"connection refused|EOF"):
        _push(ours, registry, target, RegistryAccess(url))


def test_a_push_that_stumbles_is_repeated(
    load: Loader, ours: Containerd, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(images)
    real = Ctr.ended
    stumbles = [2]

    def ended(self: Ctr, namespace: str, *args: str, **rest: object) -> Ended:
        if "push" in args and "--help" not in args and stumbles[0]:
            stumbles[0] -= 1
            message = "ctr: failed to copy: rpc error: code = Internal desc = unexpected EOF\n"
            return Ended(args, 1, b"", message)
        return real(self, namespace, *args, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Ctr, "ended", ended)
    events: list[Event] = []
    with Registry() as registry:
        _push(ours, registry, _target(registry, "team/app"), events=events)
    assert len([event for event in events if isinstance(event, Retried)]) == 2


def test_success_is_what_the_registry_says(
    load: Loader, ours: Containerd, registry: Registry, repository: str, images: Images
) -> None:
    load(images)
    (pushed,) = push_through_ctr(
        ours,
        [CtrPush(Reference.parse(NAME), _target(registry, repository))],
        lambda _host: RegistryAccess(registry.url),
        lambda _reference: Descriptor("x", Digest.of(b"another"), 0),
        lambda _event: None,
    )
    assert isinstance(pushed.error, ContainerdError)
    assert digest_of(b"another") in pushed.error.message


def test_a_target_without_a_tag_is_refused(
    ours: Containerd, registry: Registry, repository: str
) -> None:
    target = Reference(registry.host, repository, "", Digest.of(b"x"))
    with pytest.raises(InvalidReference, match="has no tag"):
        _push(ours, registry, target)


def test_one_that_is_not_there_stops_no_other(
    load: Loader, ours: Containerd, registry: Registry, repository: str, images: Images
) -> None:
    load(images)
    done = push_through_ctr(
        ours,
        [
            CtrPush(Reference.parse("none.example/app:1"), _target(registry, repository, "2")),
            CtrPush(Reference.parse(NAME), _target(registry, repository)),
        ],
        lambda _host: RegistryAccess(registry.url),
        _confirm(registry),
        lambda _event: None,
    )
    assert isinstance(done[0].error, NotFound)
    assert done[1].error is None


def test_docker_io_is_elsewhere() -> None:
    assert default_url("docker.io") == "https://registry-1.docker.io"
    assert default_url("h:1") == "https://h:1"


def test_a_registry_behind_a_fault(load: Loader, ours: Containerd, images: Images) -> None:
    load(images)
    with Registry() as registry, FaultyProxy(upstream=registry.url) as proxy:
        target = Reference(proxy.host, "team/app", "1")
        access = RegistryAccess(proxy.url)
        (pushed,) = push_through_ctr(
            ours,
            [CtrPush(Reference.parse(NAME), target)],
            lambda _host: access,
            _confirm(registry),
            lambda _event: None,
        )
        assert pushed.error is None
        assert proxy.count("PUT", "/manifests/") == 4
