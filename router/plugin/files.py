"""Files at addresses that came from outside: which hosts are trusted, and how much is read."""

import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from router.domain.message import File
from router.errors import Refused

if TYPE_CHECKING:
    import httpx

_PORTS = {"http": 80, "https": 443}

#: How zlib reads what is packed once, by the header Content-Encoding.
_PACKED: Final = {
    "gzip": zlib.MAX_WBITS | 16,
    "x-gzip": zlib.MAX_WBITS | 16,
    "deflate": zlib.MAX_WBITS,
}

#: How zlib reads what httpx unpacks by itself, way after way; it cannot read the last two.
_BY_HTTPX: Final[Mapping[str, tuple[int, ...]]] = {
    "gzip": (zlib.MAX_WBITS | 16,),
    "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS),
    "br": (),
    "zstd": (),
}

#: The most bytes of what is said of a failure, and the headers that are of the body as it came.
_FAILURE: Final = 1 << 16
_OF_BODY: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Give scheme, host and port; ``None`` for what is no plain web address.

    An address with a user in it is none: it reads like another host's.

    .. versionadded:: 1.1
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]


def is_trusted(url: str, hosts: Iterable[str], base_url: str) -> bool:
    """Say whether an address from outside is at one of the hosts that a deployer trusts.

    :param hosts: names of hosts; ``*.example.com`` stands for all below it, and not for itself.
    :param base_url: where the provider is spoken to. Plain HTTP is trusted only if this one has
        it, as in a test or in one's own network.

    .. versionadded:: 1.1
    """
    origin, own = origin_of(url), origin_of(base_url)
    if origin is None or own is None or origin[0] not in {"https", own[0]}:
        return False
    host = origin[1]
    return any(host.endswith(it[1:]) if it.startswith("*.") else host == it for it in hosts)


async def read_file(response: "httpx.Response", limit: int) -> File:
    """Read the body of a streamed answer, unpacked, as a file.

    :param response: of ``http.stream(…)``; its status is looked at by the caller.
    :param limit: the most bytes to read; not many more are ever in memory, however small they
        were packed.
    :raises Refused: if there are more, or if they are packed otherwise than once, by gzip or
        deflate.

    .. versionadded:: 1.1
    """
    body = bytearray()
    async for chunk in _unpacked(response, limit):
        body += chunk
        if len(body) > limit:
            raise Refused(f"the file has more than {limit:,} bytes")
    declared = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return File(declared or "application/octet-stream", bytes(body))


async def read_failure(response: "httpx.Response") -> "httpx.Response":
    """Give a failed answer to a streamed request again, with the beginning of its body.

    What a provider says of a failure is short. Who answers in its place may not be: ``aread`` would
    take whatever comes.

    :param response: of ``http.stream(…)``.
    :return: an answer of the same status and headers, with 64 KiB of its body at most, unpacked;
        none where it cannot be unpacked.

    .. versionadded:: 1.1
    """
    import httpx  # here, because plugins that speak no HTTP need not load it

    body = bytearray()
    with suppress(Refused):
        async for chunk in _unpacked(response, _FAILURE):
            body += chunk
            if len(body) >= _FAILURE:
                break
    kept = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_BODY]
    return httpx.Response(
        response.status_code,
        headers=kept,
        content=bytes(body[:_FAILURE]),
        request=response.request,
    )


def unpacks_within(content: bytes, packing: str, limit: int) -> bool:
    """Say whether httpx would make at most so many bytes of a body.

    It unpacks as often as it is told to. Where that is more than once, or otherwise than by gzip or
    deflate, nobody can say before it has done so.

    :param packing: what the headers ``Content-Encoding`` say, with commas between.
    """
    names = [it for each in packing.split(",") if (it := each.strip().lower()) in _BY_HTTPX]
    if len(names) != 1:
        return not names
    for bits in _BY_HTTPX[names[0]]:
        with suppress(zlib.error):
            if len(zlib.decompressobj(bits).decompress(content, limit + 1)) > limit:
                return False
    return bool(_BY_HTTPX[names[0]])


async def _unpacked(response: "httpx.Response", limit: int) -> AsyncIterator[bytes]:
    """Give the body piece by piece, no piece with many more bytes than the limit.

    httpx would unpack each piece whole, and as often as the answer says it was packed: a thousand
    bytes become a thousand million.
    """
    if response.is_stream_consumed:  # it is all here already
        async for chunk in response.aiter_bytes():
            yield chunk
        return
    packing = response.headers.get("Content-Encoding", "").strip().lower()
    if packing in {"", "identity"}:
        async for chunk in response.aiter_raw():
            yield chunk
        return
    if packing not in _PACKED:
        raise Refused(f"the file is packed in a way that is not understood: {packing[:40]!r}")
    unpacker = zlib.decompressobj(_PACKED[packing])
    try:
        async for chunk in response.aiter_raw():
            yield unpacker.decompress(chunk, limit + 1)
    except zlib.error:
        raise Refused("the file is packed, and damaged") from None
    if not unpacker.eof:
        raise Refused("the file is packed, and ends too early")
