"""Choosing, naming, collecting and listing, without a server."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from imgsync.documents import DocumentReader
from imgsync.errors import (
    AccessDenied,
    ChildrenUnknown,
    Conflict,
    ContentError,
    InvalidInput,
    Refused,
    Unreachable,
)
from imgsync.events import Event, Noted, ignore
from imgsync.model.bundle import Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.media_types import OCI_INDEX, OCI_MANIFEST
from imgsync.model.reference import Reference
from imgsync.model.referrer_tags import cosign_tags, fallback_tag, subject_of_tag
from imgsync.pushing.fallback import list_at
from imgsync.referrers import collecting
from imgsync.referrers.choice import ReferrerChoice, artifact_type_of, kinds_of
from imgsync.referrers.collecting import Collected, Collector, Extra, Subject
from imgsync.referrers.fallback import index_of, merged
from imgsync.referrers.naming import with_own_name
from imgsync.referrers.places import subject_of
from imgsync.stores import Resolved
from imgsync.stores.memory import Memory
from imgsync.walk import Graph, walk, walk_apart
from tests.images import OCI_EMPTY, Images
from tests.referrers.images import APP, REPOSITORY, SBOM, SCAN, Signed, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.content import Readable
    from imgsync.errors import ImgsyncError

A = Digest.parse(f"sha256:{'a' * 64}")
PLACE = Reference.parse(APP)


# --- choice -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        ([], "all"),
        (["all"], "all"),
        (["none"], "none"),
        (["a/b", "c/*,d"], "a/b,c/*,d"),
    ],
)
def test_a_choice_is_read(texts: list[str], shown: str) -> None:
    choice = ReferrerChoice.parse(texts)
    assert str(choice) == shown
    assert choice.is_all == (shown == "all")
    assert choice.is_none == (shown == "none")


@pytest.mark.parametrize(
    ("texts", "error"), [(["all,x"], Conflict), (["none", "x"], Conflict), (["x,"], InvalidInput)]
)
def test_what_is_no_choice(texts: list[str], error: type[ImgsyncError]) -> None:
    with pytest.raises(error):
        ReferrerChoice.parse(texts)


def test_types_are_globs() -> None:
    choice = ReferrerChoice.parse(["application/*spdx*", SCAN])
    assert choice.wants((SBOM,))
    assert choice.wants(("other", SCAN))
    assert not choice.wants(("", "application/vnd.oci.empty.v1+json"))
    assert not ReferrerChoice(()).wants((SBOM,))


def test_what_cosign_keeps_is_known_by_its_layers() -> None:
    image = signed()
    memory, graph, _ = walked(image)
    name = Reference.parse(image.signatures[0])
    root = memory.resolve(name).descriptor
    walk([root], reader(memory), graph=graph)
    kinds = kinds_of(graph.documents[root.digest])
    assert "application/vnd.dev.cosign.simplesigning.v1+json" in kinds
    assert "application/vnd.oci.image.config.v1+json" not in kinds
    assert artifact_type_of(graph.documents[root.digest]) == graph_config(graph, root)


def graph_config(graph: Graph, root: Descriptor) -> str:
    return graph.children(root.digest)[0].media_type


# --- tags -------------------------------------------------------------------------------------


def test_tags_name_digests() -> None:
    assert fallback_tag(A) == f"sha256-{'a' * 64}"
    assert cosign_tags(A) == tuple(f"sha256-{'a' * 64}.{end}" for end in ("sig", "att", "sbom"))
    assert [subject_of_tag(tag) for tag in cosign_tags(A)] == [A, A, A]
    long = Digest("sha512", "b" * 128)
    assert fallback_tag(long) == f"sha512-{'b' * 64}"
    assert cosign_tags(long) == ()


@pytest.mark.parametrize(
    "tag", ["latest", f"sha256-{'a' * 64}", f"sha256-{'a' * 63}.sig", f"md5-{'a' * 32}.sig", ""]
)
def test_other_tags_do_not(tag: str) -> None:
    assert subject_of_tag(tag) is None


def test_a_root_says_what_it_is_about() -> None:
    root = Descriptor(OCI_MANIFEST, A, 3)
    tag = cosign_tags(A)[0]
    named = Root(PLACE.with_tag(tag), root)
    assert subject_of(named, lambda: None) == A
    assert subject_of(Root(None, root, extra=f"{REPOSITORY}:{tag}"), lambda: None) == A
    assert subject_of(Root(None, root), lambda: A) == A
    assert subject_of(Root(PLACE, root), lambda: A) is None
    bare = Root(None, root)
    assert with_own_name(bare, [bare]) is bare
    assert with_own_name(bare, [bare, named]).extra == f"{REPOSITORY}@{A}"


# --- collecting -------------------------------------------------------------------------------


@dataclass
class Fake:
    """A repository without a network; counts what it is asked."""

    memory: Memory
    image: Images
    api: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    fails: dict[str, ImgsyncError] = field(default_factory=dict)
    lies: list[Descriptor] = field(default_factory=list)
    side: str = REPOSITORY
    without_mirrors: Fake | None = None

    def __post_init__(self) -> None:
        self.without_mirrors = self

    def _ask(self, what: str) -> None:
        self.asked[what] += 1
        if what in self.fails:
            raise self.fails[what]

    def resolve(self, reference: Reference) -> Resolved:
        return self.memory.resolve(reference)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        return self.memory.open(descriptor, offset)

    def tags(self) -> list[str]:
        self._ask("tags")
        tags = [name.rpartition(":")[2] for name in self.image.names]
        if not self.api:
            tags.extend(
                self.image.json(entry["digest"])["subject"]["digest"].replace(":", "-")
                for entry, _ in self.image.unnamed
            )
        return tags

    def has_referrers_api(self, _subject: Digest) -> bool:
        self._ask("probe")
        return self.api

    def referrers(self, subject: Digest) -> list[Any]:
        self._ask("api")
        return self._listed(subject)

    def referrers_by_tag(self, subject: Digest) -> list[Any]:
        self._ask("fallback")
        return self._listed(subject)

    def _listed(self, subject: Digest) -> list[Any]:
        found = [
            Line(Descriptor.from_json(entry), entry["artifactType"])
            for entry, _ in self.image.unnamed
            if self.image.json(entry["digest"])["subject"]["digest"] == str(subject)
        ]
        return [*found, *(Line(lie, "") for lie in self.lies)]


@dataclass(frozen=True)
class Line:
    descriptor: Descriptor
    artifact_type: str


def reader(memory: Memory) -> DocumentReader:
    return DocumentReader(lambda _: [memory])


def walked(image: Signed) -> tuple[Memory, Graph, Descriptor]:
    memory = Memory()
    for digest, data in image.images.blobs.items():
        memory.blobs[Digest.parse(digest)] = data
    for name, entry in image.images.names.items():
        memory.name(Reference.parse(name), Descriptor.from_json(entry))
    root = Descriptor.from_json(image.index)
    return memory, walk([root], reader(memory)), root


def collect(
    fake: Fake,
    graph: Graph,
    *,
    choice: str = "all",
    report: list[str] | None = None,
    digests: Sequence[Digest] | None = None,
) -> Collected:
    def hear(event: Event) -> None:
        if isinstance(event, Noted) and report is not None:
            report.append(event.message)

    def walk_more(extras: Sequence[Extra]) -> Graph:
        walk_apart([extra.root.descriptor for extra in extras], reader(fake.memory), graph)
        return graph

    subjects = [
        Subject(digest, fake, PLACE)
        for digest in (list(graph.documents) if digests is None else digests)
    ]
    return Collector(ReferrerChoice.parse([choice]), hear).collect(subjects, walk_more)


@pytest.mark.parametrize("api", [False, True])
def test_everything_is_found_once_and_the_tags_are_listed_once(api: bool) -> None:
    image = signed()
    memory, graph, _ = walked(image)
    fake = Fake(memory, image.images, api)
    found = collect(fake, graph)
    assert len(found.extras) == 6
    assert not found.failures
    assert fake.asked["tags"] == 1
    assert fake.asked["api"] == (9 if api else 0)
    assert fake.asked["fallback"] == (0 if api else 4)
    depth = [extra.root.subject for extra in found.extras]
    assert depth.index(Digest.parse(image.sbom["digest"])) == len(depth) - 1
    assert {extra.root.extra.rpartition("/")[0] for extra in found.extras} == {
        "registry.example/team"
    }


def test_nothing_is_asked_where_nothing_is_wanted() -> None:
    image = signed()
    memory, graph, _ = walked(image)
    fake = Fake(memory, image.images)
    assert not collect(fake, graph, choice="none").extras
    assert not fake.asked


def test_a_type_that_is_not_wanted_is_not_read() -> None:
    image = signed()
    memory, graph, _ = walked(image)
    before = set(graph.documents)
    found = collect(Fake(memory, image.images, api=True), graph, choice=SBOM)
    assert [str(extra.root.descriptor.digest) for extra in found.extras] == [image.sbom["digest"]]
    scans = {Digest.parse(scan["digest"]) for scan in image.scans}
    assert not scans & (set(graph.documents) - before)


def test_a_listing_that_knows_only_an_empty_config_does_not_decide() -> None:
    """As cosign writes the index of the fallback tag for sigstore's bundles."""
    image = signed()
    memory, graph, _ = walked(image)
    for entry, _ in image.images.unnamed:
        entry["artifactType"] = OCI_EMPTY
    found = collect(Fake(memory, image.images, api=True), graph, choice=SBOM)
    assert [str(extra.root.descriptor.digest) for extra in found.extras] == [image.sbom["digest"]]


def test_a_refusal_is_told_once_and_a_broken_line_is_a_failure() -> None:
    image = signed()
    memory, graph, _ = walked(image)
    told: list[str] = []
    refused = Fake(memory, image.images, fails={"tags": AccessDenied("no list for you")})
    assert not collect(refused, graph, report=told).failures
    assert len(told) == 1
    assert "no list for you" in told[0]
    broken = Fake(memory, image.images, fails={"tags": Unreachable("no route")})
    ((label, error),) = collect(broken, graph).failures
    assert label.startswith(REPOSITORY)
    assert isinstance(error, Unreachable)
    assert broken.asked["tags"] == 1


def test_a_registry_that_is_down_is_waited_for_once_and_is_no_failure_behind_a_mirror() -> None:
    image = signed()
    memory, graph, _ = walked(image)
    down = Fake(memory, image.images, fails={"probe": Unreachable("no route")})
    assert len(collect(down, graph).failures) == 1
    assert down.asked == {"probe": 1}
    mirrored = Fake(memory, image.images, fails={"probe": Unreachable("no route")})
    mirrored.without_mirrors = down
    told: list[str] = []
    assert not collect(mirrored, graph, report=told).failures
    assert len(told) == 1
    assert "mirrors are not asked" in told[0]


def test_what_is_no_manifest_and_what_is_described_wrongly_is_left_out() -> None:
    image = signed()
    memory, graph, root = walked(image)
    told: list[str] = []
    odd = Descriptor("application/vnd.oci.artifact.manifest.v1+json", A, 9)
    lie = Descriptor(OCI_MANIFEST, root.digest, 9)
    fake = Fake(memory, image.images, api=True, lies=[odd, lie])
    found = collect(fake, graph, report=told)
    assert len(found.extras) == 6
    assert [type(error) for _, error in found.failures] == [ContentError]
    assert any("artifact.manifest" in message for message in told)


def test_there_is_a_most_that_one_image_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MAX_EXTRAS", 3)
    image = signed()
    memory, graph, _ = walked(image)
    told: list[str] = []
    assert len(collect(Fake(memory, image.images), graph, report=told).extras) == 3
    assert any("more than 3" in message for message in told)


def test_tags_that_are_known_are_not_asked_for() -> None:
    image = signed()
    memory, _, _ = walked(image)
    fake = Fake(memory, image.images)
    collector = Collector(ReferrerChoice(), ignore)
    collector.know_tags(fake, fake.tags())
    collector.look([Subject(A, fake, PLACE)])
    assert fake.asked["tags"] == 1


# --- the fallback tag -------------------------------------------------------------------------


def entry(mark: str) -> dict[str, Any]:
    return {"mediaType": OCI_MANIFEST, "digest": f"sha256:{mark * 64}", "size": 1}


def marks(raw: bytes) -> str:
    return "".join(item["digest"][7] for item in json.loads(raw)["manifests"])


def test_entries_are_added_once_and_others_stay_as_they_are() -> None:
    raw = json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{**entry("c"), "x": 1}], "y": 2}
    ).encode()
    more = merged(raw, [entry("b"), entry("c"), entry("a")], "there")
    assert more is not None
    assert marks(more) == "cab"
    assert json.loads(more)["y"] == 2
    assert json.loads(more)["manifests"][0]["x"] == 1
    assert merged(more, [entry("b")], "there") is None
    with pytest.raises(Refused, match="no index of referrers"):
        merged(b'{"schemaVersion":2,"config":{}}', [entry("a")], "there")


@dataclass
class Far:
    """A repository with one tag, which somebody else may write too."""

    content: dict[Digest, bytes] = field(default_factory=dict)
    tag: Digest | None = None
    others: list[bytes] = field(default_factory=list)
    gone: str = ""
    n_writes: int = 0
    side: str = "far"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def digest_of_tag(self, _tag: str) -> Descriptor | None:
        return self._descriptor(self.tag) if self.tag is not None else None

    def _descriptor(self, digest: Digest) -> Descriptor:
        return Descriptor(OCI_INDEX, digest, len(self.content[digest]))

    def open(self, descriptor: Descriptor, offset: int = 0) -> Any:
        import io

        return io.BytesIO(self.content[descriptor.digest][offset:])

    def remember(self, descriptor: Descriptor, raw: bytes) -> None:
        self.content[descriptor.digest] = raw

    def missing(self, descriptors: Sequence[Descriptor]) -> set[Digest]:
        return {item.digest for item in descriptors if item.digest.hex[0] in self.gone}

    def name(self, _reference: Reference, root: Descriptor) -> None:
        if self.missing([Descriptor.from_json(item) for item in self._entries(root.digest)]):
            raise ChildrenUnknown("an entry is not there")
        self.n_writes += 1
        self.tag = root.digest
        if self.others:
            raw = self.others.pop(0)
            self.tag = Digest.of(raw)
            self.content[self.tag] = raw
            raise ContentError("the tag means something else now")

    def _entries(self, digest: Digest) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = json.loads(self.content[digest])["manifests"]
        return entries

    @property
    def listed(self) -> str:
        return marks(self.content[self.tag]) if self.tag is not None else ""


def put(far: Far, *listed: str) -> None:
    target: Any = far
    list_at(target, PLACE, A, [entry(mark) for mark in listed])


def test_a_tag_is_made_kept_and_added_to() -> None:
    far = Far()
    put(far, "b", "a")
    assert (far.listed, far.n_writes) == ("ab", 1)
    put(far, "a", "b")
    put(far, "a")
    assert far.n_writes == 1
    put(far, "c")
    assert (far.listed, far.n_writes) == ("abc", 2)


def test_somebody_else_who_writes_at_the_same_time_loses_nothing() -> None:
    far = Far(others=[index_of([entry("d")]), index_of([entry("d"), entry("e")])])
    put(far, "a")
    assert far.listed == "dea"
    for_ever = Far(others=[index_of([entry("d")])] * 5)
    with pytest.raises(ContentError):
        put(for_ever, "a")


def test_what_is_gone_is_not_listed_any_more() -> None:
    far = Far()
    put(far, "a", "b")
    far.gone = "a"
    put(far, "c")
    assert far.listed == "bc"


def test_many_subjects_at_once() -> None:
    fars = [Far() for _ in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda far: put(far, "a", "b"), fars))
    assert {far.listed for far in fars} == {"ab"}
