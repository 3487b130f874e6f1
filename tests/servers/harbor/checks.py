"""What core refuses before the registry hears of it. The order is Harbor's."""

from tests.servers.harbor.errors import Refused, denied, not_found, unauthorized
from tests.servers.harbor.identity import Anonymous, Identity
from tests.servers.harbor.routes import Route
from tests.servers.harbor.state import Artifact, Project, State

MANIFEST_LIMIT = 4 * 2**20  # bytes
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_IN_GC = frozenset({"deleting", "deletefailed"})


def check_cookies(method: str, cookies: str) -> None:
    """Whoever sends the session's cookie back is taken for a browser, which needs a token."""
    names = {part.partition("=")[0].strip() for part in cookies.split(";")}
    if method not in _SAFE and "sid" in names:
        raise Refused(403, "FORBIDDEN", "CSRF token not found in request")


def check_read_only(state: State, method: str) -> None:
    """In read-only mode nothing is written, by nobody; that comes before any challenge."""
    if state.read_only and method not in _SAFE:
        raise denied("The system is in read only mode. Any modification is prohibited.")


def check_access(
    state: State, route: Route, method: str, identity: Identity, header: str | None, token_url: str
) -> None:
    """The identity may do what the request needs.

    Core answers 401 to everything, and its challenge depends on whether there was an
    Authorization header, not on what was wrong with it.
    """
    challenge = _challenge(route, header, token_url)
    if route.kind == "base" and isinstance(identity, Anonymous):
        raise unauthorized("unauthorized", challenge)
    if route.kind == "catalog" and not identity.sysadmin:
        # No token opens the catalog, so none is offered.
        raise unauthorized("unauthorized to list catalog", 'Basic realm="harbor"')
    if route.access and header is None and method in {"GET", "HEAD"}:
        # Even where nobody in particular may read: docker has to come back with a token.
        raise unauthorized("authorize header needed to send HEAD to repository", challenge)
    for access in route.access:
        project = state.projects.get(access.project)
        if project is None:
            raise unauthorized(f"project {access.project} not found", "")
        if access.action not in identity.actions(project):
            raise unauthorized(
                f"unauthorized to access repository: {access.repository}, action: {access.action}",
                challenge,
            )


def _challenge(route: Route, header: str | None, token_url: str) -> str:
    if header is not None:
        return 'Basic realm="harbor"'
    challenge = f'Bearer realm="{token_url}",service="harbor-registry"'
    scopes = " ".join(access.scope for access in route.access)
    return f'{challenge},scope="{scopes}"' if scopes else challenge


def check_not_proxy_cache(project: Project) -> None:
    """Nobody pushes into a proxy-cache project."""
    if project.upstream is not None:
        raise denied(f"denied: can not push artifact to a proxy project: {project.name}")


def check_quota(state: State, project: Project, n_bytes: int) -> None:
    """The project may grow by this much; with 0, it is not over its limit already."""
    if project.storage_limit < 0:
        return
    used = state.usage(project)
    if used + n_bytes > project.storage_limit:
        raise denied(
            f"adding {readable(n_bytes)} of storage resource, which when updated to current"
            f" usage of {readable(used)} will exceed the configured upper limit of"
            f" {readable(project.storage_limit)}."
        )


def check_immutable(state: State, project: Project, route: Route) -> None:
    """The tag is new, or no rule covers it. The same digest again is refused as well."""
    if route.reference not in state.tags.get(route.repository, {}):
        return
    if any(rule.covers(route.name, route.reference) for rule in project.immutable):
        raise Refused(
            412,
            "PRECONDITION",
            f"Failed to process request due to '{route.name}:{route.reference}'"
            " configured as immutable.",
        )


def check_not_in_gc(state: State, digest: str) -> None:
    """No garbage collection is about to delete it."""
    blob = state.blobs.get(digest)
    if blob is not None and blob.status in _IN_GC:
        raise not_found(f"the asking blob is in GC, mark it as non existing, digest: {digest}")


def check_pull_policy(state: State, project: Project, repository: str, artifact: Artifact) -> None:
    """The project's policies let this artifact out; signatures always come out."""
    reason = project.blocked.get(artifact.digest)
    if project.require_signature and not artifact.is_signature:
        signed = state.is_signed(repository, artifact.digest)
        reason = reason or (None if signed else "The image is not signed by cosign.")
    if reason is not None:
        raise Refused(412, "PROJECTPOLICYVIOLATION", reason)


def readable(n_bytes: int) -> str:
    """As Harbor writes sizes."""
    size = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.1f} {unit}" if unit != "B" else f"{n_bytes} B"
        size /= 1024
    return f"{size:.1f} TiB"
