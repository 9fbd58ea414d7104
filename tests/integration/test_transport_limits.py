"""What one client may have under way, and how much of an answer it takes into memory."""

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from router.errors import NoConnection, OutcomeUnknown
from router.pipeline.attempts.room import PLACES, SHARE
from router.plugin.http import classify
from router.plugin.transport import MAX_ANSWER, MAX_CONNECTIONS, open_client
from tests.integration.test_fetching import little_memory
from tests.integration.test_transport import OK, Behaviour, read_request, serving

#: What a server gives at most, should nobody stop reading.
ENOUGH = 256 << 20


#: What goes without a detour, and what goes by all of httpx.
PLAIN: dict[str, Any] = {}
BY_HTTPX: dict[str, Any] = {"auth": ("ana", "secret")}


class Desk:
    """A server that lets its requests wait until it is told to answer.

    :ivar waiting: how many have come.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self._came = asyncio.Condition()
        self.answer = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            async with self._came:
                self.waiting += 1
                self._came.notify_all()
            await self.answer.wait()
            writer.write(OK)

    async def until(self, number: int) -> None:
        async with asyncio.timeout(30), self._came:
            await self._came.wait_for(lambda: self.waiting >= number)


def test_a_client_has_more_connections_than_the_host_has_calls_for_it() -> None:
    # A channel sends, fetches and looks for what it sent; a tool is run by whichever question.
    assert max(3 * SHARE, PLACES + SHARE) < MAX_CONNECTIONS


async def test_a_slow_provider_is_waited_for_by_all_that_one_instance_may_have_under_way() -> None:
    desk = Desk()
    calls: list[asyncio.Task[httpx.Response]] = []
    async with serving(desk) as server, open_client(20.0) as client:
        for _ in range(SHARE):  # one after the other: its queue of new connections is short
            calls.append(asyncio.create_task(client.post(server.url)))
            await desk.until(len(calls))
        desk.answer.set()
        answers = await asyncio.gather(*calls)

    assert [answer.status_code for answer in answers] == [200] * SHARE


async def test_a_wait_for_a_connection_of_our_own_is_no_failure_of_the_provider() -> None:
    desk = Desk()
    async with serving(desk) as server, open_client(0.5, connections=2) as client:
        patient = httpx.Timeout(30.0, pool=0.05)
        calls = [asyncio.create_task(client.post(server.url, timeout=patient)) for _ in range(2)]
        await desk.until(2)

        for options in (PLAIN, BY_HTTPX):
            with pytest.raises(httpx.PoolTimeout) as caught:
                await client.post(server.url, timeout=patient, **options)
            error = classify(caught.value)
            assert type(error) is NoConnection
            assert error.reason == "PoolTimeout: all 2 connections of this client are in use"

        assert desk.waiting == 2
        desk.answer.set()
        assert {(await call).status_code for call in calls} == {200}
        assert (await client.post(server.url)).status_code == 200


async def test_a_connection_is_given_back_however_the_call_ends() -> None:
    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"/ok" in (head := await read_request(reader)):
            writer.write(OK)
        if b"/lost" in head:
            writer.close()
        else:
            await reader.read()

    async with serving(misbehave) as server, open_client(0.5, connections=1) as client:
        host = server.url.removesuffix("/messages")
        for _ in range(2):
            for options in (PLAIN, BY_HTTPX):
                with pytest.raises(httpx.ReadError):
                    await client.post(f"{host}/lost", **options)
                with pytest.raises(httpx.ReadTimeout):
                    await client.post(f"{host}/silent", **options)
                assert (await client.post(f"{host}/ok", **options)).text == "ok"
            with pytest.raises(httpx.ReadError):
                await client.send(client.build_request("GET", f"{host}/lost"), stream=True)
            async with client.stream("GET", f"{host}/ok") as answer:
                await answer.aread()
                await answer.aclose()
            async with client.stream("GET", f"{host}/ok"):
                pass
            with pytest.raises(httpx.UnsupportedProtocol):
                await client.get("ftp://localhost/")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.post(f"{host}/silent")


def whole(body: bytes, *packing: str) -> Behaviour:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        more = b"".join(b"Content-Encoding: %s\r\n" % each.encode() for each in packing)
        writer.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (more, len(body)))
        writer.write(body)
        await writer.drain()

    return answer


def deflated(body: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(9, wbits=bits)
    return packer.compress(body) + packer.flush()


@asynccontextmanager
async def endless() -> AsyncIterator[tuple[str, list[int]]]:
    chunk = b"10000\r\n" + bytes(64 << 10) + b"\r\n"
    sent = [0]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent[0] < ENOUGH:
            writer.write(chunk)
            sent[0] += len(chunk)
            await writer.drain()

    async with serving(answer) as server:
        yield server.url, sent


WAYS = pytest.mark.parametrize("options", [PLAIN, BY_HTTPX, {"follow_redirects": True}], ids=str)


@WAYS
async def test_an_answer_that_never_ends_is_left_at_the_limit(options: dict[str, Any]) -> None:
    async with endless() as (url, sent), open_client(20.0) as client:
        with little_memory(), pytest.raises(httpx.RemoteProtocolError) as caught:
            await client.post(url, content=b"{}", **options)

        assert type(classify(caught.value)) is OutcomeUnknown
        assert str(caught.value) == "127.0.0.1 answered with more than 8,388,608 bytes"
        assert sent[0] < 8 * MAX_ANSWER


BOMB = bytes(64 << 20)
PACKED = gzip.compress(BOMB, 9)


@WAYS
@pytest.mark.parametrize(
    "body, packing",
    [
        (PACKED, ["gzip"]),
        (deflated(BOMB, zlib.MAX_WBITS), ["deflate"]),
        (deflated(BOMB, -zlib.MAX_WBITS), ["Deflate"]),
        (gzip.compress(PACKED, 9), ["gzip, gzip"]),
        (gzip.compress(PACKED, 9), ["gzip", "gzip"]),
        (PACKED, ["identity, gzip"]),
        (b"anything", ["zstd"]),
    ],
    ids=["gzip", "deflate", "raw deflate", "twice", "in two headers", "and identity", "unknown"],
)
async def test_an_answer_that_was_packed_small_is_not_unpacked_beyond_the_limit(
    options: dict[str, Any], body: bytes, packing: list[str]
) -> None:
    async with serving(whole(body, *packing)) as server, open_client(20.0) as client:
        with little_memory(), pytest.raises(httpx.RemoteProtocolError) as caught:
            await client.post(server.url, content=b"{}", **options)

    assert type(classify(caught.value)) is OutcomeUnknown
    assert "more than 8,388,608 bytes unpacked" in str(caught.value)


@WAYS
@pytest.mark.parametrize("packing", [[], ["gzip"], ["utf-8"]], ids=str)
async def test_an_answer_as_large_as_the_limit_is_read(
    options: dict[str, Any], packing: list[str]
) -> None:
    text = bytes(MAX_ANSWER)
    body = gzip.compress(text) if packing == ["gzip"] else text
    async with serving(whole(body, *packing)) as server, open_client(20.0) as client:
        answer = await client.post(server.url, content=b"{}", **options)

    assert answer.content == text
    assert answer.elapsed.total_seconds() > 0


@WAYS
async def test_an_answer_whose_packing_is_damaged_is_unknown(options: dict[str, Any]) -> None:
    async with serving(whole(b"no gzip", "gzip")) as server, open_client(20.0) as client:
        with pytest.raises(httpx.DecodingError) as caught:
            await client.post(server.url, content=b"{}", **options)

    assert type(classify(caught.value)) is OutcomeUnknown


async def test_a_stream_is_its_reader_s_to_bound() -> None:
    body = bytes(MAX_ANSWER + 1)
    async with (
        serving(whole(body)) as server,
        open_client(20.0) as client,
        client.stream("GET", server.url) as answer,
    ):
        assert len(await answer.aread()) == len(body)
