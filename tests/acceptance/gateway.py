"""A provider on this machine that takes JSON at any path, and answers what it is told to."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from tests.acceptance.provider import Handler, serving


@dataclass(frozen=True, slots=True)
class Call:
    """One request that the provider got."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


#: What a provider answers: a status and JSON.
Answer: TypeAlias = Callable[[Call], tuple[int, Any]]


@dataclass
class Gateway:
    """What the tests know of the provider.

    :ivar answer: asked for each request.
    """

    answer: Answer
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _calls: list[Call] = field(default_factory=list)

    def posted(self) -> list[Call]:
        """Give every POST, in order."""
        with self._lock:
            return [call for call in self._calls if call.method == "POST"]

    def take(self, call: Call) -> tuple[int, Any]:
        with self._lock:
            self._calls.append(call)
        return self.answer(call)


class _GatewayHandler(Handler):
    def __init__(self, gateway: Gateway, *arguments: Any) -> None:
        self._gateway = gateway
        super().__init__(*arguments)

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        content = self.body()
        self._answer(json.loads(content) if content else None)

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self._answer(None)

    def _answer(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, document = self._gateway.take(Call(self.command, self.path, headers, body))
        content = json.dumps(document).encode()
        self.answer(status, content, Content_Type="application/json")


@contextmanager
def running(answer: Answer) -> Iterator[Gateway]:
    """Run a provider until the context is left."""
    gateway = Gateway(answer)
    with serving(partial(_GatewayHandler, gateway)) as server:
        gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield gateway
