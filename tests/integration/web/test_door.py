"""Slow and many clients, on real sockets."""

import asyncio
import contextlib
import logging
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx
import pytest

from router.web.asgi import ClientGone, Receive, Scope, Send, answer, read_body
from router.web.door import Doors, most_connections
from router.web.server import listen, serve

HEAD = b"GET / HTTP/1.1\r\nHost: here\r\n"
MUCH = HEAD.replace(b"/", b"/much", 1) + b"\r\n"
POST = b"POST /body HTTP/1.1\r\nHost: here\r\n"
FULL = "there are 3 connections, and more come"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Served:
    """A server with one page.

    ``/slow`` answers when it is let go, ``/much`` with a lot, ``/body`` when it has read one.
    """

    def __init__(self) -> None:
        self.port = 0
        self.go = anyio.Event()
        self.asked = anyio.Event()
        self.idle = anyio.Event()
        self._under_way = 0

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._under_way += 1
        self.idle = anyio.Event()
        try:
            await self._answer(scope, receive, send)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self.idle.set()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/body":
            self.asked.set()
            with contextlib.suppress(ClientGone):
                await answer(send, 200, await read_body(receive, announced=None, limit=100_000))
            return
        if scope["path"] == "/slow":
            self.asked.set()
            await self.go.wait()
        if scope["path"] == "/much":
            self.asked.set()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(64):
                part = b"x" * (1 << 20)
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        await answer(send, 200, b"here")

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@contextlib.asynccontextmanager
async def serving(engine: str, doors: Doors) -> AsyncIterator[Served]:
    served, stop = Served(), anyio.Event()
    listener = listen("127.0.0.1", 0)
    served.port = listener.getsockname()[1]
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await serve(served.app, listener, engine=engine, shutdown=stop.wait, doors=doors)

        tasks.start_soon(run)
        try:
            with anyio.fail_after(40):
                yield served
        finally:
            served.go.set()
            stop.set()


@pytest.fixture(params=["hypercorn", "uvicorn"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Read to the end, however it comes; what came before it counts."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65_536):
            found += part
    return found


@pytest.mark.parametrize("before", [b"", HEAD, HEAD + b"\r\n" + HEAD])
async def test_headers_that_come_too_slowly_end_the_connection(engine: str, before: bytes) -> None:
    async with serving(engine, Doors(patience=0.6)) as served:
        reader, writer = await served.connect()
        writer.write(before)

        async def dribble() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"x")
                    await writer.drain()
                    await anyio.sleep(0.05)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dribble)
            found = await ended(reader)
            tasks.cancel_scope.cancel()
        writer.close()

    assert found.count(b"200") == before.count(b"\r\n\r\n")


async def test_request_may_take_longer_than_its_headers(engine: str) -> None:
    async with serving(engine, Doors(patience=0.6)) as served:
        reader, writer = await served.connect()
        writer.write(HEAD.replace(b"/", b"/slow", 1) + b"\r\n")
        await served.asked.wait()
        await anyio.sleep(0.9)
        served.go.set()
        found = await reader.readuntil(b"here")
        await anyio.sleep(0.9)
        writer.write(HEAD + b"\r\n")
        again = await reader.readuntil(b"here")
        writer.close()

    assert found.startswith(b"HTTP/1.1 200")
    assert again.startswith(b"HTTP/1.1 200")


async def test_whoever_reads_nothing_of_an_answer_leaves_the_place_to_others(engine: str) -> None:
    async with serving(engine, Doors(most=1, unread=0.5)) as served:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            deaf.connect(("127.0.0.1", served.port))
            deaf.sendall(MUCH)
            await served.asked.wait()
            found = b""
            while not found:
                await anyio.sleep(0.05)
                reader, writer = await served.connect()
                writer.write(HEAD + b"Connection: close\r\n\r\n")
                found = await ended(reader)
                writer.close()

    assert found.startswith(b"HTTP/1.1 200")


def asking_by_http2(path: str, *, window: int) -> h2.connection.H2Connection:
    """Ask for a page; of the answer no more than the window is to be sent unasked."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
    names = {":method": "GET", ":path": path, ":authority": "here", ":scheme": "http"}
    client.send_headers(1, list(names.items()), end_stream=True)
    return client


@pytest.mark.parametrize("path", ["/", "/much"])
async def test_whoever_opens_no_window_for_an_answer_leaves_the_place_to_others(path: str) -> None:
    async with serving("hypercorn", Doors(most=1, unread=0.5)) as served:
        shut, kept = await served.connect()
        kept.write(asking_by_http2(path, window=0).data_to_send())
        await ended(shut)
        reader, writer = await served.connect()
        writer.write(HEAD + b"Connection: close\r\n\r\n")
        found = await ended(reader)
        await served.idle.wait()
        for each in (writer, kept):
            each.close()

    assert found.startswith(b"HTTP/1.1 200")


async def test_whoever_hangs_up_before_a_window_that_is_shut_is_waited_for_no_longer() -> None:
    async with serving("hypercorn", Doors(unread=0.5)) as served:
        _, writer = await served.connect()
        writer.write(asking_by_http2("/much", window=0).data_to_send())
        await served.asked.wait()
        writer.transport.abort()
        await served.idle.wait()


async def test_whoever_opens_the_window_now_and_then_may_take_long() -> None:
    async with serving("hypercorn", Doors(unread=0.5)) as served:
        reader, writer = await served.connect()
        client = asking_by_http2("/much", window=0)
        writer.write(client.data_to_send())
        for _ in range(12):
            await anyio.sleep(0.1)
            for stream in (None, 1):
                client.increment_flow_control_window(10_000, stream)
            writer.write(client.data_to_send())
            size = 0
            while size < 10_000:
                data = await reader.read(65_536)
                assert data
                size += sum(len(getattr(it, "data", b"")) for it in client.receive_data(data))
        writer.close()


async def test_full_house_lets_those_go_whose_request_has_been_awaited_for_longest(
    engine: str,
) -> None:
    async with serving(engine, Doors(most=2, undisturbed=0.2)) as served:
        first, lost = await begun(served)
        second, writer = await begun(served)
        await anyio.sleep(0.3)
        async with httpx.AsyncClient(timeout=30) as client:
            response = await client.get(f"http://127.0.0.1:{served.port}/")
        assert await ended(first) == b""
        writer.write(b"x")
        found = await second.readuntil(b"xx")
        for each in (lost, writer):
            each.close()

    assert response.status_code == 200
    assert found.startswith(b"HTTP/1.1 200")


async def begun(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request but for the end of its body."""
    served.asked = anyio.Event()
    reader, writer = await served.connect()
    writer.write(POST + b"Content-Length: 2\r\n\r\nx")
    await served.asked.wait()
    return reader, writer


async def test_full_house_lets_nobody_go_who_has_only_begun(engine: str) -> None:
    async with serving(engine, Doors(most=2)) as served:
        working = [await begun(served) for _ in range(2)]
        refused, late = await served.connect()
        assert await ended(refused) == b""
        late.close()
        for reader, writer in working:
            writer.write(b"x")
            assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
            writer.close()


async def test_there_is_time_for_a_body_while_there_is_room(engine: str) -> None:
    async with serving(engine, Doors(most=3, undisturbed=0.1)) as served:
        slow = [await begun(served) for _ in range(2)]
        await anyio.sleep(0.3)
        async with httpx.AsyncClient(timeout=30) as client:
            response = await client.get(f"http://127.0.0.1:{served.port}/")
        for reader, writer in slow:
            writer.write(b"x")
            assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
            writer.close()

    assert response.status_code == 200


@pytest.mark.parametrize(
    "before, part",
    [
        pytest.param(b"GET /", b"a" * 1000, id="an address"),
        pytest.param(HEAD, b"X-A: " + b"a" * 1000 + b"\r\n", id="many headers"),
        pytest.param(HEAD + b"X-A: ", b"a" * 1000, id="one header"),
    ],
)
@pytest.mark.parametrize("again", [False, True])
async def test_head_of_a_request_that_does_not_end_is_too_large(
    engine: str, before: bytes, part: bytes, again: bool
) -> None:
    async with serving(engine, Doors()) as served:
        reader, writer = await served.connect()
        if again:
            writer.write(HEAD + b"\r\n")
            await reader.readuntil(b"here")
        for _ in range(17):  # and no more: whoever hangs up on what was sent may be heard no more
            writer.write(before + part)
            before = b""
        found = await ended(reader)
        writer.close()

    assert b"HTTP/1.1 431 " in found


async def endless(writer: asyncio.StreamWriter, part: bytes) -> None:
    """Send one part after the other until the other side hangs up."""
    with contextlib.suppress(ConnectionError):
        while not writer.transport.is_closing():
            writer.write(part)
            await writer.drain()
            await anyio.lowlevel.checkpoint()


async def test_trailers_that_do_not_end_end_the_connection(engine: str) -> None:
    async with serving(engine, Doors()) as served:
        reader, writer = await served.connect()
        writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        await endless(writer, b"X-A: " + b"a" * 1000 + b"\r\n")
        await ended(reader)
        writer.close()


async def test_body_in_the_smallest_parts_is_taken_whole(engine: str) -> None:
    async with serving(engine, Doors()) as served:
        reader, writer = await served.connect()
        writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(200):
            writer.write(b"1\r\nx\r\n" * 100)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        found = await reader.readuntil(b"x" * 20_000)
        writer.close()

    assert found.startswith(b"HTTP/1.1 200")


class Buffer(asyncio.Transport):
    """Holds what was written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = 0

    def get_write_buffer_size(self) -> int:
        return self.holds


async def test_reading_is_told_from_taking_next_to_nothing_and_from_more_being_written() -> None:
    door = Doors().behind(asyncio.Protocol)()
    buffer = Buffer()
    door.connection_made(buffer)
    found = []
    for now, holds in [
        (0, 100_000),
        (29, 90_000),  # read slowly
        (58, 80_000),
        (60, 120_000),  # more is written, and not read
        (87, 119_000),
        (88, 118_999),
        (89, 80_000),  # read on
        (100, 79_999),  # a byte now and then
        (110, 79_998),
        (119, 79_997),
    ]:
        buffer.holds = holds
        found.append(door.is_read(now, within=30))  # type: ignore[attr-defined]
    door.connection_lost(None)

    assert found == [True, True, True, True, True, False, True, True, True, False]


async def test_connection_that_was_idle_for_longest_makes_room(
    engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(engine, Doors(most=3)) as served:
        waiting = [await served.connect() for _ in range(6)]
        for reader, _ in waiting[:3]:
            assert await ended(reader) == b""
        for reader, writer in waiting[3:]:
            writer.write(HEAD + b"\r\n")
            assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")
        for _, writer in waiting:
            writer.close()

    warnings = [it.getMessage() for it in caplog.records if it.levelno == logging.WARNING]
    assert [text[: len(FULL)] for text in warnings] == [FULL]


async def test_requests_under_way_are_not_put_out_for_new_ones(engine: str) -> None:
    async with serving(engine, Doors(most=2)) as served:
        working = [await served.connect() for _ in range(2)]
        for _, writer in working:
            served.asked = anyio.Event()
            writer.write(HEAD.replace(b"/", b"/slow", 1) + b"\r\n")
            await served.asked.wait()
        refused, late = await served.connect()
        assert await ended(refused) == b""
        late.close()
        served.go.set()
        for reader, writer in working:
            assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")
            writer.close()
        async with httpx.AsyncClient(timeout=30) as client:
            response = await client.get(f"http://127.0.0.1:{served.port}/")

    assert response.status_code == 200


def test_most_connections_leave_descriptors_for_everything_else() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert 0 < most_connections() < limit


def test_limit_of_open_files_is_raised_as_far_as_it_goes() -> None:
    program = (
        "import resource\n"
        "from router.web.door import most_connections, raise_descriptor_limit\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, 1500))\n"
        "before = most_connections()\n"
        "raise_descriptor_limit()\n"
        "print(before, resource.getrlimit(resource.RLIMIT_NOFILE)[0], most_connections())\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert found.stdout == "150 1500 1244\n"
