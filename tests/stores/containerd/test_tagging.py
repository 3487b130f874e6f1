"""Retagging in a real containerd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgsync.errors import Conflict, NotFound
from imgsync.model.reference import Reference
from imgsync.stores.containerd.tagging import tag_image
from tests.images import Images

if TYPE_CHECKING:
    from imgsync.stores.containerd.namespace import Containerd
    from tests.servers.containerd import Containerd as Server
    from tests.stores.containerd.conftest import Loader

pytestmark = pytest.mark.real

ONE = "harbor.example.com/team/app:1"
TWO = "harbor.example.com/team/app:2"
NEW = Reference.parse("other.example/app:1")


@pytest.fixture
def images(load: Loader) -> Images:
    """Two images that are loaded."""
    images = Images()
    for name in (ONE, TWO):
        images.name(name, images.image([images.layer({"f": name.encode()})]))
    load(images, twins=False)
    return images


def test_a_new_name(ours: Containerd, containerd: Server, images: Images) -> None:
    tagged = tag_image(ours, Reference.parse(ONE), NEW, twin=True)
    digest = images.names[ONE]["digest"]
    assert (str(tagged.digest), tagged.before, tagged.is_new) == (digest, None, True)
    records = containerd.images(ours.namespace)
    assert records[str(NEW)] == records[f"other.example/app@{digest}"] == records[ONE] == digest
    again = tag_image(ours, Reference.parse(ONE), NEW, twin=True)
    assert not again.is_new


def test_a_name_that_means_something_else(
    ours: Containerd, containerd: Server, images: Images
) -> None:
    one, two = Reference.parse(ONE), Reference.parse(TWO)
    with pytest.raises(Conflict) as conflict:
        tag_image(ours, one, two)
    assert images.names[ONE]["digest"] in conflict.value.message
    assert images.names[TWO]["digest"] in conflict.value.message
    assert containerd.images(ours.namespace)[TWO] == images.names[TWO]["digest"]
    tagged = tag_image(ours, one, two, force=True)
    assert str(tagged.before) == images.names[TWO]["digest"]
    assert containerd.images(ours.namespace)[TWO] == images.names[ONE]["digest"]


def test_what_is_not_there(ours: Containerd, images: Images) -> None:
    del images
    with pytest.raises(NotFound, match="has no image"):
        tag_image(ours, Reference.parse("none.example/app:1"), NEW)


def test_a_dry_run_changes_nothing(ours: Containerd, containerd: Server, images: Images) -> None:
    before = containerd.images(ours.namespace)
    assert tag_image(ours, Reference.parse(ONE), NEW, twin=True, dry_run=True).is_new
    assert containerd.images(ours.namespace) == before
    del images
