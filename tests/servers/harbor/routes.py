"""What a path of `/v2/` is about, as core's middlewares read it before anything else."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from tests.servers.harbor.errors import bad_request, unauthorized

_ROUTES = (
    ("manifest", re.compile(r"/v2/(?P<repository>.+)/manifests/(?P<reference>[^/]+)")),
    ("upload", re.compile(r"/v2/(?P<repository>.+)/blobs/uploads/(?P<reference>[^/]*)")),
    ("blob", re.compile(r"/v2/(?P<repository>.+)/blobs/(?P<reference>[^/]+)")),
    ("tags", re.compile(r"/v2/(?P<repository>.+)/tags/list(?P<reference>)")),
    ("referrers", re.compile(r"/v2/(?P<repository>.+)/referrers/(?P<reference>[^/]+)")),
)
_NAME = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-*)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-*)[a-z0-9]+)*)*"
)
_ACTIONS = {
    "GET": "pull",
    "HEAD": "pull",
    "POST": "push",
    "PUT": "push",
    "PATCH": "push",
    "DELETE": "delete",
}
# A token asks for more than the action: who pushes also has to look.
_SCOPES = {"pull": "pull", "push": "pull,push", "delete": "delete"}


@dataclass(frozen=True)
class Access:
    """An action on a repository that a request needs."""

    repository: str
    action: str

    @property
    def project(self) -> str:
        """The first part of the repository."""
        return self.repository.split("/")[0]

    @property
    def scope(self) -> str:
        """As a challenge names it."""
        return f"repository:{self.repository}:{_SCOPES[self.action]}"


@dataclass(frozen=True)
class Route:
    """A request to `/v2/`; kind is `base`, `catalog`, or one of `_ROUTES`."""

    kind: str
    access: tuple[Access, ...] = ()
    repository: str = ""
    reference: str = ""  # a tag, a digest, or an upload's id
    mount: str = ""  # the digest to mount

    @property
    def project(self) -> str:
        """The first part of the repository."""
        return self.repository.split("/")[0]

    @property
    def name(self) -> str:
        """The repository without its project."""
        return self.repository.partition("/")[2]


def parse_route(method: str, path: str) -> Route | None:
    """What the request is about; None when there is no such path.

    Raises:
        Refused: a repository without a project, or of a name that there is not.
    """
    address = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(address.query).items()}
    if address.path in {"/v2", "/v2/"}:
        return Route("base")
    if address.path == "/v2/_catalog":
        return Route("catalog")
    for kind, pattern in _ROUTES:
        found = pattern.fullmatch(address.path)
        if found is not None:
            repository = _checked(found["repository"], f"{method} {address.path}")
            access = [Access(repository, _ACTIONS.get(method, "pull"))]
            mount = query.get("mount", "") if "from" in query and kind == "upload" else ""
            if mount and method == "POST":
                access.append(Access(_checked(query["from"], ""), "pull"))
            return Route(kind, tuple(access), repository, found["reference"], mount)
    return None


def _checked(repository: str, request: str) -> str:
    if not _NAME.fullmatch(repository):
        raise unauthorized(f"un-recognized request: {request}", "")
    if "/" not in repository:
        raise bad_request(f"invalid repository name: {repository}")
    return repository
