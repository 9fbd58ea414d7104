"""WebSockets on real sockets: what is said, and what each way of failing is told as."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trustme
from aiohttp import web

from router.errors import OutcomeUnknown, ProviderError, Refused, SocketClosed, Unavailable
from router.plugin.testing import Closes, Dialogue, Drops, Hears, Refuses, Says, SocketServer
from router.plugin.websockets import AiohttpSocket, open_socket

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve one way of behaving badly; give the port."""

    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await behave(reader, writer)
        writer.transport.abort()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(talk(reader, writer)))

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*talks)


@asynccontextmanager
async def talking(talk: Callable[[web.WebSocketResponse], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve a WebSocket that answers no ping, and that a function speaks for; give its address."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await talk(socket)
        return socket

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def refusal(url: str, **options: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        async with open_socket(url, **options):
            pass
    return raised.value


async def test_what_is_said_is_heard_in_both_directions() -> None:
    talk = Dialogue(Says("hola"), Hears("¿qué tal?"), Says({"bien": 1}), headers={"X-Key": "k"})
    async with (
        SocketServer(talk) as server,
        open_socket(f"{server.url}/a?b=c", headers={"X-Key": "k"}) as socket,
    ):
        assert await socket.receive() == "hola"
        await socket.send("¿qué tal?")
        assert await socket.receive() == '{"bien": 1}'

    assert server.problems == []
    (connection,) = server.connections
    assert (connection.target, connection.heard) == ("/a?b=c", ["¿qué tal?"])
    assert connection.headers["user-agent"].startswith("channel-router/")
    assert "origin" not in connection.headers


async def test_a_subprotocol_is_offered() -> None:
    async with (
        SocketServer(Dialogue()) as server,
        open_socket(server.url, subprotocols=["convai"]),
    ):
        pass

    assert server.connections[0].headers["sec-websocket-protocol"] == "convai"


@pytest.mark.parametrize(
    "last, code, said",
    [
        (Closes(1000), 1000, ""),
        (Closes(1008, "invalid_message"), 1008, "invalid_message"),
        (Closes(1011, "two\nlines"), 1011, "two lines"),
        (Drops(), 1006, ""),
        (Says("x" * 2000), 1009, None),
    ],
)
async def test_a_connection_that_ended_says_how(last: Any, code: int, said: str | None) -> None:
    async with (
        SocketServer(Dialogue(last)) as server,
        open_socket(server.url, max_size=1000) as socket,
    ):
        with pytest.raises(SocketClosed) as first:
            await socket.receive()
        with pytest.raises(SocketClosed):
            await socket.receive()
        with pytest.raises(SocketClosed):
            await socket.send("still there?")

    assert (first.value.close_code, first.value.code) == (code, str(code))
    assert said is None or first.value.said == said
    assert isinstance(first.value, OutcomeUnknown)
    assert "127.0.0.1" in str(first.value)


async def test_bytes_end_the_connection() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(b"\x00")
        await socket.receive()

    async with talking(talk) as url, open_socket(url) as socket:
        with pytest.raises(SocketClosed) as ended:
            await socket.receive()

    assert ended.value.close_code == 1003


async def test_who_only_speaks_learns_too_that_the_connection_is_lost() -> None:
    async def speak(socket: AiohttpSocket) -> None:
        with anyio.fail_after(20):
            while True:
                await socket.send("x")
                await anyio.sleep(0.01)

    async with (
        SocketServer(Dialogue(Hears("x"), Drops())) as server,
        open_socket(server.url) as socket,
    ):
        with pytest.raises(SocketClosed) as ended:
            await speak(socket)

    assert ended.value.close_code == 1006


async def test_a_receive_that_was_given_up_loses_nothing() -> None:
    async with (
        SocketServer(Dialogue(Hears("now"), Says("later"))) as server,
        open_socket(server.url) as socket,
    ):
        with anyio.move_on_after(0.05):
            await socket.receive()
        await socket.send("now")
        assert await socket.receive() == "later"

    assert server.problems == []


async def test_after_closing_it_says_that_we_did() -> None:
    async with SocketServer(Dialogue()) as server, open_socket(server.url) as socket:
        await socket.close(1000, "done")
        await socket.close()
        with pytest.raises(SocketClosed, match="we closed it"):
            await socket.send("x")


@pytest.mark.parametrize(
    "status, kind",
    [
        *((status, Refused) for status in (200, 301, 302, 307, 400, 401, 403, 404, 426)),
        *((status, Unavailable) for status in (429, 500, 502, 503, 504)),
    ],
)
async def test_a_handshake_that_is_refused_took_nothing(
    status: int, kind: type[ProviderError]
) -> None:
    headers = {"Retry-After": "7", "Location": "ws://127.0.0.1:1/elsewhere"}
    async with SocketServer(Dialogue(Refuses(status, headers))) as server:
        error = await refusal(f"{server.url}/?token=s3cret")

    assert type(error) is kind
    assert error.code == str(status)
    assert getattr(error, "retry_after", 7) == 7
    assert "s3cret" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


async def _hang_up(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Say nothing at all."""


async def _garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.2)


async def _wrong_key(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: bm90IHRoaXM=\r\n\r\n"
    )
    await writer.drain()
    await asyncio.sleep(0.2)


async def _silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize(
    "behave, kind, words",
    [
        (_hang_up, Unavailable, "hung up before"),
        (_garbage, Refused, "no WebSocket"),
        (_wrong_key, Refused, "no WebSocket"),
        (_silence, Unavailable, "did not open a WebSocket in time"),
    ],
)
async def test_what_is_no_handshake_is_told(
    behave: Behaviour, kind: type[ProviderError], words: str
) -> None:
    async with serving(behave) as port:
        patience = 1.0 if behave is _silence else 20.0
        error = await refusal(f"ws://127.0.0.1:{port}/?token=s3cret", timeout=patience)

    assert type(error) is kind
    assert words in str(error)
    assert "s3cret" not in str(error)


async def test_nobody_there_is_unavailable() -> None:
    async with serving(_silence) as port:
        pass
    error = await refusal(f"ws://127.0.0.1:{port}/?token=s3cret")

    assert type(error) is Unavailable
    assert "no connection to 127.0.0.1" in str(error)
    assert "s3cret" not in str(error)


async def test_a_name_that_nobody_has_is_unavailable() -> None:
    error = await refusal("wss://nobody.invalid/", timeout=20.0)

    assert type(error) is Unavailable


async def test_a_certificate_is_checked() -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(server)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with serving(_silence, server) as port:
        strange = await refusal(f"wss://127.0.0.1:{port}/")
        other = await refusal(f"wss://127.0.0.1:{port}/", verify=trust)

    assert {type(strange), type(other)} == {Unavailable}
    assert "no connection to 127.0.0.1" in str(strange)


@pytest.mark.parametrize(
    "url",
    ["https://x.example/", "wss://", "wss:///a", "x.example", "", "wss://x.example:99999/", "ws:"],
)
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    error = await refusal(url)

    assert type(error) is Refused
    assert "wss://" in str(error)


async def test_passwords_are_no_part_of_an_address() -> None:
    error = await refusal("wss://me:s3cret@x.example/")

    assert type(error) is Refused
    assert "s3cret" not in str(error)


async def test_a_header_that_cannot_be_sent_is_refused() -> None:
    async with SocketServer() as server:
        error = await refusal(server.url, headers={"X-Key": "two\r\nlines"})

    assert type(error) is Refused


@pytest.mark.parametrize(
    "url",
    [
        "wss://127.0.0.1/",
        "wss://10.0.0.7/",
        "wss://[::1]/",
        "wss://[::ffff:192.168.0.1]/",
        "wss://[64:ff9b::a9fe:a9fe]/",
        "wss://169.254.169.254/latest",
        "wss://localhost/",
    ],
)
async def test_what_somebody_else_named_does_not_lead_into_our_network(url: str) -> None:
    error = await refusal(url, public=True)

    assert type(error) is Refused
    assert "private network" in str(error)


async def test_a_name_is_judged_by_what_it_resolves_to() -> None:
    async with SocketServer(Dialogue()) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        error = await refusal(url, public=True)
        async with open_socket(url):
            pass

    assert type(error) is Refused
    assert len(server.connections) == 1


async def test_plain_text_does_not_leave_for_the_internet() -> None:
    error = await refusal("ws://93.184.216.34/")

    assert type(error) is Refused
    assert "use wss://" in str(error)


async def test_a_server_that_answers_no_ping_is_given_up() -> None:
    async def talk(_: web.WebSocketResponse) -> None:
        await asyncio.sleep(30)

    async with talking(talk) as url, open_socket(url, ping=0.2) as socket:
        with pytest.raises(SocketClosed) as ended, anyio.fail_after(20):
            await socket.receive()

    assert ended.value.close_code == 1006
