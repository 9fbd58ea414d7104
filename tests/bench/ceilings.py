"""What the machine can do without us, in the same run: the disk, an empty answer, a relay."""

import asyncio
import hmac
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

from router.plugin.transport import open_client
from tests.bench.site import SECRET

APP = "tests.bench.ceilings"
#: Requests to the provider under way at once, as many as the daemon sends.
_SENDING = 64


Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def empty(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer 200 with nothing, after reading the body."""
    if scope["type"] == "http":
        await _body(receive)
        await _nothing(send)


class Relay:
    """Verifies a webhook, answers it 200 and sends a reply: all of a reply that is HTTP.

    No rules, no store: what is not sent when the process dies is lost. It sends by the client that
    plugins have.

    :param provider: its address.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._client = open_client()
        self._room = asyncio.Semaphore(_SENDING)
        self._sending: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _body(receive)
        signature = dict(scope["headers"])[b"x-bench-signature"].decode()
        expected = hmac.digest(SECRET.encode(), body, "sha256").hex()
        if hmac.compare_digest(expected, signature):
            self._sending.add(task := asyncio.create_task(self._send(json.loads(body)["from"])))
            task.add_done_callback(self._sending.discard)
        await _nothing(send)

    async def _send(self, customer: str) -> None:
        message = {"to": customer, "text": "Abrimos de 9:00 a 19:00."}
        async with self._room:
            (await self._client.post(self._provider, json=message)).raise_for_status()


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


async def _nothing(send: Send) -> None:
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
    """Serve with the engine named first, until told to stop.

    :func:`empty`, or a :class:`Relay` where a provider's address comes second.
    """
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

        app: Any = Relay(sys.argv[2]) if len(sys.argv) > 2 else empty
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await server.serve(app, listener, engine=sys.argv[1], shutdown=stop.wait)
            tasks.cancel_scope.cancel()

    anyio.run(serve, backend_options={"use_uvloop": True})


if __name__ == "__main__":
    main()
