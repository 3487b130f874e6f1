"""Limits of hosts on the wire, credentials by reference, and the guard of a pull budget."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from imgsync.errors import BudgetSpent, InvalidInput
from imgsync.mirror.config import HostSettings
from imgsync.mirror.connecting import with_hosts
from imgsync.mirror.pacing import HostPace, PacedRegistries
from imgsync.mirror.sources import PullGuard
from imgsync.model.reference import Reference
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.options import ConnectionOptions, ForHosts
from imgsync.stores.registry.quota import Quota
from tests.mirror.conftest import Mirror
from tests.servers.faults import Delay
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry

ALL = "{}\ndefaults: {{to: TARGET/m, referrers: none}}\nsources: [{}]"


@pytest.mark.real
def test_requests_are_as_slow_as_the_config_says(registry: Registry) -> None:
    settings = {registry.host: HostSettings(registry.host, requests_per_second=10)}
    with PacedRegistries(ConnectionOptions(), lambda _: None, {}, settings) as registries:
        repository = registries.repository(Reference(registry.host, "none", "1"))
        begun = time.monotonic()
        for number in range(15):
            repository.digest_of_tag(f"t{number}")
        # Ten at once, then ten a second.
        assert time.monotonic() - begun >= 0.4


@pytest.mark.real
def test_no_more_requests_at_once_than_the_config_says(
    registry: Registry,
) -> None:
    with FaultyProxy(upstream=registry.url) as proxy:
        proxy.on("", "/manifests/", Delay(0.05), times=None)
        settings = {proxy.host: HostSettings(proxy.host, connections=2)}
        with PacedRegistries(ConnectionOptions(), lambda _: None, {}, settings) as registries:
            repository = registries.repository(Reference(proxy.host, "none", "1"))
            repository.digest_of_tag("first")
            threads = [
                threading.Thread(target=repository.digest_of_tag, args=(f"t{number}",))
                for number in range(10)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert proxy.peak <= 2


@pytest.mark.real
@pytest.mark.parametrize("side", ["SOURCE", "TARGET"])
def test_bytes_are_as_slow_as_the_config_says(mirror: Mirror, side: str) -> None:
    layer = mirror.images.layer({"f": b"x" * 150_000}, compression="none")
    mirror.put("a:1", mirror.images.image([layer], platform="linux/amd64"))
    hosts = f"hosts: {{{side}: {{bytes-per-second: 100kB}}}}"
    begun = time.monotonic()
    assert mirror.run(ALL.format(hosts, "SOURCE/a:1")).counts["new"] == 1
    assert time.monotonic() - begun >= 0.5


def test_a_host_without_limits_is_left_alone() -> None:
    assert not HostPace(HostSettings("h.e")).is_limited
    assert HostPace(HostSettings("h.e", connections=1)).is_limited


# --- credentials ------------------------------------------------------------------------------


def _credential(host: HostSettings, environ: dict[str, str]) -> Credential | None:
    options = with_hosts(ConnectionOptions(), {"h.e": host}, environ)
    return options.credentials.get("h.e")


def test_passwords_come_from_files_variables_and_authfiles(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pw\n")
    by_file = HostSettings("h.e", username="ann", password_file=str(secret))
    assert _credential(by_file, {}) == Credential("ann", "pw")
    by_variable = HostSettings("h.e", username="ann", password_env="PW")
    assert _credential(by_variable, {"PW": "pw"}) == Credential("ann", "pw")
    authfile = tmp_path / "auth.json"
    authfile.write_text('{"auths": {"h.e": {"auth": "YW5uOnB3"}}}')
    assert _credential(HostSettings("h.e", authfile=str(authfile)), {}) == Credential("ann", "pw")
    assert _credential(HostSettings("h.e"), {}) is None


def test_a_password_that_cannot_be_had_is_told_without_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no password in the variable PW"):
        _credential(HostSettings("h.e", username="ann", password_env="PW"), {})
    missing = str(tmp_path / "none")
    with pytest.raises(InvalidInput, match=r"the password file .*none: No such file"):
        _credential(HostSettings("h.e", username="ann", password_file=missing), {})
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="is not text"):
        _credential(HostSettings("h.e", username="ann", password_file=str(binary)), {})


def test_the_command_line_wins_over_the_config() -> None:
    typed = ConnectionOptions(
        credentials={"h.e": Credential("bob", "x")}, ca_files=ForHosts("all", {"h.e": "typed"})
    )
    hosts = {
        "h.e": HostSettings("h.e", username="ann", password_env="PW", ca_file="config"),
        "g.e": HostSettings("g.e", ca_file="config", plain_http=True, insecure=True),
    }
    options = with_hosts(typed, hosts, {"PW": "pw"})
    assert options.credentials == {"h.e": Credential("bob", "x")}
    assert [options.ca_files.get(host) for host in ("h.e", "g.e", "f.e")] == [
        "typed",
        "config",
        "all",
    ]
    assert options.plain_http_hosts == options.insecure_hosts == {"g.e"}


# --- the guard --------------------------------------------------------------------------------


def test_reads_under_way_count_as_made() -> None:
    guard = PullGuard("hub", lambda: Quota(100, 12, 3600), floor=10)
    with guard.pull(), guard.pull(), pytest.raises(BudgetSpent), guard.pull():
        pytest.fail("one too many")
    with guard.pull(), guard.pull():
        pass


def test_a_registry_without_a_budget_has_no_limit() -> None:
    guard = PullGuard("h.e", lambda: None)
    with guard.pull():
        pass
