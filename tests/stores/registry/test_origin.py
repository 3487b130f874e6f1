"""Origins and addresses from strangers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import ImgsyncError, NetworkError
from imgsync.stores.registry.guard import AddressGuard, is_private
from imgsync.stores.registry.origin import Origin, redacted, split_url
from imgsync.stores.registry.realm import may_have_credentials, realm_url, registrable_domain

REGISTRY = Origin.of("https", "registry.example.com")


@pytest.mark.parametrize(
    ("url", "base", "expected"),
    [
        ("https://h/p?q=1", "", ("https://h", "/p?q=1")),
        ("https://H:443/", "", ("https://h", "/")),
        ("http://h:80", "", ("http://h", "/")),
        ("http://h:8080/a#f", "", ("http://h:8080", "/a")),
        ("https://[::1]:5000/x", "", ("https://[::1]:5000", "/x")),
        ("/v2/a?_state=x%3D", "https://h:5000/v2/b?c", ("https://h:5000", "/v2/a?_state=x%3D")),
        ("//other/x", "https://h/", ("https://other", "/x")),
        ("up?x", "https://h/v2/a/", ("https://h", "/v2/a/up?x")),
    ],
)
def test_addresses_are_split(url: str, base: str, expected: tuple[str, str]) -> None:
    origin, target = split_url(url, base)
    assert (str(origin), target) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "relative",
        "ftp://h/x",
        "null://h/v2/token",
        "https:///x",
        "https://user:secret@h/",
        "https://h/\r\nX-Evil: 1",
        "https://h/a b",
        "https://h:port/",
        "https://[::1/",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_address_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(NetworkError) as caught:
        split_url(url)
    assert "secret" not in caught.value.message
    assert caught.value.message.isprintable()


@given(st.text(), st.sampled_from(["", "https://h/v2/"]))
def test_any_text_gives_an_origin_or_our_error(url: str, base: str) -> None:
    try:
        origin, target = split_url(url, base)
    except ImgsyncError:
        return
    assert target.startswith("/")
    assert split_url(f"{origin}{target}") == (origin, target)


def test_messages_show_no_signatures() -> None:
    assert redacted("https://s3/b?X-Amz-Signature=abc&digest=sha256:1") == (
        "https://s3/b?X-Amz-Signature=...&digest=sha256:1"
    )
    assert redacted("https://ann:pw@h/x") == "https://...@h/x"
    assert redacted("/v2/a/blobs/uploads/1?_state=secret") == "/v2/a/blobs/uploads/1?_state=..."


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert Origin.of("http", f"{host}:5000").is_loopback is expected


class TestRealms:
    @pytest.mark.parametrize(
        ("realm", "expected"),
        [
            ("https://auth.example.com/token?x=1", "https://auth.example.com/token?x=1"),
            ("/service/token", "https://registry.example.com/service/token"),
            ("http://registry.example.com/service/token", None),
            ("http://registry.example.com:80/service/token", None),
        ],
    )
    def test_https_stays_https(self, realm: str, expected: str | None) -> None:
        origin, target = realm_url(realm, "https://registry.example.com/v2/", REGISTRY)
        wanted = expected or "https://registry.example.com/service/token"
        assert f"{origin}{target}" == wanted

    def test_a_port_of_the_registry_is_kept(self) -> None:
        registry = Origin.of("https", "harbor:8443")
        origin, _ = realm_url("http://harbor/service/token", "https://harbor:8443/v2/", registry)
        assert str(origin) == "https://harbor:8443"

    @pytest.mark.parametrize(
        "realm", ["http://auth.example.com/token", "null://h/token", "ftp://h/", ""]
    )
    def test_others_are_refused(self, realm: str) -> None:
        with pytest.raises(ImgsyncError):
            realm_url(realm or "http:", "https://registry.example.com/v2/", REGISTRY)

    @pytest.mark.parametrize(
        ("realm", "registry", "expected"),
        [
            ("registry.example.com", "registry.example.com", True),
            ("registry.example.com:5001", "registry.example.com:5000", True),
            ("auth.docker.io", "registry-1.docker.io", True),
            ("gitlab.example.co.uk", "registry.example.co.uk", True),
            ("evil.co.uk", "registry.example.co.uk", False),
            ("evil.example", "registry.example.com", False),
            ("10.0.0.2", "10.0.0.1", True),
            ("8.8.8.8", "10.0.0.1", False),
            ("10.0.0.2", "8.8.8.8", False),
            ("10.0.0.2", "registry.example.com", False),
            ("auth", "registry", True),
            ("auth", "registry.example.com", False),
        ],
    )
    def test_credentials_only_go_where_they_belong(
        self, realm: str, registry: str, expected: bool
    ) -> None:
        one, other = Origin.of("https", realm), Origin.of("https", registry)
        assert may_have_credentials(one, other, ()) is expected
        assert may_have_credentials(one, other, {one.host})

    def test_domains(self) -> None:
        assert registrable_domain("a.b.example.com") == "example.com"
        assert registrable_domain("example.com.") == "example.com"
        assert registrable_domain("x.io") == "x.io"


class TestGuard:
    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("8.8.8.8", False),
            ("10.1.2.3", True),
            ("192.168.0.1", True),
            ("169.254.169.254", True),
            ("127.0.0.1", True),
            ("100.64.0.1", True),
            ("::1", True),
            ("fe80::1%eth0", True),
            ("::ffff:10.0.0.1", True),
            ("2001:4860:4860::8888", False),
            ("registry.example", False),
        ],
    )
    def test_private_addresses(self, address: str, expected: bool) -> None:
        assert is_private(address) is expected

    def test_the_internet_does_not_lead_into_a_private_network(self) -> None:
        guard = AddressGuard("registry.example")
        guard.own("8.8.8.8")
        guard.foreign("9.9.9.9")
        with pytest.raises(NetworkError, match=r"169\.254\.169\.254"):
            guard.foreign("169.254.169.254")

    def test_a_private_registry_leads_where_it_likes(self) -> None:
        guard = AddressGuard("harbor")
        guard.own("10.0.0.1")
        guard.foreign("10.0.0.2")
        guard.foreign("9.9.9.9")
