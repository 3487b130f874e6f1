"""Mounts that a container daemon left below a folder of ours."""

import subprocess
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")


def mounts_below(folder: Path) -> list[Path]:
    """The mount points within the folder, the deepest first."""
    points = [
        Path(line.split()[1].replace(r"\040", " ")) for line in _MOUNTS.read_text().splitlines()
    ]
    return sorted((point for point in points if folder in point.parents), reverse=True)


def unmount_below(folder: Path) -> None:
    """Nothing is mounted within the folder any more, so that it can be removed."""
    for point in mounts_below(folder):
        subprocess.run(["umount", "--lazy", point], check=True, capture_output=True)
