"""What is fetched from real sockets is bounded, and leads nowhere that is not trusted."""

import asyncio
import contextlib
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest
from pydantic import SecretStr

from router.plugin import Attachment, Channel, File, OutcomeUnknown, Refused, classify
from router.plugin.testing import FakeContext
from router.plugin.transport import open_client
from router_builderbot import Builderbot, BuilderbotConfig
from router_twilio import TwilioConfig, TwilioWhatsApp
from router_waha import Waha, WahaConfig

Answer: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]
Make: TypeAlias = Callable[[FakeContext, str], Channel[Any]]

SECRET = SecretStr("0123456789abcdef0123456789abcdef")
ACCOUNT = "AC" + "0" * 32
LIMIT = 1 << 20
#: What a server gives at most, should nobody stop reading.
ENOUGH = 256 << 20
#: What may be in memory, or on its way, beyond the limit.
ROOM = 24 << 20
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: audio/ogg\r\n"


def twilio(context: FakeContext, url: str) -> Channel[Any]:
    config = TwilioConfig(
        account_sid=ACCOUNT, auth_token=SECRET, sender="whatsapp:+14155238886", base_url=url
    )
    return TwilioWhatsApp(config, context)


def waha(context: FakeContext, url: str) -> Channel[Any]:
    return Waha(WahaConfig(base_url=url, hmac_key=SECRET, api_key=SECRET), context)


def builderbot(context: FakeContext, url: str) -> Channel[Any]:
    config = BuilderbotConfig(bot_id="a-1", api_key=SECRET, account_key=SECRET, base_url=url)
    return Builderbot(config, context)


ALL = pytest.mark.parametrize("make", [twilio, waha, builderbot])


@dataclass
class Server:
    """A provider's server.

    :ivar asked: the first line of each request.
    :ivar sent: bytes of bodies that it wrote.
    """

    url: str = ""
    asked: list[str] = field(default_factory=list)
    sent: int = 0


@asynccontextmanager
async def serving(answer: Callable[[Server], Answer]) -> AsyncIterator[Server]:
    server = Server()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            server.asked.append(head.partition(b"\r\n")[0].decode())
            await answer(server)(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()


async def fetch(make: Make, url: str) -> File | Exception:
    async with FakeContext() as context:
        await context.http.aclose()
        context.http = open_client(20.0)
        place = Attachment(kind="audio", url=f"{url}/api/files/default/1.oga")
        try:
            return await make(context, url).fetch(place, LIMIT)
        except Exception as error:  # noqa: BLE001 - a plugin call: any exception is an outcome
            return classify(error)


@contextmanager
def little_memory() -> Iterator[None]:
    """Make sure that not much more than the limit is in memory at any time."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < ROOM


def fixed(head: bytes, body: bytes) -> Callable[[Server], Answer]:
    def answer(server: Server) -> Answer:
        async def write(writer: asyncio.StreamWriter) -> None:
            writer.write(
                head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()

        return write

    return answer


def endless(head: bytes, chunk: bytes) -> Callable[[Server], Answer]:
    def answer(server: Server) -> Answer:
        async def write(writer: asyncio.StreamWriter) -> None:
            writer.write(head)
            while server.sent < ENOUGH:
                writer.write(chunk)
                server.sent += len(chunk)
                await writer.drain()

        return write

    return answer


ZEROS = bytes(64 << 10)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"10000\r\n" + ZEROS + b"\r\n"
ONE_LONG = HEAD + b"Content-Length: %d\r\n\r\n" % ENOUGH
TO_THE_END = HEAD + b"Connection: close\r\n\r\n"


@ALL
async def test_a_file_comes_over_a_real_connection(make: Make) -> None:
    async with serving(fixed(HEAD, b"OggS")) as server:
        assert await fetch(make, server.url) == File("audio/ogg", b"OggS")


@ALL
@pytest.mark.parametrize(
    "head, chunk",
    [(CHUNKED, CHUNK), (ONE_LONG, ZEROS), (TO_THE_END, ZEROS)],
    ids=["chunked", "of a length", "until it is closed"],
)
async def test_an_endless_file_is_left_at_the_limit(make: Make, head: bytes, chunk: bytes) -> None:
    async with serving(endless(head, chunk)) as server:
        with little_memory():
            outcome = await fetch(make, server.url)

        assert isinstance(outcome, Refused)
        assert "more than 1,048,576 bytes" in str(outcome)
        assert server.sent < LIMIT + ROOM


@ALL
@pytest.mark.parametrize("times, words", [(1, "more than 1,048,576 bytes"), (2, "'gzip, gzip'")])
async def test_a_file_that_was_packed_small_is_not_unpacked_beyond_the_limit(
    make: Make, times: int, words: str
) -> None:
    bomb = bytes(64 << 20)
    for _ in range(times):
        bomb = gzip.compress(bomb, 9)
    head = HEAD + f"Content-Encoding: {', '.join(['gzip'] * times)}\r\n".encode()
    assert len(bomb) < 100_000

    async with serving(fixed(head, bomb)) as server:
        with little_memory():
            outcome = await fetch(make, server.url)

    assert isinstance(outcome, Refused)
    assert words in str(outcome)


async def test_a_file_that_is_packed_as_usual_is_unpacked() -> None:
    head = HEAD + b"Content-Encoding: gzip\r\n"
    async with serving(fixed(head, gzip.compress(b"OggS" * 1000))) as server:
        assert await fetch(twilio, server.url) == File("audio/ogg", b"OggS" * 1000)


async def test_a_file_whose_connection_is_lost_is_asked_for_again() -> None:
    def answer(_server: Server) -> Answer:
        async def write(writer: asyncio.StreamWriter) -> None:
            writer.write(HEAD + b"Content-Length: 100\r\n\r\nOggS")
            await writer.drain()

        return write

    async with serving(answer) as server:
        assert isinstance(await fetch(twilio, server.url), OutcomeUnknown)


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1:{port}/desk",
        "http://localhost:{port}/desk",
        "http://[::ffff:127.0.0.1]:{port}/desk",
        "http://2130706433:{port}/desk",
        "//127.0.0.1:{port}/desk",
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "http://[fe80::1]/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
    ],
)
@pytest.mark.parametrize("status", [302, 307])
async def test_a_redirect_into_a_private_network_is_not_followed(place: str, status: int) -> None:
    async with serving(fixed(HEAD, b"the inside")) as inside:
        place = place.format(port=inside.url.rpartition(":")[2])
        redirect = f"HTTP/1.1 {status} Found\r\nLocation: {place}\r\n".encode()
        async with serving(fixed(redirect, b"")) as server:
            outcome = await fetch(twilio, server.url)

            assert isinstance(outcome, Refused)
            assert SECRET.get_secret_value() not in str(outcome)
            assert len(server.asked) == 1
        assert inside.asked == []


@pytest.mark.parametrize("make", [waha, builderbot])
async def test_who_sends_nobody_on_is_not_followed_at_all(make: Make) -> None:
    async with serving(fixed(HEAD, b"the inside")) as inside:
        redirect = f"HTTP/1.1 302 Found\r\nLocation: {inside.url}/desk\r\n".encode()
        async with serving(fixed(redirect, b"")) as server:
            outcome = await fetch(make, server.url)

        assert isinstance(outcome, Refused)
        assert inside.asked == []


async def test_a_provider_that_sends_on_and_on_is_left() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /again\r\n"
    async with serving(fixed(redirect, b"")) as server:
        outcome = await fetch(twilio, server.url)

        assert isinstance(outcome, Refused)
        assert len(server.asked) < 10
