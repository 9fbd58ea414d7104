"""Against a local server that speaks Twilio's API: what is sent, lost, found again, and checked."""

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlencode

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from router import plugin
from router.domain.message import Attachment
from router.plugin import OutcomeUnknown, ProviderError, Refused, SentMessage, Unavailable
from router.plugin.host import HostContext
from router.plugin.testing import RecordingLog
from router_twilio import TwilioConfig, TwilioWhatsApp

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "token-of-nobody-else"
KEY_SID = "SK00000000000000000000000000000001"
KEY_SECRET = "api-key-of-nobody-else"
PATH = f"/2010-04-01/Accounts/{ACCOUNT}"
SENDER = "whatsapp:+14155550199"
ANA = plugin.Address("tel", "+5491155550100")
BEA = plugin.Address("bsuid", "AR.13491208655302741918")
PATIENCE = 20.0

Trouble: TypeAlias = Callable[[], Response | None]


class FakeTwilio:
    """The part of Twilio's API that the channel uses, with its ways to fail.

    :ivar messages: what was taken, the newest last.
    :ivar troubles: what happens to the next calls; each before or after the message is taken.
    """

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("")
        self.messages: list[dict[str, Any]] = []
        self.callbacks: list[str] = []
        self.before: list[Trouble] = []
        self.after: list[Trouble] = []
        self.page_size = 2
        self.account_status = "active"
        self.calls: list[str] = []
        self.released = threading.Event()
        server.expect_request(f"{PATH}/Messages.json", method="POST").respond_with_handler(
            self.create
        )
        server.expect_request(f"{PATH}/Messages.json", method="GET").respond_with_handler(self.list)
        server.expect_request(f"{PATH}.json").respond_with_handler(self.account)

    def create(self, request: Request) -> Response:
        self.calls.append("create")
        if refusal := self._stranger(request):
            return refusal
        if self.before and (answer := self.before.pop(0)()):
            return answer
        form = {name: values[0] for name, values in parse_qs(request.get_data().decode()).items()}
        number = len(self.messages) + 1
        now = format_datetime(datetime.now(UTC))
        message = {
            "sid": f"SM{number:032d}",
            "account_sid": ACCOUNT,
            "to": form["To"],
            "from": form.get("From"),
            "body": form.get("Body", ""),
            "num_media": "1" if "MediaUrl" in form else "0",
            "direction": "outbound-api",
            "status": "queued",
            "error_code": None,
            "date_created": now,
            "date_sent": None,
        }
        self.messages.append(message)
        self.callbacks.append(form["StatusCallback"])
        if self.after and (answer := self.after.pop(0)()):
            return answer
        return _json(message, 201)

    def list(self, request: Request) -> Response:
        self.calls.append("list")
        if refusal := self._stranger(request):
            return refusal
        if self.before and (answer := self.before.pop(0)()):
            return answer
        wanted = [
            message
            for message in reversed(self.messages)
            if message["to"] == request.args["To"]
            and request.args.get("From") in (None, message["from"])
        ]
        start = int(request.args.get("Page", "0")) * self.page_size
        page = wanted[start : start + self.page_size]
        following = None
        if len(wanted) > start + self.page_size:
            query = {**request.args, "Page": start // self.page_size + 1, "PageToken": "PAx"}
            following = f"{PATH}/Messages.json?{urlencode(query)}"
        return _json({"messages": page, "next_page_uri": following, "page_size": self.page_size})

    def account(self, request: Request) -> Response:
        self.calls.append("account")
        if refusal := self._stranger(request):
            return refusal
        # The real one shows the token, too.
        return _json({"sid": ACCOUNT, "status": self.account_status, "auth_token": TOKEN})

    def never_answer(self) -> Response | None:
        self.released.wait(30)
        return None

    @staticmethod
    def _stranger(request: Request) -> Response | None:
        given = request.authorization
        if given is not None and (given.username, given.password) in {
            (ACCOUNT, TOKEN),
            (KEY_SID, KEY_SECRET),
        }:
            return None
        words = f"Authentication Error - {given and given.password}"
        return _json({"code": 20003, "message": words, "status": 401}, 401)


def _json(body: object, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(body), status, headers=headers, content_type="application/json")


@pytest.fixture(scope="module")
def threaded_server() -> Iterator[HTTPServer]:
    """Give a server that can keep one call waiting and answer the next."""
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        yield server


@pytest.fixture
def httpserver(threaded_server: HTTPServer) -> HTTPServer:
    threaded_server.clear()
    return threaded_server


@pytest.fixture
def twilio(httpserver: HTTPServer) -> FakeTwilio:
    return FakeTwilio(httpserver)


def _config(url: str, **changes: Any) -> TwilioConfig:
    values: dict[str, Any] = {
        "account_sid": ACCOUNT,
        "auth_token": SecretStr(TOKEN),
        "sender": SENDER,
        "base_url": url,
    }
    return TwilioConfig.model_validate({**values, **changes})


@asynccontextmanager
async def living(config: TwilioConfig, timeout: float = PATIENCE) -> AsyncIterator[TwilioWhatsApp]:
    """Give the channel over the HTTP client that it has in the daemon."""
    log = RecordingLog()
    context = HostContext(
        name="whatsapp", log=log, public_url="https://desk.example", timeout=timeout
    )
    channel = TwilioWhatsApp(config, context)
    try:
        async with channel.lifespan():
            yield channel
    finally:
        await context.aclose()
    assert not any(secret in str(log.entries) for secret in config.secrets)


def _hello(id: str = "01k7a", text: str = "¡Hola! 👍") -> plugin.OutboundMessage:
    return plugin.OutboundMessage(id=id, recipient=ANA, text=text)


async def _failing(channel: TwilioWhatsApp, message: plugin.OutboundMessage) -> ProviderError:
    with pytest.raises(Exception) as caught:
        await channel.send(message)
    meaning = plugin.classify(caught.value)
    said = f"{meaning!r} {meaning} {caught.value!r} {caught.value}"
    assert not any(secret in said for secret in channel.config.secrets)
    return meaning


def _since() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=1)


async def test_a_message_is_sent_with_the_address_for_its_reports(twilio: FakeTwilio) -> None:
    async with living(_config(twilio.url)) as channel:
        receipt = await channel.send(_hello())

    assert receipt == plugin.SendReceipt(f"SM{1:032d}")
    assert twilio.messages[0]["body"] == "¡Hola! 👍"
    assert twilio.messages[0]["from"] == SENDER
    assert twilio.callbacks == ["https://desk.example/hooks/whatsapp/status?item=01k7a"]


async def test_a_base_url_with_the_version_is_the_same(twilio: FakeTwilio) -> None:
    async with living(_config(f"{twilio.url}2010-04-01")) as channel:
        await channel.send(_hello())

    assert len(twilio.messages) == 1


async def test_an_api_key_sends_for_a_messaging_service(twilio: FakeTwilio) -> None:
    config = _config(
        twilio.url,
        sender=None,
        messaging_service_sid="MG1",
        api_key_sid=KEY_SID,
        api_key_secret=SecretStr(KEY_SECRET),
    )
    message = plugin.OutboundMessage(id="01k7b", recipient=BEA, text="hi")
    async with living(config) as channel:
        await channel.send(message)
        found = await channel.find_sent(message, _since())

    assert twilio.messages[0]["to"] == "whatsapp:AR.13491208655302741918"
    assert twilio.messages[0]["from"] is None
    assert [one.provider_id for one in found] == [f"SM{1:032d}"]


@pytest.mark.parametrize(
    "how",
    ["never answers", "answers 500", "answers 502 with a page", "answers 201 with a page"],
)
async def test_what_was_taken_though_the_answer_was_lost_is_found(
    twilio: FakeTwilio, how: str
) -> None:
    twilio.after = [
        {
            "never answers": twilio.never_answer,
            "answers 500": lambda: _json({"code": 20500, "message": "Internal"}, 500),
            "answers 502 with a page": lambda: Response("<html>", 502),
            "answers 201 with a page": lambda: Response("<html>", 201),
        }[how]
    ]
    since = _since()
    timeout = 2.0 if how == "never answers" else PATIENCE
    async with living(_config(twilio.url), timeout) as channel:
        error = await _failing(channel, _hello())
        found = await channel.find_sent(_hello(), since)
    twilio.released.set()

    assert type(error) is OutcomeUnknown
    assert twilio.calls == ["create", "list"]
    assert [one.provider_id for one in found] == [f"SM{1:032d}"]
    assert all(isinstance(one, SentMessage) and one.sent_at for one in found)


async def test_what_was_not_taken_is_not_found(twilio: FakeTwilio) -> None:
    twilio.before = [lambda: _json({"code": 20500, "message": "Internal"}, 500)]
    since = _since()
    async with living(_config(twilio.url)) as channel:
        error = await _failing(channel, _hello())
        found = await channel.find_sent(_hello(), since)

    assert type(error) is OutcomeUnknown
    assert list(found) == []


async def test_all_of_several_are_found_on_every_page(twilio: FakeTwilio) -> None:
    since = _since()
    async with living(_config(twilio.url)) as channel:
        for number, text in enumerate(["hi", "hola", "hi", "hola", "hi"]):
            await channel.send(_hello(f"m{number}", text))
        found = await channel.find_sent(_hello("m9", "hi"), since)
        later = await channel.find_sent(_hello("m9", "hi"), since + timedelta(hours=1))

    assert [one.provider_id for one in found] == [f"SM{number:032d}" for number in (5, 3, 1)]
    assert list(later) == []
    assert twilio.calls.count("list") == 6


async def test_a_listing_that_cannot_be_had_is_no_answer(twilio: FakeTwilio) -> None:
    async with living(_config(twilio.url)) as channel:
        twilio.before = [lambda: _json({"code": 20429, "message": "x"}, 429)]
        with pytest.raises(Unavailable):
            await channel.find_sent(_hello(), _since())
        await channel.send(_hello())
        twilio.messages *= 50
        twilio.page_size = 1
        with pytest.raises(OutcomeUnknown) as caught:
            await channel.find_sent(_hello(), _since())

    assert str(caught.value) == "Twilio lists more messages to this customer than can be read"


@pytest.mark.parametrize(
    "headers, wait", [({}, None), ({"Retry-After": "3"}, 3.0), ({"Retry-After": "soon"}, None)]
)
async def test_too_many_calls_are_tried_again_when_twilio_says(
    twilio: FakeTwilio, headers: dict[str, str], wait: float | None
) -> None:
    answer = {"code": 20429, "message": "Too Many Requests", "status": 429}
    twilio.before = [lambda: _json(answer, 429, **headers)]
    async with living(_config(twilio.url)) as channel:
        error = await _failing(channel, _hello())
        receipt = await channel.send(_hello())

    assert isinstance(error, Unavailable)
    assert (error.code, error.retry_after) == ("20429", wait)
    assert receipt.provider_id == f"SM{1:032d}"


async def test_wrong_credentials_are_named_and_not_shown(twilio: FakeTwilio) -> None:
    config = _config(twilio.url, auth_token=SecretStr("mistyped-token"))
    async with living(config) as channel:
        error = await _failing(channel, _hello())
        with pytest.raises(Refused) as caught:
            await channel.check()

    assert isinstance(error, Refused)
    assert error.code == "20003"
    assert "mistyped-token" not in str(caught.value)
    assert str(caught.value) == (
        f"Twilio does not accept account_sid with auth_token for {ACCOUNT}. Compare them with "
        "Twilio's console"
    )


async def test_a_check_asks_for_the_account(twilio: FakeTwilio) -> None:
    async with living(_config(twilio.url)) as channel:
        await channel.check()
        twilio.account_status = "suspended"
        with pytest.raises(Refused) as caught:
            await channel.check()

    assert twilio.calls == ["account", "account"]
    assert str(caught.value) == f"the account {ACCOUNT} is suspended at Twilio"


async def test_a_check_of_an_api_key_asks_for_what_the_key_is_for(httpserver: HTTPServer) -> None:
    httpserver.expect_oneshot_request(
        f"{PATH}/Messages.json", method="GET", query_string={"PageSize": "1"}
    ).respond_with_json({"messages": []})
    httpserver.expect_oneshot_request(f"{PATH}/Messages.json").respond_with_json({}, 403)
    config = _config(
        httpserver.url_for(""), api_key_sid=KEY_SID, api_key_secret=SecretStr(KEY_SECRET)
    )
    async with living(config) as channel:
        await channel.check()
        with pytest.raises(Refused) as caught:
            await channel.check()

    assert str(caught.value) == (
        f"Twilio does not accept api_key_sid with api_key_secret for {ACCOUNT}. Compare them "
        "with Twilio's console"
    )


@pytest.mark.parametrize(
    "answer, kind",
    [
        (Response("<html>"), OutcomeUnknown),
        (_json([]), OutcomeUnknown),
        (_json({"code": 20429}, 429), Unavailable),
        (_json({"code": 20404, "message": "x"}, 404), Refused),
        (Response("", 302, headers={"Location": "/login"}), Refused),
    ],
)
async def test_a_check_says_what_is_wrong(
    httpserver: HTTPServer, answer: Response, kind: type[ProviderError]
) -> None:
    httpserver.expect_request(f"{PATH}.json").respond_with_response(answer)
    async with living(_config(httpserver.url_for(""))) as channel:
        with pytest.raises(ProviderError) as caught:
            await channel.check()

    assert type(caught.value) is kind


async def test_media_comes_through_the_real_client(httpserver: HTTPServer) -> None:
    httpserver.expect_request(f"{PATH}/Messages/MM1/Media/ME1").respond_with_data(
        "", 307, headers={"Location": httpserver.url_for("/store/ME1?Signature=x")}
    )
    httpserver.expect_request("/store/ME1").respond_with_data(
        b"x" * 300_000, content_type="application/pdf"
    )
    async with living(_config(httpserver.url_for(""))) as channel:
        here = httpserver.url_for(f"{PATH}/Messages/MM1/Media/ME1")
        found = await channel.fetch(Attachment(kind="document", url=here), 1_000_000)
        elsewhere = httpserver.url_for("/store/ME1")
        with pytest.raises(Refused):
            await channel.fetch(Attachment(kind="document", url=elsewhere), 1000)

    assert (found.content_type, found.data) == ("application/pdf", b"x" * 300_000)


async def _close(_: asyncio.StreamWriter) -> None:
    return


async def _reset(writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def _half_an_answer(writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 201 Created\r\nContent-Length: 900\r\n\r\n{"sid": "SM')
    await writer.drain()


async def _garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP ready\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("behave", [_close, _reset, _half_an_answer, _garbage])
async def test_a_connection_that_is_lost_after_the_request_left_is_never_certain(
    behave: Callable[[asyncio.StreamWriter], Any],
) -> None:
    taken = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            taken += 1
            await behave(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, living(_config(f"http://127.0.0.1:{port}")) as channel:
        error = await _failing(channel, _hello())

    assert type(error) is OutcomeUnknown
    assert taken == 1


async def test_a_provider_that_is_away_took_nothing() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with living(_config(f"http://127.0.0.1:{port}")) as channel:
        error = await _failing(channel, _hello())

    assert type(error) is Unavailable
