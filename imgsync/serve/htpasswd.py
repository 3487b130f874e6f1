"""Password files as Apache's ``htpasswd -B`` writes them, and docker-registry reads them.

The hashes are checked by the system's libcrypt (libxcrypt on Linux distributions since 2018, musl
on Alpine), which knows bcrypt. See ``docs/decisions/`` for why there is no package for it.
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import threading
from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidInput
from imgsync.serve.access import CHALLENGE, parse_basic, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SCHEMES: Final = ("$2a$", "$2b$", "$2y$", "$5$", "$6$")
_LIBRARIES: Final = ("libcrypt.so.1", "libcrypt.so.2", None)
_MAX_REMEMBERED: Final = 1000
_HINT: Final = "make the line with: htpasswd -nB USER"

# A known password, to see whether this host's libcrypt can do bcrypt.
_PROBE: Final = b"$2y$05$imgsync.imgsync.imgsyeQSfPMrOn2XYSVmg2Qz/hhWREftvn2U2"


class Htpasswd:
    """Access for those whose password stands in the file.

    bcrypt takes tens of milliseconds on purpose, and a client sends its password with every
    request: one that was right is remembered, as a keyed hash of the header.
    """

    challenge: Mapping[str, str] = CHALLENGE

    def __init__(self, text: str, where: str) -> None:
        """Take the content of a file.

        Raises:
            InvalidInput: a line that is none, a hash of another kind, or no user at all.
        """
        self._hashes = parse_htpasswd(text, where)
        self._crypt = load_crypt()
        self._key = hashlib.sha256(text.encode()).digest()
        self._remembered: set[bytes] = set()
        self._lock = threading.Lock()

    def __call__(self, authorization: str | None) -> None:
        """See `imgsync.serve.access.Access`."""
        credentials = parse_basic(authorization)
        if credentials is None or authorization is None:
            refuse()
            return
        mark = hmac.digest(self._key, authorization.encode(), "sha256")
        if mark in self._remembered:
            return
        user, password = credentials
        # Somebody who is not there takes as long as somebody who is.
        wanted = self._hashes.get(user, next(iter(self._hashes.values())))
        with self._lock:
            got = self._crypt(password.encode(), wanted)
            is_right = hmac.compare_digest(got, wanted) and user in self._hashes
            if is_right and len(self._remembered) < _MAX_REMEMBERED:
                self._remembered.add(mark)
        if not is_right:
            refuse()


def parse_htpasswd(text: str, where: str) -> dict[str, bytes]:
    """The hash of each user.

    Raises:
        InvalidInput: names the line.
    """
    hashes: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, encoded = line.strip().partition(":")
        if not colon or not user:
            msg = f"{where}, line {number}: user:hash expected"
            raise InvalidInput(msg, hint=_HINT)
        if not encoded.startswith(_SCHEMES):
            msg = f"{where}, line {number}: the password of {user} is not hashed with bcrypt"
            raise InvalidInput(msg, hint=_HINT)
        hashes[user] = encoded.encode()
    if not hashes:
        msg = f"{where} has no users, so nobody could read"
        raise InvalidInput(msg, hint=_HINT)
    return hashes


def load_crypt() -> Callable[[bytes, bytes], bytes]:
    """``crypt(3)`` of this host; it is not for several threads at once.

    Raises:
        InvalidInput: there is none that knows bcrypt.
    """
    for name in _LIBRARIES:
        try:
            function = ctypes.CDLL(name).crypt
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_char_p
        function.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
        if function(b"imgsync", _PROBE[:29]) == _PROBE:
            return lambda password, setting: function(password, setting) or b"*"
    msg = "--htpasswd: this host's libcrypt cannot check bcrypt"
    raise InvalidInput(msg, hint="serve on loopback, behind a web server that asks for passwords")
