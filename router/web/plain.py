"""Plain requests: what nearly every webhook is, read at one glance.

h11 takes a request apart line by line and checks every step of both sides, for half of what a
webhook costs until it is handed to us. A request of the plainest form, here in one piece, has one
meaning only and is read by one pattern. Everything else is h11's, and so is what turns out to be
anything else halfway: then h11 is told all that was read and answered until then, and goes on.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import h11
from hypercorn.protocol.events import Event, Response
from hypercorn.protocol.h11 import H11Protocol

#: No longer ones are looked at, in bytes.
_LONGEST: Final = 16 * 1024

_HEAD: Final = re.compile(rb"(POST|GET) (/[!-~]*) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+:[ -~]*\r\n)+)\r\n")
_LENGTH: Final = re.compile(rb"[0-9]{1,6}")

#: Headers that change what a request or an answer is, or where it ends.
_NOT_PLAIN: Final = frozenset(
    {b"transfer-encoding", b"expect", b"upgrade", b"http2-settings", b"trailer", b"te"}
)

_Headers = list[tuple[bytes, bytes]]

_END: Final = h11.EndOfMessage()


class _Request(h11.Request):
    """A request whose form is known to be right."""

    def __init__(self, method: bytes, target: bytes, headers: _Headers) -> None:
        put = object.__setattr__  # the base class is frozen
        put(self, "method", method)
        put(self, "target", target)
        put(self, "headers", headers)
        put(self, "http_version", b"1.1")


def _read(data: bytes) -> list[h11.Event] | None:
    """Give the events of a plain request that is all there, with nothing behind it."""
    if len(data) > _LONGEST:
        return None
    head = _HEAD.match(data)
    if head is None:
        return None
    method, target, lines = head.groups()
    headers: _Headers = []
    seen: dict[bytes, bytes] = {}
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" ")
        headers.append((name, value))
        if name in seen and name in (b"host", b"content-length", b"connection"):
            return None
        seen[name] = value
    if b"host" not in seen or not _NOT_PLAIN.isdisjoint(seen):
        return None
    if seen.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    announced = seen.get(b"content-length", b"0")
    body = data[head.end() :]
    if not _LENGTH.fullmatch(announced) or int(announced) != len(body):
        return None
    request = _Request(method, target, headers)
    return [request, h11.Data(data=body), _END] if body else [request, _END]


@dataclass(frozen=True, slots=True)
class _Answer:
    """The head of an answer, checked and written once for all that are the same.

    :ivar head: as h11 writes it, if it is plain, and ``length`` of the body that is to follow.
    """

    event: h11.Response
    head: bytes | None
    length: int = 0


@lru_cache(maxsize=64)
def answered(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> _Answer:
    """Prepare the head of an answer.

    :raises h11.LocalProtocolError: if a header is none.
    """
    event = h11.Response(status_code=status, headers=list(headers))
    length = None
    parts = [b"HTTP/1.1 %d %s\r\n" % (status, event.reason)]
    for raw_name, value in event.headers.raw_items():
        name = raw_name.lower()
        if name == b"content-length" and length is None and _LENGTH.fullmatch(value):
            length = int(value)
        elif name in _NOT_PLAIN or name in (b"content-length", b"connection", b"host"):
            return _Answer(event, None)
        parts.append(b"%s: %s\r\n" % (raw_name, value))
    if length is None or status in (204, 304):
        return _Answer(event, None)
    return _Answer(event, b"".join([*parts, b"\r\n"]), length)


class PlainConnection:
    """Has the face of an ``h11.Connection`` as a server's protocol sees it.

    :param thorough: what reads and writes all that is not plain.
    """

    def __init__(self, thorough: h11.Connection) -> None:
        self._thorough = thorough
        #: The plain request under way as it came in; ``None`` while there is none.
        self._raw: bytes | None = None
        #: What is still to be given of it, and how much was.
        self._events: list[Any] = []
        self._given = 0
        #: What was sent in answer, and how much of its body is to come.
        self._sent: list[Any] = []
        self._left = 0

    # What comes in

    def receive_data(self, data: bytes) -> None:
        if self._raw is not None:
            self._hand_over()  # the next request is here before this one was answered
        elif self._is_idle and (events := _read(data)) is not None:
            self._raw, self._events, self._given, self._sent = data, events, 0, []
            return
        self._thorough.receive_data(data)

    @property
    def _is_idle(self) -> bool:
        thorough = self._thorough
        return (
            thorough.our_state is h11.IDLE
            and thorough.their_state is h11.IDLE
            and not thorough.trailing_data[0]
        )

    def next_event(self) -> Any:
        if self._raw is None:
            return self._thorough.next_event()
        if self._given == len(self._events):
            return h11.NEED_DATA
        event = self._events[self._given]
        self._given += 1
        return event

    # What goes out

    def send(self, event: Any) -> bytes | None:
        if self._raw is not None:
            written = self._plainly(event)
            if written is not None:
                return written
            self._hand_over()
        return self._thorough.send(event.event if type(event) is _Answer else event)

    def _plainly(self, event: Any) -> bytes | None:
        """Give what to write, or ``None`` if there is more to it."""
        kind = type(event)
        if kind is _Answer and event.head is not None and not self._sent:
            self._left = event.length
            self._sent.append(event.event)
            return event.head  # type: ignore[no-any-return]
        if kind is h11.Data and self._sent and len(event.data) <= self._left:
            self._left -= len(event.data)
            self._sent.append(event)
            return bytes(event.data)
        if kind is h11.EndOfMessage and self._sent and not self._left and not event.headers:
            self._sent.append(event)
            return b""
        return None

    def _hand_over(self) -> None:
        raw, self._raw = self._raw, None
        if raw is None:
            return
        self._thorough.receive_data(raw)
        for _ in range(self._given):
            self._thorough.next_event()
        for event in self._sent:
            self._thorough.send(event)

    # Where both sides are

    @property
    def our_state(self) -> Any:
        if self._raw is None:
            return self._thorough.our_state
        if not self._sent:
            return h11.SEND_RESPONSE
        return h11.DONE if type(self._sent[-1]) is h11.EndOfMessage else h11.SEND_BODY

    @property
    def their_state(self) -> Any:
        if self._raw is None:
            return self._thorough.their_state
        return h11.DONE if self._given == len(self._events) else h11.SEND_BODY

    @property
    def they_are_waiting_for_100_continue(self) -> bool:
        return self._raw is None and self._thorough.they_are_waiting_for_100_continue

    @property
    def trailing_data(self) -> tuple[bytes, bool]:
        return self._thorough.trailing_data

    def start_next_cycle(self) -> None:
        if self._raw is None:
            self._thorough.start_next_cycle()
        else:
            self._raw, self._events, self._sent = None, [], []


class PlainProtocol(H11Protocol):
    """hypercorn's protocol, with an eye for what is plain."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connection = PlainConnection(self.connection)  # type: ignore[assignment,arg-type]

    async def stream_send(self, event: Event) -> None:
        last = self.keep_alive_requests >= self.config.keep_alive_max_requests
        if type(event) is not Response or event.status_code < 200 or last:
            await super().stream_send(event)
            return
        headers = (*event.headers, *self.config.response_headers("h11"))
        await self._send_h11_event(answered(event.status_code, headers))  # type: ignore[arg-type]
