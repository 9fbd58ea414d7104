"""Signatures, statuses and errors, each subtle thing in one table."""

import base64
import hmac
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from router.errors import (
    InvalidSignature,
    NoConnection,
    OutcomeUnknown,
    ProviderError,
    Refused,
    Unavailable,
)
from router.plugin import WebhookRequest, classify, raise_for_status, verify_hmac_sha256
from tests.wordless import Wordless

BODY = b'{"text": "hola"}'
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def request(signature: str | None) -> WebhookRequest:
    headers = {} if signature is None else {"x-signature": signature}
    return WebhookRequest(
        url="https://router.example/hooks/x", headers=headers, body=BODY, received_at=NOW
    )


def mac(key: str, body: bytes = BODY) -> bytes:
    return hmac.new(key.encode(), body, "sha256").digest()


@pytest.mark.parametrize(
    "signature, options",
    [
        (mac("key").hex(), {"key": "key"}),
        (mac("key").hex().upper(), {"key": "key"}),
        (mac("key").hex(), {"key": SecretStr("key")}),
        (mac("key").hex(), {"key": ["new", "key"]}),
        (mac("key").hex(), {"key": (SecretStr("key"), SecretStr("old"))}),
        (mac("key").hex(), {"key": ["", "key"]}),
        ("sha256=" + mac("key").hex(), {"key": "key", "prefix": "sha256="}),
        (base64.b64encode(mac("key")).decode(), {"key": "key", "encoding": "base64"}),
        (mac("ñandú").hex(), {"key": "ñandú"}),
    ],
)
def test_a_signature_by_any_of_the_keys_passes(signature: str, options: dict[str, Any]) -> None:
    verify_hmac_sha256(request(signature), header="X-Signature", **options)


@pytest.mark.parametrize(
    "signature, options, reason",
    [
        (None, {"key": "key"}, "the request has no X-Signature header"),
        ("", {"key": "key"}, "the X-Signature header was not made from this body with the secret"),
        (
            mac("other").hex(),
            {"key": "key"},
            "the X-Signature header was not made from this body with the secret",
        ),
        (
            mac("key", BODY + b" ").hex(),
            {"key": ["key", "old"]},
            "the X-Signature header was not made from this body with any of the 2 secrets",
        ),
        (
            mac("key").hex()[:-2],
            {"key": "key"},
            "the X-Signature header was not made from this body with the secret",
        ),
        ("nonsense", {"key": "key"}, "the X-Signature header is not hex"),
        ("é" * 64, {"key": "key"}, "the X-Signature header is not hex"),
        ("é", {"key": "key", "encoding": "base64"}, "the X-Signature header is not base64"),
        ("a b=", {"key": "key", "encoding": "base64"}, "the X-Signature header is not base64"),
        (
            mac("key").hex(),
            {"key": "key", "prefix": "sha256="},
            "the X-Signature header does not begin with 'sha256='",
        ),
        (mac("").hex(), {"key": ""}, "there is no secret to check the X-Signature header with"),
        (mac("").hex(), {"key": []}, "there is no secret to check the X-Signature header with"),
        (
            mac("").hex(),
            {"key": ["", SecretStr("")]},
            "there is no secret to check the X-Signature header with",
        ),
    ],
)
def test_anything_else_is_refused_with_a_reason(
    signature: str | None, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidSignature) as caught:
        verify_hmac_sha256(request(signature), header="X-Signature", **options)

    assert str(caught.value) == reason


def response(status: int, headers: dict[str, str] | None = None) -> httpx.Response:
    asked = httpx.Request("POST", "https://api.example/bot123:token/send")
    return httpx.Response(status, headers=headers, request=asked, text="token")


EXPECTED: dict[int, type[ProviderError] | None] = {
    **dict.fromkeys(range(100, 200), OutcomeUnknown),
    **dict.fromkeys(range(200, 300)),
    **dict.fromkeys(range(300, 500), Refused),
    **dict.fromkeys(range(500, 600), OutcomeUnknown),
    408: Unavailable,
    425: Unavailable,
    429: Unavailable,
    503: Unavailable,
}


def meaning_of(status: int) -> ProviderError | None:
    try:
        raise_for_status(response(status))
    except ProviderError as error:
        return error
    return None


def test_each_status_means_one_thing() -> None:
    meant = {status: meaning_of(status) for status in range(100, 600)}

    assert {
        status: None if error is None else type(error) for status, error in meant.items()
    } == EXPECTED
    assert all(error.code == str(status) for status, error in meant.items() if error)


def test_the_reason_has_the_host_and_the_status_and_nothing_that_could_be_a_secret() -> None:
    with pytest.raises(Refused) as refused:
        raise_for_status(response(401))
    with pytest.raises(Refused) as redirected:
        raise_for_status(response(302))
    with pytest.raises(OutcomeUnknown) as bare:
        raise_for_status(httpx.Response(500))

    assert str(refused.value) == "api.example answered 401 Unauthorized"
    assert str(redirected.value) == (
        "api.example answered 302 Found, a redirect, which is not followed. Correct the address"
    )
    assert str(bare.value) == "the provider answered 500 Internal Server Error"


def date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "999999999"}, 86_400.0),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": date(90), "Date": date(0)}, 90.0),
        ({"Retry-After": date(-90), "Date": date(0)}, 0.0),
        ({"Retry-After": date(90_000_000), "Date": date(0)}, 86_400.0),
        ({"Retry-After": "Mon, 02 Mar 2026 09:01:00 -0000", "Date": date(0)}, 60.0),
        ({"Retry-After": date(-(10**8))}, 0.0),
        ({"Retry-After": "Mon, 99 Mar 2026 09:01:00 GMT"}, None),
        ({"Retry-After": "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"}, None),
        ({"Retry-After": "Fri, 31 Dec 2027 23:59:59 +99999999999999"}, None),
        ({"Retry-After": date(90), "Date": "Mon, 02 Mar 99999999999999999999 09:00:00 GMT"}, 0.0),
    ],
)
@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_retry_after_is_read_as_seconds_or_as_a_date(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]

    error = classify(
        httpx.HTTPStatusError(
            "",
            request=httpx.Request("GET", "https://x"),
            response=httpx.Response(status, headers=encoded),
        )
    )

    assert isinstance(error, Unavailable)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    "error, meaning",
    [
        (httpx.ConnectError("refused"), Unavailable),
        (httpx.ConnectTimeout("slow"), Unavailable),
        (httpx.PoolTimeout("busy"), NoConnection),
        (httpx.UnsupportedProtocol("ftp"), Refused),
        (httpx.InvalidURL("no"), Refused),
        (httpx.LocalProtocolError("header"), Refused),
        (httpx.ReadTimeout("slow"), OutcomeUnknown),
        (httpx.WriteTimeout("slow"), OutcomeUnknown),
        (httpx.ReadError("gone"), OutcomeUnknown),
        (httpx.WriteError("gone"), OutcomeUnknown),
        (httpx.CloseError("gone"), OutcomeUnknown),
        (httpx.RemoteProtocolError("garbage"), OutcomeUnknown),
        (httpx.ProxyError("proxy"), OutcomeUnknown),
        (httpx.DecodingError("gzip"), OutcomeUnknown),
        (httpx.TooManyRedirects("loop"), OutcomeUnknown),
        (httpx.StreamConsumed(), OutcomeUnknown),
        (TimeoutError("the host's own limit"), OutcomeUnknown),
        (ConnectionRefusedError("not httpx's"), OutcomeUnknown),
        (KeyError("id"), OutcomeUnknown),
        (KeyboardInterrupt(), OutcomeUnknown),
        (Wordless(), OutcomeUnknown),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_each_error_means_one_thing(error: BaseException, meaning: type[ProviderError]) -> None:
    result = classify(error)

    assert type(result) is meaning
    assert result.__cause__ is error
    assert str(result).startswith(type(error).__name__)


def test_an_error_that_is_classified_already_stays_what_it_is() -> None:
    error = Refused("no such number", code="63003")

    assert classify(error) is error
