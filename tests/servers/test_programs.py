"""A missing server is a skip that names it, or a failure where all must be there."""

from pathlib import Path

import pytest

from tests.servers import Unavailable, require
from tests.servers.process import Process, ServerFailed

pytest_plugins = ["pytester"]

CASE = """
    from tests.servers import require

    def test_needs_it():
        require("no-such-server")
"""


def test_the_message_names_the_program_and_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.servers.programs._SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match=r"htpasswd is not installed \(.* apache2-utils\)"):
        require("htpasswd")


@pytest.mark.parametrize(("option", "outcome"), [([], "skipped"), (["--require-real"], "failed")])
def test_it_skips_unless_it_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, option: list[str], outcome: str
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makepyfile(test_case=CASE)
    ran = pytester.runpytest_inprocess("-p", "tests.conftest", "-rs", *option)
    ran.assert_outcomes(**{outcome: 1})
    ran.stdout.fnmatch_lines(["*no-such-server is not installed*"])


def test_a_server_that_ends_at_once_tells_its_last_words(tmp_path: Path) -> None:
    process = Process(tmp_path / "log")
    process.start(["sh", "-c", "echo port already in use; exit 1"], cwd=tmp_path)
    with pytest.raises(ServerFailed, match="port already in use"):
        process.wait_until(lambda: False, timeout_s=5)
    process.stop()
    assert not process.running
