"""Runs of a mirror between real registries: whole, least work, and one failure stops no other."""

from __future__ import annotations

import pytest

from tests.mirror.conftest import Mirror

pytestmark = pytest.mark.real

ALL = "defaults: {to: TARGET/m}\nsources: [{repository: SOURCE/a, tags: all}]"


def test_what_is_new_moves_and_what_is_there_stays(mirror: Mirror) -> None:
    first, second = mirror.image("a:1"), mirror.image("a:2")
    summary = mirror.run(ALL)
    assert summary.counts["new"] == 2
    assert summary.is_complete
    assert mirror.target.tags("m/a") == {"1": first["digest"], "2": second["digest"]}
    again = mirror.run(ALL)
    assert again.counts["unchanged"] == 2
    assert not again.has_changed
    moved = mirror.image("a:2", "linux/s390x")
    summary = mirror.run(ALL)
    assert (summary.counts["unchanged"], summary.counts["updated"]) == (1, 1)
    assert mirror.target.tags("m/a")["2"] == moved["digest"]
