"""A token server as registries use it: scopes in, RS256 tokens out.

It follows distribution's token specification: an unknown scope or one that the user has
no right to is left out of a token, and the answer is 200 all the same.
"""

import base64
import binascii
import datetime as dt
import fnmatch
import functools
import hashlib
import json
import secrets
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.servers.http_server import Handler, HttpServer

# distribution accepts a token this long after its end.
_LEEWAY_S = 60


@dataclass(frozen=True)
class User:
    """A user of the token server: what may be done, by patterns of repository names."""

    password: str
    rights: Mapping[str, Iterable[str]] = field(
        default_factory=lambda: {"*": ("pull", "push", "delete")}
    )


@dataclass(frozen=True)
class Issued:
    """A token that was handed out."""

    user: str | None  # None: to nobody in particular
    scopes: tuple[str, ...]  # as they were asked for
    access: tuple[str, ...]  # as they were granted, `repository:NAME:pull,push`
    token: str


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    """One key for all servers of a run: making one takes longer than a test."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Signer:
    """An RSA key, its certificate, and its name after libtrust, which distribution asks for."""

    def __init__(self, folder: Path) -> None:
        self._key = _key()
        self.root_certificate = folder / "token.crt"
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "imgsync test tokens")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .sign(self._key, hashes.SHA256())
        )
        self.root_certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key_id = self._libtrust_fingerprint()

    def _libtrust_fingerprint(self) -> str:
        """The first 240 bits of the SHA-256 of the public key, in 12 groups of base32."""
        spki = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        text = base64.b32encode(hashlib.sha256(spki).digest()[:30]).decode()
        return ":".join(text[at : at + 4] for at in range(0, len(text), 4))

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The claims as a JSON Web Token."""
        header = {"typ": "JWT", "alg": "RS256", "kid": self.key_id}
        signed = f"{_base64url(_json(header))}.{_base64url(_json(claims))}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64url(signature)}"


@dataclass
class TokenServer(HttpServer):
    """Serves `/token`; `with TokenServer(users={"ann": User("pw")}) as tokens:`.

    Attributes:
        users: who may ask, and for what.
        anonymous: what nobody in particular may do.
        lifetime_s: how long the registry accepts a token, in seconds, from its issue on.
        told_lifetime_s: what `expires_in` says, when it is not the truth; None leaves the
            field out.
        oauth2: answers POST too; otherwise POST is 405, as with Harbor.
        refresh_tokens: identity tokens and their users, for POST.
        field_name: `token` or `access_token`.
    """

    users: Mapping[str, User] = field(default_factory=dict)
    anonymous: Mapping[str, Iterable[str]] = field(default_factory=dict)
    lifetime_s: float = 300
    told_lifetime_s: float | None = -1  # -1: the truth
    oauth2: bool = False
    refresh_tokens: Mapping[str, str] = field(default_factory=dict)
    field_name: str = "token"
    service: str = "imgsync-tests"
    issuer: str = "imgsync test tokens"
    issued: list[Issued] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tokens-")
        self._signer = Signer(Path(self._folder.name))

    @property
    def realm(self) -> str:
        """The address that challenges name."""
        return f"{self.url}/token"

    @property
    def root_certificate(self) -> Path:
        """What the registry trusts."""
        return self._signer.root_certificate

    def __exit__(self, *exc_info: object) -> None:
        self._folder.cleanup()
        super().__exit__(*exc_info)

    def handler(self) -> type[Handler]:
        """See `_TokenHandler`."""
        return _TokenHandler

    def user_of(self, name: str, password: str) -> bool:
        """Whether the password is the user's."""
        user = self.users.get(name)
        return user is not None and secrets.compare_digest(user.password, password)

    def issue(self, user: str | None, scopes: tuple[str, ...]) -> Issued:
        """A token that grants what the user may have of what was asked."""
        known = self.users.get(user) if user is not None else None
        rights = known.rights if known else self.anonymous
        access = [part for scope in scopes if (part := _granted(scope, rights)) is not None]
        now = time.time()
        claims = {
            "iss": self.issuer,
            "sub": user or "",
            "aud": self.service,
            "exp": int(now + self.lifetime_s - _LEEWAY_S),
            "nbf": int(now - 600),
            "iat": int(now),
            "jti": secrets.token_hex(8),
            "access": access,
        }
        issued = Issued(
            user,
            scopes,
            tuple(f"{part['type']}:{part['name']}:{','.join(part['actions'])}" for part in access),
            self._signer.sign(claims),
        )
        self.issued.append(issued)
        return issued


class _TokenHandler(Handler):
    @property
    def tokens(self) -> TokenServer:
        owner = self.server.owner
        assert isinstance(owner, TokenServer)
        return owner

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if urlsplit(self.path).path != "/token" or query.get("service") != [self.tokens.service]:
            self.answer(404)
            return
        scopes = tuple(part for value in query.get("scope", []) for part in value.split())
        header = self.headers.get("Authorization")
        if header is None:
            self._give(self.tokens.issue(None, scopes))
            return
        credentials = basic_credentials(header)
        if credentials is None or not self.tokens.user_of(*credentials):
            self.answer(401, _json({"details": "incorrect username or password"}))
            return
        self._give(self.tokens.issue(credentials[0], scopes))

    def do_POST(self) -> None:
        if not self.tokens.oauth2:
            self.answer(405)
            return
        form = {name: values[0] for name, values in parse_qs(b"".join(self.body).decode()).items()}
        user = self._user_of_form(form)
        if user is None:
            self.answer(401, _json({"details": "invalid grant"}))
            return
        self._give(self.tokens.issue(user, tuple(form.get("scope", "").split())))

    def _user_of_form(self, form: Mapping[str, str]) -> str | None:
        if form.get("grant_type") == "refresh_token":
            return self.tokens.refresh_tokens.get(form.get("refresh_token", ""))
        name = form.get("username", "")
        right = form.get("grant_type") == "password"
        return name if right and self.tokens.user_of(name, form.get("password", "")) else None

    def _give(self, issued: Issued) -> None:
        answer: dict[str, Any] = {self.tokens.field_name: issued.token}
        told = self.tokens.told_lifetime_s
        if told is not None:
            answer["expires_in"] = int(self.tokens.lifetime_s if told == -1 else told)
        self.answer(200, _json(answer), {"Content-Type": "application/json"})


def basic_credentials(header: str) -> tuple[str, str] | None:
    """User and password of an `Authorization: Basic` header; None when it is not one."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None


def _granted(scope: str, rights: Mapping[str, Iterable[str]]) -> dict[str, Any] | None:
    """What these rights leave of one scope; a name may hold a colon (`host:port/name`)."""
    kind, _, rest = scope.partition(":")
    name, _, asked = rest.rpartition(":")
    allowed = {
        action
        for pattern, actions in rights.items()
        if fnmatch.fnmatchcase(name, pattern)
        for action in actions
    }
    # The catalog's one action is `*`, which is everything.
    granted = [action for action in asked.split(",") if action in allowed]
    return {"type": kind, "name": name, "actions": granted} if granted else None


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
