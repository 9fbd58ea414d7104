"""The daemon for a long time: what grows while customers come back and the provider fails.

Every half minute the provider fails for a while, in each way that a message may be tried again
after, and recovers. What is measured is looked at from outside, but for the number of tasks, which
the channel tells. Growth is that of the last third against the first, once it runs steadily; each
third has several rounds of failing and recovering.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import mean
from typing import Any

from tests.bench import load
from tests.bench.goals import Goal
from tests.bench.site import Daemon, memory, running, write_site

PER_SECOND = 200
#: Of the customers' provider, at most.
CONNECTIONS = 200
#: Customers; each comes back again and again.
CUSTOMERS = 4_000

#: Seconds from one failing to the next, how long it lasts, and after how many it begins.
ROUND, FAILING, FIRST = 30.0, 9.0, 15.0
#: How the provider is out of order, one after the other, each for as long.
_TROUBLES = ("503", "silent", "closed")
#: Seconds that the daemon waits for an answer of it.
TIMEOUT = 2.0
#: What is not counted, in seconds and as a share of the whole: what is only built up once, as the
#: database's cache is, is built up then.
WARM, _WARM_SHARE = 30.0, 0.1
#: Looks from outside, in all at most.
_LOOKS = 400
#: Seconds until everything must have been delivered, and until connections may have ended.
_PATIENCE = 180.0
_LINGER = 40.0

#: What is looked at: figure, its unit, and how much it may grow in percent.
FIGURES: Mapping[str, tuple[str, float | None]] = {
    "memory": ("MB", 5.0),
    "descriptors": ("", None),
    "sockets": ("", None),
    "tasks": ("", None),
    "threads": ("", None),
    "wal": ("MB", None),
}

GOALS = (
    Goal("events", "per_s", "/s", PER_SECOND * 0.99),
    Goal("acknowledged", "p99_ms", "ms", low=True),
    Goal("not acknowledged", "number", "", 0, low=True),
    Goal("not delivered", "number", "", 0, low=True),
    *(Goal(name, "highest", unit, low=True) for name, (unit, _) in FIGURES.items()),
    *(
        Goal(f"{name}, growth", "percent", "%", most, low=True)
        for name, (_, most) in FIGURES.items()
    ),
    Goal("tasks left over", "number", "", 0, low=True),
    Goal("sockets left over", "number", "", 0, low=True),
)


@dataclass(frozen=True, slots=True)
class Look:
    """How the process stood at a moment.

    :param at: seconds since the load began.
    :param waiting: messages that were acknowledged and whose answer the provider has not taken.
    """

    at: float
    memory: float
    wal: float
    database: float
    descriptors: int
    sockets: int
    threads: int
    tasks: int
    waiting: int


class FailingProvider(load.Provider):
    """A provider that takes each message once, and is out of order now and then.

    :ivar taken: the messages that it has taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taken: set[str] = set()
        self.calm = True
        self._began = time.monotonic()

    def begin(self) -> None:
        """Fail from now on, first after some seconds."""
        self._began, self.calm = time.monotonic(), False

    @property
    def _trouble(self) -> str:
        since = (time.monotonic() - self._began) % ROUND - FIRST
        if self.calm or not 0 <= since < FAILING:
            return ""
        return _TROUBLES[int(since / FAILING * len(_TROUBLES))]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(load.length(head))
                trouble = self._trouble
                if trouble == "503":
                    writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
                    continue
                if trouble == "closed":
                    return
                self.taken.add(json.loads(body)["id"])
                if trouble == "silent":
                    await asyncio.sleep(TIMEOUT * 1.5)
                    return
                writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def measure(engine: str, minutes: float) -> dict[str, Any]:
    """Let customers write for so long, and look at the daemon meanwhile."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="soak-", dir=Path.cwd()) as name:
        async with FailingProvider() as provider:
            more = f'timeout = "{TIMEOUT:g}s"\nbreaker_pause = "2s"\n'
            config = write_site(
                Path(name), provider=provider.url, engine=engine, kind="bench_steady", more=more
            )
            with running(config) as daemon:
                await _soak(daemon, provider, minutes * 60, found)
    return found


async def _soak(
    daemon: Daemon, provider: FailingProvider, seconds: float, found: dict[str, Any]
) -> None:
    # A first few, so that what is opened once, and kept, is open.
    requests = _returning()
    warm, _ = await load.open_loop(daemon.port, requests, per_second=50, seconds=2)
    await load.until(lambda: len(provider.taken) >= len(warm.times), 30)
    idle = await _idle(daemon)
    provider.begin()
    looks: list[Look] = []
    before = len(warm.times)
    watch = asyncio.create_task(_watch(daemon, provider, seconds, before, looks))
    sample, _ = await load.open_loop(
        daemon.port, requests, per_second=PER_SECOND, seconds=seconds, connections=CONNECTIONS
    )
    await watch
    accepted = before + sample.statuses.get(200, 0)
    provider.calm = True
    began = time.monotonic()
    await load.until(lambda: len(provider.taken) >= accepted, _PATIENCE)
    found["recovered after"] = {"s": round(time.monotonic() - began, 1)}
    after = await _idle(daemon, idle)
    found["events"] = {"per_s": sample.rate, "number": len(sample.times)}
    found["acknowledged"] = {
        "p50_ms": sample.percentile(50),
        "p99_ms": sample.percentile(99),
        "statuses": {str(status): number for status, number in sample.statuses.items()},
    }
    found["not acknowledged"] = {"number": len(sample.times) - sample.statuses.get(200, 0)}
    found["not delivered"] = {"number": accepted - len(provider.taken)}
    warm_until = min(max(WARM, seconds * _WARM_SHARE), seconds / 4)
    steady = [look for look in looks if look.at >= warm_until]
    for name in FIGURES:
        found |= _figures(name, steady)
    for name in ("tasks", "sockets", "descriptors", "memory"):
        left = getattr(after, name) - getattr(idle, name)
        found[f"{name} left over"] = {"number": left}
    found["idle before"], found["idle after"] = asdict(idle), asdict(after)
    found["looks"] = [asdict(look) for look in looks]


def _figures(name: str, looks: Sequence[Look]) -> dict[str, Any]:
    third = (looks[-1].at - looks[0].at) / 3
    values = [getattr(look, name) for look in looks]
    first = [getattr(look, name) for look in looks if look.at <= looks[0].at + third]
    last = [getattr(look, name) for look in looks if look.at >= looks[-1].at - third]
    growth = (mean(last) / mean(first) - 1) * 100 if mean(first) else 0.0
    return {
        name: {"lowest": min(values), "highest": max(values)},
        f"{name}, growth": {
            "percent": growth,
            "first_third": mean(first),
            "last_third": mean(last),
            "lowest_of_first_third": min(first),
            "lowest_of_last_third": min(last),
        },
    }


def _returning() -> Iterator[tuple[str, bytes]]:
    """Give endless signed requests of customers who come back one after the other."""
    for number in count():
        sender = f"+57{3_000_000_000 + number % CUSTOMERS}"
        yield str(number), load.webhook(f"s{number}", sender, "¿cuál es el horario?")


# --- looking


async def _watch(
    daemon: Daemon,
    provider: FailingProvider,
    seconds: float,
    before: int,
    looks: list[Look],
) -> None:
    began = time.monotonic()
    pause = max(1.0, seconds / _LOOKS)
    while (at := time.monotonic() - began) < seconds:
        waiting = before + int(at * PER_SECOND) - len(provider.taken)
        looks.append(await _look(daemon, at, waiting))
        await asyncio.sleep(pause)


async def _look(daemon: Daemon, at: float = 0.0, waiting: int = 0) -> Look:
    tasks = await _tasks(daemon.port)
    folder = Path(f"/proc/{daemon.pid}/fd")
    targets = []
    for entry in folder.iterdir():
        with suppress(OSError):  # closed since it was listed
            targets.append(str(entry.readlink()))
    return Look(
        at=round(at, 1),
        memory=round(memory(daemon.pid), 2),
        wal=_size(Path(f"{daemon.database}-wal")),
        database=_size(daemon.database),
        descriptors=len(targets),
        sockets=sum(target.startswith("socket:") for target in targets),
        threads=sum(1 for _ in Path(f"/proc/{daemon.pid}/task").iterdir()),
        tasks=tasks,
        waiting=waiting,
    )


async def _idle(daemon: Daemon, like: Look | None = None) -> Look:
    """Give how the process stands when nothing is under way.

    Connections that nobody needs any more are closed after a while.

    :param like: how it stood before; it is waited for, but not for ever.
    """
    if like is None:
        await asyncio.sleep(_LINGER / 2)
        return await _look(daemon)
    end = time.monotonic() + _LINGER
    while True:
        await asyncio.sleep(2)
        look = await _look(daemon)
        calm = look.tasks <= like.tasks and look.sockets <= like.sockets
        if calm or time.monotonic() > end:
            return look


async def _tasks(port: int) -> int:
    while True:
        with suppress(asyncio.IncompleteReadError, OSError):
            return await _asked_tasks(port)
        await asyncio.sleep(1)


async def _asked_tasks(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /hooks/bench HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(load.length(head))
        return int(json.loads(body)["tasks"])
    finally:
        writer.close()


def _size(path: Path) -> float:
    return round(path.stat().st_size / 2**20, 2) if path.exists() else 0.0
