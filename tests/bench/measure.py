"""Running a command and measuring it: wall time, CPU time of all its processes, memory."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1)]
begun = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - begun
code = os.waitstatus_to_exitcode(status)
print(json.dumps([code, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""
"""A process begins with the memory of whoever starts it, and that is told as its own: this is small
(some 9 MB), what measures is not."""

_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""Whoever develops may have it set; what is installed is compiled once, not in each run."""


@dataclass(frozen=True)
class Figures:
    """What a command cost: seconds, and the largest resident memory of one process in MB."""

    wall_s: float
    cpu_s: float
    memory_mb: float

    def __str__(self) -> str:
        """For the table."""
        return f"{self.wall_s:7.2f} s wall {self.cpu_s:7.2f} s CPU {self.memory_mb:7.0f} MB"


class Failed(Exception):
    """The command that was to be measured did not do its work."""


def measure(command: Sequence[str | Path], **environment: str) -> Figures:
    """Run it once.

    Raises:
        Failed: it ended with another status than 0; its last words are told.
    """
    inherited = {key: text for key, text in os.environ.items() if key != _NO_BYTECODE}
    ended = subprocess.run(
        [sys.executable, "-ISc", LAUNCHER, *(str(part) for part in command)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**inherited, **environment},
        check=True,
    )
    code, wall_s, cpu_s, memory_mb = json.loads(ended.stdout)
    if code != 0:
        msg = f"{command[0]} ended with {code}: {ended.stderr[-2000:]}"
        raise Failed(msg)
    return Figures(wall_s, cpu_s, memory_mb)


def best(times: int, command: Sequence[str | Path], **environment: str) -> Figures:
    """The fastest of several runs: what the command costs where nothing else disturbs it."""
    return min(
        (measure(command, **environment) for _ in range(times)), key=lambda figures: figures.wall_s
    )
