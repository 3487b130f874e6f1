"""What a user is told of an error, and with which status the process ends. Decided here only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import ImgsyncError, SomeFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED: Final = 130
READER_GONE: Final = 141
"""128 and SIGPIPE, as a shell shows it: whoever read our output has closed it."""
BUG: Final = 1
USAGE: Final = 2

EXIT_CODES: Final = {
    0: "done, or unchanged: there was nothing to do",
    BUG: "a bug in imgsync",
    USAGE: "usage: an option, a name or a list is not what it must be",
    3: "partly done, run again: some images failed, or a budget is spent",
    4: "content: verification failed",
    5: "not found, or no access",
    6: "network: a host did not answer, or not sensibly",
    7: "containerd or ctr",
    8: "a lock is held: another run works on the same thing",
    9: "no space",
    10: "differs (`diff`, and where `--exit-code` asks for it)",
    INTERRUPTED: "interrupted; the same command goes on",
}
"""Each exit code with its meaning, as the README has it; a test compares both with the classes."""


def exit_code_of(error: BaseException) -> int:
    """The status of a process that this error ends."""
    return error.exit_code if isinstance(error, ImgsyncError) else BUG


def text_of(error: ImgsyncError) -> str:
    """The message, what failed in detail, and one thing to do."""
    return "\n".join(_lines(error))


def json_of(error: ImgsyncError) -> str:
    """The same for programs, in one line."""
    value: dict[str, Any] = {"event": "error", **_value(error)}
    if isinstance(error, SomeFailed):
        value["failures"] = [{"what": name, **_value(cause)} for name, cause in error.failures]
    return json.dumps(value, sort_keys=True)


def text_of_bug(error: BaseException, *, debug: bool) -> str:
    """One line about an exception that nobody expected."""
    cause = " ".join(str(error).split())
    name = type(error).__name__
    advice = "" if debug else "; --debug shows where"
    return f"imgsync: a bug, please report it: {name}{': ' if cause else ''}{cause}{advice}"


def _lines(error: ImgsyncError) -> Iterator[str]:
    yield f"imgsync: {error.message}"
    hint = error.hint
    if isinstance(error, SomeFailed):
        hints = {cause.hint for _, cause in error.failures if cause.hint}
        for name, cause in error.failures:
            # Many messages begin with the image that they are about.
            yield f"  {cause.message if name in cause.message else f'{name}: {cause.message}'}"
            if len(hints) > 1 and cause.hint:
                yield f"    hint: {cause.hint}"
        if len(hints) == 1:
            yield f"hint: {hints.pop()}"
    if hint:
        yield f"hint: {hint}"


def _value(error: ImgsyncError) -> dict[str, Any]:
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }
