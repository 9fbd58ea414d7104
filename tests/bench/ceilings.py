"""What the machine can do without us, in the same run: the server's empty answer, the disk."""

import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

APP = "tests.bench.ceilings"


async def empty(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer 200 with nothing, after reading the body."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def append(folder: Path, *, seconds: float, size: int = 600) -> tuple[float, float, float]:
    """Append a record and fdatasync it, over and over; give rate, p50 and p99 in ms."""
    record = b"x" * size
    times = []
    descriptor = os.open(folder / "append", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        os.write(descriptor, record)
        os.fdatasync(descriptor)
        times.append((time.perf_counter() - began) * 1000)
    os.close(descriptor)
    cuts = quantiles(times, n=100)
    return len(times) / seconds, cuts[49], cuts[98]


def main() -> None:
    """Serve :func:`empty` with the engine named first, until told to stop."""
    import signal

    import anyio

    from router.web import server

    async def serve() -> None:
        listener = server.listen("127.0.0.1", 0)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/health", flush=True)
        stop = anyio.Event()

        async def wait() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    stop.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await server.serve(empty, listener, engine=sys.argv[1], shutdown=stop.wait)  # type: ignore[arg-type]
            tasks.cancel_scope.cancel()

    anyio.run(serve, backend_options={"use_uvloop": True})


if __name__ == "__main__":
    main()
