"""``make demo`` shows the whole way, with whatever servers there are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "scripts" / "demo.py"

pytestmark = pytest.mark.slow


def _run(**env: str) -> str:
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_step_is_shown() -> None:
    shown = _run()
    for text in (
        "site.tar: made, ",
        "site.tar: unchanged, ",
        "damaged.tar: not ok",
        "What was done:",
    ):
        assert text in shown
    assert shown.count("whole") > 2


def test_what_is_not_installed_is_left_out_and_named(tmp_path: Path) -> None:
    for name in ("sh", "tar", "cat", "mkdir", "sha256sum"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    shown = _run(PATH=str(tmp_path))
    assert "(left out) the push to a second registry: docker-registry is not installed" in shown
    assert "(left out) the import into containerd" in shown


def test_nothing_of_it_stays_behind(tmp_path: Path) -> None:
    _run(TMPDIR=str(tmp_path))
    assert list(tmp_path.iterdir()) == []
