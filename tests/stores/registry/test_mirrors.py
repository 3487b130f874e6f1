"""Mirrors: read first, never trusted, never shown what is not theirs."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from imgsync.content import read_verified
from imgsync.documents import reader_of
from imgsync.errors import DigestMismatch
from imgsync.events import Noted, ignore
from imgsync.model.bundle import Root
from imgsync.model.reference import Reference
from imgsync.plan import Wanted, make_plan
from imgsync.stores.memory import Memory
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.options import Mirror
from imgsync.transfer import run
from imgsync.walk import walk
from tests.servers.faults import Answer, Corrupt, Cut
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.store_contract import blob, put, put_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from imgsync.stores.registry.repository import Repository
    from tests.stores.registry.conftest import Client

CONTENT = random.Random(3).randbytes(2_000_000)
BLOB = blob(CONTENT)
REST = 2_000_000


@pytest.fixture
def origin(registry: Registry, faulty: Callable[[Registry], FaultyProxy]) -> FaultyProxy:
    return faulty(registry)


@pytest.fixture
def mirror(other_registry: Registry, faulty: Callable[[Registry], FaultyProxy]) -> FaultyProxy:
    return faulty(other_registry)


@pytest.fixture
def mirrored(
    origin: FaultyProxy, mirror: FaultyProxy, repository: str, client: Client
) -> Repository:
    """A repository of the origin, with the same content at the mirror below `cache/`."""
    for store in (
        client.repository(origin.upstream.removeprefix("http://"), repository),
        client.repository(mirror.upstream.removeprefix("http://"), f"cache/{repository}"),
    ):
        put(store, BLOB, CONTENT)
        root, _ = put_image(store)
        store.name(Reference.parse(f"x.example/{repository}:1"), root)
    return client.repository(
        origin.host, repository, mirrors=(Mirror(origin.host, f"{mirror.url}/cache"),)
    )


def fetched(store: Repository) -> bytes:
    return read_verified(store.open(BLOB), BLOB, side=store.side)


def test_all_comes_from_the_mirror(
    origin: FaultyProxy, mirror: FaultyProxy, mirrored: Repository, repository: str
) -> None:
    mirrored.resolve(Reference.parse(f"x.example/{repository}:1"))
    assert fetched(mirrored) == CONTENT
    assert origin.count() == 0
    assert mirror.count("GET", f"/v2/cache/{repository}/blobs/") == 1
    assert mirrored.side == f"{origin.host}/{repository}"


@pytest.mark.parametrize("status", [404, 403, 500])
def test_what_the_mirror_does_not_give_comes_from_the_origin(
    mirror: FaultyProxy, mirrored: Repository, client: Client, status: int
) -> None:
    mirror.on("", "", Answer(status), times=None)
    assert fetched(mirrored) == CONTENT
    warnings = [event for event in client.events if isinstance(event, Noted)]
    assert len(warnings) == (0 if status == 404 else 1)
    # A mirror that fails is left alone; one that only lacks something is asked again.
    mirror.forget()
    assert fetched(mirrored) == CONTENT
    assert mirror.count() == (1 if status == 404 else 0)


def test_a_dead_mirror_costs_one_try(
    mirror: FaultyProxy, mirrored: Repository, client: Client
) -> None:
    mirror.stop()
    assert fetched(mirrored) == CONTENT
    assert fetched(mirrored) == CONTENT
    assert len([event for event in client.events if isinstance(event, Noted)]) == 1


def test_a_mirror_that_dies_half_way_is_replaced_half_way(
    origin: FaultyProxy, mirror: FaultyProxy, mirrored: Repository
) -> None:
    mirror.on("GET", "/blobs/", Cut(after=1_000_000), times=1)
    mirror.on("GET", "/blobs/", Answer(500), nth=2, times=None)
    assert fetched(mirrored) == CONTENT
    assert origin.matching("GET", "/blobs/")[0].headers["range"] == "bytes=1000000-"


def test_a_mirror_that_lies_is_noticed_and_can_be_gone_round(
    mirror: FaultyProxy, mirrored: Repository
) -> None:
    mirror.on("GET", "/blobs/", Corrupt(at=1000), times=None)
    with pytest.raises(DigestMismatch):
        fetched(mirrored)
    assert fetched(mirrored.without_mirrors) == CONTENT


def test_the_engine_goes_round_a_mirror_that_lies(
    mirror: FaultyProxy, mirrored: Repository, repository: str
) -> None:
    mirror.on("GET", "", Corrupt(at=5), times=None)
    root = mirrored.resolve(Reference.parse(f"x.example/{repository}:1")).descriptor
    read = reader_of(mirrored)
    graph = walk([root], read)
    assert graph.problems == {}
    memory = Memory()
    name = Reference.parse("x.example/team/app:1")
    wanted = [Wanted(Root(name, root), 0, (0,))]
    plan = make_plan(wanted, graph, [memory.missing(list(graph.descriptors.values()))])
    outcome = run(plan, [mirrored], [memory], ignore)
    assert outcome.failures == {}
    assert memory.resolve(name).descriptor == root


def test_nothing_is_written_to_a_mirror(mirror: FaultyProxy, mirrored: Repository) -> None:
    put(mirrored, blob(b"new"), b"new")
    assert mirrored.missing([blob(b"new")]) == set()
    assert mirror.count() == 0


@pytest.fixture
def locked() -> Iterator[Registry]:
    with Registry(users={"ann": "pw"}) as server:
        yield server


def test_a_mirror_never_sees_the_credentials_of_the_origin(
    locked: Registry, mirror: FaultyProxy, client: Client
) -> None:
    ann = Credential("ann", "pw", origin="--username")
    store = client.repository(
        locked.host,
        "a/b",
        credentials={locked.host: ann},
        mirrors=(Mirror(locked.host, mirror.url),),
    )
    mirror.on("", "", Answer(401, {"WWW-Authenticate": 'Basic realm="give"'}), times=None)
    put(store, BLOB, CONTENT)
    assert fetched(store) == CONTENT
    assert mirror.count() == 1
    assert "authorization" not in mirror.requests[0].headers


class TestHostsToml:
    def test_mirrors_are_told_which_registry_is_meant(
        self,
        registry: Registry,
        repository: str,
        client: Client,
        tmp_path: Path,
        mirror: FaultyProxy,
    ) -> None:
        put(client.repository(mirror.upstream.removeprefix("http://"), repository), BLOB, CONTENT)
        self._write(
            tmp_path,
            registry.host,
            f"""
            server = "{registry.url}"
            [host."{mirror.url}"]
              capabilities = ["pull"]
              [host."{mirror.url}".header]
                x-token = "for the mirror only"
            """,
        )
        owner = client.repository(registry.host, repository)
        root, _ = put_image(owner)
        owner.name(Reference.parse(f"x.example/{repository}:1"), root)
        store = client.repository(registry.host, repository, hosts_dir=tmp_path)
        assert fetched(store) == CONTENT
        assert mirror.requests[-1].path.endswith(f"?ns={registry.host.replace(':', '%3A')}")
        assert mirror.requests[-1].headers["x-token"] == "for the mirror only"
        # It may not resolve tags, so it is not asked for any.
        mirror.forget()
        store.resolve(Reference.parse(f"x.example/{repository}:1"))
        assert mirror.count() == 0

    def test_a_path_in_the_place_of_v2(
        self, registry: Registry, repository: str, client: Client, tmp_path: Path
    ) -> None:
        put(client.repository(registry.host, f"deep/{repository}"), BLOB, CONTENT)
        self._write(
            tmp_path,
            "docker.example",
            f"""
            [host."{registry.url}/v2/deep"]
              override_path = true
            """,
        )
        store = client.repository("docker.example", repository, hosts_dir=tmp_path)
        assert fetched(store) == CONTENT

    def test_a_server_in_the_place_of_another(
        self, registry: Registry, repository: str, client: Client, tmp_path: Path
    ) -> None:
        self._write(tmp_path, "docker.example", f'server = "{registry.url}"')
        store = client.repository("docker.example", repository, hosts_dir=tmp_path)
        put(store, BLOB, CONTENT)
        assert str(BLOB.digest) in registry.layers(repository)
        assert store.side == f"docker.example/{repository}"

    @staticmethod
    def _write(folder: Path, host: str, text: str) -> None:
        place = folder / host
        place.mkdir()
        (place / "hosts.toml").write_text(text)
