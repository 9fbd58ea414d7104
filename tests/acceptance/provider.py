"""A provider on this machine that remembers what it was sent, and misbehaves when told to."""

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

#: Below this path a message whose id was seen before is answered, and changes nothing.
IDEMPOTENT = "/idempotent"
PLAIN = "/plain"


@dataclass(frozen=True, slots=True)
class Received:
    """One request that the provider took.

    :param new: ``False`` for a repeat that changed nothing.
    """

    id: str
    to: str
    text: str
    in_reply_to: str | None
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Whim:
    """How the provider treats one request.

    :param taken: the message counts as sent.
    :param seconds: how long it thinks between taking and answering.
    :param hang_up: it closes the connection instead of answering.
    """

    taken: bool = True
    status: int = 200
    retry_after: int | None = None
    seconds: float = 0.0
    hang_up: bool = False


THROTTLED = Whim(taken=False, status=429, retry_after=1)
BROKEN = Whim(status=500)
HANGS_UP = Whim(hang_up=True)
SILENT = Whim(seconds=60.0, hang_up=True)


def slow(seconds: float) -> Whim:
    return Whim(seconds=seconds)


Mood: TypeAlias = Callable[[dict[str, Any]], Whim | None]


class Provider:
    """What the tests know of the provider."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._seen: dict[str, str] = {}
        self._next: deque[Whim] = deque()
        self._closed = threading.Event()
        #: Asked for each message for which no whim was ordered.
        self.mood: Mood = lambda _message: None
        self.url = ""

    def misbehave(self, *whims: Whim) -> None:
        """Treat the next requests like this, one each."""
        with self._lock:
            self._next.extend(whims)

    def received(self) -> list[Received]:
        """Give every request that was taken, in order, repeats included."""
        with self._lock:
            return list(self._received)

    def effects(self) -> list[Received]:
        """Give what customers got, in order."""
        return [message for message in self.received() if message.new]

    def take(self, path: str, message: dict[str, Any]) -> tuple[str, Whim]:
        with self._lock:
            whim = self._next.popleft() if self._next else self.mood(message) or Whim()
            name: str = message["id"]
            if not whim.taken:
                return "", whim
            before = self._seen.get(name) if path.startswith(IDEMPOTENT) else None
            provider_id = before or f"ledger-{len(self._received)}"
            self._seen[name] = provider_id
            self._received.append(
                Received(
                    name, message["to"], message["text"], message["in_reply_to"], before is None
                )
            )
            return provider_id, whim

    def think(self, seconds: float) -> None:
        self._closed.wait(seconds)

    def close(self) -> None:
        self._closed.set()


class Handler(BaseHTTPRequestHandler):
    """One connection, whose other end may be killed at any moment."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def handle(self) -> None:
        with suppress(OSError):  # whoever sent this was killed
            super().handle()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving(handler: Callable[..., Handler], port: int = 0) -> Iterator[Server]:
    """Answer at a port of this machine until the context is left.

    :param handler: a class of it, or what makes one.
    """
    with Server(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="provider")
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def running() -> Iterator[Provider]:
    """Run a provider until the context is left."""
    provider = Provider()

    class LedgerHandler(Handler):
        def do_POST(self) -> None:
            provider_id, whim = provider.take(self.path, json.loads(self.body()))
            if whim.seconds:
                provider.think(whim.seconds)
            if whim.hang_up:
                self.hang_up()
                return
            wait = {} if whim.retry_after is None else {"Retry_After": str(whim.retry_after)}
            self.answer(whim.status, json.dumps({"id": provider_id}).encode(), **wait)

    with serving(LedgerHandler) as server:
        provider.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield provider
        finally:
            provider.close()
