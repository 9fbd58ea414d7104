"""The HTTP server in our own process: hypercorn, or uvicorn where it was chosen."""

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from router.errors import RouterError
from router.web.door import Doors

if TYPE_CHECKING:
    from router.web.asgi import ASGIApp

_BACKLOG = 1024
#: What the system says of a port that is another's.
_TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES, errno.EPERM})
#: Seconds that requests under way get to finish.
_GRACE = 5.0
#: Seconds that a connection may wait for its next request. Proxies wait for about a minute, and
#: must not find that we hung up as they send.
_KEEP_ALIVE = 75


class ServerError(RouterError):
    """The server cannot start."""


def listen(host: str, port: int) -> socket.socket:
    """Take the port; connections wait from now on.

    :param port: 0 for any free one.
    :raises ServerError: in words, if it is taken or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, UnicodeError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or "there is no such host"
        remedy = (
            "Stop what uses it, or choose another with --port or [server] port"
            if getattr(error, "errno", None) in _TAKEN
            else "Name an address of this machine with --host or [server] host; 0.0.0.0 is every "
            "one"
        )
        raise ServerError(f"cannot listen on {host} port {port}: {why}. {remedy}") from error
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


async def serve(
    app: "ASGIApp",
    listener: socket.socket,
    *,
    engine: str,
    shutdown: Callable[[], Awaitable[None]],
    doors: Doors | None = None,
) -> None:
    """Serve until ``shutdown()`` returns, then let requests under way finish.

    :param doors: which connections may stay. Default: as many as there are descriptors for.
    """
    doors = doors or Doors()
    app = doors.watched(app)
    if engine == "uvicorn":
        await _uvicorn(app, listener, shutdown, doors)
    else:
        await _hypercorn(app, listener, shutdown, doors)


async def _hypercorn(
    app: "ASGIApp",
    listener: socket.socket,
    shutdown: Callable[[], Awaitable[None]],
    doors: Doors,
) -> None:
    """Serve with hypercorn's protocols, on connections of ours: its own loop lets everybody in."""
    from router.web.connection import Answering, Connections

    config = Answering()
    config.errorlog = logging.getLogger("hypercorn")
    connections = Connections(app, config, keep_alive=_KEEP_ALIVE)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        doors.behind(connections.make), sock=listener, backlog=_BACKLOG
    )
    try:
        await shutdown()
    finally:
        server.close()
        await connections.close(_GRACE)


async def _uvicorn(
    app: "ASGIApp",
    listener: socket.socket,
    shutdown: Callable[[], Awaitable[None]],
    doors: Doors,
) -> None:
    import anyio

    try:
        import uvicorn

        from router.web.heads import BoundedProtocol
    except ImportError as error:
        message = (
            '[server] engine = "uvicorn" needs the extra: pip install "channel-router[uvicorn]"'
        )
        raise ServerError(message) from error

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=int(_GRACE),
        timeout_keep_alive=_KEEP_ALIVE,
        # Who the client is, is judged by [router] trusted_proxies, and by nobody before it.
        proxy_headers=False,
        ws="none",
        http=doors.behind(BoundedProtocol),  # type: ignore[arg-type]
    )

    class Server(uvicorn.Server):
        def install_signal_handlers(self) -> None:
            """Leave signals to the daemon."""

        def capture_signals(self) -> Any:
            from contextlib import nullcontext

            return nullcontext()

    server = Server(config)
    async with anyio.create_task_group() as tasks:

        async def stop() -> None:
            await shutdown()
            server.should_exit = True

        tasks.start_soon(stop)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()
