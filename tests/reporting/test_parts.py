"""The pure parts of a report: markup, evidence, the picture."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.manifest import parse_document
from imgsync.reporting.evidence import Kind, about_of, kind_of_document
from imgsync.reporting.markup import Markup, join, tag, text
from imgsync.reporting.picture import ROW_PX, Block, Row, arranged, blocks_of, drawn
from tests.images import OCI_MANIFEST, Images
from tests.reporting.site import MEAN, Reader


class TestMarkup:
    @pytest.mark.parametrize("mean", MEAN)
    def test_a_text_is_a_text(self, mean: str) -> None:
        read = Reader(tag("p", mean, title=mean))
        assert [name for name, _ in read.elements] == ["p"]
        assert read.words == read.elements[0][1]["title"]
        assert read.words.isprintable()

    @given(st.text(st.characters(exclude_categories=[])))
    def test_whatever_it_is(self, any_text: str) -> None:
        read = Reader(tag("td", any_text, data_v=any_text))
        assert [name for name, _ in read.elements] == ["td"]
        assert read.elements[0][1].keys() == {"data-v"}
        if any_text.isprintable():
            assert read.words == any_text
        text(any_text).encode()

    def test_attributes(self) -> None:
        made = tag("td", class_="a b", data_v=3, hidden=True, title=None, open=False)
        assert made == '<td class="a b" data-v="3" hidden></td>'
        assert tag("meta", name="x", http_equiv="y") == '<meta name="x" http-equiv="y">'

    def test_markup_stays_and_texts_do_not(self) -> None:
        inner = tag("b", "<")
        assert tag("p", inner, [">", (inner, "&")]) == ("<p><b>&lt;</b>&gt;<b>&lt;</b>&amp;</p>")
        assert join(Markup("<br>"), "<br>") == "<br>&lt;br&gt;"

    def test_what_turns_the_direction_is_shown(self) -> None:
        assert text("a\u202eb\nc") == "a\\u202eb\\nc"


def _kind(images: Images, descriptor: dict[str, Any], name: str = "") -> tuple[Kind, str]:
    known = Descriptor.from_json(descriptor)
    document = parse_document(images.blobs[str(known.digest)], known)
    return kind_of_document(document, name)


class TestEvidence:
    @pytest.mark.parametrize(
        ("artifact", "kind"),
        [
            ("application/spdx+json", Kind.SBOM),
            ("application/vnd.cyclonedx+json", Kind.SBOM),
            ("application/vnd.syft+json", Kind.SBOM),
            ("application/vnd.cncf.notary.signature", Kind.SIGNATURE),
            ("application/vnd.dev.cosign.artifact.sig.v1+json", Kind.SIGNATURE),
            ("application/vnd.dev.sigstore.bundle.v0.3+json", Kind.SIGNATURE),
            ("application/vnd.openvex+json", Kind.SCAN),
            ("application/sarif+json", Kind.SCAN),
            ("application/vnd.in-toto+json", Kind.ATTESTATION),
            ("application/vnd.example.thing", Kind.ARTIFACT),
        ],
    )
    def test_by_its_type(self, artifact: str, kind: Kind) -> None:
        images = Images()
        assert _kind(images, images.artifact(artifact, b"x")) == (kind, artifact)

    @pytest.mark.parametrize(
        ("predicate", "kind"),
        [
            ("https://slsa.dev/provenance/v1", Kind.PROVENANCE),
            ("https://spdx.dev/Document", Kind.SBOM),
            ("https://cyclonedx.org/bom", Kind.SBOM),
            ("https://cosign.sigstore.dev/attestation/vuln/v1", Kind.SCAN),
            ("https://sigstore.dev/cosign/sign/v1", Kind.SIGNATURE),
            ("https://example.com/approved", Kind.ATTESTATION),
        ],
    )
    def test_by_its_predicate(self, predicate: str, kind: Kind) -> None:
        images = Images()
        layer = images.blob(
            "application/vnd.in-toto+json",
            b"{}",
            annotations={"in-toto.io/predicate-type": predicate},
        )
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": images.blob("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [layer],
        }
        made = images.blob(OCI_MANIFEST, json.dumps(manifest).encode())
        assert _kind(images, made)[0] is kind
        bundle = images.artifact(
            "application/vnd.dev.sigstore.bundle.v0.3+json",
            b"x",
            annotations={"dev.sigstore.bundle.predicateType": predicate},
        )
        assert _kind(images, bundle)[0] is kind

    def test_by_cosigns_tag(self) -> None:
        images = Images()
        thing = images.artifact("", b"x")
        of = "sha256-" + "a" * 64
        for end, kind in ((".sig", "signature"), (".att", "attestation"), (".sbom", "SBOM")):
            assert _kind(images, thing, f"{of}{end}")[0] == kind
        known = Descriptor.from_json(thing)
        assert about_of(None, known, f"{of}.sig") == Digest("sha256", "a" * 64)
        assert about_of(None, known, "1.0") is None

    def test_a_chart(self) -> None:
        images = Images()
        config = images.blob("application/vnd.cncf.helm.config.v1+json", b"{}")
        assert _kind(images, images.artifact("", b"x", config=config)) == (Kind.CHART, "Helm")

    def test_what_buildkit_puts_beside_an_image(self) -> None:
        images = Images()
        image = images.image([])
        attestation = images.attestation(image)
        assert _kind(images, attestation)[0] is Kind.PROVENANCE
        known = Descriptor.from_json(attestation)
        assert about_of(None, known) == Digest.parse(image["digest"])


def _layers(*specs: tuple[str, int]) -> tuple[Descriptor, ...]:
    return tuple(Descriptor("layer", Digest.of(name.encode()), size) for name, size in specs)


BASE = ("base", 100)
ROWS = st.lists(
    st.lists(st.tuples(st.sampled_from("abc"), st.just(10)), max_size=4).map(
        lambda specs: Row("x", _layers(*specs))
    ),
    max_size=8,
)


class TestPicture:
    def test_a_base_is_one_block_across_its_images(self) -> None:
        rows = arranged(
            [
                Row("other", _layers(("alone", 50))),
                Row("app", _layers(BASE, ("libs", 40), ("app", 10))),
                Row("db", _layers(BASE, ("db", 60))),
                Row("web", _layers(BASE, ("libs", 40), ("web", 20))),
            ]
        )
        assert {row.name for row in rows[:2]} == {"app", "web"}
        assert [row.name for row in rows[2:]] == ["db", "other"]
        blocks = {
            (block.first, block.last): block for block in blocks_of(rows) if block.n_users > 1
        }
        assert blocks.keys() == {(0, 2), (0, 1)}
        base, libs = blocks[0, 2], blocks[0, 1]
        assert (base.start, base.n_users, libs.n_users) == (0, 3, 2)
        assert libs.start == pytest.approx(base.width)
        assert base.width > libs.width * 2

    def test_a_layer_at_another_place_is_shared_too(self) -> None:
        rows = arranged([Row("a", _layers(("x", 1), BASE)), Row("b", _layers(BASE))])
        assert {block.n_users for block in blocks_of(rows) if block.layer.size == 100} == {2}

    @given(ROWS)
    def test_every_layer_of_every_row_is_drawn_once_in_its_place(self, rows: list[Row]) -> None:
        rows = arranged(rows)
        drawn_layers: dict[int, list[Block]] = {number: [] for number in range(len(rows))}
        for block in blocks_of(rows):
            for number in range(block.first, block.last + 1):
                drawn_layers[number].append(block)
        for number, row in enumerate(rows):
            mine = drawn_layers[number]
            assert tuple(block.layer for block in mine) == row.layers
            end = 0.0
            for block in mine:
                assert block.start == pytest.approx(end)
                end = block.start + block.width
            assert end <= 100.001

    def test_nothing_is_nothing(self) -> None:
        assert not list(blocks_of([]))
        assert not list(blocks_of([Row("empty", ())]))

    def test_it_is_svg_without_styles(self) -> None:
        rows = arranged([Row("<b>", _layers(BASE)), Row("two", _layers(BASE, ("x", 5)))])
        read = Reader(drawn(rows, str))
        assert not any("style" in attributes for _, attributes in read.elements)
        assert ("b", {}) not in read.elements
        outer = next(attributes for name, attributes in read.elements if name == "svg")
        assert outer["height"] == str(2 * ROW_PX)
        assert [a["class"] for name, a in read.elements if name == "rect"] == ["shared", "own"]
