"""Indexes and manifests: what they need, and documents that two tools would read in two ways."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import ImgsyncError, InvalidManifest
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.manifest import Index, Manifest, describe, parse_document
from imgsync.model.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from imgsync.model.strict_json import MAX_DEPTH, canonical, parse, parse_object

BLOB = {"mediaType": "application/x", "digest": f"sha256:{'0' * 64}", "size": 1}
MANIFEST = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": BLOB, "layers": [BLOB]}
INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [BLOB]}


def parsed(value: Any, media_type: str) -> Index | Manifest:
    raw = json.dumps(value).encode()
    return parse_document(raw, Descriptor(media_type, Digest.of(raw), len(raw)))


def test_a_manifest_needs_its_config_and_layers_and_not_its_subject() -> None:
    subject = {**BLOB, "digest": f"sha256:{'1' * 64}"}
    manifest = parsed({**MANIFEST, "subject": subject}, OCI_MANIFEST)
    assert [str(child.digest) for child in manifest.children] == [BLOB["digest"]] * 2
    assert manifest.subject is not None


def test_an_index_needs_all_its_entries() -> None:
    assert len(parsed(INDEX, OCI_INDEX).children) == 1
    assert parsed({**INDEX, "manifests": []}, OCI_INDEX).children == ()


def test_documents_keep_their_bytes() -> None:
    raw = b'{ "schemaVersion":2,\n "manifests" : [] }'
    document = parse_document(raw, Descriptor(OCI_INDEX, Digest.of(raw), len(raw)))
    assert document.raw is raw


@pytest.mark.parametrize(
    ("value", "media_type", "words"),
    [
        ({**INDEX, "layers": []}, OCI_INDEX, "an index and a manifest at once"),
        ({**MANIFEST, "manifests": []}, OCI_MANIFEST, "an index and a manifest at once"),
        ({**MANIFEST, "mediaType": DOCKER_MANIFEST}, OCI_MANIFEST, "says that it is"),
        (MANIFEST, OCI_INDEX, "says that it is"),
        ({**INDEX, "mediaType": OCI_MANIFEST}, OCI_MANIFEST, "fields of an index"),
        ({**MANIFEST, "schemaVersion": 1}, OCI_MANIFEST, "Docker schema 1"),
        ({**MANIFEST, "schemaVersion": 3}, OCI_MANIFEST, "schemaVersion 3"),
        ({"schemaVersion": 2}, OCI_MANIFEST, "neither an index nor a manifest"),
        ({**MANIFEST, "config": None}, OCI_MANIFEST, "config is not a JSON object"),
        ({**MANIFEST, "layers": {}}, OCI_MANIFEST, "layers is not a list"),
        ({**INDEX, "manifests": [5]}, OCI_INDEX, r"manifests\[0\] is not a JSON object"),
        ([], OCI_INDEX, "not a JSON object"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(value: Any, media_type: str, words: str) -> None:
    with pytest.raises(InvalidManifest, match=words):
        parsed(value, media_type)


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        (MANIFEST, OCI_MANIFEST),
        (INDEX, OCI_INDEX),
        ({"schemaVersion": 2, "manifests": []}, OCI_INDEX),
        ({"schemaVersion": 2, "manifests": [{"mediaType": DOCKER_MANIFEST}]}, DOCKER_LIST),
        (
            {
                "schemaVersion": 2,
                "config": {"mediaType": "application/vnd.docker.container.image.v1+json"},
                "layers": [],
            },
            DOCKER_MANIFEST,
        ),
    ],
)
def test_the_media_type_follows_from_the_fields(value: Any, media_type: str) -> None:
    raw = json.dumps(value).encode()
    assert describe(raw).media_type == media_type


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"a": 1, "a": 2}', "JSON key twice"),
        (b'{"a": {"b": 1, "b": 1}}', "JSON key twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "levels deep"),
        (b"{", "not JSON"),
        (b'"text"', "not a JSON object"),
    ],
)
def test_json_that_readers_disagree_about_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(InvalidManifest, match=words):
        parse_object(raw, "index sha256:00")


def test_brackets_within_strings_are_not_nesting() -> None:
    assert parse(json.dumps({"a": "[{" * 1000 + '"'}).encode(), "it") == {"a": "[{" * 1000 + '"'}
    deep: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert parse(json.dumps(deep).encode(), "it") == deep


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["schemaVersion", "mediaType", "config", "layers", "manifests", "digest"]
            )
            | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_document_or_our_error(value: Any) -> None:
    raw = json.dumps(value).encode()
    try:
        document = parse_document(raw, Descriptor(OCI_MANIFEST, Digest.of(raw), len(raw)))
    except ImgsyncError:
        return
    assert document.raw == raw


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_our_error(raw: bytes) -> None:
    try:
        value = parse(raw, "it")
    except InvalidManifest:
        return
    assert parse(canonical(value), "it") == value
