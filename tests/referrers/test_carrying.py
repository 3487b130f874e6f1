"""Signatures, attestations and SBOMs, from registry to registry and through bundles."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.run import IMGSYNC, imgsync
from tests.images import OCI_INDEX, Images
from tests.referrers.api import ReferrersApi
from tests.referrers.images import APP, REPOSITORY, SBOM, SCAN, SIGNATURE, Signed, signed, tag_of
from tests.servers.faults import Answer
from tests.servers.proxy import FaultyProxy
from tests.upload import upload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.images import Descriptor
    from tests.servers.containerd import Containerd
    from tests.servers.registry import Registry

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def image() -> Signed:
    return signed()


@pytest.fixture
def source(new_registry: Registry, image: Signed) -> str:
    """The image at a registry without the API, with everything about it."""
    name = upload(new_registry.url, image.images)[APP]
    new_registry.forget()
    return name


@pytest.fixture(scope="module")
def site(registry: Registry, image: Signed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of it, under its own name."""
    name = upload(registry.url, image.images, prefix="carrying/")[APP]
    path = tmp_path_factory.mktemp("carrying") / "site.tar"
    imgsync("bundle", f"{name}={APP}", "-o", path)
    return path


@contextmanager
def api(registry: Registry, **options: Any) -> Iterator[FaultyProxy]:
    with FaultyProxy(upstream=registry.url) as proxy:
        proxy.on("GET", "/referrers/", ReferrersApi(registry, **options), times=None)
        yield proxy


def lock_of(path: Path) -> dict[str, Any]:
    lock: dict[str, Any] = json.loads(path.with_name(f"{path.name}.lock.json").read_text())
    return lock


def extras_of(path: Path) -> dict[str, str]:
    """Their names, shortened to what stands behind the repository, with what they are about."""
    return {
        extra["name"].removeprefix(extra["name"].rpartition("/")[0] + "/app"): extra["subject"]
        for extra in lock_of(path)["extras"]
    }


def expected_extras(image: Signed, *, of_second_child: bool = True) -> dict[str, str]:
    index, children = image.index["digest"], [child["digest"] for child in image.children]
    extras = {
        f":{tag_of(image.index, '.sig')}": index,
        f":{tag_of(image.children[0], '.sig')}": children[0],
        f"@{image.sbom['digest']}": index,
        f"@{image.sbom_signature['digest']}": image.sbom["digest"],
        f"@{image.scans[0]['digest']}": children[0],
    }
    if of_second_child:
        extras[f"@{image.scans[1]['digest']}"] = children[1]
    return extras


def listed(registry: Registry, repository: str, subject: Descriptor) -> list[dict[str, Any]]:
    """What the fallback tag of the subject lists."""
    digest = registry.tags(repository)[tag_of(subject)]
    index = json.loads(registry.read_blob(digest))
    assert index["mediaType"] == OCI_INDEX
    entries: list[dict[str, Any]] = index["manifests"]
    return entries


# --- bundle -----------------------------------------------------------------------------------


def test_a_bundle_has_everything_about_the_image_its_children_and_what_is_about_them(
    source: str, image: Signed, tmp_path: Path
) -> None:
    site = tmp_path / "site.tar"
    imgsync("bundle", source, "-o", site)
    assert extras_of(site) == expected_extras(image)
    with tarfile.open(site) as archive:
        names = set(archive.getnames())
    for digest in image.images.digests():
        assert f"blobs/{digest.replace(':', '/')}" in names
    # The indexes under the fallback tags are not carried.
    assert len([extra for extra in lock_of(site)["extras"] if "Index" in str(extra)]) == 0
    assert len(lock_of(site)["images"]) == 1
    imgsync("verify", site)


def test_without_the_api_it_costs_one_probe_and_one_list_of_tags(
    new_registry: Registry, image: Signed, tmp_path: Path
) -> None:
    second = signed("2.0", seed="two")
    names = [upload(new_registry.url, one.images) for one in (image, second)]
    new_registry.forget()
    site = tmp_path / "site.tar"
    imgsync("bundle", names[0][APP], names[1][f"{REPOSITORY}:2.0"], "-o", site)
    assert len(new_registry.requests("GET", "/referrers/")) == 1
    assert len(new_registry.requests("GET", "/tags/list")) == 1
    # What it names: an index for each subject, a HEAD for each of cosign's tags.
    by_tag = new_registry.requests("", "/manifests/sha256-")
    asked = {line.path.rpartition("/")[2] for line in by_tag}
    subjects = [
        subject for one in (image, second) for subject in (one.index, one.sbom, *one.children)
    ]
    signatures = [name.rpartition(":")[2] for one in (image, second) for name in one.signatures]
    assert asked == {*map(tag_of, subjects), *signatures}
    n_objects = len(image.images.digests() | second.images.digests())
    n_asked = 1 + 1 + len({subject["digest"] for subject in subjects}) + len(set(signatures))
    assert len(new_registry.requests("", "/v2/.+")) <= n_objects + 2 + n_asked


def test_an_image_without_anything_about_it_costs_two_requests_more(
    new_registry: Registry, tmp_path: Path
) -> None:
    images = Images()
    images.name("registry.example/plain:1", images.image([images.layer({"a": b"a"})]))
    name = upload(new_registry.url, images)["registry.example/plain:1"]
    counts = []
    for choice in ("none", "all"):
        new_registry.forget()
        imgsync("bundle", name, "-o", tmp_path / f"{choice}.tar", "--referrers", choice)
        counts.append(len(new_registry.requests("", "/v2/.+")))
    assert counts[1] == counts[0] + 2


def test_with_the_api_it_is_one_request_a_document(
    new_registry: Registry, image: Signed, tmp_path: Path
) -> None:
    upload(new_registry.url, image.images, referrers=False)
    with api(new_registry) as proxy:
        name = f"{proxy.host}/team/app:1.0"
        site = tmp_path / "site.tar"
        imgsync("bundle", name, "-o", site)
        assert extras_of(site) == expected_extras(image)
        # The probe, the index and its children, and the six that were found.
        assert proxy.count("GET", "/referrers/") == 1 + 3 + 6
        assert proxy.count("GET", "/tags/list") == 1


def test_the_api_is_read_to_its_last_page(new_registry: Registry, tmp_path: Path) -> None:
    images = Images()
    root = images.image([images.layer({"a": b"a"})])
    images.name(APP, root)
    for number in range(7):
        images.referrer(root, SCAN, f"scan {number}".encode(), REPOSITORY)
    upload(new_registry.url, images, referrers=False)
    with api(new_registry, per_page=3) as proxy:
        imgsync("bundle", f"{proxy.host}/team/app:1.0", "-o", tmp_path / "site.tar")
    assert len(extras_of(tmp_path / "site.tar")) == 7


def test_the_lock_makes_the_same_bytes_although_more_was_signed_since(
    registry: Registry, repository: str, tmp_path: Path
) -> None:
    image = signed()
    prefix = f"{repository}/"
    name = upload(registry.url, image.images, prefix=prefix)[APP]
    site, again, fresh = (tmp_path / f"{word}.tar" for word in ("site", "again", "fresh"))
    imgsync("bundle", name, "-o", site)
    image.images.referrer(image.index, SCAN, b"a later scan", REPOSITORY)
    upload(registry.url, image.images, prefix=prefix)
    imgsync("bundle", "-f", f"{site}.lock.json", "-o", again)
    assert again.read_bytes() == site.read_bytes()
    imgsync("bundle", name, "-o", fresh)
    assert len(extras_of(fresh)) == len(extras_of(site)) + 1


def test_what_is_about_a_platform_that_was_left_out_stays_behind(
    source: str, image: Signed, tmp_path: Path
) -> None:
    site, smaller = tmp_path / "site.tar", tmp_path / "smaller.tar"
    imgsync("bundle", source, "-o", site, "--platform", "linux/amd64")
    assert extras_of(site) == expected_extras(image, of_second_child=False)
    # The same out of a bundle of everything.
    imgsync("bundle", source, "-o", tmp_path / "all.tar")
    imgsync("bundle", tmp_path / "all.tar", "-o", smaller, "--platform", "linux/amd64")
    assert extras_of(smaller) == expected_extras(image, of_second_child=False)


def test_one_image_of_a_bundle_brings_what_is_about_it(
    site: Path, image: Signed, tmp_path: Path
) -> None:
    out = tmp_path / "out.tar"
    imgsync("bundle", f"oci-archive:{site}:{APP}", "-o", out)
    assert extras_of(out) == expected_extras(image)
    assert {extra["origin"] for extra in lock_of(out)["extras"]} == {
        extra["origin"] for extra in lock_of(site)["extras"]
    }


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        (["none"], set()),
        ([SBOM], {"sbom"}),
        (["*spdx*,*simplesigning*"], {"sbom", "sig"}),
        ([SBOM, SIGNATURE], {"sbom", "sbom_signature"}),
        ([SIGNATURE], set()),  # what it is about does not come along
        (["*"], {"sbom", "sbom_signature", "scan", "sig"}),
    ],
)
def test_types_are_chosen(
    registry: Registry,
    image: Signed,
    repository: str,
    tmp_path: Path,
    choice: list[str],
    kept: set[str],
) -> None:
    name = upload(registry.url, image.images, prefix=f"{repository}/")[APP]
    kinds = {
        f"@{image.sbom['digest']}": "sbom",
        f"@{image.sbom_signature['digest']}": "sbom_signature",
        **{f"@{scan['digest']}": "scan" for scan in image.scans},
    }
    options = [word for part in choice for word in ("--referrers", part)]
    imgsync("bundle", name, "-o", tmp_path / "site.tar", *options)
    found = {kinds.get(extra, "sig") for extra in extras_of(tmp_path / "site.tar")}
    assert found == kept


def test_all_and_none_stand_alone(source: str, tmp_path: Path) -> None:
    said = imgsync("bundle", source, "-o", tmp_path / "x.tar", "--referrers", "all,none", code=2)
    assert "stand alone" in said.err


def test_what_is_listed_and_gone_is_told_and_left_out(
    new_registry: Registry, image: Signed, tmp_path: Path
) -> None:
    upload(new_registry.url, image.images, referrers=False)
    gone = {"mediaType": image.sbom["mediaType"], "digest": f"sha256:{'1' * 64}", "size": 100}
    with api(new_registry, more=({**gone, "artifactType": SCAN},)) as proxy:
        said = imgsync("bundle", f"{proxy.host}/team/app:1.0", "-o", tmp_path / "site.tar")
    assert "is listed, and is not there" in said.err
    assert extras_of(tmp_path / "site.tar") == expected_extras(image)


def test_a_listing_that_lies_about_an_image_spoils_nothing_but_itself(
    new_registry: Registry, image: Signed, tmp_path: Path
) -> None:
    upload(new_registry.url, image.images, referrers=False)
    lie = {"mediaType": image.index["mediaType"], "digest": image.index["digest"], "size": 7}
    with api(new_registry, more=(lie,)) as proxy:
        name, site = f"{proxy.host}/team/app:1.0", tmp_path / "site.tar"
        refused = imgsync("bundle", name, "-o", site, code=4)
        assert "described in two ways" in refused.err
        imgsync("bundle", name, "-o", site, "--keep-going", code=3)
    assert extras_of(site) == expected_extras(image)


def test_a_registry_that_does_not_list_tags_is_told(
    new_registry: Registry, image: Signed, tmp_path: Path
) -> None:
    upload(new_registry.url, image.images, referrers=False)
    with api(new_registry) as proxy:
        proxy.on("GET", "/tags/list", Answer(403, content=b"{}"), times=None)
        said = imgsync("bundle", f"{proxy.host}/team/app:1.0", "-o", tmp_path / "site.tar")
    assert "cannot be looked for" in said.err
    assert [name for name in extras_of(tmp_path / "site.tar") if name.startswith("@")]


def test_endless_signatures_of_signatures_end(new_registry: Registry, tmp_path: Path) -> None:
    images = Images()
    last = images.image([images.layer({"a": b"a"})])
    images.name(APP, last)
    for number in range(7):
        last = images.referrer(last, SIGNATURE, f"{number}".encode(), REPOSITORY)
    name = upload(new_registry.url, images)[APP]
    said = imgsync("bundle", name, "-o", tmp_path / "site.tar")
    assert len(extras_of(tmp_path / "site.tar")) == 4
    assert "4 levels above an image" in said.err


# --- push -------------------------------------------------------------------------------------


def check_arrived(far: Registry, repository: str, image: Signed) -> None:
    tags = far.tags(repository)
    signatures = {tag_of(part, ".sig") for part in (image.index, image.children[0])}
    fallbacks = {tag_of(part) for part in (image.index, *image.children, image.sbom)}
    assert set(tags) == {"1.0", *signatures, *fallbacks}
    for name in image.signatures:
        assert tags[name.rpartition(":")[2]] == image.images.names[name]["digest"]
    for subject, referrer in (
        (image.index, image.sbom),
        (image.sbom, image.sbom_signature),
        (image.children[0], image.scans[0]),
        (image.children[1], image.scans[1]),
    ):
        (entry,) = listed(far, repository, subject)
        size = len(image.images.blobs[referrer["digest"]])
        assert (entry["digest"], entry["size"]) == (referrer["digest"], size)
        assert entry["artifactType"] == referrer["artifactType"]
    assert all(far.has_blob(digest) for digest in image.images.digests())


def test_a_bundle_arrives_with_everything_and_a_second_push_changes_nothing(
    site: Path, image: Signed, new_registry: Registry
) -> None:
    to = f"{new_registry.host}/far"
    imgsync("push", site, "--to", to)
    check_arrived(new_registry, "far/team/app", image)
    # One write for each subject.
    subjects = [image.index, image.sbom, *image.children]
    for subject in subjects:
        path = f"/manifests/{tag_of(subject)}$"
        assert len(new_registry.requests("PUT", path)) == 1
    new_registry.forget()
    again = imgsync("push", site, "--to", to, "--format", "json").json
    assert {one["status"] for one in again["images"]} == {"unchanged"}
    assert not new_registry.requests("PUT|POST|PATCH|DELETE")
    # The probe, and no more than a look at each fallback tag.
    assert len(new_registry.requests("GET", "/v2/.+")) == 1
    assert len(new_registry.requests("HEAD", "/manifests/sha256-[0-9a-f]+$")) == len(subjects)
    check_arrived(new_registry, "far/team/app", image)


def test_what_others_listed_stays_listed(site: Path, image: Signed, new_registry: Registry) -> None:
    theirs = Images()
    theirs.blobs.update(image.images.blobs)
    scan = theirs.referrer(image.index, SCAN, b"the scan of the far side", "r/team/app")
    theirs.name("r/team/app:1.0", image.index)
    upload(new_registry.url, theirs, prefix="far/")
    imgsync("push", site, "--to", f"{new_registry.host}/far")
    entries = listed(new_registry, "far/team/app", image.index)
    assert [entry["digest"] for entry in entries] == [scan["digest"], image.sbom["digest"]]
    imgsync("push", site, "--to", f"{new_registry.host}/far")
    assert listed(new_registry, "far/team/app", image.index) == entries


def test_from_registry_to_registry(
    source: str, image: Signed, other_registry: Registry, repository: str
) -> None:
    imgsync("push", source, "--to", f"{other_registry.host}/{repository}")
    check_arrived(other_registry, f"{repository}/team/app", image)


def test_what_is_about_an_image_comes_after_it(
    site: Path, image: Signed, new_registry: Registry
) -> None:
    imgsync("push", site, "--to", f"{new_registry.host}/far")
    puts = [line.path.rpartition("/")[2] for line in new_registry.requests("PUT", "/manifests/")]
    for name in image.signatures:
        signature = image.images.names[name]["digest"]
        subject = name.rpartition(":")[2].removesuffix(".sig").replace("-", ":")
        assert puts.index(subject) < puts.index(signature)
    for referrer in image.referrers:
        subject = image.images.json(referrer["digest"])["subject"]["digest"]
        assert puts.index(subject) < puts.index(referrer["digest"])


def test_a_destination_with_the_api_needs_no_fallback_tags(
    site: Path, image: Signed, new_registry: Registry
) -> None:
    with api(new_registry) as proxy:
        imgsync("push", site, "--to", f"{proxy.host}/far")
        assert proxy.count("GET", "/referrers/") == 1
    fallbacks = {tag_of(part) for part in (image.index, *image.children, image.sbom)}
    assert not fallbacks & set(new_registry.tags("far/team/app"))
    assert all(new_registry.has_blob(digest) for digest in image.images.digests())


def test_without_a_name_of_their_own_they_go_where_a_rule_sends_the_image(
    site: Path, image: Signed, new_registry: Registry
) -> None:
    rule = f"{APP}={new_registry.host}/other/thing:2"
    imgsync("push", site, "--map", rule)
    tags = new_registry.tags("other/thing")
    assert tags["2"] == image.index["digest"]
    assert tag_of(image.index, ".sig") in tags
    assert new_registry.repositories() == {"other/thing"}


def test_a_rewritten_index_leaves_its_signatures_behind_and_names_them(
    source: str, image: Signed, other_registry: Registry, repository: str, tmp_path: Path
) -> None:
    imgsync("bundle", source, "-o", tmp_path / "part.tar", "--platform", "linux/amd64")
    to = f"{other_registry.host}/{repository}"
    push = ("push", tmp_path / "part.tar", "--to", to, "--rewrite-index", "--format", "json")
    said = imgsync(*push)
    left = {one["image"] for one in said.json["images"] if one["status"] == "left-out"}
    assert {name.rpartition("app")[2] for name in left} == {
        f":{tag_of(image.index, '.sig')}",
        f"@{image.sbom['digest']}",
        f"@{image.sbom_signature['digest']}",
    }
    for name in left:
        assert f"{name} is left out" in said.err
    tags = set(other_registry.tags(f"{repository}/team/app"))
    child = image.children[0]
    assert tags == {"1.0", tag_of(child, ".sig"), tag_of(child)}


def test_where_nothing_was_pushed_that_is_said_of_what_is_about_the_images_too(
    site: Path,
) -> None:
    push = ("push", site, "--to", "127.0.0.1:1/site", "--retries", "0")
    refused = imgsync(*push, code=6)
    assert "no image was pushed" in refused.err
    assert "is left out: it is about" in refused.err
    assert "no image can be pushed" in imgsync(*push, "--dry-run", code=6).err


def test_a_bad_one_fails_alone(site: Path, image: Signed, new_registry: Registry) -> None:
    name = image.images.names[image.signatures[0]]["digest"]
    payload = image.images.json(name)["layers"][0]["digest"]
    with FaultyProxy(upstream=new_registry.url) as proxy:
        proxy.on("PUT", f"digest={payload.replace(':', '%3A')}", Answer(403), times=None)
        proxy.on("POST|PATCH|PUT", payload[7:], Answer(403), times=None)
        failed = imgsync("push", site, "--to", f"{proxy.host}/far", code=3)
    assert tag_of(image.index, ".sig") in failed.err
    tags = new_registry.tags("far/team/app")
    assert tags["1.0"] == image.index["digest"]
    assert tag_of(image.index, ".sig") not in tags
    assert tag_of(image.children[0], ".sig") in tags


def test_pushing_can_leave_them_out(
    site: Path, source: str, other_registry: Registry, repository: str
) -> None:
    for thing in (str(site), source):
        imgsync("push", thing, "--to", f"{other_registry.host}/{repository}", "--referrers", "none")
        assert set(other_registry.tags(f"{repository}/team/app")) == {"1.0"}
    imgsync("push", site, "--to", f"{other_registry.host}/{repository}", "--referrers", SBOM)
    assert len(other_registry.tags(f"{repository}/team/app")) == 2


def test_a_layout_of_others_brings_its_referrers(
    image: Signed, new_registry: Registry, tmp_path: Path
) -> None:
    image.images.write_layout(tmp_path / "layout")
    imgsync("push", f"oci:{tmp_path / 'layout'}", "--to", f"{new_registry.host}/far")
    check_arrived(new_registry, "far/team/app", image)


def test_the_fallback_tag_survives_a_dangling_entry(
    site: Path, image: Signed, new_registry: Registry
) -> None:
    to = f"{new_registry.host}/far"
    other = signed()
    old = other.images.referrer(image.index, SCAN, b"an old scan", REPOSITORY)
    upload(new_registry.url, other.images, prefix="far/")
    revision = new_registry.storage / "repositories/far/team/app/_manifests/revisions/sha256"
    for path in (revision / old["digest"][7:]).glob("*"):
        path.unlink()
    # Only with something to add is it written at all.
    later = signed()
    fresh = later.images.referrer(image.index, SCAN, b"a fresh scan", REPOSITORY)
    later.images.write_layout(site.parent / "later")
    imgsync("push", f"oci:{site.parent / 'later'}", "--to", to)
    digests = [entry["digest"] for entry in listed(new_registry, "far/team/app", image.index)]
    assert sorted(digests) == sorted([image.sbom["digest"], fresh["digest"]])


# --- import -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["imgsync", "ctr"])
def test_containerd_gets_no_trace_of_them(
    by: str, site: Path, image: Signed, new_containerd: Containerd, namespace: str
) -> None:
    if by == "ctr":
        new_containerd.import_archive(site, namespace)
    else:
        imgsync("import", site, "-n", namespace, "--address", new_containerd.socket)
    names = {str(name) for name in new_containerd.images(namespace)}
    digest = image.index["digest"]
    assert APP in names
    assert names <= {APP, f"{REPOSITORY}@{digest}"}
    new_containerd.collect_garbage(namespace)
    kept = {str(blob) for blob in new_containerd.blobs(namespace)}
    assert kept == image.images.digests(APP)


# --- serve -----------------------------------------------------------------------------------


def test_what_serve_offers_is_whole_again_elsewhere(
    site: Path, image: Signed, new_registry: Registry
) -> None:
    command = [*IMGSYNC, "serve", str(site), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout is not None
        said = server.stdout.readline().decode()
        host = re.search(r"127\.0\.0\.1:\d+", said)
        assert host is not None, said
        try:
            name = f"{host[0]}/{APP}"
            imgsync("push", name, "--map", f"{name}={new_registry.host}/far/team/app:1.0")
        finally:
            server.terminate()
    check_arrived(new_registry, "far/team/app", image)
