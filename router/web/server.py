"""The HTTP server in our own process: hypercorn, or uvicorn where it was chosen."""

import logging
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from router.errors import RouterError

if TYPE_CHECKING:
    from router.web.asgi import ASGIApp

_BACKLOG = 1024
#: Seconds that requests under way get to finish.
_GRACE = 5.0


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
    except OSError as error:
        listener.close()
        message = (
            f"cannot listen on {host} port {port}: {error.strerror}. "
            "Stop what uses it, or choose another with --port or [server] port"
        )
        raise ServerError(message) from error
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


async def serve(
    app: "ASGIApp",
    listener: socket.socket,
    *,
    engine: str,
    shutdown: Callable[[], Awaitable[None]],
) -> None:
    """Serve until ``shutdown()`` returns, then let requests under way finish."""
    if engine == "uvicorn":
        await _uvicorn(app, listener, shutdown)
    else:
        await _hypercorn(app, listener, shutdown)


async def _hypercorn(
    app: "ASGIApp", listener: socket.socket, shutdown: Callable[[], Awaitable[None]]
) -> None:
    from functools import partial

    import anyio
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config

    config = Config()
    # Detached: two owners of one descriptor would close it twice, and the second time another's.
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = None
    # Its "Running on" line is ours to print; warnings reach our log like any library's.
    config.errorlog = logging.getLogger("hypercorn")
    config.graceful_timeout = _GRACE
    config.keep_alive_timeout = 75.0
    config.include_server_header = False
    # In a task of its own: when it shuts down it leaves a cancellation pending on the task it ran
    # in, which would look like ours.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            partial(hypercorn_serve, app, config, shutdown_trigger=shutdown, mode="asgi")  # type: ignore[arg-type]
        )


async def _uvicorn(
    app: "ASGIApp", listener: socket.socket, shutdown: Callable[[], Awaitable[None]]
) -> None:
    import anyio

    try:
        import uvicorn
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
        timeout_keep_alive=75,
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
