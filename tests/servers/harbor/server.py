"""The stand-in as a server, and the object that tests hold."""

import os
import secrets
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.servers.harbor.api import Api
from tests.servers.harbor.checks import check_access, check_cookies, check_read_only
from tests.servers.harbor.copying import Copier
from tests.servers.harbor.errors import Refused, not_found
from tests.servers.harbor.identity import Anonymous, Identities, Token
from tests.servers.harbor.proxy_cache import ProxyCache
from tests.servers.harbor.routes import parse_route
from tests.servers.harbor.state import (
    LIBRARY,
    Account,
    Artifact,
    ImmutableRule,
    Project,
    Robot,
    State,
)
from tests.servers.harbor.token_service import SERVICE, TokenService
from tests.servers.harbor.v2 import V2
from tests.servers.http_server import ClientGone, Handler, HttpServer
from tests.servers.registry import Registry
from tests.servers.tokens import Signer
from tests.servers.upstream import HangUp, Response, Unreachable, Upstream

ADMIN = "admin"
ADMIN_PASSWORD = os.environ.get("HARBOR_ADMIN_PASSWORD", "Harbor12345")  # Harbor's own default
PASSWORD = "Passw0rd"  # Harbor wants a small and a capital letter, a digit, and eight characters


@dataclass
class Harbor(HttpServer):
    """One Harbor; `with Harbor(users={"ann": Account("pw")}) as harbor:`.

    `admin` with `ADMIN_PASSWORD` is always there.

    Attributes:
        users: people of the local database.
        token_lifetime_s: how long tokens are good, in seconds; Harbor's default is 30 min.
        external_scheme: `http` or `https` in token addresses; it is configured, so it can be
            wrong. By default it is right.
        redirect_http: also opens a port that sends http to https with 308 (`http_url`).
        state: the tables, to look at and to change.
        registry: the registry behind, to look at its disk.
    """

    users: Mapping[str, Account] = field(default_factory=dict)
    token_lifetime_s: float = 1800
    external_scheme: str = ""
    redirect_http: bool = False
    state: State = field(default_factory=State, init=False)
    registry: Registry = field(init=False)
    api: Api = field(init=False, repr=False)
    v2: V2 = field(init=False, repr=False)
    tokens: TokenService = field(init=False, repr=False)
    identities: Identities = field(init=False, repr=False)
    session_id: str = field(default_factory=lambda: secrets.token_hex(16), init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False, repr=False)
    _plain: "_RedirectToHttps | None" = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.registry = Registry()
        self.state.accounts = {ADMIN: Account(ADMIN_PASSWORD, sysadmin=True), **self.users}
        self.identities = Identities(self.state)
        self.v2 = V2(self.state, ProxyCache())

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.registry)
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="harbor-"))
            self.tokens = TokenService(self.state, self.identities, Signer(Path(folder)))
            copier = Copier(self.state, self.registry.url)
            self.api = Api(self.state, lambda: f"{self.scheme}://{self.host}", copier)
            super().__enter__()
            stack.callback(self.stop)
            if self.redirect_http:
                self._plain = stack.enter_context(_RedirectToHttps(target=self.url))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()
        super().__exit__(*exc_info)

    def handler(self) -> type[Handler]:
        """See `_HarborHandler`."""
        return _HarborHandler

    @property
    def scheme(self) -> str:
        """As its configuration has it."""
        return self.external_scheme or ("https" if self.certificate else "http")

    @property
    def http_url(self) -> str:
        """The port that sends http to https."""
        if self._plain is None:
            raise LookupError("redirect_http is off")
        return self._plain.url

    # What tests set up.

    def project(self, name: str, **fields: Any) -> Project:
        """A new project; `fields` are those of `Project`."""
        return self.state.add_project(name, **fields)

    def robot(
        self,
        name: str,
        secret: str,
        rights: Mapping[str, Iterable[str]],
        *,
        may_create_projects: bool = False,
        days: float = -1,
    ) -> Robot:
        """A robot: `robot$NAME` or `robot$PROJECT+NAME`; rights by project, or `*` for all."""
        expires = -1 if days < 0 else time.time() + days * 86400
        robot = Robot(name, secret, rights, may_create_projects, expires=expires)
        self.state.robots[name] = robot
        return robot

    def disable_robot(self, name: str) -> None:
        """It is still there, and may nothing."""
        self.state.robots[name].disabled = True

    def limit(self, project: str, n_bytes: int) -> None:
        """The project may hold this much; -1 is any amount."""
        self.state.projects[project].storage_limit = n_bytes

    def make_immutable(self, project: str, rules: Iterable[ImmutableRule]) -> None:
        """The project's rules are these, and no others."""
        self.state.projects[project].immutable = [*rules]

    def require_signatures(self, project: str, *, required: bool = True) -> None:
        """Only images with a cosign signature can be pulled."""
        self.state.projects[project].require_signature = required

    def make_public(self, project: str) -> None:
        """Everyone may read it."""
        self.state.projects[project].public = True

    def read_only(self, *, on: bool = True) -> None:
        """Nothing is written, by nobody."""
        self.state.read_only = on

    def restrict_creation(self) -> None:
        """Only administrators create projects."""
        self.state.creation_restriction = "adminonly"

    def remove_project(self, name: str) -> None:
        """The project and all that it held are unknown."""
        self.state.remove_project(name)

    def clean(self) -> None:
        """As before the tests, but for the people."""
        self.read_only(on=False)
        self.state.creation_restriction = "everyone"
        self.token_lifetime_s = 1800
        for name in self.projects() - {LIBRARY}:
            self.state.remove_project(name)
        self.state.robots.clear()
        self.state.blobs.clear()
        self.issued.clear()
        self.failed_logins.clear()
        self.forget()

    def begin_gc(self, digest: str) -> None:
        """A garbage collection is deleting the blob: core says that it is not there."""
        self.state.blobs[digest].status = "deleting"

    def end_gc(self, digest: str) -> None:
        """The garbage collection has deleted it: from the disk, and from every project."""
        self.registry.remove_blob(digest)
        with self.state.lock:
            del self.state.blobs[digest]
            for project in self.state.projects.values():
                project.blobs.discard(digest)

    # What tests look at.

    def tags(self, repository: str) -> dict[str, str]:
        """The tags of `PROJECT/NAME`, each with the digest that it names."""
        with self.state.lock:
            return dict(self.state.tags.get(repository, {}))

    def artifacts(self, repository: str) -> dict[str, Artifact]:
        """The manifests and indexes of `PROJECT/NAME`, by digest, tagged or not."""
        with self.state.lock:
            return dict(self.state.artifacts.get(repository, {}))

    def used(self, project: str) -> int:
        """What counts against the project's quota, in bytes."""
        return self.state.usage(self.state.projects[project])

    def projects(self) -> set[str]:
        """The names of all projects."""
        return {*self.state.projects}

    def is_public(self, project: str) -> bool:
        """Whether everyone may read it."""
        return self.state.projects[project].public

    def owner(self, project: str) -> str:
        """Whose it is."""
        return self.state.projects[project].owner

    def limit_of(self, project: str) -> int:
        """How much it may hold, in bytes; -1 is any amount."""
        return self.state.projects[project].storage_limit

    def recorded_size(self, digest: str) -> int:
        """The size that core has recorded for a blob, right or wrong."""
        return self.state.blobs[digest].size

    @property
    def issued(self) -> list[Token]:
        """The tokens, in order."""
        return self.tokens.issued

    @property
    def failed_logins(self) -> list[str]:
        """The names for which a wrong password came, in order."""
        return self.identities.failed_logins


class _HarborHandler(Handler):
    @property
    def harbor(self) -> Harbor:
        owner = self.server.owner
        assert isinstance(owner, Harbor)
        return owner

    def setup(self) -> None:
        super().setup()
        self._upstream = Upstream(self.harbor.registry.url)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def end_headers(self) -> None:
        self.send_header("Set-Cookie", f"sid={self.harbor.session_id}; Path=/; HttpOnly")
        self.send_header("X-Request-Id", secrets.token_hex(16))
        super().end_headers()

    def header(self, name: str) -> str | None:
        value: str | None = self.headers.get(name)
        return value

    def forward(self, path: str | None = None, body: Iterable[bytes] | None = None) -> Response:
        dropped = {"authorization", "cookie"} | (
            {"content-length", "transfer-encoding"} if body is not None else set()
        )
        headers = [pair for pair in self.passed_on() if pair[0].lower() not in dropped]
        chunked = self.body.chunked and body is None
        if body is not None:
            data = b"".join(body)
            headers.append(("Content-Length", str(len(data))))
            body = [data]
        if self.harbor.certificate is not None:
            headers.append(("X-Forwarded-Proto", "https"))
        return self._upstream.ask(
            self.command,
            path or self.path,
            headers,
            self.body if body is None else body,
            chunked=chunked,
        )

    def _serve(self) -> None:
        try:
            self._route()
        except Refused as refused:
            headers = {"Content-Type": "application/json; charset=utf-8", **refused.headers}
            self.answer(refused.status, refused.body, headers)
        except Unreachable:
            body = b'{"errors":[{"code":"UNKNOWN","message":"internal server error"}]}'
            self.answer(500, body)
        except (HangUp, ClientGone):
            self.close_connection = True
            self._upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _route(self) -> None:
        path = urlsplit(self.path).path
        if path == "/service/token":
            self._token()
        elif path.startswith("/api/"):
            self._api()
        elif path == "/v2":  # nginx in front of it knows only the other
            self.answer(301, headers={"Location": f"{self.harbor.url}/v2/"})
        elif path.startswith("/v2/"):
            self._registry()
        else:
            raise not_found("The requested resource does not exist.")

    def _registry(self) -> None:
        harbor = self.harbor
        check_cookies(self.command, self.headers.get("Cookie", ""))
        route = parse_route(self.command, self.path)
        if route is None:
            raise not_found("The requested resource does not exist.")
        check_read_only(harbor.state, self.command)
        header = self.headers.get("Authorization")
        # The host is echoed, the scheme is configured.
        token_url = f"{harbor.scheme}://{self.headers.get('Host', harbor.host)}/service/token"
        identity = harbor.identities.of(header)
        check_access(harbor.state, route, self.command, identity, header, token_url)
        self.relay(harbor.v2.answer(route, self))

    def _token(self) -> None:
        if self.command != "GET":
            self.answer(405, b"Method Not Allowed")
            return
        query = parse_qs(urlsplit(self.path).query)
        service = query.get("service", [""])[0]
        if service != SERVICE:
            self.answer(400, f"Unable to handle service: {service}".encode())
            return
        identity = self.harbor.identities.of(self.headers.get("Authorization"), bearer=False)
        scopes = [scope for value in query.get("scope", []) for scope in value.split()]
        if isinstance(identity, Anonymous) and not scopes:
            self.answer(401)
            return
        issued = self.harbor.tokens.issue(identity, scopes, self.harbor.token_lifetime_s)
        self.answer(200, issued, {"Content-Type": "application/json; charset=utf-8"})

    def _api(self) -> None:
        harbor = self.harbor
        check_cookies(self.command, self.headers.get("Cookie", ""))
        check_read_only(harbor.state, self.command)
        identity = harbor.identities.of(self.headers.get("Authorization"), bearer=False)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = b"".join(self.body)
        self.relay(harbor.api.answer(self.command, self.path, identity, headers, body))


@dataclass
class _RedirectToHttps(HttpServer):
    """Port 80 of Harbor's nginx."""

    target: str = ""

    def handler(self) -> type[Handler]:
        return _RedirectHandler


class _RedirectHandler(Handler):
    def _serve(self) -> None:
        owner = self.server.owner
        assert isinstance(owner, _RedirectToHttps)
        self.answer(308, headers={"Location": owner.target + self.path})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve
