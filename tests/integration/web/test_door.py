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
import httpx
import pytest

from router.web.asgi import Receive, Scope, Send, answer
from router.web.door import Doors, most_connections
from router.web.server import listen, serve

HEAD = b"GET / HTTP/1.1\r\nHost: here\r\n"
MUCH = HEAD.replace(b"/", b"/much", 1) + b"\r\n"
FULL = "there are 3 connections, and more come"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Served:
    """A server with one page; ``/slow`` answers when it is let go, ``/much`` with a lot."""

    def __init__(self) -> None:
        self.port = 0
        self.go = anyio.Event()
        self.asked = anyio.Event()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
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
    with contextlib.suppress(ConnectionResetError):
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
