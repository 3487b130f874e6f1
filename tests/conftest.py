"""Fixtures for every test: real servers, a clean environment, and honest skips.

The servers are in `tests.servers` and need no pytest; this file only decides how long
each lives. `tests/README.md` shows how they are used.
"""

import os
import re
import secrets
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from tests.images import Images, load_layout
from tests.servers.certificates import Authority
from tests.servers.containerd import Containerd, version
from tests.servers.docker import Docker
from tests.servers.harbor import ADMIN_PASSWORD, Account, AnyHarbor, Harbor, RunningHarbor
from tests.servers.nodes import Nodes
from tests.servers.programs import Unavailable, put_first
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry

FIXTURES = Path(__file__).parent.parent / "fixtures"

# What would make a test depend on who runs it, or send it out of this machine.
_FOREIGN_VARIABLES = re.compile(
    r"(?i).*_proxy|DOCKER_.*|REGISTRY_AUTH_FILE|XDG_.*|.*CA_BUNDLE|SSL_CERT_.*"
    r"|IMGSYNC_.*|CONTAINERD_.*|NETRC|SSH_.*"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--require-real`, `--containerd-bin` and `--harbor`."""
    parser.addoption(
        "--require-real",
        action="store_true",
        default=os.environ.get("CI", "").lower() in {"1", "true"},
        help="a missing server fails the tests that need it, instead of skipping them"
        " (the default where CI=true)",
    )
    parser.addoption(
        "--containerd-bin",
        metavar="FOLDER",
        type=Path,
        help="take containerd, ctr and containerd-shim-runc-v2 from here (docker keeps its own)",
    )
    parser.addoption(
        "--harbor",
        default="",
        metavar="URL",
        help="a Harbor for the tests of Harbor, instead of the stand-in: one that is made for"
        " that, with the password of its admin in HARBOR_ADMIN_PASSWORD (default: Harbor12345)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Puts the programs of `--containerd-bin` before all others.

    Raises:
        pytest.UsageError: containerd or ctr is not in the folder.
    """
    folder: Path | None = config.getoption("--containerd-bin")
    if folder is None:
        return
    try:
        put_first(folder.resolve(), "containerd", "ctr")
    except Unavailable as missing:
        raise pytest.UsageError(f"--containerd-bin: {missing}") from None


def pytest_report_header() -> list[str]:
    """Which containerd the tests are of."""
    try:
        return [f"containerd: {version()}"]
    except Unavailable:
        return []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks `containerd` and `harbor`: others of these are tested without everything else."""
    for item in items:
        if "harbors" in getattr(item, "fixturenames", ()):
            item.add_marker("harbor")
        if isinstance(item, pytest.Function) and _starts_containerd(item):
            item.add_marker("containerd")


def _starts_containerd(item: pytest.Function) -> bool:
    """Whether a fixture starts one, or the test's module knows how to."""
    known = item.function.__globals__.values()
    return not {"containerd", "new_containerd"}.isdisjoint(item.fixturenames) or any(
        value is Containerd or value is Nodes for value in known
    )


def _unless_required(item: pytest.Item, missing: Unavailable) -> NoReturn:
    if item.config.getoption("--require-real"):
        pytest.fail(f"{missing} (--require-real)", pytrace=False)
    pytest.skip(str(missing))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """A fixture whose server is missing skips the test."""
    try:
        return (yield)
    except Unavailable as missing:
        _unless_required(item, missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that starts a missing server itself is skipped too."""
    try:
        return (yield)
    except Unavailable as missing:
        _unless_required(item, missing)


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """No proxies, no credentials, no home of a real user; `imgsync` run as a command too."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as home:
        for name in [*os.environ]:
            if _FOREIGN_VARIABLES.fullmatch(name):
                patch.delenv(name)
        patch.setenv("HOME", home)
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("NO_COLOR", "1")
        yield


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """One open registry for all tests; take names of your own from `repository`."""
    with Registry() as server:
        yield server


@pytest.fixture(scope="session")
def other_registry() -> Iterator[Registry]:
    """A second open registry, where a test has a source and a destination."""
    with Registry() as server:
        yield server


@pytest.fixture
def new_registry() -> Iterator[Registry]:
    """An empty registry for one test: one that counts requests, damages or restarts."""
    with Registry() as server:
        yield server


@pytest.fixture
def repository() -> str:
    """The name of a repository that no other test uses."""
    return f"t{secrets.token_hex(4)}/app"


@pytest.fixture
def faulty() -> Iterator[Callable[[Registry], FaultyProxy]]:
    """Called with a registry, puts a started `FaultyProxy` in front of it."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(FaultyProxy(upstream=server.url))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority: `authority.ca` is its file, `authority.issue()` a certificate."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def harbors(request: pytest.FixtureRequest) -> Callable[[Mapping[str, Account]], AnyHarbor]:
    """Called with its users: a stand-in for Harbor, or the Harbor of `--harbor`. Not started."""
    url: str = request.config.getoption("--harbor")

    def make(users: Mapping[str, Account]) -> AnyHarbor:
        if not url:
            return Harbor(users=users)
        return RunningHarbor(upstream=url.rstrip("/"), users=users, password=ADMIN_PASSWORD)

    return make


@pytest.fixture
def stand_in(harbor: AnyHarbor) -> Harbor:
    """The `harbor` of the test, for what only a stand-in can be made to do."""
    if isinstance(harbor, RunningHarbor):
        pytest.skip("only the stand-in can be made to do that")
    return harbor


@pytest.fixture(scope="session")
def containerd() -> Iterator[Containerd]:
    """One containerd for all tests; take a namespace of your own from `namespace`.

    Namespaces share blobs on disk, so a test about missing or damaged content, or about
    how much was fetched, takes `new_containerd`.
    """
    with Containerd() as server:
        yield server


@pytest.fixture
def new_containerd() -> Iterator[Containerd]:
    """An empty containerd for one test."""
    with Containerd() as server:
        yield server


@pytest.fixture
def namespace() -> str:
    """The name of a containerd namespace that no other test uses."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """One dockerd for all tests."""
    with Docker() as server:
        yield server


@pytest.fixture(scope="session")
def fixture_images() -> Images:
    """The images of `fixtures/images`, in memory."""
    return load_layout(FIXTURES / "images")
