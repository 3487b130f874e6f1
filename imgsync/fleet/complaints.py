"""What OpenSSH says when something is not as it should be, and what that means. Pure."""

from __future__ import annotations

from typing import Final

from imgsync.errors import AccessDenied, Unreachable

_NO_SESSION: Final = "Session open refused by peer"
"""What ssh says when sshd's ``MaxSessions`` are in use; it then connects anew, by itself."""

_SHARING: Final = ("mux_client_request_session:", "ControlSocket ")
"""How what it says about that begins."""

_DROPPED: Final = (
    "kex_exchange_identification",
    "connection reset by",
    "connection closed by",
    "not allowed at this time",
)
"""What is said where an sshd, perhaps that of a jump host, has too many at its door
(``MaxStartups``): it drops some at random before they could say who they are."""


def is_dropped(message: str) -> bool:
    """Whether an sshd on the way had too many at its door; trying again helps."""
    lower = message.lower()
    return any(text in lower for text in _DROPPED)


def is_out_of_sessions(said: str) -> bool:
    """Whether the connection had no session left for a command, and it got one of its own."""
    return _NO_SESSION in said


def without_sharing(said: str) -> str:
    """What a command said itself, when ssh said something of sharing a connection too."""
    lines = said.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_SHARING))


def last_line(stderr: bytes) -> str:
    """The last line that ssh said, without its decoration."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "").removeprefix("ssh: ")


def refusal(text: str, status: int | None) -> Unreachable | AccessDenied:
    """The error of a connection that did not come about, by ssh's last words."""
    lower = text.lower()
    if "permission denied" in lower or "too many authentication" in lower:
        hint = "keys come from ssh's own configuration and agent; try: ssh HOST true"
        return AccessDenied(f"ssh: {text}", hint=hint)
    hint = ""
    if "host key verification" in lower:
        hint = "log in once by hand to see and take its key, or add it to known_hosts"
    elif is_dropped(lower):
        hint = "an sshd on the way takes no more at once (MaxStartups)? fewer nodes at once: -j 2"
    return Unreachable(f"ssh: {text or f'status {status}'}", hint=hint)
