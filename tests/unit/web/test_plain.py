"""Plain requests are read and answered as h11 does it, byte by byte; h11 is the judge."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.web.plain import PlainConnection, answered

POST = b"POST /hooks/x?a=1 HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\nX-Sign: a b\r\n\r\nhola"
GET = b"GET /health HTTP/1.1\r\nhost: here:80\r\nConnection: Keep-Alive\r\n\r\n"

_EMPTY = (200, ((b"content-length", b"0"), (b"Date", b"today")), b"")
_SHORT = (403, ((b"X-Why", b"so it is"), (b"content-length", b"5")), b"words")


class Asked(h11.Connection):
    """h11's connection, which remembers what it was given."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER)
        self.given = b""

    def receive_data(self, data: bytes) -> None:
        self.given += data
        super().receive_data(data)


def _told(event: Any) -> Any:
    match event:
        case h11.Request():
            return (event.method, event.target, list(event.headers), event.http_version)
        case h11.Data():
            return bytes(event.data)
        case h11.EndOfMessage():
            return ("end", list(event.headers))
    return event


def _talk(connection: Any, chunks: Sequence[bytes], answers: Sequence[Any]) -> list[Any]:
    """Give all that a server is told and writes; it answers each request once it has all of it."""
    told: list[Any] = []
    left = list(answers)

    def listen() -> bool:
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as error:
                told.append(("error", error.error_status_hint))
                return False
            if event in (h11.NEED_DATA, h11.PAUSED):
                told.append(connection.they_are_waiting_for_100_continue)
                return True
            told.append(_told(event))
            if isinstance(event, h11.EndOfMessage) and left:
                answer(*left.pop(0))

    def answer(status: int, headers: Any, body: bytes) -> None:
        event = answered(status, headers)
        try:
            for each in (event, *([h11.Data(data=body)] if body else []), h11.EndOfMessage()):
                thorough = isinstance(connection, Asked) and each is event
                told.append(connection.send(event.event if thorough else each))
        except h11.LocalProtocolError as error:
            told.append(str(error))
        told.append((connection.our_state, connection.their_state))
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            connection.start_next_cycle()

    for chunk in chunks:
        connection.receive_data(chunk)
        if not listen():
            break
    told.append((connection.our_state, connection.their_state, connection.trailing_data))
    return _joined(told)


def _joined(told: list[Any]) -> list[Any]:
    """Put pieces of one body together: how it is cut says nothing."""
    result: list[Any] = []
    for each in told:
        if isinstance(each, bytes) and result and isinstance(result[-1], bytes):
            result[-1] += each
        elif each != b"":
            result.append(each)
    return result


def _same(chunks: Sequence[bytes], answers: Sequence[Any]) -> Asked:
    asked = Asked()

    assert _talk(PlainConnection(asked), chunks, answers) == _talk(Asked(), chunks, answers)
    return asked


@pytest.mark.parametrize("answer", [_EMPTY, _SHORT])
@pytest.mark.parametrize(
    "request_",
    [
        POST,
        GET,
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX-Empty:\r\nx-empty: \r\n\r\n",
        b"POST / HTTP/1.1\r\nHost:x\r\nA:  b  \r\nA: c\r\nContent-Length: 2\r\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_a_plain_request_is_answered_without_asking_h11(request_: bytes, answer: Any) -> None:
    asked = _same([request_] * 3, [answer] * 3)

    assert asked.given == b""


_ODD = [
    b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
    b"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\n Content-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nA: \xc3\xb1\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nA: b\x00\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
    POST + GET,
    POST + b"\r\n",
    POST + b"GARBAGE",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000,
    b"GARBAGE\r\n\r\n",
]


@pytest.mark.parametrize("odd", _ODD)
@pytest.mark.parametrize("before", [[], [POST], [GET, POST]], ids=["first", "second", "third"])
def test_what_is_not_plain_is_h11s_business_alone(odd: bytes, before: list[bytes]) -> None:
    asked = _same([*before, odd, POST, GET], [_EMPTY, _SHORT, _EMPTY, _SHORT, _EMPTY, _EMPTY])

    assert asked.given.startswith(odd)


_ANSWERS = [
    pytest.param(200, ((b"content-type", b"text/plain"),), b"no length", id="chunked"),
    pytest.param(204, ((b"content-length", b"0"),), b"", id="without a body"),
    pytest.param(200, ((b"content-length", b"2"), (b"connection", b"close")), b"ab", id="last"),
    pytest.param(200, ((b"transfer-encoding", b"chunked"),), b"ab", id="encoded"),
    pytest.param(200, ((b"content-length", b"1"),), b"ab", id="too long"),
    pytest.param(200, ((b"content-length", b"3"),), b"ab", id="too short"),
]


@pytest.mark.parametrize(("status", "headers", "body"), _ANSWERS)
def test_an_answer_that_is_not_plain_is_h11s_business_though_its_request_was(
    status: int, headers: Any, body: bytes
) -> None:
    asked = _same([POST, POST, GET], [_EMPTY, (status, headers, body), _SHORT])

    assert asked.given.startswith(POST)


def test_a_request_that_comes_before_the_last_is_answered_waits() -> None:
    _same([POST, GET, POST], [])

    connection = PlainConnection(Asked())
    connection.receive_data(POST)
    assert [_told(connection.next_event()) for _ in range(3)][1:] == [b"hola", ("end", [])]
    assert connection.next_event() is h11.NEED_DATA
    head = answered(_SHORT[0], _SHORT[1])
    written = connection.send(head)
    connection.receive_data(GET)

    assert connection.next_event() is h11.PAUSED
    assert written is not None
    assert written.endswith(b"\r\n\r\n")
    assert connection.send(h11.Data(data=b"words")) == b"words"
    assert connection.send(h11.EndOfMessage()) == b""
    connection.start_next_cycle()
    assert _told(connection.next_event())[:2] == (b"GET", b"/health")


@pytest.mark.parametrize("headers", [((b"x", b"a\r\nb: c"),), ((b"x y", b"z"),)])
def test_an_answer_with_a_header_that_is_none_is_refused(headers: Any) -> None:
    with pytest.raises(h11.LocalProtocolError):
        answered(200, ((b"content-length", b"0"), *headers))


_NAMES = st.sampled_from(
    [b"A", b"x-sign", b"Content-Length", b"Host", b"Connection", b"Expect", b"TE", b"X_y"]
)
_VALUES = st.sampled_from(
    [b"", b" ", b" a", b" a b ", b"\ta", b" 0", b" 4", b" close", b" keep-alive", b" \xe9", b": x"]
)
_LINES = st.lists(st.tuples(_NAMES, _VALUES), max_size=4)
_REQUESTS = st.builds(
    lambda method, lines, body: (
        b"%s / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % (method, len(body))
        + b"".join(b"%s:%s\r\n" % line for line in lines)
        + b"\r\n"
        + body
    ),
    st.sampled_from([b"GET", b"POST"]),
    _LINES,
    st.sampled_from([b"", b"hola", POST]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.one_of(_REQUESTS, st.sampled_from([POST, GET, *_ODD[:-2]])), max_size=4),
    st.lists(st.integers(0, 600), max_size=3),
    st.lists(st.sampled_from([_EMPTY, _SHORT, *(it.values for it in _ANSWERS)]), max_size=5),
)
def test_however_it_is_cut_it_is_told_and_answered_as_h11_does_it(
    requests: list[bytes], cuts: list[int], answers: list[Any]
) -> None:
    _same(requests, answers)
    whole = b"".join(requests)
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    _same([whole[a:b] for a, b in pairwise(places) if a < b], answers)
