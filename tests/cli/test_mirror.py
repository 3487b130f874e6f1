"""imgsync mirror, as cron runs it: its words, its exit codes, its files, and being killed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import IMGSYNC, imgsync
from tests.images import Images
from tests.servers.faults import Slow, Stall
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real
Faulty = Callable[[Registry], FaultyProxy]


class Site:
    """A source with images, a destination, and a folder for config and state."""

    def __init__(self, source: Registry, target: Registry, folder: Path) -> None:
        self.source, self.target, self.folder = source, target, folder
        self.images = Images()

    def put(self, name: str, size: int = 100) -> str:
        """An image at the source; gives its digest."""
        layer = self.images.layer({name: name.encode() * size}, compression="none")
        image = self.images.image([layer], platform="linux/amd64")
        self.images.name(f"registry.example/{name}", image)
        upload(self.source.url, self.images, names=[f"registry.example/{name}"])
        return str(image["digest"])

    def config(self, text: str, name: str = "site.yaml") -> Path:
        """A config file; SOURCE and TARGET in it stand for the registries."""
        path = self.folder / name
        text = text.replace("SOURCE", self.source.host).replace("TARGET", self.target.host)
        path.write_text(text)
        return path

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    def mirror(self, config: Path, *more: str | Path, code: int | None = 0) -> Any:
        return imgsync("mirror", config, "--state", self.state, *more, code=code)


@pytest.fixture
def site(registry: Registry, new_registry: Registry, tmp_path: Path, repository: str) -> Site:
    made = Site(registry, new_registry, tmp_path)
    made.images = Images()
    made.name = repository  # type: ignore[attr-defined]
    return made


def _list(site: Site, *names: str) -> Path:
    return site.config("".join(f"SOURCE/{name}\n" for name in names), "images.txt")


@pytest.fixture
def two(site: Site) -> tuple[Path, str, str]:
    """A list of two images, and where they go."""
    base = str(site.name)  # type: ignore[attr-defined]
    names = [f"{base}:1", f"{base}:2"]
    for name in names:
        site.put(name)
    return _list(site, *names), base, f"{site.target.host}/m"


def test_a_plain_list_is_a_config(site: Site, two: tuple[Path, str, str]) -> None:
    listed, base, to = two
    ran = site.mirror(listed, "--to", to)
    assert ran.out.startswith("images.txt: 2 new; ")
    assert set(site.target.tags(f"m/{base}")) == {"1", "2"}
    assert site.mirror(listed, "--to", to).out.startswith("images.txt: 2 unchanged; ")


def test_nothing_is_said_where_nothing_was_to_do(site: Site, two: tuple[Path, str, str]) -> None:
    listed, _, to = two
    options = ("--to", to, "--quiet-unchanged", "--exit-code")
    assert site.mirror(listed, *options, code=10).out.startswith("images.txt: 2 new")
    ran = site.mirror(listed, *options)
    assert (ran.out, ran.err) == ("", "")


def test_some_that_fail_are_told_and_the_exit_code_is_3(
    site: Site, two: tuple[Path, str, str]
) -> None:
    listed, base, to = two
    listed.write_text(listed.read_text() + f"{site.source.host}/{base}:nosuch\n")
    ran = site.mirror(listed, "--to", to, "--quiet-unchanged", code=3)
    assert ran.out.startswith("images.txt: 2 new, 1 failed; ")
    assert "1 of 3 failed, the others are as they should be" in ran.err
    assert f"{base}:nosuch" in ran.err
    ran = site.mirror(_list(site, f"{base}:nosuch"), "--to", to, code=5)
    assert "nothing could be mirrored" in ran.err


def test_a_destination_that_is_down_is_told(site: Site, two: tuple[Path, str, str]) -> None:
    listed, _, to = two
    site.target.stop()
    ran = site.mirror(listed, "--to", to, "--retries", "0", code=6)
    assert "nothing could be mirrored" in ran.err
    site.target.start()
    site.mirror(listed, "--to", to)


def test_a_config_is_checked_without_asking_anybody(site: Site) -> None:
    config = site.config("""
defaults: {to: h.example/p}
sources:
  - redis:7
  - {repository: quay.io/a/b, tags: {semver: ">=1.25 <2", latest: 3, exclude: ["*-rc*"]}}
""")
    ran = imgsync("mirror", config, "--check")
    lines = [line.split() for line in ran.out.splitlines()]
    assert lines[1] == ["4", "docker.io/library/redis", "7", "h.example/p/redis"]
    assert "semver >=1.25 <2 and latest 3 and not *-rc*" in ran.out
    config.write_text("sources:\n  - {image: redis, too: h.example/p}\n")
    ran = imgsync("mirror", config, "--check", code=2)
    assert f"{config}:2:20: a source has no key 'too'" in ran.err
    assert "hint: did you mean to?" in ran.err


def test_a_dry_run_shows_what_would_move(site: Site, two: tuple[Path, str, str]) -> None:
    listed, base, to = two
    ran = site.mirror(listed, "--to", to, "--dry-run")
    assert f"{to}/{base}:1  new" in ran.out
    assert "--bytes tells" in ran.out
    measured = site.mirror(listed, "--to", to, "--dry-run", "--bytes")
    assert not site.target.repositories()
    assert not site.state.exists()
    ran = site.mirror(listed, "--to", to)
    sent = re.search(r"; ([\d.]+ \w+) sent", ran.out)
    assert sent is not None
    assert f"; {sent[1]} to send; " in measured.out
    assert "manifests were asked for, which is what a registry counts" in measured.out
    assert "--dry-run" in site.mirror(listed, "--to", to, "--bytes", code=2).err


def test_what_happened_is_written_down(site: Site, two: tuple[Path, str, str]) -> None:
    listed, base, to = two
    report, metrics = site.folder / "report.json", site.folder / "m.prom"
    site.mirror(listed, "--to", to, "--report", report, "--metrics-file", metrics)
    value = json.loads(report.read_text())
    assert value["counts"]["new"] == 2
    assert value["complete"] is True
    assert {image["target"] for image in value["images"]} == {f"{to}/{base}:1", f"{to}/{base}:2"}
    text = metrics.read_text()
    assert 'imgsync_mirror_images{config="images.txt",status="new"} 2' in text
    receipts = (site.folder / "state.receipts.jsonl").read_text().splitlines()
    assert len(receipts) == 2


def test_credentials_come_by_reference(
    site: Site, two: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, base, _ = two
    with Registry(users={"ann": "s3cret"}) as private:
        text = f"""
hosts: {{{private.host}: {{username: ann, password-env: MIRROR_PW}}}}
defaults: {{to: {private.host}/m}}
sources: [SOURCE/{base}:1]
"""
        config = site.config(text)
        ran = site.mirror(config, code=2)
        assert "there is no password in the variable MIRROR_PW" in ran.err
        monkeypatch.setenv("MIRROR_PW", "s3cret")
        site.mirror(config)
        secret = site.folder / "secret"
        secret.write_text("s3cret\n")
        site.config(text.replace("password-env: MIRROR_PW", f"password-file: {secret}"))
        assert "1 unchanged" in site.mirror(config).out
        secret.write_text("wrong")
        ran = site.mirror(config, code=5)
        assert "wrong" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--time-limit", "soon"), "--time-limit: 'soon' is not a time"),
        (("--byte-limit", "much"), "--byte-limit: 'much' is not a number of bytes"),
        (("--jitter", "-5"), "--jitter: '-5' is not a time"),
        (("--format", "dregsy"), "dregsy"),
    ],
)
def test_what_is_no_amount_is_refused(
    site: Site, two: tuple[Path, str, str], option: tuple[str, str], message: str
) -> None:
    listed, _, to = two
    assert message in site.mirror(listed, "--to", to, *option, code=2).err


def test_a_list_from_standard_input_needs_a_state(site: Site, two: tuple[Path, str, str]) -> None:
    listed, _, to = two
    ran = imgsync("mirror", "-", "--to", to, stdin=listed.read_bytes(), code=2)
    assert "--state FILE" in ran.err
    imgsync("mirror", "-", "--to", to, "--state", site.state, stdin=listed.read_bytes())


def test_a_byte_limit_is_carried_over_to_the_next_run(site: Site, repository: str) -> None:
    for number in range(3):
        site.put(f"{repository}:{number}", size=2000)
    listed = _list(site, *(f"{repository}:{number}" for number in range(3)))
    to = f"{site.target.host}/m"
    ran = site.mirror(listed, "--to", to, "--byte-limit", "80kB", code=3)
    assert "images are left for the next run" in ran.err
    for _ in range(4):
        ran = site.mirror(listed, "--to", to, "--byte-limit", "80kB", code=None)
        if ran.code == 0:
            break
    assert len(site.target.tags(f"m/{repository}")) == 3


# --- two at once, and killed ------------------------------------------------------------------


def _start(site: Site, config: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [*IMGSYNC, "mirror", str(config), "--state", str(site.state), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_second_cron_is_told_who_runs(
    site: Site, two: tuple[Path, str, str], faulty: Faulty
) -> None:
    _, base, to = two
    proxy, stall = faulty(site.source), Stall(seconds=60)
    proxy.on("GET", "/blobs/", stall, times=None)
    listed = site.config(f"{proxy.host}/{base}:1\n", "images.txt")
    with _start(site, listed, "--to", to) as first:
        assert stall.reached.wait(30)
        ran = site.mirror(listed, "--to", to, code=8)
        assert f"process {first.pid} on " in ran.err
        assert f"`imgsync mirror {listed}`, since " in ran.err
        stall.go_on.set()
        assert first.wait(60) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_killed_is_gone_on_with(
    site: Site, repository: str, faulty: Faulty, number: signal.Signals
) -> None:
    digests = {str(n): site.put(f"{repository}:{n}", size=1000) for n in range(6)}
    proxy = faulty(site.source)
    proxy.on("GET", "/blobs/", Slow(60_000), times=None)
    listed = site.config(
        "".join(f"{proxy.host}/{repository}:{n}\n" for n in range(6)), "images.txt"
    )
    to, receipts = f"{site.target.host}/m", site.folder / "state.receipts.jsonl"
    report, metrics = site.folder / "report.json", site.folder / "m.prom"
    files = ("--report", str(report), "--metrics-file", str(metrics))
    with _start(site, listed, "--to", to, "--jobs", "1", *files) as process:
        deadline = time.monotonic() + 30
        while not receipts.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(30) in {-signal.SIGKILL, 130}
    time.sleep(0.5)  # what the registry was asked, it may still be doing
    done = site.target.tags(f"m/{repository}")
    # What has a tag is whole, and has a receipt, but for the one that was just being written.
    assert 0 < len(done) < 6
    assert all(site.target.has_blob(digest) for digest in done.values())
    assert len(receipts.read_text().splitlines()) >= len(done) - 1
    if number is signal.SIGKILL:
        assert not report.exists()
        site.state.write_bytes(b"\0half a st")
    else:
        told = json.loads(report.read_text())
        assert told["interrupted"]
        assert told["stopped"] == "interrupted"
        statuses = {image["target"].rpartition(":")[2]: image["status"] for image in told["images"]}
        assert set(statuses) == set(digests)
        assert set(statuses.values()) <= {"new", "left"}
        told_new = {tag for tag, status in statuses.items() if status == "new"}
        # Of the one that was just being written the answer may have been lost.
        assert told_new <= set(done)
        assert len(done) - len(told_new) <= 1
        assert 'imgsync_mirror_interrupted{config="images.txt"} 1' in metrics.read_text()
    proxy.heal()
    ran = site.mirror(listed, "--to", to)
    assert f"{len(done)} unchanged" in ran.out
    assert site.target.tags(f"m/{repository}") == digests
    assert ("the state is ignored" in ran.err) == (number is signal.SIGKILL)


def test_a_registry_that_is_silent_does_not_hold_up_the_end(
    site: Site, two: tuple[Path, str, str], faulty: Faulty
) -> None:
    _, base, to = two
    proxy, stall = faulty(site.source), Stall(seconds=300)
    proxy.on("GET", "/blobs/", stall, times=None)
    listed = site.config(f"{proxy.host}/{base}:1\n", "images.txt")
    report = site.folder / "report.json"
    with _start(site, listed, "--to", to, "--report", str(report)) as process:
        assert stall.reached.wait(30)
        process.send_signal(signal.SIGTERM)
        # A byte may take a minute to come, and is asked for again; nobody waits for that now.
        assert process.wait(30) == 130
        stall.go_on.set()
    assert [image["status"] for image in json.loads(report.read_text())["images"]] == ["left"]
