"""Login and logout: proved against real registries, kept where other tools look."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import AccessDenied, InvalidInput, NotFound
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.credentials import Credentials
from imgsync.stores.registry.login import Proof, forget, keep, prove
from tests.servers.faults import Answer
from tests.servers.registry import Registry
from tests.servers.tokens import TokenServer, User

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.proxy import FaultyProxy
    from tests.stores.registry.conftest import Client

ANN = Credential("ann", "p:w", origin="--username")
WRONG = Credential("ann", "wrong", origin="--username")


class TestProving:
    def test_basic(self, client: Client) -> None:
        with Registry(users={"ann": "p:w"}) as server:
            host = client.registries(credentials={server.host: ANN}).host(server.host)
            assert prove(host) is Proof.PROVED
            host = client.registries(credentials={server.host: WRONG}).host(server.host)
            with pytest.raises(AccessDenied, match="user ann from --username"):
                prove(host)

    def test_tokens_without_a_scope(self, client: Client) -> None:
        with (
            TokenServer(users={"ann": User("p:w")}) as tokens,
            Registry(token_server=tokens) as server,
        ):
            host = client.registries(credentials={server.host: ANN}).host(server.host)
            assert prove(host) is Proof.PROVED
            assert tokens.issued[-1].scopes == ()
            host = client.registries(credentials={server.host: WRONG}).host(server.host)
            with pytest.raises(AccessDenied, match="refuses user ann"):
                prove(host)

    def test_nobody_asked(self, registry: Registry, client: Client) -> None:
        host = client.registries(credentials={registry.host: ANN}).host(registry.host)
        assert prove(host) is Proof.NOT_ASKED_FOR

    def test_no_registry(
        self, registry: Registry, client: Client, faulty: Callable[[Registry], FaultyProxy]
    ) -> None:
        proxy = faulty(registry)
        proxy.on("", "", Answer(404), times=None)
        with pytest.raises(NotFound, match="is no registry"):
            prove(client.registries().host(proxy.host))


def found(host: str, environ: dict[str, str], authfile: Path | None = None) -> Credential | None:
    return Credentials({}, authfile, environ).find(host)


class TestKeeping:
    @pytest.fixture
    def environ(self, tmp_path: Path) -> dict[str, str]:
        return {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}

    def test_it_is_found_again_and_forgotten(self, tmp_path: Path, environ: dict[str, str]) -> None:
        path = tmp_path / ".docker/config.json"
        assert keep("registry.example:5000", ANN, None, environ) == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert found("registry.example:5000", environ) == ANN
        assert forget("registry.example:5000", None, environ) == [str(path)]
        assert found("registry.example:5000", environ) is None
        assert forget("registry.example:5000", None, environ) == []
        assert [item.name for item in path.parent.iterdir()] == ["config.json"]

    def test_docker_hub_has_the_key_that_docker_writes(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        keep("docker.io", ANN, None, environ)
        value = json.loads((tmp_path / ".docker/config.json").read_text())
        assert list(value["auths"]) == ["https://index.docker.io/v1/"]
        assert found("docker.io", environ) == ANN

    def test_everything_else_in_the_file_stays(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        path = tmp_path / ".docker/config.json"
        path.parent.mkdir()
        other = {"HttpHeaders": {"X": "y"}, "auths": {"other.example": {"auth": "YTpi"}}}
        path.write_text(json.dumps(other))
        path.chmod(0o644)
        keep("registry.example", ANN, None, environ)
        assert json.loads(path.read_text())["HttpHeaders"] == {"X": "y"}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        forget("registry.example", None, environ)
        assert json.loads(path.read_text()) == other

    def test_a_file_that_would_win_is_the_one_that_is_changed(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        path = tmp_path / "run/containers/auth.json"
        keep("registry.example", WRONG, path, environ)
        assert keep("registry.example", ANN, None, environ) == str(path)
        assert found("registry.example", environ) == ANN

    def test_a_named_file_is_the_only_one(self, tmp_path: Path, environ: dict[str, str]) -> None:
        environ["REGISTRY_AUTH_FILE"] = str(tmp_path / "mine.json")
        assert keep("registry.example", ANN, None, environ) == str(tmp_path / "mine.json")
        path = tmp_path / "other.json"
        assert keep("registry.example", ANN, path, environ) == str(path)
        assert not (tmp_path / ".docker").exists()

    def test_a_link_stays_a_link(self, tmp_path: Path, environ: dict[str, str]) -> None:
        (tmp_path / "real.json").write_text("{}")
        (tmp_path / "link.json").symlink_to("real.json")
        keep("registry.example", ANN, tmp_path / "link.json", environ)
        assert (tmp_path / "link.json").is_symlink()
        assert "auths" in (tmp_path / "real.json").read_text()

    @pytest.mark.parametrize("content", ["[]", "nonsense", '{"auths": []}'])
    def test_a_file_of_another_kind_is_left_alone(
        self, tmp_path: Path, environ: dict[str, str], content: str
    ) -> None:
        path = tmp_path / "mine.json"
        path.write_text(content)
        with pytest.raises(InvalidInput, match=r"mine\.json"):
            keep("registry.example", ANN, path, environ)
        assert path.read_text() == content

    def test_a_helper_keeps_what_it_is_for(self, tmp_path: Path, environ: dict[str, str]) -> None:
        helper = tmp_path / "bin/docker-credential-box"
        helper.parent.mkdir()
        helper.write_text(f"#!{sys.executable}\n{HELPER.format(box=tmp_path / 'box')}")
        helper.chmod(0o755)
        environ["PATH"] = f"{helper.parent}:{os.environ['PATH']}"
        path = tmp_path / ".docker/config.json"
        path.parent.mkdir()
        path.write_text('{"credsStore": "box"}')
        assert keep("registry.example", ANN, None, environ) == "docker-credential-box"
        assert "p:w" not in path.read_text()
        assert json.loads(path.read_text())["auths"] == {"registry.example": {}}
        assert found("registry.example", environ) == ANN
        assert forget("registry.example", None, environ) == ["docker-credential-box", str(path)]
        assert found("registry.example", environ) is None


HELPER = """
import json, pathlib, sys
box = pathlib.Path("{box}")
known = json.loads(box.read_text()) if box.exists() else {{}}
text = sys.stdin.read()
if sys.argv[1] == "store":
    entry = json.loads(text)
    known[entry["ServerURL"]] = entry
elif text not in known:
    print("credentials not found in native keychain")
    sys.exit(1)
elif sys.argv[1] == "get":
    print(json.dumps(known[text]))
else:
    del known[text]
box.write_text(json.dumps(known))
"""
