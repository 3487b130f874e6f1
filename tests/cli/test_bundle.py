"""imgsync bundle, against real registries: whole, resumable, and clear when it fails."""

import json
import os
import random
import signal
import subprocess
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.run import IMGSYNC, imgsync
from tests.images import Images, sized_image
from tests.servers.faults import Answer, Corrupt, Cut, Reset
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real
Faulty = Callable[[Registry], FaultyProxy]

APP = "registry.example/team/app:1.0"


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {
            member.name: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }


def blobs_in(path: Path) -> set[str]:
    return {f"sha256:{name[-64:]}" for name in members(path) if name.startswith("blobs/")}


def write_list(folder: Path, names: list[str]) -> Path:
    path = folder / "images.txt"
    path.write_text("# what the site needs\n\n" + "\n".join(names) + "\n")
    return path


def test_a_list_becomes_a_bundle_with_at_most_one_request_an_object(
    new_registry: Registry, fixture_images: Images, tmp_path: Path
) -> None:
    names = list(upload(new_registry.url, fixture_images, fixture_images.names).values())
    new_registry.forget()
    site = tmp_path / "site.tar"
    said = imgsync("bundle", "-f", write_list(tmp_path, names), "-o", site)
    wanted = fixture_images.digests(*fixture_images.names)
    assert wanted <= blobs_in(site)
    # Once each list of tags: what is about the images may be among them.
    lists = len(new_registry.requests("GET", "/tags/list"))
    assert lists == len(new_registry.repositories())
    assert len(new_registry.requests("", "")) <= len(wanted) + len(names) + lists + 10
    for name in names:
        assert name in said.out
    imgsync("verify", site)


def test_the_lock_makes_the_same_bytes_again(
    registry: Registry, fixture_images: Images, repository: str, tmp_path: Path
) -> None:
    names = upload(registry.url, fixture_images, fixture_images.names, prefix=f"{repository}/")
    site, again = tmp_path / "site.tar", tmp_path / "again.tar"
    imgsync("bundle", *names.values(), "-o", site)
    imgsync("bundle", "-f", tmp_path / "site.tar.lock.json", "-o", again)
    assert site.read_bytes() == again.read_bytes()


def test_a_pipe_gets_the_same_bytes_as_a_file(
    registry: Registry, fixture_images: Images, repository: str, tmp_path: Path
) -> None:
    name = upload(registry.url, fixture_images, [APP], prefix=f"{repository}/")[APP]
    site = tmp_path / "site.tar"
    imgsync("bundle", name, "-o", site)
    done = subprocess.run([*IMGSYNC, "bundle", name, "-o", "-"], check=True, capture_output=True)
    assert done.stdout == site.read_bytes()


def test_a_name_can_be_given_and_mapped(
    registry: Registry, fixture_images: Images, repository: str, tmp_path: Path
) -> None:
    name = upload(registry.url, fixture_images, [APP], prefix=f"{repository}/")[APP]
    site = tmp_path / "site.tar"
    lines = f"{name} docker.io/library/redis:alpine\n{name}=quay.io/prometheus/node-exporter:v1\n"
    (tmp_path / "list").write_text(lines)
    imgsync("bundle", "-f", tmp_path / "list", "-o", site, "--to", "harbor.example.com/tmp")
    index = json.loads(members(site)["index.json"])
    assert [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]] == [
        "harbor.example.com/tmp/prometheus/node-exporter:v1",
        "harbor.example.com/tmp/redis:alpine",
    ]


def test_a_dry_run_fetches_no_blob_and_tells_the_plan(
    new_registry: Registry, fixture_images: Images, tmp_path: Path
) -> None:
    name = upload(new_registry.url, fixture_images, [APP])[APP]
    new_registry.forget()
    plan = imgsync("bundle", name, "-o", tmp_path / "x.tar", "--dry-run", "--format", "json").json
    assert plan["images"][0]["name"] == name
    assert plan["bytes"] == sum(
        len(fixture_images.blobs[digest]) for digest in fixture_images.digests(APP)
    )
    assert not new_registry.requests("GET", "/blobs/")
    assert not (tmp_path / "x.tar").exists()
    assert "linux/amd64" in imgsync("bundle", name, "-o", tmp_path / "x.tar", "--dry-run").out


def test_chosen_platforms(
    registry: Registry, fixture_images: Images, repository: str, tmp_path: Path
) -> None:
    name = upload(registry.url, fixture_images, [APP], prefix=f"{repository}/")[APP]
    site = tmp_path / "site.tar"
    said = imgsync("bundle", name, "-o", site, "--platform", "linux/arm64")
    assert "--rewrite-index" in said.err
    assert "partial: linux/arm64" in imgsync("verify", site).out
    refused = imgsync("bundle", name, "-o", site, "--platform", "linux/s390x", code=5)
    assert "has no linux/s390x; it has linux/amd64" in refused.err
    imgsync(
        "bundle", name, "-o", site, "--platform", "linux/arm64,linux/s390x",
        "--platform-missing", "skip",
    )  # fmt: skip


def test_a_moved_tag_is_told_and_the_digest_is_bundled(
    registry: Registry, fixture_images: Images, repository: str, tmp_path: Path
) -> None:
    other = "registry.example/team/app:1.1"
    names = upload(registry.url, fixture_images, [APP, other], prefix=f"{repository}/")
    pinned = f"{names[APP]}@{fixture_images.names[other]['digest']}"
    said = imgsync("bundle", pinned, "-o", tmp_path / "site.tar")
    assert "the tag 1.0 now means" in said.err
    assert fixture_images.names[other]["digest"] in said.out
    failed = imgsync("bundle", pinned, "-o", tmp_path / "b.tar", "--strict-tags", code=2)
    assert "the tag 1.0 now means" in failed.err


# --- what goes wrong --------------------------------------------------------------------------


def test_all_names_that_cannot_be_had_are_listed_and_nothing_is_left(
    registry: Registry, fixture_images: Images, repository: str, tmp_path: Path
) -> None:
    good = upload(registry.url, fixture_images, [APP], prefix=f"{repository}/")[APP]
    bad = [f"{registry.host}/{repository}/no/such:1", f"{good.rpartition(':')[0]}:nope"]
    failed = imgsync("bundle", bad[0], good, bad[1], "-o", tmp_path / "site.tar", code=5)
    for name in bad:
        assert name in failed.err
    assert "--keep-going" in failed.err
    assert not list(tmp_path.iterdir())
    partly = imgsync("bundle", bad[0], good, "-o", tmp_path / "site.tar", "--keep-going", code=3)
    assert bad[0] in partly.err
    lock = json.loads((tmp_path / "site.tar.lock.json").read_text())
    assert lock["failed"] == [bad[0]]


def test_a_dead_host_is_a_network_error(tmp_path: Path) -> None:
    failed = imgsync(
        "bundle", "127.0.0.1:1/a/b:1", "-o", tmp_path / "site.tar", "--retries", "0", code=6
    )
    assert "127.0.0.1:1" in failed.err


def test_an_empty_list_says_what_a_list_is(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# nothing\n")
    failed = imgsync("bundle", "-f", tmp_path / "list", "-o", tmp_path / "site.tar", code=2)
    assert "names no image" in failed.err


def test_a_corrupt_blob_names_the_image_and_the_side(
    new_registry: Registry, tmp_path: Path
) -> None:
    images = sized_image(n_layers=2, layer_bytes=100_000)
    name = next(iter(images.names))
    uploaded = upload(new_registry.url, images)[name]
    layer = max(images.digests(name), key=lambda digest: len(images.blobs[digest]))
    new_registry.damage_blob(layer)
    failed = imgsync("bundle", uploaded, "-o", tmp_path / "site.tar", "--retries", "1", code=4)
    assert "is corrupt" in failed.err
    assert layer[:19] in failed.err
    assert uploaded in failed.err
    assert not (tmp_path / "site.tar").exists()


def test_cut_and_failing_answers_are_continued(
    registry: Registry, faulty: Faulty, repository: str, tmp_path: Path
) -> None:
    images = sized_image(n_layers=3, layer_bytes=300_000)
    upload(registry.url, images, prefix=f"{repository}/")
    proxy = faulty(registry)
    proxy.on("GET", "/blobs/", Cut(100_000), nth=1, times=2)
    proxy.on("GET", "/blobs/", Answer(503), nth=4)
    proxy.on("GET", "/blobs/", Reset(), nth=5)
    name = next(iter(images.names)).replace("registry.example/", f"{proxy.host}/{repository}/")
    imgsync("bundle", name, "-o", tmp_path / "site.tar", "--plain-http", "-j", "1")
    assert images.digests(*images.names) <= blobs_in(tmp_path / "site.tar")


def test_wrong_bytes_from_a_proxy_never_get_a_name(
    registry: Registry, faulty: Faulty, repository: str, tmp_path: Path
) -> None:
    images = sized_image(n_layers=1, layer_bytes=50_000)
    upload(registry.url, images, prefix=f"{repository}/")
    proxy = faulty(registry)
    proxy.on("GET", "/blobs/", Corrupt(), times=None)
    name = next(iter(images.names)).replace("registry.example/", f"{proxy.host}/{repository}/")
    imgsync("bundle", name, "-o", tmp_path / "site.tar", "--plain-http", code=4)
    assert not (tmp_path / "site.tar").exists()


def test_a_spent_quota_ends_as_partial_and_repeated_runs_finish(
    registry: Registry, faulty: Faulty, repository: str, tmp_path: Path
) -> None:
    images = Images()
    for number in range(6):
        layer = images.layer({"n": str(number).encode()})
        images.name(f"registry.example/app{number}:1", images.index([images.image([layer])]))
    upload(registry.url, images, prefix=f"{repository}/")
    proxy = faulty(registry)
    limited = {"Retry-After": "3600", "ratelimit-remaining": "0;w=21600"}
    names = [
        name.replace("registry.example/", f"{proxy.host}/{repository}/") for name in images.names
    ]
    out = str(tmp_path / "site.tar")
    command = ["bundle", *names, "-o", out, "--plain-http", "--retries", "0"]
    codes = []
    for _ in range(5):
        proxy.heal()
        proxy.on("GET", "/manifests/", Answer(429, headers=limited), nth=5, times=None)
        ran = imgsync(*command, "-j", "2", code=None)
        codes.append(ran.code)
        if ran.code == 0:
            break
    assert codes[:-1] == [3] * (len(codes) - 1)
    assert codes[-1] == 0
    assert len(codes) > 1
    assert images.digests(*images.names) <= blobs_in(tmp_path / "site.tar")
    served = Counter(
        seen.path for seen in proxy.requests if seen.method == "GET" and seen.status == 200
    )
    assert max(served.values()) == 1  # no manifest, and no blob, twice


def test_a_full_disk_is_told_before_the_first_blob(new_registry: Registry, tmp_path: Path) -> None:
    images = sized_image(n_layers=2, layer_bytes=3_000_000)
    name = upload(new_registry.url, images)[next(iter(images.names))]
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.fail("a small tmpfs cannot be mounted; run the tests as root")
    try:
        new_registry.forget()
        failed = imgsync("bundle", name, "-o", disk / "site.tar", code=9)
        assert "bytes are needed" in failed.err
        assert "are free" in failed.err
        assert not new_registry.requests("GET", "/blobs/sha256:" + "f")  # nothing large was asked
        assert not (disk / "site.tar").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# --- kill -9 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_killed_at_a_random_moment_it_goes_on_and_fetches_nothing_twice(
    seed: int, registry: Registry, faulty: Faulty, repository: str, tmp_path: Path
) -> None:
    images = Images()
    dice = random.Random(seed)
    for number in range(4):
        layers = [
            images.layer({f"{number}": dice.randbytes(400_000)}, compression="none")
            for _ in range(2)
        ]
        children = [
            images.image(layers, platform=platform) for platform in ("linux/amd64", "linux/arm64")
        ]
        images.name(f"registry.example/app{number}:1", images.index(children))
    upload(registry.url, images, prefix=f"{repository}/")
    proxy = faulty(registry)
    names = [
        name.replace("registry.example/", f"{proxy.host}/{repository}/") for name in images.names
    ]
    whole = tmp_path / "whole.tar"
    imgsync("bundle", *names, "-o", whole, "--plain-http")
    proxy.forget()
    site = tmp_path / "site.tar"
    command = [*IMGSYNC, "bundle", *names, "-o", str(site), "--plain-http"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(0.25 + dice.random() * 0.5)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not site.exists() or site.read_bytes() == whole.read_bytes()
    imgsync(*command[len(IMGSYNC) :])
    assert site.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob("site.tar.partial*"))
    wholly_served = Counter(
        seen.path
        for seen in proxy.requests
        if seen.method == "GET" and seen.status == 200 and "/manifests/" in seen.path
    )
    # One answer may have been on its way for each worker when the process was killed.
    assert sum(count - 1 for count in wholly_served.values()) <= 8
    n_blob_bytes = sum(seen.n_bytes_out for seen in proxy.requests if "/blobs/" in seen.path)
    total = sum(len(images.blobs[digest]) for digest in images.digests(*images.names))
    assert n_blob_bytes <= total + 8 * 400_000


def test_ctrl_c_says_that_the_same_command_goes_on(
    registry: Registry, faulty: Faulty, repository: str, tmp_path: Path
) -> None:
    from tests.servers.faults import Slow

    images = sized_image(n_layers=2, layer_bytes=500_000)
    upload(registry.url, images, prefix=f"{repository}/")
    proxy = faulty(registry)
    proxy.on("GET", "/blobs/", Slow(50_000), times=None)
    name = next(iter(images.names)).replace("registry.example/", f"{proxy.host}/{repository}/")
    command = [*IMGSYNC, "bundle", name, "-o", str(tmp_path / "site.tar"), "--plain-http"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "site.tar.partial").exists():
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert process.returncode == 130
    assert "the same command" in said
    proxy.heal()
    imgsync(*command[len(IMGSYNC) :])


def test_what_cannot_be_put_beside_it_is_told_before_it_is_made(
    fixture_images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = fixture_images.write_layout(tmp_path / "layout")
    monkeypatch.setenv("PATH", str(tmp_path))
    words = ("bundle", f"oci:{layout}", "-o", tmp_path / "site.tar", "--with-imgsync")
    assert "patchelf" in imgsync(*words, code=5).err
    assert not (tmp_path / "site.tar").exists()
