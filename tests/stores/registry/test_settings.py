"""Options, proxies, hosts.toml, retries, quotas: read without any server."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import ImgsyncError, InvalidInput
from imgsync.stores.registry.envelope import parse_envelope, printable
from imgsync.stores.registry.hosts_toml import host_folders, parse_hosts
from imgsync.stores.registry.options import ForHosts, Mirror, host_name
from imgsync.stores.registry.origin import Origin
from imgsync.stores.registry.pages import next_link
from imgsync.stores.registry.proxies import is_excepted, proxy_for
from imgsync.stores.registry.quota import Quota, parse_quota
from imgsync.stores.registry.retry import LONGEST_WAIT_S, Pace, retry_after_s
from imgsync.stores.registry.tags import tags_of
from imgsync.stores.registry.tokens import renew_at

_TWICE = [["a", "b"], ["h=a", "h=b"], ["docker.io=1", "index.docker.io=2"]]


class TestOptions:
    def test_values_are_for_all_or_for_one(self) -> None:
        values = ForHosts.parse(["all", "Harbor.example:8443=one", "index.docker.io=hub"], "--x")
        assert values.get("harbor.example:8443") == "one"
        assert values.get("docker.io") == "hub"
        assert values.get("other.example") == "all"

    def test_a_path_may_hold_an_equals_sign(self) -> None:
        assert ForHosts.parse(["/etc/a=b.pem"], "--ca-file").get("h") == "/etc/a=b.pem"

    @pytest.mark.parametrize("texts", _TWICE)
    def test_twice_is_an_error(self, texts: list[str]) -> None:
        with pytest.raises(InvalidInput, match="--x is given twice"):
            ForHosts.parse(texts, "--x")
        ForHosts.parse([texts[0], texts[0]], "--x")

    def test_mirrors(self) -> None:
        assert Mirror.parse("docker.io=https://m.example/p/") == Mirror(
            "docker.io", "https://m.example/p"
        )
        for text in ("docker.io", "docker.io=m.example", "=https://m", "https://m.example"):
            with pytest.raises(InvalidInput, match="not HOST=URL"):
                Mirror.parse(text)

    def test_docker_hub_has_one_name(self) -> None:
        assert {host_name(name) for name in ("docker.io", "registry-1.docker.io")} == {"docker.io"}


class TestProxies:
    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({}, None),
            ({"https_proxy": "http://p:3128"}, "http://p:3128"),
            ({"HTTPS_PROXY": "p:3128"}, "http://p:3128"),
            ({"https_proxy": "http://low", "HTTPS_PROXY": "http://up"}, "http://low:80"),
            ({"http_proxy": "http://p"}, None),
            ({"all_proxy": "http://p"}, "http://p:80"),
            ({"https_proxy": "http://p", "no_proxy": "example.com"}, None),
            ({"https_proxy": "http://p", "NO_PROXY": "*"}, None),
            ({"https_proxy": "https://p"}, "https://p:443"),
        ],
    )
    def test_the_environment_decides(self, environ: dict[str, str], expected: str | None) -> None:
        proxy = proxy_for(Origin.of("https", "registry.example.com"), environ)
        assert (proxy.url if proxy else None) == expected

    def test_credentials_are_headers_and_never_shown(self) -> None:
        environ = {"https_proxy": "http://ann:p%40w@p:3128"}
        proxy = proxy_for(Origin.of("https", "h.example"), environ)
        assert proxy is not None
        assert proxy.headers == {"Proxy-Authorization": "Basic YW5uOnBAdw=="}
        assert proxy.url == "http://p:3128"
        assert "YW5u" not in repr(proxy)

    @pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1", "[::1]:1"])
    def test_loopback_never_goes_through_one(self, host: str) -> None:
        assert proxy_for(Origin.of("http", host), {"http_proxy": "http://p"}) is None

    def test_a_cgi_header_is_no_proxy(self) -> None:
        environ = {"HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET"}
        assert proxy_for(Origin.of("http", "h.example"), environ) is None

    @pytest.mark.parametrize("value", ["socks5://p", "http://", "http://p:port"])
    def test_nonsense_names_its_variable(self, value: str) -> None:
        with pytest.raises(InvalidInput, match="https_proxy"):
            proxy_for(Origin.of("https", "h.example"), {"https_proxy": value})

    @pytest.mark.parametrize(
        ("host", "no_proxy", "expected"),
        [
            ("a.example.com", "example.com", True),
            ("example.com", ".example.com", True),
            ("a.example.com", "*.example.com", True),
            ("badexample.com", "example.com", False),
            ("example.com:5000", "example.com:5000", True),
            ("example.com:5001", "example.com:5000", False),
            ("10.1.2.3", "10.0.0.0/8", True),
            ("11.1.2.3", "10.0.0.0/8", False),
            ("10.1.2.3", "10.1.2.3", True),
            ("[fd00::1]", "fd00::/8", True),
            ("[fd00::1]:5000", "[fd00::1]:5000", True),
            ("h.example", "10.0.0.0/8, nonsense/x ,h.example", True),
            ("h.example", "other h.example", True),
            ("h.example", "", False),
            ("h.example", ".", False),
        ],
    )
    def test_exceptions(self, host: str, no_proxy: str, expected: bool) -> None:
        assert is_excepted(Origin.of("https", host), no_proxy) is expected


class TestHostsToml:
    def test_all_of_it(self, tmp_path: Path) -> None:
        file = parse_hosts(
            """
            server = "https://registry-1.docker.io"
            ca = "top.pem"

            [host."https://mirror.example"]
              capabilities = ["pull", "resolve"]
              ca = ["a.pem", "/etc/b.pem"]
              client = [["c.cert", "c.key"], "both.pem"]
              skip_verify = true
              dial_timeout = "3s"
              [host."https://mirror.example".header]
                x-one = "1"
                x-many = ["1", "2"]

            [host."http://10.0.0.1:5000/v2/path"]
              override_path = true

            [host."plain.example/prefix"]
            """,
            tmp_path,
            "hosts.toml",
        )
        assert str(file.server.origin) == "https://registry-1.docker.io"
        assert file.server.ca == (tmp_path / "top.pem",)
        first, second, third = file.mirrors
        assert first.capabilities == {"pull", "resolve"}
        assert first.ca == (tmp_path / "a.pem", Path("/etc/b.pem"))
        assert first.client == (
            (tmp_path / "c.cert", tmp_path / "c.key"),
            (tmp_path / "both.pem", None),
        )
        assert first.skip_verify
        assert first.headers == {"x-one": "1", "x-many": "1, 2"}
        assert (first.api, second.api, third.api) == ("/v2", "/v2/path", "/prefix/v2")
        assert str(third.origin) == "https://plain.example"

    @pytest.mark.parametrize(
        "text",
        [
            "server = ",
            "server = 1",
            'server = "ftp://h"',
            "host = 1",
            '[host]\n"https://h" = 1',
            '[host."https://h"]\ncapabilities = "pull"',
            '[host."https://h"]\ncapabilities = ["fly"]',
            '[host."https://h"]\nca = 1',
            '[host."https://h"]\nclient = [["a", "b", "c"]]',
            '[host."https://h"]\nskip_verify = "yes"',
            '[host."https://h"]\nheader = 1',
        ],
    )
    def test_what_is_wrong_names_the_file(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(InvalidInput, match="certs/hosts"):
            parse_hosts(text, tmp_path, "certs/hosts")

    def test_folders_as_containerd_looks_for_them(self) -> None:
        found = [path.name for path in host_folders(Path("/c"), "h.example:5000")]
        assert found == ["h.example_5000_", "h.example:5000", "_default"]
        assert [path.name for path in host_folders(Path("/c"), "h")] == ["h", "_default"]


class TestRetries:
    def test_retry_after_is_seconds_or_a_date(self) -> None:
        assert retry_after_s("120") == 120
        assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT", now_s=1445412470) == 10
        assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
        for nonsense in ("", "soon", "-1", "1.5", "١٢"):
            assert retry_after_s(nonsense) is None

    @given(st.text())
    def test_any_text_is_read(self, text: str) -> None:
        found = retry_after_s(text)
        assert found is None or found >= 0

    def test_failures_hold_up_everybody_and_count_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("imgsync.stores.registry.retry.FIRST_WAIT_S", 1.0)
        now = [100.0]
        pace = Pace(clock=lambda: now[0], jitter=lambda: 1.0)
        assert pace.wait() == 100
        # Four workers had asked before the first of them failed.
        assert [pace.failed(100) for _ in range(4)] == [1, 1, 1, 1]
        now[0] = 101
        assert pace.failed(101) == 2
        now[0] = 103
        assert pace.failed(103) == 4
        pace.succeeded()
        now[0] = 107
        assert pace.failed(107) == 4
        assert pace.failed(200, asked_s=30) == 30
        assert pace.failed(300, asked_s=86400) == LONGEST_WAIT_S

    def test_whoever_waits_is_woken_at_the_end(self) -> None:
        pace = Pace()
        pace.failed(pace.wait(), asked_s=50)
        pace.close()
        pace.wait()

    def test_tokens_are_renewed_before_their_end(self) -> None:
        assert renew_at(0, 300) == 240
        assert renew_at(0, 1800) == 1740
        assert renew_at(0, 100) == 80
        assert renew_at(0, 0) == 48  # nothing said, or nonsense: a minute


class TestQuota:
    def test_as_docker_hub_tells_it(self) -> None:
        headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "20;w=21600"}
        assert parse_quota(headers) == Quota(100, 20, 21600)

    @pytest.mark.parametrize(
        "headers", [{}, {"ratelimit-remaining": "many"}, {"ratelimit-remaining": ""}]
    )
    def test_without_headers_there_is_no_limit(self, headers: dict[str, str]) -> None:
        assert parse_quota(headers) is None

    def test_half_of_it_is_enough(self) -> None:
        assert parse_quota({"ratelimit-remaining": "7"}) == Quota(7, 7, 0)


class TestEnvelope:
    def test_harbor_says_everything_twice(self) -> None:
        body = b'{"errors":[{"code":"DENIED","message":"no project p: no project p"}]}'
        assert parse_envelope(body).words == "DENIED no project p"

    def test_details_name_digests(self) -> None:
        digest = "sha256:" + "a" * 64
        body = b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"m","detail":"%s"}]}'
        assert parse_envelope(body % digest.encode()).digests == (digest,)

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", ""),
            (b"404 page not found\n", "404 page not found"),
            (b"<html><head><title>413 Too Large</title></head></html>", "413 Too Large"),
            (b'{"details":"incorrect username or password"}', "incorrect username or password"),
            (b'{"errors":[]}', ""),
            (b'{"errors":null}', ""),
            (b'{"errors":[1,{"code":2,"message":3}]}', ""),
            (b'{"errors":[{"code":"denied","message":"no\\u001b[31m\\n\\u202eno"}]}', None),
            (b"\xff\xfe", "\ufffd\ufffd"),
        ],
    )
    def test_whatever_comes(self, body: bytes, words: str | None) -> None:
        found = parse_envelope(body).words
        assert found.isprintable()
        if words is not None:
            assert found == words

    @given(st.binary())
    def test_any_bytes(self, body: bytes) -> None:
        assert parse_envelope(body).words.isprintable()

    @given(st.text())
    def test_nothing_moves_the_cursor(self, text: str) -> None:
        assert printable(text).isprintable()


class TestPages:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ("", ""),
            ('</v2/a/tags/list?last=b&n=2>; rel="next"', "/v2/a/tags/list?last=b&n=2"),
            ("</a>; rel=next", "/a"),
            ('</p>; rel="prev", </n>; rel="next"', "/n"),
            ('</n>; title="x"; rel="next"', "/n"),
            ('</n>; rel="previous"', ""),
            ("nonsense", ""),
        ],
    )
    def test_links(self, header: str, expected: str) -> None:
        assert next_link(header) == expected

    @given(st.text())
    def test_any_link(self, header: str) -> None:
        assert next_link(header) in header

    def test_tags_of_odd_registries(self) -> None:
        page = {"tags": ["1.0", None, "", "sha256:" + "a" * 64, 7, "a b", "x" * 129, "_ok"]}
        assert list(tags_of(page)) == ["1.0", "_ok"]
        assert list(tags_of({"tags": None})) == []
        assert list(tags_of({})) == []


@given(st.text(), st.text())
def test_options_give_values_or_our_errors(one: str, other: str) -> None:
    try:
        values = ForHosts.parse([one, other], "--x")
    except ImgsyncError:
        return
    assert isinstance(values.get("h"), str)
