"""What is between us and the server fails: it says nothing more, or not that a session is over."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from router.errors import StorageUnavailable
from router.storage.tables import inbox_event
from tests.integration.engine.harness import Engine, PostgresDatabase
from tests.integration.engine.nodes import node_of, store_of, until
from tests.postgres import PostgresDatabase as Named
from tests.postgres import PostgresServer
from tests.proof.postgres import Postgres

_SOCKET = ".s.PGSQL.5432"
#: What a client says last, and waits for the server to close.
_FAREWELL = b"X\0\0\0\4"
#: Shorter than a statement may take, longer than the server has to answer a heartbeat.
_SOON = 30.0


class Line:
    """Passes on what both sides say, but not that the server closed by itself.

    :ivar down: nothing is passed on of any connection that is made while this is set.
    """

    def __init__(self, server: Path, folder: Path) -> None:
        self._server = server
        self.folder = folder
        self.down = False
        self._dead: set[asyncio.StreamWriter] = set()
        self._open: set[asyncio.StreamWriter] = set()

    def fall(self) -> None:
        """Be silent, now and ever after to those who are connected."""
        self.down = True
        self._dead |= self._open

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        if self.down:
            self._dead.add(writer)
        there, back = await asyncio.open_unix_connection(self._server)
        answers = asyncio.create_task(self._pass_on(there, writer, writer))
        await self._pass_on(reader, back, writer)
        for each in (back, writer):
            each.close()
        await asyncio.wait([answers])
        self._open.discard(writer)

    async def _pass_on(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(1 << 16):
            if client not in self._dead:
                to.write(data)
                if data.endswith(_FAREWELL):
                    client.close()


@pytest.fixture
async def line(place: PostgresDatabase) -> AsyncIterator[Line]:
    """A line to the server."""
    # A socket's path may not be long.
    with tempfile.TemporaryDirectory(prefix="line-") as folder:
        it = Line(Path(place.url.partition("host=")[2], _SOCKET), Path(folder))
        listener = await asyncio.start_unix_server(it.serve, Path(folder, _SOCKET))
        yield it
        listener.close()
        await listener.wait_closed()


@pytest.fixture
def behind(place: PostgresDatabase, line: Line) -> PostgresDatabase:
    """The database of a test, as it is reached by the line."""
    it = PostgresDatabase.__new__(PostgresDatabase)
    it.url = f"{place.url.partition('host=')[0]}host={line.folder}"
    return it


async def _take_leave(place: PostgresDatabase) -> None:
    """Let the server end everybody's session."""
    connection = await asyncpg.connect(place.url.replace("+asyncpg", ""))
    try:
        ended = await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert ended
    finally:
        await connection.close()


async def _serves(node: Engine, id: str) -> bool:
    try:
        await node.accept(node.said("después", id=id))
        await node.rows(inbox_event)
        await node.store.write(lambda _: None)
    except StorageUnavailable:
        return False
    return not node.store.trouble


async def test_sessions_that_seem_open_and_are_over_keep_nobody(
    place: PostgresDatabase, behind: PostgresDatabase
) -> None:
    async with node_of(behind) as node:
        assert await _serves(node, "A")

        await _take_leave(place)

        await until(lambda: _serves(node, "B"))
        assert len(await node.rows(inbox_event)) == 2


async def test_whoever_watches_the_proof_goes_on_then(
    postgres_server: PostgresServer, place: PostgresDatabase, behind: PostgresDatabase
) -> None:
    url = urlsplit(behind.url)
    folder = Path(url.query.partition("host=")[2])
    named = Named(name=url.path.removeprefix("/"), socket_folder=folder)
    watching = Postgres(postgres_server, named)
    assert await watching.rows("SELECT 1") == [(1,)]

    await _take_leave(place)

    with pytest.raises(OSError, match=r"state|connection"):
        await watching.rows("SELECT 1")
    assert await watching.rows("SELECT 1") == [(1,)]
    await watching.close()


@pytest.mark.timeout(180)
async def test_a_line_that_falls_silent_is_noticed_by_everybody_at_once_and_made_anew(
    behind: PostgresDatabase, line: Line
) -> None:
    async with node_of(behind, lease=300.0, heartbeat=1.0) as node:
        assert await _serves(node, "A")

        line.fall()
        # What other nodes are told goes out on the connection on which the heart beats.
        store_of(node)._node.notify("in")
        await asyncio.sleep(0.05)

        began = time.monotonic()
        many = [node.accept(node.said("mientras", id=f"M{number}")) for number in range(3)]
        reads = [node.rows(inbox_event) for _ in range(3)]
        acts = [node.store.write(lambda _: None)]
        results = await asyncio.gather(*many, *reads, *acts, return_exceptions=True)
        assert [type(result) for result in results] == [StorageUnavailable] * 7
        assert time.monotonic() - began < _SOON
        assert node.store.trouble

        line.down = False

        await until(lambda: _serves(node, "B"))


@pytest.mark.timeout(180)
async def test_a_node_ends_though_nobody_hears_it(behind: PostgresDatabase, line: Line) -> None:
    async with node_of(behind) as node:
        assert await _serves(node, "A")

        line.fall()

        began = time.monotonic()
    assert time.monotonic() - began < _SOON
