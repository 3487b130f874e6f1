"""Where in a registry the content of a node's images is looked for."""

from __future__ import annotations

import pytest

from imgsync.inventory.places import Place
from imgsync.model.reference import Reference
from imgsync.nodes.pool import repositories_in

REDIS, APP = "docker.io/library/redis:7", "harbor.example.com/project/team/app:1"


@pytest.mark.parametrize(
    ("place", "names", "found"),
    [
        ("harbor.example.com", [APP], ["project/team/app"]),
        ("harbor.example.com/project/", [APP], ["project/team/app"]),
        ("harbor.example.com", [REDIS], ["redis", "docker.io/library/redis"]),
        (
            "harbor.example.com/project/",
            [REDIS],
            ["project/redis", "project/docker.io/library/redis"],
        ),
        ("harbor.example.com/project/team/app", [REDIS, APP], ["project/team/app"]),
        ("docker.io", [REDIS, "docker.io/library/redis:8"], ["library/redis"]),
        ("harbor.example.com/project/", [], []),
    ],
)
def test_repositories(place: str, names: list[str], found: list[str]) -> None:
    where = Place.parse(place)
    assert where is not None
    references = repositories_in(where, [Reference.parse(name) for name in names])
    assert [reference.repository for reference in references] == found
    assert {reference.registry for reference in references} <= {where.host}
