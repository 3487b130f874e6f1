"""What starts commands and ends the process: help, options, errors, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from imgsync import __version__, errors
from imgsync.cli import main
from imgsync.errors import (
    AllFailed,
    BudgetSpent,
    ImgsyncError,
    InvalidReference,
    NotFound,
    SomeFailed,
    Unreachable,
)
from imgsync.events import Noted

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.cli.context import Context
    from tests.cli.conftest import Try

    Trying = Callable[..., Try]

LAYOUT = f"{Path(__file__).parents[2]}/fixtures/images"

COMMAND = """
    import sys, time
    import click
    from imgsync.cli import main
    from imgsync.cli.command import Command
    from imgsync.cli.commands import COMMANDS, Entry

    @click.command(cls=Command, name="try")
    @click.pass_obj
    def run(context):
        {body}

    COMMANDS["try"] = Entry("none", "none", "Try.")
    Entry.load = lambda self: run
    main(["try"])
"""


def _start(body: str, **more: Any) -> subprocess.Popen[str]:
    script = textwrap.dedent(COMMAND).format(body=body)
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def _python(code: str) -> subprocess.CompletedProcess[str]:
    # Without coverage, which imports modules of its own.
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )


# --- help -------------------------------------------------------------------------------------


def test_help_needs_neither_requests_nor_tqdm_nor_a_store() -> None:
    code = textwrap.dedent("""
        import sys
        from imgsync.cli import main
        try:
            main(["--help"])
        except SystemExit as ended:
            assert ended.code == 0
        known = {name.partition(".")[0] for name in sys.modules}
        heavy = sorted(known & {"requests", "urllib3", "tqdm", "zstandard", "socket"})
        heavy += sorted(name for name in sys.modules if name.startswith("imgsync.stores"))
        print("heavy:", heavy)
    """)
    assert "heavy: []" in _python(code).stdout


def test_the_help_begins_with_the_two_sides() -> None:
    lines = CliRunner().invoke(main, ["--help"]).output.splitlines()
    assert lines[2:6] == [
        "  Carry container images across an air gap, every byte of them proved.",
        "",
        "    imgsync bundle docker.io/library/redis:7 -o site.tar    here",
        "    imgsync push site.tar --to harbor.example.com/project   there",
    ]


def test_without_a_command_the_help_is_shown() -> None:
    result = CliRunner().invoke(main, [])
    assert "Commands:" in result.output
    assert result.exit_code == 2


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"imgsync {__version__}\n"
    done = subprocess.run(
        [sys.executable, "-m", "imgsync", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"imgsync {__version__}\n"


def test_a_misspelt_command_is_a_usage_error_with_a_suggestion() -> None:
    result = CliRunner().invoke(main, ["bundel"])
    assert result.exit_code == 2
    assert "Did you mean bundle?" in result.stderr
    for word in ("help", "version"):
        assert f"Did you mean --{word}?" in CliRunner().invoke(main, [word]).stderr
    assert "Did you mean" not in CliRunner().invoke(main, ["zzz"]).stderr


def test_words_are_completed_without_importing_what_they_stand_for() -> None:
    def complete(words: str, number: int) -> str:
        environ = {**os.environ, "COMP_WORDS": words, "COMP_CWORD": str(number)}
        environ["_IMGSYNC_COMPLETE"] = "bash_complete"
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "imgsync"],
            capture_output=True,
            text=True,
            env=environ,
            check=False,
        )
        assert "requests" not in done.stderr
        return done.stdout

    assert complete("imgsync ver", 1) == "plain,verify\n"
    assert "plain,--plain-http\n" in complete("imgsync --plain", 1)
    assert complete("imgsync --progress pl", 2) == "plain,plain\n"


def test_an_unknown_option_is_a_usage_error(trying: Trying) -> None:
    result = trying(lambda _: None)("try", "--nothing")
    assert result.exit_code == 2
    assert "--nothing" in result.stderr


# --- errors -----------------------------------------------------------------------------------


def _raise(error: BaseException) -> Callable[[Context], None]:
    def body(_context: Context) -> None:
        raise error

    return body


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, ImgsyncError)
        and not issubclass(kind, (SomeFailed, errors.SizeMismatch, errors.DigestMismatch))
    ],
)
def test_each_error_is_told_with_its_hint_and_its_exit_code(
    trying: Trying, kind: type[ImgsyncError]
) -> None:
    result = trying(_raise(kind("the fact", hint="what to do")))()
    assert result.exit_code == kind.exit_code
    assert result.stderr == "imgsync: the fact\nhint: what to do\n"
    assert result.stdout == ""


def test_every_failed_image_is_listed(trying: Trying) -> None:
    failures = [
        ("redis:7", NotFound("redis:7 is not there", hint="look again")),
        ("nginx:1", Unreachable("no route to host", hint="look again")),
    ]
    result = trying(_raise(SomeFailed("2 of 9 images failed", failures, hint="run again")))()
    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        "imgsync: 2 of 9 images failed",
        "  redis:7 is not there",
        "  nginx:1: no route to host",
        "hint: look again",
        "hint: run again",
    ]


def test_where_all_failed_the_gravest_says_how_it_ends(trying: Trying) -> None:
    failures: list[tuple[str, ImgsyncError]] = [
        ("a", BudgetSpent("no more today")),
        ("b", InvalidReference("no name")),
    ]
    assert trying(_raise(AllFailed("nothing came of it", failures)))().exit_code == 2


def test_errors_are_json_where_progress_is(trying: Trying) -> None:
    run = trying(_raise(NotFound("gone", hint="look")))
    assert run("try", "--progress", "json").stderr == (
        '{"event": "error", "exit_code": 5, "hint": "look", "kind": "NotFound", '
        '"message": "gone"}\n'
    )
    run = trying(_raise(SomeFailed("some", [("x", NotFound("gone"))])))
    assert '"failures": [{"exit_code": 5, ' in run("try", "--progress", "json").stderr


def test_what_nobody_expected_is_one_line_and_a_traceback_on_demand(trying: Trying) -> None:
    run = trying(_raise(KeyError("x")))
    result = run()
    assert result.exit_code == 1
    assert result.stderr == "imgsync: a bug, please report it: KeyError: 'x'; --debug shows where\n"
    assert "Traceback" in run("try", "--debug").stderr


def test_a_folder_that_may_not_be_looked_into_is_no_bug(trying: Trying) -> None:
    result = trying(_raise(PermissionError(13, "Permission denied", "/root/site.tar")))()
    assert result.exit_code == 5
    assert result.stderr == "imgsync: /root/site.tar: Permission denied\n"


def test_causes_are_told_on_demand(trying: Trying) -> None:
    error = NotFound("cannot be read")
    error.__cause__ = OSError(5, "Input/output error")
    run = trying(_raise(error))
    assert "Input/output error" not in run().stderr
    assert "Input/output error" in run("try", "--debug").stderr
    assert "Input/output error" in run("--debug", "try").stderr


def test_no_text_of_others_reaches_the_terminal_as_a_command(trying: Trying) -> None:
    result = trying(_raise(NotFound("\x1b]0;owned\x07 \u202egnp.exe", hint="\x9b2J")))()
    assert result.stderr == "imgsync: \\x1b]0;owned\\x07 \\u202egnp.exe\nhint: \\x9b2J\n"


def test_a_commands_own_status_is_kept(trying: Trying) -> None:
    from click import get_current_context

    assert trying(lambda _: get_current_context().exit(10))().exit_code == 10
    assert trying(lambda _: None)().exit_code == 0


def test_inside_of_another_program_errors_are_raised(trying: Trying) -> None:
    trying(_raise(NotFound("gone")))
    with pytest.raises(NotFound):
        main.main(["try"], standalone_mode=False)


# --- signals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_says_that_it_goes_on(number: signal.Signals) -> None:
    with _start("print('up', flush=True); time.sleep(60)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.strip() == ("imgsync: interrupted; the same command again goes on where it stopped")


def test_a_run_that_only_reads_has_nothing_to_go_on_with(
    trying: Trying, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trying(_raise(KeyboardInterrupt()))
    assert run().stderr.strip().endswith("goes on where it stopped")
    monkeypatch.setattr(run.command, "name", "verify")
    assert run().stderr.strip() == "imgsync: interrupted; nothing was changed"


def test_who_ignores_a_hangup_is_not_interrupted_by_it() -> None:
    body = "print('up', flush=True); time.sleep(0.5); print('down')"
    with _start(body, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "down\n")


def test_a_reader_that_went_away_is_no_error() -> None:
    with _start("[click.echo('x' * 1000) for _ in range(10000)]") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, "")


# --- options ----------------------------------------------------------------------------------


def _seen(trying: Trying, *args: str, **env: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def body(context: Context) -> None:
        seen.update(context.values)

    result = trying(body)(*args, env=env)
    assert result.exit_code == 0, result.output
    return seen


def test_options_of_all_commands_stand_before_or_behind_the_command(trying: Trying) -> None:
    before = _seen(trying, "-k", "-j", "3", "--mirror", "docker.io=https://m.example", "try")
    behind = _seen(trying, "try", "-k", "-j", "3", "--mirror", "docker.io=https://m.example")
    assert before == behind
    assert (before["insecure"], before["jobs"]) == (True, 3)
    assert before["mirror"] == ("docker.io=https://m.example",)


def test_what_is_repeatable_adds_up_and_the_last_of_the_others_wins(trying: Trying) -> None:
    seen = _seen(
        trying, "--ca-file", "a.pem", "-j", "3", "try", "--ca-file", "h.example=b.pem", "-j", "4"
    )
    assert seen["ca_file"] == ("a.pem", "h.example=b.pem")
    assert seen["jobs"] == 4


def test_settings_come_from_the_environment_once(trying: Trying) -> None:
    seen = _seen(trying, "try", IMGSYNC_JOBS="5", IMGSYNC_MIRROR="a.io=https://m b.io=https://n")
    assert seen["jobs"] == 5
    assert seen["mirror"] == ("a.io=https://m", "b.io=https://n")
    assert _seen(trying, "-j", "2", "try", IMGSYNC_JOBS="5")["jobs"] == 2
    assert _seen(trying, "try", "-j", "2", IMGSYNC_JOBS="5")["jobs"] == 2


def test_quiet_keeps_notes_away(trying: Trying) -> None:
    run = trying(lambda context: context.report(Noted("beware", "warning")))
    assert run().stderr == "warning: beware\n"
    assert run("try", "--progress", "none").stderr == "warning: beware\n"
    assert run("try", "-q").stderr == ""
    assert run("-q", "try").stderr == ""


def test_other_tools_names_of_commands_are_known() -> None:
    for alias, name in (("save", "bundle"), ("ls", "inspect")):
        outputs = [CliRunner().invoke(main, [word, "--help"]).output for word in (alias, name)]
        assert outputs[0].replace(f"imgsync {alias}", f"imgsync {name}") == outputs[1]


def test_the_console_script_is_installed() -> None:
    script = os.path.join(os.path.dirname(sys.executable), "imgsync")  # noqa: PTH118, PTH120
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"imgsync {__version__}\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_what_the_caller_has_closed_goes_nowhere(closed: str, tmp_path: Path) -> None:
    bundle = f"{sys.executable} -m imgsync bundle oci:{LAYOUT} -o"
    for name, how in (("a.tar", ">/dev/null"), ("b.tar", closed)):
        subprocess.run(["sh", "-c", f"{bundle} {tmp_path / name} {how}"], check=True)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_results_that_do_not_fit_and_notes_that_do_not() -> None:
    command = [sys.executable, "-m", "imgsync", "verify", LAYOUT]
    with Path("/dev/full").open("wb") as full:
        refused = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
        told = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, check=False)
    assert refused.returncode == 9
    assert b"standard output: No space left on device" in refused.stderr
    assert told.returncode == 0
    assert b"ok" in told.stdout


def test_the_status_says_how_it_ended_where_nobody_reads_the_words() -> None:
    for words, status in ((["verify", "nowhere.tar"], 5), (["verify"], 2)):
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "imgsync", *words]
        done = subprocess.run(command, stderr=writer, stdout=writer, check=False)
        os.close(writer)
        assert done.returncode == status
