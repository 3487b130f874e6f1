"""Running a command and measuring it: wall time, CPU time of all its processes, memory."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


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
    started = time.perf_counter()
    with subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    ) as process:
        if process.stderr is None:
            raise AssertionError
        words = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        msg = f"{command[0]} ended with {process.returncode}: {words.decode()[-2000:]}"
        raise Failed(msg)
    return Figures(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def best(times: int, command: Sequence[str | Path], **environment: str) -> Figures:
    """The fastest of several runs: what the command costs where nothing else disturbs it."""
    return min(
        (measure(command, **environment) for _ in range(times)), key=lambda figures: figures.wall_s
    )
