import gzip
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from router.plugin import File, Refused, is_trusted, origin_of, read_failure, read_file

HOSTS = ("media.example.com", "*.cdn.example.com")
API = "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("url", "base_url", "expected"),
    [
        ("https://media.example.com/a", API, True),
        ("https://MEDIA.example.com/a", API, True),
        ("https://media.example.com:8443/a", API, True),
        ("https://a.cdn.example.com/a", API, True),
        ("https://a.b.cdn.example.com/a", API, True),
        ("https://cdn.example.com/a", API, False),
        ("https://evilcdn.example.com/a", API, False),
        ("https://media.example.com.evil.example/a", API, False),
        ("https://media.example.com@evil.example/a", API, False),
        ("https://user:secret@media.example.com/a", API, False),
        ("http://media.example.com/a", API, False),
        ("http://media.example.com/a", "http://127.0.0.1:9/v1", True),
        ("https://169.254.169.254/latest/meta-data", API, False),
        ("https://127.0.0.1/a", API, False),
        ("file:///etc/passwd", API, False),
        ("ftp://media.example.com/a", API, False),
        ("https:///a", API, False),
        ("https://[::1/a", API, False),
        ("https://media.example.com:99999/a", API, False),
        ("", API, False),
        ("https://media.example.com/a", "nowhere", False),
    ],
)
def test_only_hosts_that_are_named_are_trusted(url: str, base_url: str, expected: bool) -> None:
    assert is_trusted(url, HOSTS, base_url) is expected


def test_an_origin_has_its_port_whether_written_or_not() -> None:
    assert origin_of("https://a.example/x") == origin_of("https://a.example:443")
    assert origin_of("https://a.example") != origin_of("http://a.example")


async def test_a_file_is_read_up_to_its_limit() -> None:
    response = httpx.Response(200, headers={"Content-Type": "Image/PNG; a=b"}, content=b"123")

    assert await read_file(response, 3) == File("image/png", b"123")


async def test_a_file_beyond_its_limit_is_refused() -> None:
    with pytest.raises(Refused, match="the file has more than 2 bytes"):
        await read_file(httpx.Response(200, content=b"123"), 2)


class Stream(httpx.AsyncByteStream):
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


def packed(packing: str, *chunks: bytes) -> httpx.Response:
    return httpx.Response(200, headers={"Content-Encoding": packing}, stream=Stream(*chunks))


@pytest.mark.parametrize(
    ("packing", "data"),
    [
        ("", b"hola"),
        ("identity", b"hola"),
        ("gzip", gzip.compress(b"hola", mtime=0)),
        (" X-GZIP ", gzip.compress(b"hola", mtime=0)),
        ("deflate", zlib.compress(b"hola")),
    ],
)
async def test_a_file_that_was_packed_once_is_unpacked(packing: str, data: bytes) -> None:
    pieces = [data[n : n + 1] for n in range(len(data))]

    assert (await read_file(packed(packing, *pieces), 4)).data == b"hola"
    with pytest.raises(Refused, match="the file has more than 3 bytes"):
        await read_file(packed(packing, data), 3)


@pytest.mark.parametrize(
    ("packing", "data", "words"),
    [
        ("gzip, gzip", b"x", "packed in a way that is not understood: 'gzip, gzip'"),
        ("br", b"x", "packed in a way that is not understood: 'br'"),
        ("gzip", b"hola", "the file is packed, and damaged"),
        ("gzip", gzip.compress(b"hola", mtime=0)[:-9], "the file is packed, and ends too early"),
        ("gzip", b"", "the file is packed, and ends too early"),
    ],
)
async def test_a_file_that_cannot_be_unpacked_is_refused(
    packing: str, data: bytes, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        await read_file(packed(packing, data), 100)


def failed(*chunks: bytes, packing: str = "") -> httpx.Response:
    headers = {"Content-Encoding": packing, "Content-Length": "9", "Retry-After": "7"}
    request = httpx.Request("GET", "https://files.example.com/1")
    return httpx.Response(429, headers=headers, stream=Stream(*chunks), request=request)


@pytest.mark.parametrize(
    ("packing", "data", "said"),
    [
        ("", b'{"code": 1}', b'{"code": 1}'),
        ("gzip", gzip.compress(b'{"code": 1}', mtime=0), b'{"code": 1}'),
        ("gzip", gzip.compress(bytes(1 << 24), mtime=0), bytes(1 << 16)),
        ("", bytes(1 << 20), bytes(1 << 16)),
        ("gzip", b"damaged", b""),
        ("br", b"x", b""),
    ],
)
async def test_of_a_failure_the_beginning_is_read(packing: str, data: bytes, said: bytes) -> None:
    again = await read_failure(failed(data, packing=packing))

    assert (again.status_code, again.headers["Retry-After"]) == (429, "7")
    assert again.content == said
    assert again.request.url.host == "files.example.com"


async def test_of_an_endless_failure_no_more_is_read_than_is_kept() -> None:
    read = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal read
            while True:
                read += 1 << 10
                yield bytes(1 << 10)

    request = httpx.Request("GET", "https://files.example.com/1")
    await read_failure(httpx.Response(500, stream=Endless(), request=request))

    assert read == 1 << 16
