"""imgsync push, against real registries: whole or not at all, only what is missing, tags last."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.run import imgsync
from tests.images import Images, random_images, sized_image
from tests.servers.faults import Answer, CutRequest, LoseResponse
from tests.servers.programs import program
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real
Faulty = Callable[[Registry], FaultyProxy]

APP = "registry.example/team/app:1.0"


@pytest.fixture(scope="module")
def site(
    registry: Registry, fixture_images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle of all fixture images, under their own names."""
    folder = tmp_path_factory.mktemp("push")
    names = upload(registry.url, fixture_images, fixture_images.names, prefix="push/")
    lines = [f"{source} {name}" for name, source in names.items()]
    (folder / "list").write_text("\n".join(lines))
    imgsync("bundle", "-f", folder / "list", "-o", folder / "site.tar")
    return folder / "site.tar"


def stored(registry: Registry, images: Images, *names: str) -> bool:
    return all(registry.has_blob(digest) for digest in images.digests(*names))


def test_everything_arrives_with_its_digest_and_tags(
    site: Path, fixture_images: Images, new_registry: Registry
) -> None:
    imgsync("push", site, "--to", f"{new_registry.host}/site")
    assert stored(new_registry, fixture_images, *fixture_images.names)
    for name, root in fixture_images.names.items():
        repository, _, tag = name.removeprefix("registry.example/").rpartition(":")
        assert new_registry.tags(f"site/{repository}")[tag] == root["digest"]


def test_a_second_push_writes_nothing(site: Path, new_registry: Registry) -> None:
    imgsync("push", site, "--to", f"{new_registry.host}/site")
    new_registry.forget()
    said = imgsync("push", site, "--to", f"{new_registry.host}/site", "--format", "json").json
    assert {image["status"] for image in said["images"]} == {"unchanged"}
    for method in ("PUT", "POST", "PATCH", "DELETE", "GET"):
        assert not [r for r in new_registry.requests(method, "/v2/") if r.path != "/v2/"]


def test_only_what_is_missing_is_sent(
    site: Path, fixture_images: Images, new_registry: Registry
) -> None:
    imgsync("push", site, "--to", f"{new_registry.host}/site", "--image", "*/team/app:1.0")
    new_registry.forget()
    imgsync("push", site, "--to", f"{new_registry.host}/site")
    sent = {
        request.path.rpartition("digest=")[2].replace("%3A", ":")
        for request in new_registry.requests("PUT", "/uploads/")
    }
    assert sent
    assert not sent & fixture_images.digests(APP)


def test_a_blob_goes_to_one_repository_and_is_mounted_into_the_others(
    new_registry: Registry, tmp_path: Path
) -> None:
    images = Images()
    base = images.layer({"base": b"x" * 50_000}, compression="none")
    for number in range(4):
        own = images.layer({"own": str(number).encode()})
        images.name(f"registry.example/app{number}:1", images.image([base, own]))
    images.write_archive(tmp_path / "images.tar")
    said = imgsync(
        "push", tmp_path / "images.tar", "--to", f"{new_registry.host}/m", "--format", "json"
    ).json
    assert said["mounted_objects"] == 3
    uploads = [
        r
        for r in new_registry.requests("PUT", "/uploads/")
        if base.descriptor["digest"][7:] in r.path
    ]
    assert len(uploads) == 1
    assert len(new_registry.requests("POST", "mount=")) >= 3


def test_from_registry_to_registry(
    registry: Registry, fixture_images: Images, repository: str, new_registry: Registry
) -> None:
    name = upload(registry.url, fixture_images, [APP], prefix=f"{repository}/")[APP]
    imgsync("push", name, "--to", f"{new_registry.host}/copy")
    assert stored(new_registry, fixture_images, APP)


def test_what_a_real_skopeo_then_sees(
    site: Path, fixture_images: Images, new_registry: Registry
) -> None:
    imgsync("push", site, "--to", f"{new_registry.host}/site", "--image", "*/team/app:1.0")
    raw = subprocess.run(
        [program("skopeo"), "inspect", "--raw", "--tls-verify=false",
         f"docker://{new_registry.host}/site/team/app:1.0"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    assert raw == fixture_images.blobs[fixture_images.names[APP]["digest"]]


def test_a_dry_run_writes_nothing_and_tells_what_would_move(
    site: Path, new_registry: Registry
) -> None:
    plan = imgsync(
        "push", site, "--to", f"{new_registry.host}/site", "--dry-run", "--format", "json"
    ).json
    assert plan["objects"] > 50
    assert not new_registry.repositories()
    assert not new_registry.requests("POST", "")


def test_existing_tags_follow_the_policy(
    site: Path, fixture_images: Images, new_registry: Registry
) -> None:
    to = f"{new_registry.host}/site"
    other = fixture_images.names["registry.example/team/app:1.1"]["digest"]
    imgsync("push", site, "--to", to, "--image", "*/team/app:1.1")
    rule = f"registry.example/team/app:1.1={to}/team/app:1.0"
    imgsync("push", site, "--map", rule, "--image", "*/team/app:1.1")
    assert new_registry.tags("site/team/app")["1.0"] == other
    one = ["push", str(site), "--to", to, "--image", "*/team/app:1.0"]
    refused = imgsync(*one, "--on-existing-tag", "error", code=2)
    assert other[:19] in refused.err
    imgsync(*one, "--on-existing-tag", "skip")
    assert new_registry.tags("site/team/app")["1.0"] == other
    told = imgsync(*one)
    assert f"{other[:19]} -> " in told.err
    assert new_registry.tags("site/team/app")["1.0"] == fixture_images.names[APP]["digest"]


def test_images_without_the_platform_that_was_chosen_are_all_named(
    site: Path, new_registry: Registry
) -> None:
    chosen = (
        "--platform",
        "linux/arm64",
        "--rewrite-index",
        "--image",
        "registry.example/layers/*",
    )
    refused = imgsync("push", site, "--to", f"{new_registry.host}/site", *chosen, code=5)
    for name in ("zstd", "none", "no-layers"):
        assert f"layers/{name}:1: has no linux/arm64; it has linux/amd64" in refused.err
    assert new_registry.repositories() == set()


def test_what_was_pushed_is_told_even_where_its_receipt_cannot_be_written(
    site: Path, new_registry: Registry
) -> None:
    push = ("push", site, "--to", f"{new_registry.host}/site", "--image", "*/team/app:1.0")
    failed = imgsync(*push, "--receipt", "/dev/full", code=9)
    assert "/team/app:1.0 sha256:" in failed.out
    assert "/dev/full: No space left on device" in failed.err


def test_two_sources_of_which_one_is_where_images_should_go(
    site: Path, other_registry: Registry
) -> None:
    refused = imgsync("push", site, f"{other_registry.host}/site", code=2)
    assert "--to" in refused.err


def test_a_push_back_to_where_it_came_from_is_refused(
    registry: Registry, fixture_images: Images, repository: str, tmp_path: Path
) -> None:
    name = upload(registry.url, fixture_images, [APP], prefix=f"{repository}/")[APP]
    imgsync("bundle", name, "-o", tmp_path / "site.tar")
    refused = imgsync("push", tmp_path / "site.tar", code=2)
    assert "where it came from" in refused.err
    assert "--to" in refused.err


def test_a_partial_bundle_is_refused_before_the_first_byte_and_can_be_rewritten(
    registry: Registry,
    fixture_images: Images,
    repository: str,
    new_registry: Registry,
    tmp_path: Path,
) -> None:
    name = upload(registry.url, fixture_images, [APP], prefix=f"{repository}/")[APP]
    part = tmp_path / "part.tar"
    imgsync("bundle", name, "-o", part, "--platform", "linux/amd64,linux/arm64")
    push = ["push", str(part), "--to", f"{new_registry.host}/site"]
    refused = imgsync(*push, code=5)
    assert "--rewrite-index" in refused.err
    assert not new_registry.requests("POST", "")
    old = fixture_images.names[APP]["digest"]
    pushed = imgsync(*push, "--rewrite-index", "--format", "json")
    image = pushed.json["images"][0]
    assert image["source_digest"] == old
    assert image["digest"] != old
    assert f"{old} -> {image['digest']}" in pushed.err
    repository_there = image["target"].removeprefix(f"{new_registry.host}/").rpartition(":")[0]
    assert new_registry.tags(repository_there)["1.0"] == image["digest"]
    index = json.loads(new_registry.read_blob(image["digest"]))
    platforms = [entry["platform"]["architecture"] for entry in index["manifests"]]
    assert platforms.count("amd64") == platforms.count("arm64") == 1
    again = imgsync(*push, "--rewrite-index", "--format", "json").json
    assert again["images"][0]["status"] == "unchanged"


def test_one_bad_image_stops_no_other(new_registry: Registry, tmp_path: Path) -> None:
    images = sized_image(n_layers=1, layer_bytes=20_000)
    bad = next(iter(images.names))
    images.name("registry.example/good:1", images.image([images.layer({"good": b"1"})]))
    layer = max(images.digests(bad), key=lambda digest: len(images.blobs[digest]))
    data = bytearray(images.blobs[layer])
    data[500] ^= 1
    images.write_archive(tmp_path / "images.tar", replace={layer: bytes(data)})
    failed = imgsync("push", tmp_path / "images.tar", "--to", f"{new_registry.host}/x", code=3)
    assert layer[:19] in failed.err
    assert "is corrupt" in failed.err
    assert new_registry.tags("x/good")
    assert not new_registry.has_blob(layer)
    assert bad.rpartition("/")[2] not in str(new_registry.repositories()) or not any(
        new_registry.tags(name) for name in new_registry.repositories() if "good" not in name
    )


def test_a_save_of_one_platform_says_what_is_absent(
    new_registry: Registry, fixture_images: Images, tmp_path: Path
) -> None:
    index = fixture_images.json(fixture_images.names[APP]["digest"])
    others = [
        digest
        for entry in index["manifests"]
        if entry["platform"]["architecture"] != "amd64"
        for digest in _closure(fixture_images, entry)
    ]
    shared = set(_closure(fixture_images, index["manifests"][0]))
    fixture_images.write_archive(
        tmp_path / "one.tar", [APP], leave_out=[digest for digest in others if digest not in shared]
    )
    push = ["push", str(tmp_path / "one.tar"), "--to", f"{new_registry.host}/one"]
    failed = imgsync(*push, code=4)
    assert "lacks" in failed.err
    assert not new_registry.requests("POST", "")
    imgsync(*push, "--rewrite-index")
    assert new_registry.tags("one/team/app")


def _closure(images: Images, descriptor: dict[str, object]) -> list[str]:
    return [item["digest"] for item in images.closure(descriptor)]


# --- faults -----------------------------------------------------------------------------------


def test_cut_uploads_lost_answers_and_503_are_repeated(
    site: Path, fixture_images: Images, new_registry: Registry, faulty: Faulty
) -> None:
    proxy = faulty(new_registry)
    proxy.on("PUT", "/uploads/", CutRequest(100), nth=1)
    proxy.on("PUT", "/uploads/", LoseResponse(), nth=4)
    proxy.on("POST", "/uploads/", Answer(503), nth=3)
    proxy.on("PUT", "/manifests/", Answer(429, headers={"Retry-After": "0"}), nth=2)
    imgsync("push", site, "--to", f"{proxy.host}/site", "--plain-http")
    assert stored(new_registry, fixture_images, *fixture_images.names)


def test_a_registry_that_forgot_a_blob_gets_it_again(
    new_registry: Registry, faulty: Faulty, tmp_path: Path
) -> None:
    images = sized_image(n_layers=1, layer_bytes=5_000)
    images.write_archive(tmp_path / "i.tar")
    proxy = faulty(new_registry)
    layer = max(images.blobs, key=lambda digest: len(images.blobs[digest]))
    head = Answer(200, headers={"Content-Length": str(len(images.blobs[layer]))})
    proxy.on("HEAD", f"/blobs/{layer}", head)
    imgsync("push", tmp_path / "i.tar", "--to", f"{proxy.host}/x", "--plain-http")
    assert new_registry.has_blob(layer)


# --- deltas and volumes -----------------------------------------------------------------------


def test_a_delta_is_whole_with_what_the_far_side_has_and_refused_elsewhere(
    registry: Registry, repository: str, new_registry: Registry, tmp_path: Path
) -> None:
    images = random_images(7, n_images=4, layer_bytes=20_000)
    names = upload(registry.url, images, images.names, prefix=f"{repository}/")
    first, second = list(names.values())[:2], list(names.values())
    to = ["--to", f"{new_registry.host}/far"]
    imgsync("bundle", *first, "-o", tmp_path / "old.tar")
    delta = tmp_path / "delta.tar"
    imgsync("bundle", *second, "-o", delta, "--have", tmp_path / "old.tar.lock.json")
    assert "declared absent" in imgsync("verify", delta).out
    refused = imgsync("push", delta, *to, code=None)
    assert refused.code in {3, 4}
    assert "relies on" in refused.err
    imgsync("push", tmp_path / "old.tar", *to)
    imgsync("push", delta, *to)
    assert stored(new_registry, images, *images.names)


def test_volumes_are_pushed_in_any_order_and_say_what_they_wait_for(
    registry: Registry, repository: str, new_registry: Registry, tmp_path: Path
) -> None:
    images = sized_image(n_layers=6, layer_bytes=60_000)
    for number in range(3):
        layer = images.layer({"n": bytes([number]) * 50_000}, compression="none")
        images.name(f"registry.example/small{number}:1", images.image([layer]))
    names = upload(registry.url, images, images.names, prefix=f"{repository}/")
    imgsync("bundle", *names.values(), "-o", tmp_path / "site.tar", "--volume-size", "200K")
    volumes = sorted(tmp_path.glob("site.*of*.tar"), reverse=True)
    assert len(volumes) > 2
    push = ["push", "--to", f"{new_registry.host}/far"]
    statuses = []
    for volume in volumes:
        imgsync("verify", volume)
        said = imgsync(*push, volume)
        statuses.append(said.out)
    assert "waiting" in statuses[0]
    assert re.search(r"volume \d has \d objects of it, \d", statuses[0])
    sent = [r.path.rpartition("=")[2] for r in new_registry.requests("PUT", "/uploads/")]
    assert len(sent) == len(set(sent))  # nothing twice
    assert stored(new_registry, images, *images.names)
    last = imgsync(*push, *volumes, "--format", "json").json
    assert {image["status"] for image in last["images"]} == {"unchanged"}
    tags = [tag for name in new_registry.repositories() for tag in new_registry.tags(name)]
    assert len(tags) == len(images.names)
