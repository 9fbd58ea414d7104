"""Our connections to hypercorn's protocols, on real sockets."""

import asyncio
import contextlib
import hashlib
import itertools
from collections.abc import AsyncIterator

import anyio
import h2.config
import h2.connection
import h2.events
import pytest

from router.web.asgi import ASGIApp, Receive, Scope, Send, answer
from router.web.connection import Answering, Connections

GET = b"GET /%d HTTP/1.1\r\nHost: here\r\n\r\n"
OK = b"HTTP/1.1 200 \r\n"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Server:
    """A server of one application."""

    def __init__(self, connections: Connections, port: int) -> None:
        self.connections = connections
        self.port = port

    async def connect(self, **options: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, **options)


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, *, keep_alive: float = 60.0) -> AsyncIterator[Server]:
    connections = Connections(app, Answering(), keep_alive=keep_alive)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connections.make, "127.0.0.1", 0)
    with anyio.fail_after(30):
        try:
            yield Server(connections, server.sockets[0].getsockname()[1])
        finally:
            server.close()
            await connections.close(5)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path and the body."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await answer(send, 200, scope["path"].encode() + body)


async def test_requests_sent_at_once_are_answered_in_order() -> None:
    async with serving(echo) as server:
        reader, writer = await server.connect()
        writer.write(b"".join(GET % number for number in range(5)))
        bodies = []
        for _ in range(5):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(OK)
            bodies.append(await reader.readexactly(2))
        writer.close()

    assert bodies == [b"/0", b"/1", b"/2", b"/3", b"/4"]


async def test_whoever_has_sent_everything_and_says_so_is_answered() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep(0.2)
        await answer(send, 200, b"here")

    async with serving(slow) as server:
        reader, writer = await server.connect()
        writer.write(GET % 1)
        writer.write_eof()
        found = await reader.read()
        writer.close()

    assert found.startswith(OK)
    assert found.endswith(b"here")


@pytest.mark.parametrize("announced", [True, False])
async def test_body_that_comes_faster_than_it_is_read_arrives_whole(announced: bool) -> None:
    sizes = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        size = 0
        while (message := await receive()).get("more_body"):
            size += len(message["body"])
            await anyio.sleep(0.001)
        sizes.append(size)
        await answer(send, 200)

    total = 4_000_000
    async with serving(slow) as server:
        reader, writer = await server.connect()
        if announced:
            writer.write(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % total)
            writer.write(b"x" * total)
        else:
            writer.write(b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(40):
                writer.write(b"%x\r\n%s\r\n" % (total // 40, b"x" * (total // 40)))
            writer.write(b"0\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(OK)
        writer.close()

    assert sizes == [total]


async def test_answer_waits_for_whoever_reads_slowly() -> None:
    chunk, number = b"x" * 100_000, 100
    sent = 0

    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(number):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            sent += 1
        await send({"type": "http.response.body", "body": b""})

    async with serving(much) as server:
        reader, writer = await server.connect(limit=1000)
        writer.write(GET % 1)
        await reader.readuntil(b"\r\n\r\n")
        await anyio.sleep(0.5)
        early = sent
        size = 0
        while not (read := await reader.read(65536)).endswith(b"\r\n0\r\n\r\n"):
            size += len(read)
        writer.close()

    assert early < number
    assert size + len(read) >= number * len(chunk)


async def test_application_hears_that_the_client_is_gone() -> None:
    asked, heard = anyio.Event(), anyio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        asked.set()
        assert (await receive())["type"] == "http.disconnect"
        heard.set()

    async with serving(waiting) as server:
        _, writer = await server.connect()
        writer.write(GET % 1)
        await asked.wait()
        writer.transport.abort()
        await heard.wait()


async def test_connection_that_waits_for_nothing_is_ended_and_a_busy_one_is_not() -> None:
    go = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/1":
            await go.wait()
        await answer(send, 200, b"here")

    async with serving(app, keep_alive=0.3) as server:
        idle, first = await server.connect()
        first.write(GET % 0)
        busy, second = await server.connect()
        second.write(GET % 1)
        found = await idle.read()
        go.set()
        later = await busy.read()
        first.close()
        second.close()

    assert found.endswith(b"here")
    assert later.endswith(b"here")


async def test_server_that_stops_answers_what_is_under_way() -> None:
    asked, go = anyio.Event(), anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await go.wait()
        await answer(send, 200, b"here")

    async with serving(app) as server:
        idle, first = await server.connect()
        busy, second = await server.connect()
        second.write(GET % 1)
        await asked.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.connections.close, 10)
            assert await idle.read() == b""
            go.set()
            found = await busy.read()
        first.close()
        second.close()

    assert found.endswith(b"here")
    assert server.connections.open == set()


async def test_server_that_stops_cuts_off_what_takes_too_long() -> None:
    asked = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await anyio.sleep_forever()

    async with serving(app) as server:
        reader, writer = await server.connect()
        writer.write(GET % 1)
        await asked.wait()
        await server.connections.close(0.1)
        assert OK not in await reader.read()
        writer.close()


async def test_what_is_no_http_ends_the_connection() -> None:
    async with serving(echo) as server:
        reader, writer = await server.connect()
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        found = await reader.read()
        writer.close()

    assert found.startswith(b"HTTP/1.1 400")


async def test_http2_is_answered_where_a_proxy_speaks_it() -> None:
    async with serving(echo) as server:
        reader, writer = await server.connect()
        client = h2.connection.H2Connection()
        client.initiate_connection()
        client.send_headers(
            1,
            [(":method", "POST"), (":path", "/two"), (":authority", "x"), (":scheme", "http")],
        )
        client.send_data(1, b" told", end_stream=True)
        writer.write(client.data_to_send())
        body, ended = b"", False
        while not ended:
            for event in client.receive_data(await reader.read(65536)):
                if isinstance(event, h2.events.DataReceived):
                    body += event.data
                ended = ended or isinstance(event, h2.events.StreamEnded)
            writer.write(client.data_to_send())
        writer.close()

    assert body == b"/two told"


async def test_every_answer_says_when_it_was_made() -> None:
    async with serving(echo) as server:
        reader, writer = await server.connect()
        dates = set()
        for number in itertools.count():
            writer.write(GET % (number % 10))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            dates |= {line for line in head.split(b"\r\n") if line.startswith(b"date: ")}
            if len(dates) > 1:
                break
            await anyio.sleep(0.1)
        writer.close()

    assert all(date.endswith(b"GMT") for date in dates)


async def test_a_body_that_comes_faster_than_it_is_read_arrives_whole() -> None:
    body = bytes(range(256)) * 4096

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        taken = hashlib.sha256()
        while True:
            message = await receive()
            taken.update(message.get("body", b""))
            if not message.get("more_body"):
                break
            await asyncio.sleep(0)
        await answer(send, 200, taken.hexdigest().encode())

    async with serving(slow) as server:
        reader, writer = await server.connect()
        head = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body))
        for start in range(0, len(body), 1000):
            writer.write(body[start : start + 1000])
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        told = await reader.readexactly(64)
        writer.close()

    assert told.decode() == hashlib.sha256(body).hexdigest()


GOOD = {b":method": b"GET", b":path": b"/", b":authority": b"x", b":scheme": b"http"}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({b":path": b"/\xff"}, id="another script in the path"),
        pytest.param({b":method": b"\xff"}, id="another script in the method"),
        pytest.param({b":method": b"CONNECT", b":path": None, b":scheme": None}, id="a tunnel"),
    ],
)
async def test_http2_that_no_application_is_asked_for_ends_the_connection_without_a_word(
    changed: dict[bytes, bytes | None],
) -> None:
    async with serving(echo) as server:
        reader, writer = await server.connect()
        client = h2.connection.H2Connection(
            h2.config.H2Configuration(validate_outbound_headers=False)
        )
        client.initiate_connection()
        writer.write(client.data_to_send())
        await reader.read(65536)
        (connection,) = [it.task for it in server.connections.open]
        names = {name: it for name, it in {**GOOD, **changed}.items() if it is not None}
        client.send_headers(1, list(names.items()), end_stream=True)
        writer.write(client.data_to_send())
        while await reader.read(65536):
            pass
        writer.close()
        await asyncio.wait([connection])

    assert connection.exception() is None
