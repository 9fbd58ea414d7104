from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import anyio

from router.storage.store import Change
from router.web.live import LiveResponse
from tests.unit.web.world import FakeHost


@dataclass
class Feed:
    """A store that tells what a test wants it to tell; then its host drains."""

    changes: list[Change | None] = field(default_factory=list)
    closed: int = 0
    host: FakeHost | None = None

    def subscribe(self) -> "Feed":
        return self

    def __aiter__(self) -> "Feed":
        return self

    async def __anext__(self) -> Change:
        if not self.changes:
            if self.host is not None:
                self.host.draining = True
            await anyio.sleep_forever()
        change = self.changes.pop(0)
        if change is None:
            raise StopAsyncIteration
        return change

    def close(self) -> None:
        self.closed += 1


def told(*conversations: str | None) -> tuple[FakeHost, Feed]:
    """Give a host whose store tells of changes; ``None`` is the store's end."""
    feed = Feed([None if it is None else Change("main", it) for it in conversations])
    host = FakeHost(store=feed)
    feed.host = host
    return host, feed


class Hours:
    """A clock on which an hour passes at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 3600
        return self.now


def stream(host: Any, drawn: list[str], ours: str = "c1") -> AsyncIterator[bytes]:
    async def draw() -> str:
        return drawn.pop(0) if len(drawn) > 1 else drawn[0]

    response = LiveResponse(host, draw=draw, concerns=lambda it: it.conversation == ours)
    return cast("AsyncIterator[bytes]", response.body_iterator)


async def test_stream_begins_with_the_present_and_goes_on_with_changes() -> None:
    host, feed = told("c1")
    found = [chunk async for chunk in stream(host, ["a", "b"])]

    assert found == [b"data: a\n\n", b"data: b\n\n"]
    assert feed.closed == 1


async def test_change_that_alters_nothing_or_concerns_another_is_not_sent() -> None:
    host, _ = told("c2", "c1")
    found = [chunk async for chunk in stream(host, ["a", "a"])]

    assert found == [b"data: a\n\n"]


async def test_burst_of_changes_is_drawn_once() -> None:
    host, _ = told(*["c1"] * 50)
    found = [chunk async for chunk in stream(host, ["a", "b", "c"])]

    assert found == [b"data: a\n\n", b"data: b\n\n"]


async def test_stream_ends_with_the_store() -> None:
    host, feed = told(None)
    found = [chunk async for chunk in stream(host, ["a", "b"])]

    assert found == [b"data: a\n\n"]
    assert feed.closed == 1


async def test_silent_stream_says_that_it_is_alive() -> None:
    host = FakeHost(store=Feed(), clock=cast("Any", Hours()))
    chunks = stream(host, ["a"])

    assert await anext(chunks) == b"data: a\n\n"
    assert await anext(chunks) == b": still here\n\n"
    host.draining = True
    assert [chunk async for chunk in chunks] == []


async def test_draining_ends_the_stream() -> None:
    feed = Feed()
    host = FakeHost(store=feed, draining=True)

    assert [chunk async for chunk in stream(host, ["a"])] == [b"data: a\n\n"]
    assert feed.closed == 1
