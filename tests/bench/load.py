"""A load of signed webhooks from this process, and the provider that receives the answers."""

import asyncio
import hmac
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import quantiles
from typing import Self

from tests.bench.site import SECRET

#: Connections that an open loop keeps for later.
_KEPT = 64
#: Seconds until a provider delivers again what it had no answer to.
_AGAIN = 0.2


@dataclass
class Sample:
    """Times in ms, with how long the whole took in seconds.

    :ivar statuses: how often each came; 0 is a connection that was lost.
    """

    seconds: float
    times: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return len(self.times) / self.seconds

    def percentile(self, percent: int) -> float:
        return quantiles(self.times, n=100)[percent - 1] if len(self.times) > 1 else 0.0


class Provider:
    """A provider on loopback that answers at once and remembers when each message came."""

    def __init__(self) -> None:
        self.received: dict[str, float] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/messages"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(length(head))
                self.received.setdefault(json.loads(body)["to"], time.perf_counter())
                writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def length(head: bytes) -> int:
    """Give how long the body is that a head announces."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def webhooks(text: str, start: int = 0) -> Iterator[tuple[str, bytes]]:
    """Give endless signed requests, each of another customer, with the customer's number."""
    for number in count(start):
        sender = f"+57{3_000_000_000 + number}"
        yield sender, webhook(f"m{number}", sender, text)


def webhook(name: str, sender: str, text: str) -> bytes:
    """Give the signed request that brings a message.

    :param name: the message's id.
    """
    body = json.dumps({"id": name, "from": sender, "text": text}).encode()
    mac = hmac.digest(SECRET.encode(), body, "sha256").hex()
    head = (
        "POST /hooks/bench HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"X-Bench-Signature: {mac}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    size = length(head)
    if size:
        await reader.readexactly(size)
    return int(head[9:12])


async def closed_loop(
    port: int, requests: Iterator[tuple[str, bytes]], *, connections: int, seconds: float
) -> Sample:
    """Keep so many requests under way, each connection its next as soon as it is answered."""
    sample = Sample(seconds)
    end = time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < end:
            status = await _post(reader, writer, next(requests)[1])
            sample.times.append((time.perf_counter() - began) * 1000)
            sample.statuses[status] = sample.statuses.get(status, 0) + 1
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return sample


async def open_loop(
    port: int,
    requests: Iterator[tuple[str, bytes]],
    *,
    per_second: float,
    seconds: float,
    connections: int = 10_000,
) -> tuple[Sample, dict[str, float]]:
    """Send at a fixed rate whatever the answers do; give the answers' times and each start.

    :param connections: at once, at most; what finds none waits, and its time counts.
    """
    room = asyncio.Semaphore(connections)
    sample = Sample(seconds)
    began: dict[str, float] = {}
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    tasks = set()

    async def send(request: bytes) -> int:
        while True:
            pair = idle.pop() if idle else None
            kept = pair is not None
            try:
                pair = pair or await asyncio.open_connection("127.0.0.1", port)
                status = await _post(*pair, request)
            except (asyncio.IncompleteReadError, OSError):
                if pair is not None:
                    pair[1].close()
                # One that nobody needed for a while may have been closed; that says nothing.
                if not kept:
                    sample.statuses[0] = sample.statuses.get(0, 0) + 1
                    await asyncio.sleep(_AGAIN)
            else:
                keep(pair)
                return status

    def keep(pair: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        if len(idle) < _KEPT:
            idle.append(pair)
        else:
            pair[1].close()

    async def one(request: bytes, due: float) -> None:
        async with room:
            status = await send(request)
        sample.times.append((time.perf_counter() - due) * 1000)
        sample.statuses[status] = sample.statuses.get(status, 0) + 1

    start = time.perf_counter()
    for number in range(int(per_second * seconds)):
        due = start + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sender, request = next(requests)
        began[sender] = due
        task = asyncio.create_task(one(request, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for _, writer in idle:
        writer.close()
    return sample, began


def pending(database: Path) -> int:
    """Count the lanes of a daemon's SQLite file that have something to be worked.

    Its numbers over HTTP would not do: they are kept for some seconds.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as raw:
        waiting = "SELECT count(*) FROM lane WHERE kind = 'in' AND done_seq < last_seq"
        return int(raw.execute(waiting).fetchone()[0])


async def worked(database: Path, patience: float) -> None:
    """Wait until a daemon has worked everything.

    :raises TimeoutError: if it takes longer than so many seconds.
    """
    end = time.perf_counter() + patience
    while time.perf_counter() < end:
        if not await asyncio.to_thread(pending, database):
            return
        await asyncio.sleep(0.1)
    raise TimeoutError


async def until(condition: Callable[[], bool], patience: float) -> bool:
    """Wait for something to become true."""
    end = time.perf_counter() + patience
    while not condition():
        if time.perf_counter() > end:
            return False
        await asyncio.sleep(0.005)
    return True
