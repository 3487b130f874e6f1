"""The files of a node: its sshd's configuration, and the accounts of one with `sudo`."""

import subprocess
from pathlib import Path

PASSWORD = "it's a $ecret"
"""Of the user `operator`, on nodes where sudo asks for it."""

_NAMES = ("passwd", "shadow", "group", "sudoers")


def sshd_config(folder: Path, address: str, *, forwarding: bool) -> str:
    """An sshd that knows one key, and asks nothing of the machine's own configuration."""
    return f"""\
ListenAddress {address}:22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding {"yes" if forwarding else "no"}
MaxStartups 100:30:200
PrintMotd no
"""


def accounts(folder: Path, *, sudo: str = "") -> list[Path]:
    """The files of `/etc` that a node has of its own; written where `sudo` says how.

    They are mounted over those of the machine, where only this node sees them.
    """
    if sudo:
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", "-stdin"],
            input=PASSWORD.encode(),
            capture_output=True,
            check=True,
        ).stdout.decode()
        # What runs there writes coverage data and the like nowhere: the home is empty.
        home = folder / "home"
        home.mkdir()
        home.chmod(0o777)
        folder.chmod(0o755)
        folder.parent.chmod(0o755)
        for name, line in (
            ("passwd", f"operator:x:4242:4242::{home}:/bin/sh"),
            ("shadow", f"operator:{hashed.strip()}:19000:0:99999:7:::"),
            ("group", "operator:x:4242:"),
        ):
            (folder / name).write_text(Path("/etc", name).read_text() + line + "\n")
        free = "NOPASSWD: " if sudo == "free" else ""
        (folder / "sudoers").write_text(
            f"Defaults !syslog, !fqdn\nroot ALL=(ALL:ALL) ALL\noperator ALL=(ALL:ALL) {free}ALL\n"
        )
        (folder / "shadow").chmod(0o600)
        (folder / "sudoers").chmod(0o440)
    return [folder / name for name in _NAMES if (folder / name).exists()]
