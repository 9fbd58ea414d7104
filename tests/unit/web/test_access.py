import pytest

from router.web.access import (
    CROSS_SITE,
    FORWARDED,
    NOT_LOCAL,
    WRONG_HOST,
    LocalOnly,
    is_loopback_host,
)

HERE = {"host": "127.0.0.1:8000"}
PROXIES = ("127.0.0.1", "10.0.0.0/8")


def refusal(
    headers: dict[str, str],
    *,
    peer: str | None = "127.0.0.1",
    method: str = "GET",
    trusted: tuple[str, ...] = (),
    version: str = "1.1",
) -> str | None:
    scope = {
        "type": "http",
        "method": method,
        "http_version": version,
        "client": None if peer is None else (peer, 5000),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    return LocalOnly(lambda: trusted).refusal(scope)


@pytest.mark.parametrize(
    "peer, expected",
    [
        ("127.0.0.1", None),
        ("127.8.9.10", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("203.0.113.7", NOT_LOCAL),
        ("10.0.0.1", NOT_LOCAL),
        ("0.0.0.0", NOT_LOCAL),
        ("::ffff:203.0.113.7", NOT_LOCAL),
        ("fe80::1", NOT_LOCAL),
        ("unix", NOT_LOCAL),
        (None, NOT_LOCAL),
    ],
)
def test_only_a_loopback_peer_is_this_machine(peer: str | None, expected: str | None) -> None:
    assert refusal(HERE, peer=peer) == expected


@pytest.mark.parametrize(
    "host, expected",
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("router.localhost:8000", True),
        ("127.0.0.1", True),
        ("127.1.2.3:80", True),
        ("[::1]:8000", True),
        ("[::1]", True),
        ("", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("notlocalhost", False),
        ("127.0.0.1@evil.example", False),
        ("evil.example@127.0.0.1", False),
        ("evil.example/127.0.0.1", False),
        ("127.0.0.1, evil.example", False),
        ("203.0.113.7", False),
        ("0.0.0.0:8000", False),
        ("localhost:port", False),
        ("[::1", False),
    ],
)
def test_only_a_loopback_name_may_be_in_the_host_header(host: str, expected: bool) -> None:
    assert is_loopback_host(host) is expected
    assert refusal({"host": host}) == (None if expected else WRONG_HOST)


def test_request_without_a_host_header_is_refused() -> None:
    assert refusal({}) == WRONG_HOST


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Anything": ""},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
    ],
)
def test_any_trace_of_an_unknown_proxy_is_refused(header: dict[str, str]) -> None:
    assert refusal(HERE | header) == FORWARDED


def test_http_1_0_is_taken_for_a_proxy() -> None:
    assert refusal(HERE, version="1.0") == FORWARDED


@pytest.mark.parametrize(
    "headers, expected",
    [
        ({}, None),
        ({"x-forwarded-for": "127.0.0.1"}, None),
        ({"x-forwarded-for": "::1"}, None),
        ({"x-forwarded-for": "127.0.0.1, 10.1.1.1"}, None),
        ({"x-forwarded-for": "127.0.0.1:4711, 10.1.1.1"}, None),
        ({"x-real-ip": "127.0.0.1"}, None),
        ({"forwarded": "for=127.0.0.1;proto=https"}, None),
        ({"forwarded": 'For="[::1]:4711", for=10.1.1.1'}, None),
        ({"x-forwarded-for": "127.0.0.1", "x-forwarded-host": "localhost"}, None),
        # A stranger says of themselves that they are here; the proxy knows better.
        ({"x-forwarded-for": "127.0.0.1, 203.0.113.7"}, NOT_LOCAL),
        ({"x-forwarded-for": "127.0.0.1, 203.0.113.7, 10.1.1.1"}, NOT_LOCAL),
        ({"x-forwarded-for": "203.0.113.7"}, NOT_LOCAL),
        ({"x-forwarded-for": "10.1.1.1"}, NOT_LOCAL),
        ({"x-forwarded-for": ""}, NOT_LOCAL),
        ({"x-forwarded-for": "unknown"}, NOT_LOCAL),
        ({"forwarded": "for=_hidden"}, NOT_LOCAL),
        ({"forwarded": "proto=https"}, NOT_LOCAL),
        ({"forwarded": "for=127.0.0.1, for=203.0.113.7"}, NOT_LOCAL),
        ({"x-forwarded-for": "127.0.0.1", "x-real-ip": "203.0.113.7"}, NOT_LOCAL),
        ({"x-forwarded-proto": "https"}, NOT_LOCAL),
        ({"x-forwarded-for": "127.0.0.1", "x-forwarded-host": "router.example"}, WRONG_HOST),
    ],
)
def test_trusted_proxy_is_believed_about_who_asked(
    headers: dict[str, str], expected: str | None
) -> None:
    assert refusal(HERE | headers, trusted=PROXIES) == expected


def test_trusted_proxy_on_another_machine_is_a_stranger_too() -> None:
    headers = HERE | {"x-forwarded-for": "127.0.0.1"}

    assert refusal(headers, peer="10.1.1.1", trusted=PROXIES) == NOT_LOCAL


@pytest.mark.parametrize(
    "headers, expected",
    [
        ({}, None),
        ({"sec-fetch-site": "same-origin"}, None),
        ({"origin": "http://127.0.0.1:8000"}, None),
        ({"origin": "HTTP://127.0.0.1:8000"}, CROSS_SITE),
        ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000"}, None),
        ({"sec-fetch-site": "cross-site"}, CROSS_SITE),
        ({"sec-fetch-site": "same-site"}, CROSS_SITE),
        ({"sec-fetch-site": "none"}, CROSS_SITE),
        ({"origin": "http://127.0.0.1:9000"}, CROSS_SITE),
        ({"origin": "http://localhost:8000"}, CROSS_SITE),
        ({"origin": "https://evil.example"}, CROSS_SITE),
        ({"origin": "null"}, CROSS_SITE),
        ({"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, CROSS_SITE),
    ],
)
def test_only_the_own_page_may_change_anything(
    headers: dict[str, str], expected: str | None
) -> None:
    assert refusal(HERE | headers, method="POST") == expected
    assert refusal(HERE | headers, method="GET") is None


def test_trusted_proxies_are_those_of_the_configuration_in_force() -> None:
    trusted: tuple[str, ...] = ()
    rule = LocalOnly(lambda: trusted)
    scope = {
        "type": "http",
        "method": "GET",
        "http_version": "1.1",
        "client": ("127.0.0.1", 5000),
        "headers": [(b"host", b"localhost"), (b"x-forwarded-for", b"127.0.0.1")],
    }

    assert rule.refusal(scope) == FORWARDED
    trusted = ("127.0.0.1",)
    assert rule.refusal(scope) is None
