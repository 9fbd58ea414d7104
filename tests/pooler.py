"""A transaction pooler for tests: what pgbouncer does to sessions, in a hundred lines.

Each transaction of a client runs on whichever of the server's sessions is free; between two
transactions a client has none. Parameters of the start are ignored, passwords never asked.
"""

import asyncio
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_READY = ord("Z")
_IDLE = ord("I")


class _Session:
    """One session at the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, socket: Path, start: bytes) -> "_Session":
        session = cls(*await asyncio.open_unix_connection(socket))
        session.writer.write(start)
        await session.until_ready()
        return session

    async def until_ready(self, answer: asyncio.StreamWriter | None = None) -> None:
        """Pass messages on until the server is ready, and no transaction is open."""
        while True:
            head = await self.reader.readexactly(5)
            body = await self.reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            done = head[0] == _READY and body[0] == _IDLE
            if answer is not None and not done:
                answer.write(head + body)
            if done:
                return


class Pooler:
    """A running pooler.

    :ivar socket_folder: where it listens, as a server does.
    """

    def __init__(self, server: Path, folder: Path, size: int) -> None:
        self._server = server
        self.socket_folder = folder
        self._size = size
        self._free: asyncio.Queue[_Session] = asyncio.Queue()
        self._sessions: list[_Session] = []
        self._clients: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._client(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = b""
        while not start:
            (size,) = struct.unpack("!I", await reader.readexactly(4))
            body = await reader.readexactly(size - 4)
            if struct.unpack("!I", body[:4])[0] == 196608:
                start = struct.pack("!I", size) + body
            else:
                writer.write(b"N")  # no TLS
        if not self._sessions:
            for _ in range(self._size):
                session = await _Session.open(self._server, start)
                self._sessions.append(session)
                self._free.put_nowait(session)
        # A key of the pooler's own, as pgbouncer gives it: no process of the server has it.
        key = struct.pack("!cIII", b"K", 12, int.from_bytes(os.urandom(4)) | 1 << 30, 7)
        version = b"server_version\x0018.0\0"
        words = [version, b"client_encoding\0UTF8\0", b"standard_conforming_strings\0on\0"]
        writer.write(b"R" + struct.pack("!II", 8, 0))
        for word in words:
            writer.write(b"S" + struct.pack("!I", len(word) + 4) + word)
        writer.write(key + b"Z" + struct.pack("!Ic", 5, b"I"))
        await self._pass_on(reader, writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (message := await self._message(reader))[:1] != b"X":
            # The one that has been free longest: hardly ever the one of before.
            session = await self._free.get()
            answers = asyncio.create_task(session.until_ready(writer))
            try:
                while True:
                    session.writer.write(message)
                    more = asyncio.create_task(self._message(reader))
                    await asyncio.wait([answers, more], return_when="FIRST_COMPLETED")
                    if answers.done():
                        more.cancel()
                        await asyncio.wait([more])
                        break
                    message = more.result()
            except BaseException:
                answers.cancel()
                session.writer.close()
                raise
            self._free.put_nowait(session)
            # Only now, so that what the client says next finds another session.
            writer.write(b"Z" + struct.pack("!Ic", 5, b"I"))

    @staticmethod
    async def _message(reader: asyncio.StreamReader) -> bytes:
        head = await reader.readexactly(5)
        return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)

    async def close(self) -> None:
        for task in tuple(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        for session in self._sessions:
            session.writer.close()


@asynccontextmanager
async def pooler(server: Path, folder: Path, *, size: int = 4) -> AsyncIterator[Pooler]:
    """Run a pooler in front of a server.

    :param server: the folder of the server's socket.
    :param folder: where the pooler's own is made.
    :param size: how many sessions it has.
    """
    it = Pooler(server / ".s.PGSQL.5432", folder, size)
    listener = await asyncio.start_unix_server(it.serve, folder / ".s.PGSQL.5432")
    try:
        yield it
    finally:
        listener.close()
        await it.close()
        await listener.wait_closed()
