"""The control socket: how a command asks the running daemon to write for it.

``<database>.sock``, mode 0600: whoever may open it may already read and write the database. One
line of JSON in, ``{"do": NAME, "with": {…}}``; one line out, ``{"ok": {…}}`` or
``{"refused": "…"}``, ``{"missing": "…"}``, ``{"failed": "…"}``.
"""

import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
import anyio.abc

from router.errors import ActRefused, DaemonUnreachable, NotFound, RouterError
from router.pipeline.people.surroundings import Surroundings
from router.plugin.context import Log
from router.storage.store import Store

#: The longest request and the longest answer, in bytes: a batch of calls may be to thousands.
LIMIT: Final = 4 << 20
#: A path may be so long in a socket's address, on every system.
_LONGEST: Final = 103
#: What reading a line may end with.
_UNREADABLE: Final = (
    ValueError,
    LookupError,
    TypeError,
    RecursionError,
    TimeoutError,
    anyio.EndOfStream,
)


#: Does what is asked by name, and gives values for JSON. Raises ``RouterError`` in words.
Perform: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


def commands(
    store: Store,
    surroundings: Surroundings,
    status: Callable[[], Mapping[str, Any]],
    reload: Callable[[], Awaitable[Mapping[str, Any]]] | None = None,
) -> Perform:
    """Give everything that may be asked of a daemon: acts of people, ``status``, ``reload``.

    :param status: what only the living process knows, as values for JSON.
    :param reload: reads the files again, and says how that ended.
    """

    async def perform(name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if name == "status":
            return status()
        if name == "reload" and reload is not None:
            return await reload()
        from router.pipeline.people import acts  # here, because it brings SQLAlchemy

        return await acts.perform(store, name, arguments, surroundings)

    return perform


def socket_path(database: Path) -> Path:
    """Give where the daemon that owns a database listens."""
    return database.with_name(database.name + ".sock")


@asynccontextmanager
async def serve(
    path: Path, perform: Perform, log: Log, *, patience: float = 10.0
) -> AsyncIterator[None]:
    """Answer requests at ``path`` while the context is open; the file goes with it.

    Only for the process that owns the database: a socket that is there already is stale, and is
    replaced.

    :param perform: what :func:`commands` gives.
    :param patience: how long a caller may take to say what it wants, in seconds.
    :raises RouterError: in words, if the socket cannot be made.
    """
    try:
        _clear(path)
        with _short(path) as short:
            listener = await anyio.create_unix_listener(short, mode=0o600)
    except OSError as error:
        message = (
            f"cannot listen on {path}: {error.strerror or error}. Commands reach the router there: "
            "remove what is in its place, and let the router write into the folder"
        )
        raise RouterError(message) from error

    async def answer(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await stream.send(await _answer(stream, perform, log, patience))

    try:
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, answer)
            yield
            tasks.cancel_scope.cancel()
    finally:
        _clear(path)


def _clear(path: Path) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()


async def _answer(
    stream: anyio.abc.SocketStream, perform: Perform, log: Log, patience: float
) -> bytes:
    try:
        with anyio.fail_after(patience):
            request = json.loads(await _line(stream))
        name, arguments = request["do"], request["with"]
    except _UNREADABLE as error:
        return _as_line({"failed": f"the request cannot be read: {error!r}"})
    try:
        return _as_line({"ok": await perform(name, arguments)})
    except NotFound as error:
        answer: dict[str, Any] = {"missing": str(error)}
    except ActRefused as error:
        answer = {"refused": str(error)}
    except RouterError as error:
        answer = {"failed": str(error)}
    except Exception as error:  # noqa: BLE001 - as a worker turn: one command fails alone
        log.error("a command broke", command=name, error=repr(error))
        answer = {"failed": f'"{name}" broke inside the daemon: {error!r}. Its log says where'}
    return _as_line(answer)


def _as_line(message: Mapping[str, Any]) -> bytes:
    # Half a character, which UTF-8 has no bytes for, as JSON may write it.
    return json.dumps(message, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


async def _line(stream: anyio.abc.SocketStream) -> bytes:
    data = b""
    while b"\n" not in data:
        if len(data) > LIMIT:
            message = f"longer than {LIMIT} bytes"
            raise ValueError(message)
        data += await stream.receive()
    return data.partition(b"\n")[0]


def ask(
    path: Path, name: str, arguments: Mapping[str, Any], *, timeout: float = 30.0
) -> dict[str, Any]:
    """Ask the daemon that listens at ``path``. Blocks; for commands, not for the daemon.

    :raises DaemonUnreachable: if nobody answers, or what is answered cannot be read.
    :raises NotFound: in the daemon's words.
    :raises ActRefused: in the daemon's words.
    :raises RouterError: what else went wrong there, in its words.
    """
    request = _as_line({"do": name, "with": dict(arguments)})
    try:
        with socket.socket(socket.AF_UNIX) as connection, _short(path) as short:
            connection.settimeout(timeout)
            connection.connect(short)
            connection.sendall(request)
            data = b""
            while not data.endswith(b"\n") and (part := connection.recv(65536)):
                data += part
    except OSError as error:
        raise DaemonUnreachable(_why(path, error, timeout)) from error
    try:
        answer = json.loads(data)
    except ValueError:
        raise DaemonUnreachable(f"{path} was closed before the daemon answered") from None
    match answer:
        case {"ok": dict() as result}:
            return result
        case {"missing": str() as words}:
            raise NotFound(words)
        case {"refused": str() as words}:
            raise ActRefused(words)
        case _:
            raise RouterError(str(answer.get("failed", "the daemon answered something else")))


def _why(path: Path, error: OSError, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"the daemon did not answer on {path} within {timeout:g} s. See its log"
    if isinstance(error, PermissionError):
        return f"{path} may not be opened. Run this as the user that runs the daemon"
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return (
            f"nobody listens on {path}. Whoever has the database open is no running daemon, or is "
            "just starting or stopping: try again"
        )
    return f"{path} cannot be used: {error.strerror or error}"


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Give a name of a path that fits into a socket's address."""
    text = os.fspath(path)
    if len(os.fsencode(text)) <= _LONGEST or not Path("/proc/self/fd").is_dir():
        yield text
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
