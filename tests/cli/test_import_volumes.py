"""Volumes and deltas into a real containerd: in any order, killed anywhere, nothing twice."""

from __future__ import annotations

import random
import shutil
import tarfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.run import Ran, imgsync
from tests.images import Images, sized_image

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.containerd import Containerd

pytestmark = pytest.mark.real

LARGE = "registry.example/sized/app:1"
SMALL = [f"registry.example/small{number}:1" for number in range(3)]


@dataclass
class Recorder:
    """A `ctr` that keeps what is streamed into it, and kills imgsync where it is told to."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.script = self.folder / "ctr"
        ctr = shutil.which("ctr")
        self.script.write_text(f"""#!/bin/sh
case "$*" in
  *--help*) ;;
  *"images import"*)
    n=$(($(ls {self.folder} | wc -l)))
    if [ -s {self.folder}/cut ]; then
      read which bytes < {self.folder}/cut
      if [ $which = 1 ]; then
        : > {self.folder}/cut
        head -c $bytes | tee {self.folder}/stream$n | {ctr} "$@"
        kill -9 $PPID
        exit 1
      fi
      echo $((which - 1)) $bytes > {self.folder}/cut
    fi
    tee {self.folder}/stream$n | {ctr} "$@"
    exit;;
esac
exec {ctr} "$@"
""")
        self.script.chmod(0o755)

    def kill(self, *, at: int, after: int) -> None:
        """Let the stream of this number, from 1, be the last: it is cut after so many bytes."""
        (self.folder / "cut").write_text(f"{at} {after}\n")

    def carried(self) -> Counter[str]:
        """How often each blob went in whole, by the hex of its digest."""
        found: Counter[str] = Counter()
        for path in self.folder.glob("stream*"):
            data = path.stat().st_size
            with tarfile.open(path, ignore_zeros=True) as tar:
                while True:
                    try:
                        member = tar.next()
                    except tarfile.TarError:
                        break
                    if member is None:
                        break
                    is_whole = member.offset_data + member.size <= data
                    if member.name.startswith("x-") and is_whole:
                        found[member.name.partition("/")[2]] += 1
        return found


@pytest.fixture
def images(namespace: str) -> Images:
    """One large image of two platforms, and small ones; no other namespace has any of it."""
    seed = int(namespace[1:], 16)
    platforms = ("linux/amd64", "linux/arm64")
    images = sized_image(3, 40_000, platforms=platforms, name=LARGE, seed=seed)
    for number, name in enumerate(SMALL):
        data = random.Random(seed + number).randbytes(50_000)
        layer = images.layer({"n": data}, compression="none")
        images.name(name, images.image([layer]))
    return images


@pytest.fixture
def volumes(images: Images, tmp_path: Path) -> list[Path]:
    archive = images.write_archive(tmp_path / "all.tar")
    imgsync(
        *("bundle", f"oci-archive:{archive}", "-o", tmp_path / "site.tar"),
        *("--volume-size", "150K"),
    )
    volumes = sorted(tmp_path.glob("site.*of*.tar"))
    assert len(volumes) == 4
    return volumes


@pytest.fixture
def node(containerd: Containerd, namespace: str) -> list[str]:
    return ["--address", str(containerd.socket), "-n", namespace]


def _statuses(ran: Ran) -> dict[str, str]:
    return {image["names"][0]: image["status"] for image in ran.json["images"]}


def test_in_any_order_killed_anywhere_and_nothing_twice(
    volumes: list[Path],
    node: list[str],
    containerd: Containerd,
    namespace: str,
    images: Images,
    tmp_path: Path,
) -> None:
    recorder = Recorder(tmp_path / "ctr")
    run: list[str | Path] = [
        "import",
        *node,
        "--ctr",
        recorder.script,
        "--carrier",
        "stream",
        "--format",
        "json",
    ]
    parts = [volume for volume in volumes if _waits(volume, node)]
    volumes = [parts[1], parts[0], *(item for item in volumes if item not in parts[:2])]
    # The second of two kills must not cost what the first left: an image but for its name.
    kills = [[(1, 10**9), (2, 80_000)], [(2, 80_000)], [(2, 80_000), (2, 700)], []]
    seen: list[dict[str, Any]] = []
    for number, volume in enumerate(volumes):
        # Between what keeps the content and the content, then within a blob of it.
        for at, after in kills[number]:
            recorder.kill(at=at, after=after)
            imgsync(*run, volume, code=-9)
        ran = imgsync(*run, volume)
        seen.append(ran.json["set"])
        names = {name for name in containerd.images(namespace) if "imgsync.local" not in name}
        for name, digest in containerd.images(namespace).items():
            if name in names:
                own = next(key for key in images.names if images.names[key]["digest"] == digest)
                assert images.digests(own) <= containerd.blobs(namespace), f"{name} is half"
        containerd.collect_garbage(namespace)
    assert seen[0]["needed"]
    assert [item["whole"] for item in seen] == sorted(item["whole"] for item in seen)
    assert seen[-1] == {
        "volumes": len(volumes),
        "images": len(images.names),
        "whole": len(images.names),
        "needed": [],
    }
    assert containerd.blobs(namespace) == images.digests()
    assert not [name for name in containerd.images(namespace) if "imgsync.local" in name]
    imgsync("verify", "containerd:", "--require", "whole", *node)
    content = {digest.partition(":")[2] for digest in images.digests()}
    carried = recorder.carried()
    assert content <= carried.keys()
    assert {key: n for key, n in carried.items() if n > 1 and key in content} == {}
    again = imgsync("import", *node, *volumes)
    assert "sent 0 objects" in again.out
    assert f"all {len(images.names)} images are here, whole" in again.out


def test_what_waits_is_told_and_has_no_name(
    volumes: list[Path], node: list[str], containerd: Containerd, namespace: str, images: Images
) -> None:
    half = next(volume for volume in volumes if _waits(volume, node))
    plan = imgsync("import", half, *node, "--dry-run", "--rate", "1MB/s")
    assert containerd.images(namespace) == {}
    assert "waiting" in plan.out
    ran = imgsync("import", half, *node)
    assert f"{LARGE} {images.names[LARGE]['digest']} waiting" in ran.out
    assert "volume" in ran.out
    assert "still needed: volume" in ran.out
    records = containerd.images(namespace)
    assert LARGE not in records
    blobs = containerd.blobs(namespace)
    containerd.collect_garbage(namespace)
    assert containerd.blobs(namespace) == blobs
    # It is no image to anybody who asks us, and not lost either.
    listed = imgsync("inspect", "containerd:", *node, code=None)
    assert "imgsync.local" not in listed.out
    ran = imgsync("import", *volumes, *node)
    assert _has(ran.out, f"{LARGE} {images.names[LARGE]['digest']} imported, whole")
    assert not [name for name in containerd.images(namespace) if "imgsync.local" in name]


def test_all_volumes_given_together(
    volumes: list[Path], node: list[str], containerd: Containerd, namespace: str, images: Images
) -> None:
    plan = imgsync("import", *volumes, *node, "--dry-run", "--format", "json").json
    assert {image["status"] for image in plan["images"]} == {"imported"}
    assert plan["objects"] == len(images.digests())
    assert plan["bytes"] == sum(len(images.blobs[digest]) for digest in images.digests())
    ran = imgsync("import", *reversed(volumes), *node, "--format", "json")
    assert set(_statuses(ran).values()) == {"imported"}
    assert ran.json["sent_objects"] == plan["objects"]
    assert containerd.blobs(namespace) == images.digests()


def test_one_platform_of_volumes(
    volumes: list[Path], node: list[str], containerd: Containerd, namespace: str
) -> None:
    for volume in volumes:
        imgsync("import", volume, *node, "--platform", "linux/amd64", code=None)
    assert LARGE in containerd.images(namespace)
    ran = imgsync("verify", f"containerd:{LARGE}", *node)
    assert "runs here" in ran.out


def test_a_delta_is_proved_before_anything_is_written(
    node: list[str], containerd: Containerd, namespace: str, tmp_path: Path
) -> None:
    images = Images()
    base = images.layer({"base": b"in both" * 100})
    for tag in ("1", "2"):
        images.name(
            f"registry.example/app:{tag}",
            images.image([base, images.layer({"own": tag.encode()})], entrypoint=tag),
        )
    old, new = (f"registry.example/app:{tag}" for tag in ("1", "2"))
    whole = images.write_archive(tmp_path / "whole.tar")
    before = images.write_archive(tmp_path / "before.tar", [old])
    imgsync("bundle", f"oci-archive:{before}", "-o", tmp_path / "old.tar")
    delta = tmp_path / "delta.tar"
    imgsync(
        *("bundle", f"oci-archive:{whole}", "-o", delta),
        *("--have", tmp_path / "old.tar.lock.json"),
    )
    refused = imgsync("import", delta, *node, code=4)
    assert "relies on" in refused.err
    assert base.descriptor["digest"].partition(":")[2][:12] in refused.err
    assert containerd.blobs(namespace) == set()
    imgsync("import", tmp_path / "old.tar", *node)
    ran = imgsync("import", delta, *node, "--format", "json")
    assert _statuses(ran) == {old: "unchanged", new: "imported"}
    assert ran.json["sent_objects"] == len(images.digests(new) - images.digests(old))
    assert containerd.blobs(namespace) == images.digests()


def _waits(volume: Path, node: list[str]) -> bool:
    """Whether the large image would wait for others when this volume came first."""
    plan = imgsync("import", volume, *node, "--dry-run", "--format", "json")
    return _statuses(plan).get(LARGE) == "waiting"


def _has(text: str, line: str) -> bool:
    return line in text.splitlines()
