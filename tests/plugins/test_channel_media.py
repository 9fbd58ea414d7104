"""Files are fetched from where providers keep them, and credentials go nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from router.plugin import Attachment, File, OutcomeUnknown, ProviderError, Refused, Unavailable
from router.plugin.testing import FakeContext
from router_builderbot import Builderbot, BuilderbotConfig
from router_telegram import Telegram, TelegramConfig
from router_waha import Waha, WahaConfig
from router_whatsapp_cloud import WhatsAppCloud, WhatsAppCloudConfig

SECRET = SecretStr("secret-of-nobody")
TOKEN = "123456:token-of-nobody"
FILE = httpx.Response(200, headers={"Content-Type": "Image/JPEG; q=1"}, content=b"\xff\xd8")
LARGE = httpx.Response(200, content=b"x" * 101)

META = "https://graph.facebook.com/v25.0/1013859600285441"
LOOKASIDE = "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1"
BOTS = f"https://api.telegram.org/bot{TOKEN}/getFile"
BOT_FILE = f"https://api.telegram.org/file/bot{TOKEN}/photos/file_0.jpg"
WAHA_FILE = "http://localhost:3000/api/files/default/3EB0.oga"
WAHA_PLACE = "http://waha.example:8080/api/files/default/3EB0.oga"
WAHA_NAMED = WAHA_FILE.replace("3EB0", "..informe%20final..v2")
WAHA_NAMED_PLACE = WAHA_PLACE.replace("3EB0", "..informe%20final..v2")
STORE = "https://files.builderbot.cloud/tmp/a.jpg?signature=x"


def _builderbot(context: FakeContext, **changes: Any) -> Builderbot:
    values = {"bot_id": "0f8f-17", "api_key": SECRET, "account_key": SECRET}
    return Builderbot(BuilderbotConfig.model_validate({**values, **changes}), context)


def _meta(context: FakeContext, **changes: Any) -> WhatsAppCloud:
    values = {
        "phone_number_id": "106540352242922",
        "access_token": SECRET,
        "app_secret": SECRET,
        "verify_token": SECRET,
    }
    return WhatsAppCloud(WhatsAppCloudConfig.model_validate({**values, **changes}), context)


def _telegram(context: FakeContext, **changes: Any) -> Telegram:
    values = {"token": SecretStr(TOKEN), "secret_token": SECRET}
    return Telegram(TelegramConfig.model_validate({**values, **changes}), context)


def _waha(context: FakeContext, **changes: Any) -> Waha:
    values = {"base_url": "http://waha.example:8080", "hmac_key": SECRET, "api_key": SECRET}
    return Waha(WahaConfig.model_validate({**values, **changes}), context)


def _at(place: object) -> httpx.Response:
    return httpx.Response(200, json={"url": place, "mime_type": "image/jpeg", "id": "1"})


def _path(path: object) -> httpx.Response:
    return httpx.Response(200, json={"ok": True, "result": {"file_id": "A", "file_path": path}})


@dataclass(frozen=True)
class Fetched:
    outcome: File | Exception
    asked: list[tuple[str, str | None]]


async def _download(
    make: Callable[..., Any], url: str, *replies: httpx.Response, **changes: Any
) -> Fetched:
    """Give the file or the error, and the requests with their credentials."""
    async with FakeContext(*replies) as context:
        outcome: File | Exception
        try:
            outcome = await make(context, **changes).fetch(Attachment(kind="image", url=url), 100)
        except (ProviderError, httpx.HTTPError) as error:
            outcome = error
        assert context.unused == ()
        assert context.unexpected == []
        names = ("Authorization", "X-Api-Key", "x-api-builderbot")
        asked = [
            (str(it.url), next((it.headers[name] for name in names if name in it.headers), None))
            for it in context.requests
        ]
        said = repr(outcome) + str(outcome)
        assert "secret-of-nobody" not in said
        assert TOKEN not in said
        return Fetched(outcome, asked)


@pytest.mark.parametrize(
    "make, url, replies, asked",
    [
        (
            _meta,
            META,
            (_at(LOOKASIDE), FILE),
            [(META, "Bearer secret-of-nobody"), (LOOKASIDE, "Bearer secret-of-nobody")],
        ),
        (
            _telegram,
            "telegram-file:AgAC_-1",
            (_path("photos/file_0.jpg"), FILE),
            [(BOTS, None), (BOT_FILE, None)],
        ),
        (_waha, WAHA_FILE, (FILE,), [(WAHA_PLACE, "secret-of-nobody")]),
        (_waha, WAHA_FILE + "?a=1", (FILE,), [(WAHA_PLACE + "?a=1", "secret-of-nobody")]),
        (_waha, WAHA_NAMED, (FILE,), [(WAHA_NAMED_PLACE, "secret-of-nobody")]),
        (_builderbot, STORE, (FILE,), [(STORE, None)]),
        (
            _builderbot,
            "https://app.builderbot.cloud/tmp/a.jpg",
            (FILE,),
            [("https://app.builderbot.cloud/tmp/a.jpg", "secret-of-nobody")],
        ),
    ],
)
async def test_a_file_comes_with_its_content_type(
    make: Callable[..., Any],
    url: str,
    replies: tuple[httpx.Response, ...],
    asked: list[tuple[str, str | None]],
) -> None:
    fetched = await _download(make, url, *replies)

    assert fetched == Fetched(File("image/jpeg", b"\xff\xd8"), asked)


async def test_a_file_without_a_content_type_is_some_bytes() -> None:
    fetched = await _download(_waha, WAHA_FILE, httpx.Response(200, content=b"x"))

    assert fetched.outcome == File("application/octet-stream", b"x")


async def test_what_telegram_said_with_the_message_is_better_than_what_it_serves() -> None:
    served = httpx.Response(200, headers={"Content-Type": "application/octet-stream"}, content=b"x")
    told = Attachment(
        kind="audio", url="telegram-file:A", content_type="audio/ogg", name="nota.ogg"
    )
    async with FakeContext(_path("voice/file_1"), served) as context:
        file = await _telegram(context).fetch(told, 100)

    assert file == File("audio/ogg", b"x")


async def test_what_has_no_address_is_not_fetched() -> None:
    for make in (_meta, _telegram, _waha, _builderbot):
        async with FakeContext() as context:
            with pytest.raises(Refused):
                await make(context).fetch(Attachment(kind="image"), 100)


@pytest.mark.parametrize(
    "make, url",
    [
        *(
            (_meta, url)
            for url in (
                "https://evil.example/v25.0/1013859600285441",
                "https://graph.facebook.com.evil.example/v25.0/1",
                "https://graph.facebook.com/v25.0/../me",
                "https://graph.facebook.com/v25.0/1?fields=x",
                "https://graph.facebook.com/v24.0/1",
                "",
            )
        ),
        *(
            (_telegram, url)
            for url in ("telegram-file:", "telegram-file:../x", "https://evil.example/x", "")
        ),
        *(
            (make, url)
            for make in (_waha, _builderbot)
            for url in (
                "https://evil.example/x",
                "http://169.254.169.254/latest",
                "http://127.0.0.1:8000/desk",
                "file:///etc/passwd",
                "https://[::1/x",
                "https://user@app.builderbot.cloud/x",
                "",
            )
        ),
        *(
            (_waha, f"http://localhost:3000/api/{path}")
            for path in (
                "sessions",
                "files/",
                "files//x",
                "files/./x",
                "files/../sessions",
                "files/%2e%2e/sessions",
                "files/.%2E/sessions",
                "files/%252e%252e/sessions",
                "files/..%2fsessions",
                "files/..%5Csessions",
                "files/default%2F..",
                "files/..\\sessions",
                "files/default/..",
                "files/default/%00",
            )
        ),
        (_builderbot, "http://files.builderbot.cloud/a.jpg"),
        (_builderbot, "https://evilbuilderbot.cloud/a.jpg"),
        (_builderbot, "https://app.builderbot.cloud:port/a.jpg"),
    ],
)
async def test_what_is_elsewhere_is_not_fetched(make: Callable[..., Any], url: str) -> None:
    fetched = await _download(make, url)

    assert isinstance(fetched.outcome, Refused)
    assert fetched.asked == []


@pytest.mark.parametrize(
    "place",
    [
        "https://evil.example/x",
        "https://evilfbcdn.net/x",
        "http://lookaside.fbsbx.com/x",
        "https://user@lookaside.fbsbx.com/x",
        "http://127.0.0.1:8000/desk",
        "https://[::1/x",
        "nowhere",
    ],
)
async def test_metas_token_goes_where_files_are(place: str) -> None:
    fetched = await _download(_meta, META, _at(place))

    assert isinstance(fetched.outcome, Refused)
    assert str(fetched.outcome).endswith("If that is right, add it to media_hosts")
    assert [url for url, _ in fetched.asked] == [META]


@pytest.mark.parametrize(
    "make, url, place, changes",
    [
        (
            _waha,
            "https://s3.example/b/x",
            "https://s3.example/b/x",
            {"media_hosts": ["s3.example"]},
        ),
        (
            _builderbot,
            "https://a.cdn.example/x",
            "https://a.cdn.example/x",
            {"media_hosts": ["*.cdn.example"]},
        ),
    ],
)
async def test_the_operator_may_name_another_store(
    make: Callable[..., Any], url: str, place: str, changes: dict[str, Any]
) -> None:
    fetched = await _download(make, url, FILE, **changes)

    assert fetched == Fetched(File("image/jpeg", b"\xff\xd8"), [(place, None)])


@pytest.mark.parametrize(
    "make, url, replies",
    [
        (_meta, META, (_at(LOOKASIDE), LARGE)),
        (_telegram, "telegram-file:A", (_path("a"), LARGE)),
        (_waha, WAHA_FILE, (LARGE,)),
        (_builderbot, STORE, (LARGE,)),
    ],
)
async def test_a_file_that_is_too_large_is_refused(
    make: Callable[..., Any], url: str, replies: tuple[httpx.Response, ...]
) -> None:
    fetched = await _download(make, url, *replies)

    assert isinstance(fetched.outcome, Refused)
    assert str(fetched.outcome) == "the file has more than 100 bytes"


@pytest.mark.parametrize(
    "make, url, replies, kind, code",
    [
        (_meta, META, (httpx.Response(404),), Refused, "404"),
        (_meta, META, (httpx.Response(401, json={"error": {"code": 190}}),), Refused, "190"),
        (_meta, META, (httpx.Response(200, json={}),), OutcomeUnknown, None),
        (_meta, META, (httpx.Response(200, text="x"),), OutcomeUnknown, None),
        (_meta, META, (_at(LOOKASIDE), httpx.Response(404)), Refused, "404"),
        (_meta, META, (_at(LOOKASIDE), httpx.Response(307)), Refused, "307"),
        (_meta, META, (_at(LOOKASIDE), httpx.Response(503)), Unavailable, "503"),
        (
            _telegram,
            "telegram-file:A",
            (httpx.Response(400, json={"ok": False, "description": "file is too big"}),),
            Refused,
            "400",
        ),
        (_telegram, "telegram-file:A", (_path("../../x"),), Refused, None),
        (_telegram, "telegram-file:A", (_path(None),), Refused, None),
        (_telegram, "telegram-file:A", (_path("/etc/passwd"),), Refused, None),
        (_telegram, "telegram-file:A", (_path("a"), httpx.Response(404)), Refused, "404"),
        (_waha, WAHA_FILE, (httpx.Response(404),), Refused, "404"),
        (_waha, WAHA_FILE, (httpx.Response(302),), Refused, "302"),
        (_waha, WAHA_FILE, (httpx.Response(500),), OutcomeUnknown, "500"),
        (_builderbot, STORE, (httpx.Response(301),), Refused, "301"),
        (_builderbot, STORE, (httpx.Response(429),), Unavailable, "429"),
    ],
)
async def test_a_failed_download_is_told_as_what_it_is(
    make: Callable[..., Any],
    url: str,
    replies: tuple[httpx.Response, ...],
    kind: type[ProviderError],
    code: str | None,
) -> None:
    fetched = await _download(make, url, *replies)

    assert isinstance(fetched.outcome, ProviderError)
    assert (type(fetched.outcome), fetched.outcome.code) == (kind, code)
