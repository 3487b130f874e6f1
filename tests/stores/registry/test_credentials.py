"""Where credentials come from, and what auth files look like."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import AccessDenied, ImgsyncError, InvalidInput, NotFound
from imgsync.stores.registry import credential_helper
from imgsync.stores.registry.auth_file import normalised_key, parse_auth_file
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.credentials import Credentials, environment_credential


def pair(username: str, password: str) -> dict[str, str]:
    return {"auth": b64encode(f"{username}:{password}".encode()).decode()}


def parsed(value: object) -> dict[str, Credential]:
    return dict(parse_auth_file(json.dumps(value).encode(), "file").auths)


def find(value: object, host: str, repository: str = "") -> str | None:
    found = parse_auth_file(json.dumps(value).encode(), "file").find(host, repository)
    return found.username if found else None


class TestFiles:
    def test_the_longest_path_wins(self) -> None:
        value = {
            "auths": {
                "r.example": pair("host", "1"),
                "r.example/team": pair("team", "2"),
                "r.example/team/app": pair("app", "3"),
            }
        }
        assert find(value, "r.example", "team/app") == "app"
        assert find(value, "r.example", "team/app/deep") == "app"
        assert find(value, "r.example", "team/other") == "team"
        assert find(value, "r.example", "teamwork/x") == "host"
        assert find(value, "r.example:5000", "team/app") is None

    @pytest.mark.parametrize(
        "key",
        [
            "https://index.docker.io/v1/",
            "index.docker.io",
            "docker.io",
            "registry-1.docker.io",
            "https://docker.io",
        ],
    )
    def test_docker_hub_by_any_name(self, key: str) -> None:
        assert find({"auths": {key: pair("ann", "pw")}}, "docker.io", "library/redis") == "ann"

    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            ("https://R.example/v2/", "r.example"),
            ("http://r.example:5000/", "r.example:5000"),
            ("r.example/team/app", "r.example/team/app"),
        ],
    )
    def test_keys(self, key: str, expected: str) -> None:
        assert normalised_key(key) == expected

    @pytest.mark.parametrize(
        ("key", "host", "expected"),
        [
            ("*.example.com", "r.example.com", True),
            ("*.example.com", "a.r.example.com", False),
            ("r*.example.com", "registry.example.com", True),
            ("*", "r.example.com", False),
            ("*.example.com/team", "r.example.com", True),
        ],
    )
    def test_kubernetes_globs(self, key: str, host: str, expected: bool) -> None:
        assert (find({"auths": {key: pair("ann", "pw")}}, host, "team/app") == "ann") is expected

    def test_passwords_hold_colons_and_users_do_not(self) -> None:
        (found,) = parsed({"auths": {"h": pair("ann", "a:b:c")}}).values()
        assert (found.username, found.password) == ("ann", "a:b:c")

    def test_other_fields(self) -> None:
        found = parsed(
            {
                "auths": {
                    "identity": {"identitytoken": "long", **pair("00000000", "")},
                    "registry": {"registrytoken": "bearer"},
                    "plain": {"username": "ann", "password": "pw"},
                    "token": pair("<token>", "long"),
                    "nul": {"auth": b64encode(b"ann:pw\0\0").decode()},
                    "helper": {},
                    "broken": {"auth": "!"},
                    "half": {"auth": b64encode(b"no colon").decode()},
                    "odd": 7,
                }
            }
        )
        assert found["identity"].identity_token == "long"
        assert found["registry"].registry_token == "bearer"
        assert found["plain"].basic == "Basic YW5uOnB3"
        assert found["token"].identity_token == "long"
        assert found["nul"].password == "pw"
        assert found["helper"].is_empty
        assert not {"broken", "half", "odd"} & found.keys()

    def test_pull_secrets(self) -> None:
        config = {"auths": {"r.example": pair("ann", "pw")}}
        wrapped = b64encode(json.dumps(config).encode()).decode()
        bare = b64encode(json.dumps(config["auths"]).encode()).decode()
        for value in (
            config,
            config["auths"],
            {"kind": "Secret", "data": {".dockerconfigjson": wrapped}},
            {"kind": "Secret", "data": {".dockercfg": bare}},
            {".dockerconfigjson": wrapped},
        ):
            assert find(value, "r.example") == "ann"

    @pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"data":{".dockercfg":"!"}}', b"\xff"])
    def test_other_files_are_refused_without_showing_them(self, raw: bytes) -> None:
        with pytest.raises(InvalidInput, match="here") as caught:
            parse_auth_file(raw, "here")
        assert "data" not in caught.value.message

    @given(st.binary())
    def test_any_bytes(self, raw: bytes) -> None:
        try:
            parse_auth_file(raw, "file")
        except ImgsyncError:
            return

    def test_nothing_shows_a_secret(self) -> None:
        credential = Credential("ann", "s3cret", "s3cret", "s3cret", origin="file")
        assert "s3cret" not in repr(credential)
        assert "s3cret" not in str(credential)
        assert str(credential) == "user ann from file"


class TestSources:
    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        return tmp_path

    @pytest.fixture
    def environ(self, home: Path) -> dict[str, str]:
        return {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}

    def write(self, path: Path, username: str, host: str = "r.example") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        value: dict[str, object] = {host: pair(username, "pw")}
        path.write_text(json.dumps(value if path.name == ".dockercfg" else {"auths": value}))

    def test_the_order(self, home: Path, environ: dict[str, str]) -> None:
        def who(explicit: Credential | None = None) -> str:
            flags = {"r.example": explicit} if explicit is not None else {}
            found = Credentials(flags, None, environ).find("r.example")
            return found.username if found else ""

        assert who() == ""
        for place in (
            ".dockercfg",
            ".docker/config.json",
            ".config/containers/auth.json",
            "run/containers/auth.json",
        ):
            self.write(home / place, place)
            assert who() == place
        self.write(home / "named.json", "named")
        environ["REGISTRY_AUTH_FILE"] = str(home / "named.json")
        assert who() == "named"
        assert who(Credential("flag", "pw")) == "flag"

    def test_a_named_file_hides_the_others(self, home: Path, environ: dict[str, str]) -> None:
        self.write(home / ".docker/config.json", "docker")
        self.write(home / "named.json", "named", host="other.example")
        assert Credentials({}, home / "named.json", environ).find("r.example") is None

    def test_a_named_file_must_be_there(self, home: Path, environ: dict[str, str]) -> None:
        credentials = Credentials({}, home / "absent.json", environ)
        for _ in range(2):
            with pytest.raises(NotFound, match=r"absent\.json"):
                credentials.find("r.example")

    def test_docker_config_names_another_folder(self, home: Path, environ: dict[str, str]) -> None:
        self.write(home / "elsewhere/config.json", "elsewhere")
        environ["DOCKER_CONFIG"] = str(home / "elsewhere")
        found = Credentials({}, None, environ).find("r.example")
        assert str(found) == f"user elsewhere from {home}/elsewhere/config.json"

    def test_a_file_that_cannot_be_read_is_named(self, home: Path, environ: dict[str, str]) -> None:
        (home / ".docker/config.json").mkdir(parents=True)
        with pytest.raises(InvalidInput, match=r"config\.json cannot be read"):
            Credentials({}, None, environ).find("r.example")

    def test_the_environment(self, home: Path) -> None:
        assert environment_credential({}) is None
        found = environment_credential({"IMGSYNC_USERNAME": "ann", "IMGSYNC_PASSWORD": "pw"})
        assert found == Credential("ann", "pw")
        (home / "pw").write_text("from file\n")
        environ = {"IMGSYNC_USERNAME": "ann", "IMGSYNC_PASSWORD_FILE": str(home / "pw")}
        assert environment_credential(environ) == Credential("ann", "from file")
        for broken in (
            {"IMGSYNC_USERNAME": "ann"},
            {"IMGSYNC_USERNAME": "ann", "IMGSYNC_PASSWORD_FILE": "/nowhere"},
        ):
            with pytest.raises(InvalidInput, match="IMGSYNC_"):
                environment_credential(broken)


class TestHelpers:
    @pytest.fixture
    def environ(self, tmp_path: Path) -> dict[str, str]:
        return {"HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def helper(self, folder: Path, name: str, body: str) -> None:
        path = folder / f"docker-credential-{name}"
        path.write_text(f"#!{sys.executable}\nimport sys, time\nhost = sys.stdin.read()\n{body}\n")
        path.chmod(0o755)

    def config(self, folder: Path, value: object) -> None:
        (folder / ".docker").mkdir()
        (folder / ".docker/config.json").write_text(json.dumps(value))

    def test_a_helper_is_asked_once_for_a_host(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        self.helper(
            tmp_path,
            "one",
            "open(sys.argv[0] + '.log', 'a').write(host + ' ')\n"
            """print('{"ServerURL":"x","Username":"ann","Secret":"pw"}')""",
        )
        self.config(tmp_path, {"credHelpers": {"r.example": "one", "docker.io": "one"}})
        credentials = Credentials({}, None, environ)
        for repository in ("a", "b"):
            assert credentials.find("r.example", repository) == Credential("ann", "pw")
        found = credentials.find("docker.io", "library/redis")
        assert str(found) == "user ann from docker-credential-one"
        log = (tmp_path / "docker-credential-one.log").read_text()
        assert log == "r.example https://index.docker.io/v1/ "

    def test_the_store_is_for_what_the_file_does_not_have(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        self.helper(tmp_path, "box", """print('{"Username":"<token>","Secret":"long"}')""")
        self.config(
            tmp_path, {"credsStore": "box", "auths": {"a.example": pair("file", "pw"), "b": {}}}
        )
        credentials = Credentials({}, None, environ)
        assert credentials.find("a.example") == Credential("file", "pw")
        assert credentials.find("b") == Credential(identity_token="long")

    def test_not_knowing_is_no_error(self, tmp_path: Path, environ: dict[str, str]) -> None:
        self.helper(
            tmp_path, "box", "print('credentials not found in native keychain')\nsys.exit(1)"
        )
        self.config(tmp_path, {"credsStore": "box"})
        assert Credentials({}, None, environ).find("r.example") is None

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ("print('keychain is locked\\x1b[31m'); sys.exit(1)", "keychain is locked"),
            ("print('not json')", "did not answer"),
            ("""print('{"Username":"ann"}')""", "did not answer"),
            ("print('[]')", "did not answer"),
            ("time.sleep(60)", "did not answer within"),
        ],
    )
    def test_failures_are_told(
        self,
        tmp_path: Path,
        environ: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
        body: str,
        why: str,
    ) -> None:
        monkeypatch.setattr(credential_helper, "HELPER_TIMEOUT_S", 2.0)
        self.helper(tmp_path, "box", body)
        self.config(tmp_path, {"credsStore": "box"})
        with pytest.raises(AccessDenied, match=why) as caught:
            Credentials({}, None, environ).find("r.example")
        assert caught.value.message.isprintable()

    def test_one_that_is_not_installed_is_named(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        self.config(tmp_path, {"credsStore": "absent"})
        with pytest.raises(AccessDenied, match="docker-credential-absent is not installed"):
            Credentials({}, None, environ).find("r.example")

    @pytest.mark.parametrize("name", ["../evil", "a b", "x;y", "/bin/sh", "a\n"])
    def test_a_name_is_no_path(self, tmp_path: Path, environ: dict[str, str], name: str) -> None:
        self.config(tmp_path, {"credsStore": name})
        with pytest.raises(InvalidInput, match="credential helper"):
            Credentials({}, None, environ).find("r.example")
