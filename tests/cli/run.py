"""Running imgsync as a user does: a process of its own, with its exit code and its words."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMGSYNC = [sys.executable, "-m", "imgsync"]


@dataclass(frozen=True)
class Ran:
    """How it ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


def imgsync(*arguments: str | Path, stdin: bytes = b"", code: int | None = 0) -> Ran:
    """Run a command; it must end with ``code`` (None: with any), and never with a traceback."""
    done = subprocess.run(
        [*IMGSYNC, *(str(argument) for argument in arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=300,
    )
    ran = Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode())
    assert "Traceback" not in ran.err, ran.err
    assert code is None or ran.code == code, f"{ran.code}, {code} expected:\n{ran.out}{ran.err}"
    return ran
