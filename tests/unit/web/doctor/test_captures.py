"""Saved requests are read, whatever saved them."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.web.doctor.captures import Capture, read_capture

BODY = b'{"text": "\xc3\xb1and\xc3\xba"}'
RAW = (
    b"POST /hooks/acme?key=1 HTTP/1.1\r\nHost: desk.example.org\r\nX-Sign: a\r\nx-sign: b\r\n"
    b"Content-Length: 19\r\n\r\n" + BODY
)
HEADERS = {"host": "desk.example.org", "x-sign": "a, b", "content-length": "19"}


def as_json(**more: Any) -> bytes:
    given = {"method": "POST", "url": "/hooks/acme?key=1", "body": BODY.decode(), **more}
    return json.dumps(given).encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(RAW, id="raw"),
        pytest.param(RAW.replace(b"\r\n", b"\n"), id="raw with the line ends of Unix"),
        pytest.param(RAW + b"\n", id="raw from an editor that ends each file with a line end"),
        pytest.param(b"\xef\xbb\xbf\n" + RAW, id="raw behind a byte-order mark"),
        pytest.param(
            as_json(headers={"Host": "desk.example.org", "X-Sign": ["a", "b"]}), id="an object"
        ),
        pytest.param(
            as_json(headers=[["Host", "desk.example.org"], ["X-Sign", "a"], ["X-Sign", "b"]]),
            id="pairs",
        ),
        pytest.param(
            json.dumps(
                {
                    "method": "post",
                    "url": "/hooks/acme?key=1",
                    "headers": {"Host": "desk.example.org", "X-Sign": "a, b"},
                    "body_base64": base64.b64encode(BODY).decode(),
                }
            ).encode(),
            id="a body in base64",
        ),
        pytest.param(
            json.dumps({"request": {"raw": base64.b64encode(RAW).decode()}}).encode(),
            id="one request of a tunnel's inspector",
        ),
        pytest.param(
            json.dumps(
                {"requests": [{"request": {"raw": base64.b64encode(RAW).decode()}}]}
            ).encode(),
            id="a list of them",
        ),
        pytest.param(
            json.dumps(
                {
                    "log": {
                        "entries": [
                            {
                                "request": {
                                    "method": "POST",
                                    "url": "/hooks/acme?key=1",
                                    "headers": [
                                        {"name": "Host", "value": "desk.example.org"},
                                        {"name": "X-Sign", "value": "a, b"},
                                    ],
                                    "postData": {"text": BODY.decode()},
                                }
                            }
                        ]
                    }
                }
            ).encode(),
            id="HAR",
        ),
    ],
)
def test_the_same_request_is_read_from_every_form(data: bytes) -> None:
    capture = read_capture(data)

    assert (capture.method, capture.path, capture.query) == ("POST", "/hooks/acme", "key=1")
    assert capture.body == BODY
    expected = {name: value for name, value in HEADERS.items() if name in capture.headers}
    assert capture.headers == expected
    assert {"host", "x-sign"} <= set(capture.headers)
    assert capture.notes == ()


@pytest.mark.parametrize("key", ["requests", None])
def test_of_several_the_one_is_read_that_was_posted_to_a_webhook(key: str | None) -> None:
    several = [
        {"request": {"method": "GET", "uri": "/health/live"}},
        {"odd": True},
        {"request": {"method": "GET", "uri": "/hooks/acme/test"}},
        {"request": {"method": "POST", "uri": "/hooks/acme", "body": "newest"}},
        {"request": {"method": "POST", "uri": "/hooks/acme", "body": "older"}},
    ]

    capture = read_capture(json.dumps(several if key is None else {key: several}).encode())

    assert (capture.method, capture.body) == ("POST", b"newest")


def test_chunks_are_put_together() -> None:
    data = (
        b"POST /hooks/acme HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhola \r\n6;x=1\r\nmundo!\r\n0\r\n\r\n"
    )

    assert read_capture(data).body == b"hola mundo!"


def test_a_body_that_is_in_one_piece_already_stays_so() -> None:
    data = b"POST /hooks/acme HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nhola mundo"

    assert read_capture(data).body == b"hola mundo"


def test_a_body_of_another_length_is_told() -> None:
    capture = read_capture(b"POST /hooks/acme HTTP/1.1\r\nContent-Length: 9\r\n\r\nhola")

    assert capture.body == b"hola"
    assert capture.notes == (
        "Its Content-Length says 9 bytes, and its body has 4: it was not saved as it came.",
    )


@pytest.mark.parametrize(
    "target, origin, path, query",
    [
        ("/hooks/acme", None, "/hooks/acme", ""),
        ("https://a.example:8443/hooks/acme?x=/y", "https://a.example:8443", "/hooks/acme", "x=/y"),
        ("http://a.example", "http://a.example", "/", ""),
        ("https://[a.example/hooks/acme", None, "/hooks/acme", ""),
        ("/hooks/acme?u=http://b.example/#f", None, "/hooks/acme", "u=http://b.example/"),
    ],
)
def test_an_address_may_be_whole_or_a_path(
    target: str, origin: str | None, path: str, query: str
) -> None:
    capture = Capture(method="POST", target=target)

    assert (capture.origin, capture.path, capture.query) == (origin, path, query)


@pytest.mark.parametrize(
    "key, text, moment",
    [
        ("received_at", "2026-03-02T09:00:00Z", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("start", "2026-03-02T04:00:00-05:00", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("received_at", "2026-03-02T09:00:00", None),
        ("received_at", "yesterday", None),
    ],
)
def test_when_it_came_is_read_where_the_file_tells(
    key: str, text: str, moment: datetime | None
) -> None:
    assert read_capture(as_json(**{key: text})).received_at == moment


@pytest.mark.parametrize(
    "data, words",
    [
        (b" \n", "it is empty"),
        (b"x" * (16 << 20) + b"x", "it is longer than 16 MiB"),
        (b"{oops", "it begins like JSON, and is none"),
        (b"[]", "it is an empty list"),
        (b"[1]", "it is no JSON object"),
        (b"{}", 'it has no "url"'),
        (b'{"url": "/x", "method": "FLY"}', 'its "method" is none'),
        (as_json(body={"text": "a"}), 'its "body" is no text'),
        (as_json(body_base64="%"), "its body is no base64"),
        (as_json(headers=["x"]), 'its "headers" are neither'),
        (b"hello", "its first line is no request"),
        (b"FLY /x HTTP/1.1\r\n\r\n", "its first line is no request"),
    ],
)
def test_what_is_no_request_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_capture(data)


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(lambda it: RAW[:40] + it)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        capture = read_capture(data)
    except ValueError:
        return
    assert capture.method


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["request", "url", "headers", "body", "log", "entries", "raw"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        capture = read_capture(json.dumps([value]).encode())
    except ValueError:
        return
    assert capture.target
