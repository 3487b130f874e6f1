"""Signatures and the like: with their image, after it, and how little it costs to look for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imgsync.mirror.state import State
from tests.mirror.conftest import Mirror
from tests.referrers.api import ReferrersApi
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real

ALL = "defaults: {to: TARGET/m}\nsources: [{repository: SOURCE/a, tags: ['1', '2']}]"
SPDX = "application/spdx+json"
Faulty = Callable[[Registry], FaultyProxy]


@pytest.fixture
def two(mirror: Mirror) -> Mirror:
    """Two images at the source, mirrored once."""
    mirror.image("a:1")
    mirror.image("a:2")
    mirror.run(ALL)
    return mirror


def _sign(mirror: Mirror, tag: str) -> str:
    """A cosign signature of an image comes to the source; gives its tag."""
    root = mirror.images.names[f"registry.example/a:{tag}"]
    name = mirror.images.cosign_signature(root, "registry.example/a")
    upload(mirror.source.url, mirror.images, names=[name])
    return name.rpartition(":")[2]


def _refer(mirror: Mirror, tag: str, kind: str = SPDX, *, fallback: bool = True) -> str:
    """An SBOM of an image comes to the source; gives its digest."""
    root = mirror.images.names[f"registry.example/a:{tag}"]
    descriptor = mirror.images.referrer(root, kind, b"{}", "registry.example/a")
    upload(mirror.source.url, mirror.images, referrers=fallback)
    return str(descriptor["digest"])


def test_they_come_with_their_image(mirror: Mirror) -> None:
    mirror.image("a:1")
    mirror.image("a:2")
    tag, digest = _sign(mirror, "1"), _refer(mirror, "2")
    summary = mirror.run(ALL)
    assert (summary.counts["new"], summary.n_extras) == (2, 2)
    assert "; 2 signatures and the like" in summary.line()
    assert tag in mirror.target.tags("m/a")
    assert digest in mirror.target.manifests("m/a")
    fallback = mirror.images.names["registry.example/a:2"]["digest"].replace(":", "-")
    assert fallback in mirror.target.tags("m/a")
    again = mirror.run(ALL)
    assert again.counts["unchanged"] == 2
    assert not again.has_changed


def test_what_comes_later_is_seen_in_the_next_run(two: Mirror) -> None:
    tag = _sign(two, "1")
    summary = two.run(ALL)
    assert (summary.counts["unchanged"], summary.n_extras) == (2, 1)
    assert summary.has_changed
    assert tag in two.target.tags("m/a")
    digest = _refer(two, "2")
    assert two.run(ALL).n_extras == 1
    assert digest in two.target.manifests("m/a")


def test_an_unchanged_repository_costs_its_list_of_tags(two: Mirror) -> None:
    _sign(two, "1")
    _refer(two, "2")
    two.run(ALL)
    for _ in range(2):
        two.source.forget()
        two.target.forget()
        assert not two.run(ALL).has_changed
        assert len(two.source.requests("GET", "/tags/list")) == 1
        assert len(two.source.requests("GET", "/referrers/")) == 1, "the probe of the run"
        assert len(two.source.requests("HEAD")) == 2
        assert len(two.source.requests()) <= 2 + 2
        assert len(two.target.requests()) == 2


def test_where_there_is_an_api_it_is_asked_once_in_a_while(two: Mirror, faulty: Faulty) -> None:
    proxy = faulty(two.source)
    proxy.on("GET", "/referrers/", ReferrersApi(two.source), times=None)
    two.run(ALL, source=proxy.host)
    _refer(two, "2", fallback=False)
    proxy.forget()
    assert not two.run(ALL, source=proxy.host).has_changed
    assert proxy.count("GET", "/referrers/") == 1, "the probe of the run"
    assert proxy.count("GET", "/tags/list") == 0
    assert proxy.count("GET", "/manifests/") == 0
    assert two.run(ALL, source=proxy.host, recheck_s=0.0).n_extras == 1
    proxy.forget()
    assert not two.run(ALL, source=proxy.host, recheck_s=0.0).has_changed
    assert proxy.count("GET", "/manifests/") == 0
    # Two images, each an index of two manifests, and what is about one of them.
    assert proxy.count("GET", "/referrers/") <= 1 + 2 * 3 + 1


def test_none_looks_for_nothing(mirror: Mirror) -> None:
    mirror.image("a:1")
    mirror.image("a:2")
    tag = _sign(mirror, "1")
    config = ALL.replace("to: TARGET/m", "to: TARGET/m, referrers: none")
    assert mirror.run(config).n_extras == 0
    assert tag not in mirror.target.tags("m/a")
    assert not mirror.source.requests("GET", "/tags/list|/referrers/")


def test_only_what_was_chosen_comes_and_the_rest_is_not_looked_at_again(mirror: Mirror) -> None:
    mirror.image("a:1")
    mirror.image("a:2")
    wanted = _refer(mirror, "1")
    other = _refer(mirror, "1", kind="application/vnd.example.other")
    config = ALL.replace("to: TARGET/m", f"to: TARGET/m, referrers: {SPDX}")
    assert mirror.run(config).n_extras == 1
    assert wanted in mirror.target.manifests("m/a")
    assert other not in mirror.target.manifests("m/a")
    mirror.run(config, recheck_s=0.0)
    mirror.source.forget()
    assert not mirror.run(config).has_changed
    assert not mirror.source.requests("GET", "/manifests/")


def test_without_a_state_everything_is_looked_at_once_more(two: Mirror) -> None:
    _sign(two, "1")
    two.run(ALL)
    two.state = State()
    assert not two.run(ALL).has_changed
    two.source.forget()
    two.run(ALL)
    assert not two.source.requests("GET", "/manifests/")


def test_what_is_about_an_index_that_was_rewritten_is_left_out(mirror: Mirror) -> None:
    mirror.image("a:1")
    mirror.image("a:2")
    tag = _sign(mirror, "1")
    config = ALL.replace("to: TARGET/m", "to: TARGET/m, platforms: linux/amd64")
    summary = mirror.run(config)
    assert (summary.counts["new"], summary.n_extras) == (2, 0)
    assert tag not in mirror.target.tags("m/a")
    mirror.source.forget()
    assert not mirror.run(config).has_changed
    assert not mirror.source.requests("GET", "/manifests/")
