"""A password file with bcrypt hashes, the only ones that docker-registry reads."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.servers.programs import program


def write_htpasswd(path: Path, users: Mapping[str, str]) -> None:
    """The file names every user, with a hash of the password at the lowest cost.

    Raises:
        Unavailable: there is no `htpasswd`.
    """
    lines = [
        subprocess.run(
            [program("htpasswd"), "-niBC", "4", name],
            input=password.encode(),
            capture_output=True,
            check=True,
        ).stdout.strip()
        for name, password in users.items()
    ]
    path.write_bytes(b"\n".join([*lines, b""]))
