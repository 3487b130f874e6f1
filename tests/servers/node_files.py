"""The files of a node: its sshd's configuration, and its accounts."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

PASSWORD = "it's a $ecret"
"""Of the user `operator`, on nodes where sudo asks for it."""


def sshd_config(folder: Path, address: str, *, forwarding: bool, more: Sequence[str] = ()) -> str:
    """An sshd that knows one key, and asks nothing of the machine's own configuration.

    A line of ``more`` stands in place of ours with the same keyword.
    """
    ours = f"""\
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
    said = {line.split()[0] for line in more}
    lines = [line for line in ours.splitlines() if line.split()[0] not in said]
    return "\n".join([*lines, *more, ""])


def write_accounts(folder: Path, sudo: str) -> None:
    """The files of `/etc` that a node has of its own; `sudo` as in `NodeOptions`.

    They are mounted over those of the machine, where only this node sees them: its users have an
    empty home, and a plain shell whose start-up costs nothing.
    """
    home = folder / "home"
    home.mkdir()
    home.chmod(0o777)
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    lines = [
        f"root:x:0:0:root:{home}:/bin/sh" if line.startswith("root:") else line
        for line in Path("/etc/passwd").read_text().splitlines()
    ]
    lines.append(f"operator:x:4242:4242::{home}:/bin/sh")
    _file(folder, "passwd", "\n".join([*lines, ""]))
    shadow = f"operator:{_hashed(PASSWORD)}:19000:0:99999:7:::\n"
    _file(folder, "shadow", Path("/etc/shadow").read_text() + shadow, mode=0o600)
    _file(folder, "group", Path("/etc/group").read_text() + "operator:x:4242:\n")
    if sudo != "none":
        free = "NOPASSWD: " if sudo == "free" else ""
        text = f"Defaults !fqdn\nroot ALL=(ALL:ALL) ALL\noperator ALL=(ALL:ALL) {free}ALL\n"
        _file(folder, "sudoers", text, mode=0o440)


def accounts(folder: Path) -> list[Path]:
    """What `write_accounts` has written."""
    names = ("passwd", "shadow", "group", "sudoers")
    return [folder / name for name in names if (folder / name).exists()]


def _file(folder: Path, name: str, text: str, mode: int = 0o644) -> None:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)


def _hashed(password: str) -> str:
    words = ["openssl", "passwd", "-6", "-stdin"]
    done = subprocess.run(words, input=password, capture_output=True, check=True, text=True)
    return done.stdout.strip()
