"""Media is fetched from Twilio with credentials, and from its store without them."""

import gzip
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from router.domain.message import Attachment
from router.plugin import OutcomeUnknown, ProviderError, Refused, Unavailable
from router.plugin.testing import FakeContext
from router_twilio import TwilioConfig, TwilioWhatsApp

BASIC = "Basic QUMxOnRva2VuLW9mLW5vYm9keQ=="
URL = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1"
STORE = "https://mms.twiliocdn.com/AC1/ME1?Signature=x"
JPEG = httpx.Response(200, headers={"Content-Type": "Image/JPEG; q=1"}, content=b"\xff\xd8")


def _config(**changes: Any) -> TwilioConfig:
    values: dict[str, Any] = {
        "account_sid": "AC1",
        "auth_token": SecretStr("token-of-nobody"),
        "sender": "+14155550199",
    }
    return TwilioConfig.model_validate({**values, **changes})


def _to(url: str, status: int = 307) -> httpx.Response:
    return httpx.Response(status, headers={"Location": url})


async def _download(
    *replies: httpx.Response | Exception,
    url: str = URL,
    config: TwilioConfig | None = None,
    limit: int = 100,
) -> tuple[tuple[str, bytes] | Exception, list[tuple[str, str | None]]]:
    """Give the file or the error, and the requests with their credentials."""
    async with FakeContext(*replies) as context:
        channel = TwilioWhatsApp(config or _config(), context)
        outcome: tuple[str, bytes] | Exception
        try:
            file = await channel.fetch(Attachment(kind="image", url=url), limit)
            outcome = (file.content_type, file.data)
        except (ProviderError, httpx.HTTPError) as error:
            outcome = error
        assert context.unused == ()
        assert context.unexpected == []
        asked = [(str(one.url), one.headers.get("Authorization")) for one in context.requests]
        return outcome, asked


async def test_a_file_comes_with_its_content_type() -> None:
    outcome, asked = await _download(JPEG)

    assert outcome == ("image/jpeg", b"\xff\xd8")
    assert asked == [(URL, BASIC)]


async def test_a_file_without_a_content_type_is_some_bytes() -> None:
    outcome, _ = await _download(httpx.Response(200, content=b"x"))

    assert outcome == ("application/octet-stream", b"x")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_store_does_not_get_the_credentials(status: int) -> None:
    outcome, asked = await _download(_to(STORE, status), JPEG)

    assert outcome == ("image/jpeg", b"\xff\xd8")
    assert asked == [(URL, BASIC), (STORE, None)]


async def test_a_redirect_within_twilio_keeps_the_credentials() -> None:
    outcome, asked = await _download(_to("/2010-04-01/elsewhere"), _to(STORE), JPEG)

    assert outcome == ("image/jpeg", b"\xff\xd8")
    assert asked == [
        (URL, BASIC),
        ("https://api.twilio.com/2010-04-01/elsewhere", BASIC),
        (STORE, None),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://api.twilio.com/2010-04-01/x",
        "https://api.twilio.com.evil.example/x",
        "https://api.twilio.com@evil.example/x",
        "https://evil.example@api.twilio.com/x",
        "https://api.twilio.com:8443/x",
        "https://mms.twiliocdn.com/x",
        "https://169.254.169.254/latest",
        "file:///etc/passwd",
        "https://[::1/x",
        "https://api.twilio.com:port/x",
        "",
    ],
)
async def test_what_is_not_at_twilio_is_not_fetched(url: str) -> None:
    outcome, asked = await _download(url=url)

    assert isinstance(outcome, Refused)
    assert asked == []


@pytest.mark.parametrize(
    "url, host",
    [
        ("https://evil.example/x", "evil.example"),
        ("https://eviltwiliocdn.com/x", "eviltwiliocdn.com"),
        ("https://twiliocdn.com/x", "twiliocdn.com"),
        ("http://mms.twiliocdn.com/x", "mms.twiliocdn.com"),
        ("http://127.0.0.1:8000/desk", "127.0.0.1"),
        ("file:///etc/passwd", "nowhere"),
    ],
)
async def test_a_redirect_to_elsewhere_is_not_followed(url: str, host: str) -> None:
    outcome, asked = await _download(_to(url))

    assert isinstance(outcome, Refused)
    assert str(outcome) == (
        f"Twilio sends on to '{host}' for the media. If that is right, add it to media_hosts"
    )
    assert asked == [(URL, BASIC)]


async def test_the_operator_may_name_another_store() -> None:
    config = _config(media_hosts=["files.example"])

    outcome, asked = await _download(_to("https://files.example/x"), JPEG, config=config)

    assert outcome == ("image/jpeg", b"\xff\xd8")
    assert asked == [(URL, BASIC), ("https://files.example/x", None)]


async def test_redirects_come_to_an_end() -> None:
    outcome, asked = await _download(*[_to(STORE)] * 4)

    assert isinstance(outcome, Refused)
    assert [auth for _, auth in asked] == [BASIC, None, None, None]


async def test_a_file_that_is_too_large_is_refused() -> None:
    outcome, _ = await _download(httpx.Response(200, content=b"x" * 101))

    assert isinstance(outcome, Refused)
    assert str(outcome) == "the file has more than 100 bytes"


async def test_a_file_that_unpacks_to_something_too_large_is_refused() -> None:
    packed = httpx.Response(
        200, headers={"Content-Encoding": "gzip"}, content=gzip.compress(b"x" * 10_000)
    )

    async with FakeContext(lambda _: packed) as context:
        with pytest.raises(Refused):
            await TwilioWhatsApp(_config(), context).fetch(Attachment(kind="image", url=URL), 100)


@pytest.mark.parametrize(
    "reply, kind, code",
    [
        (httpx.Response(404), Unavailable, "404"),
        (httpx.Response(401, json={"code": 20003, "message": "x"}), Refused, "20003"),
        (httpx.Response(429, json={"code": 20429, "message": "x"}), Unavailable, "20429"),
        (httpx.Response(500), OutcomeUnknown, "500"),
    ],
)
async def test_a_failed_download_is_told_as_what_it_is(
    reply: httpx.Response, kind: type[ProviderError], code: str
) -> None:
    outcome, _ = await _download(reply)

    assert type(outcome) is kind
    assert outcome.code == code
