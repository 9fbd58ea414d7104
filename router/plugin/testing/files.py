"""What the suite of channels makes sure of where a channel fetches files.

Their addresses come from outside, and what is there does, too: nothing of either is to be trusted.
"""

import base64
import binascii
import gzip
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from router.domain.message import File
from router.errors import OutcomeUnknown, ProviderError, Refused, Unavailable
from router.plugin.channel import Channel
from router.plugin.files import origin_of
from router.plugin.testing.cases import (
    Case,
    CheckFailedError,
    Outcome,
    Suite,
    expect,
    secrets_of,
    spoken,
)
from router.plugin.testing.context import Reply
from router.plugin.testing.provider import check_failure, failures
from router.plugin.testing.rows import Fetch

#: Where no provider keeps anything.
_FOREIGN = "foreign.example"
_ELSEWHERE = (
    f"https://{_FOREIGN}/file",
    f"http://{_FOREIGN}/file",
    "http://127.0.0.1:8080/file",
    "http://[::1]:8080/file",
    "http://169.254.169.254/latest/meta-data/",
    "file:///etc/passwd",
    "https://[::1/file",
    "",
)
_REDIRECTS = (301, 302, 303, 307, 308)
#: Statuses that may mean "not yet" as well as "never": what was just sent is not there at once.
_NOT_YET = frozenset({404, 409, 410})

_CHUNK = 16 * 1024
#: Bytes beyond the limit that may be asked for until it is noticed, and those that there are.
_SLACK = 256 * 1024
_ENDLESS = 4 * 1024 * 1024


class _Endless(httpx.AsyncByteStream):
    """A body that goes on for as long as anybody reads, and counts."""

    def __init__(self, limit: int) -> None:
        self.read = 0
        self._end = limit + _ENDLESS

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.read < self._end:
            self.read += _CHUNK
            yield b"x" * _CHUNK


class _Once(httpx.AsyncByteStream):
    """A body that comes in pieces, as from a network."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._data), _CHUNK):
            yield self._data[start : start + _CHUNK]


def fetch_cases(rows: Sequence[Fetch]) -> list[Case]:
    """Give the cases of what a channel fetches."""
    row = next((row for row in rows if row.raises is None and row.replies), None)
    cases = [Case("fetches", each.label, partial(_check_fetch, row=each)) for each in rows]
    if row is None:
        return cases
    own = urlsplit(row.attachment.url or "").hostname
    elsewhere = [*_ELSEWHERE]
    if own:  # what reads like its own
        elsewhere += [f"https://{own}.{_FOREIGN}/file", f"https://{own}@{_FOREIGN}/file"]
    cases += [
        Case("fetch_address", url or "no address", partial(_check_address, row=row, url=url))
        for url in elsewhere
    ]
    cases += [
        Case(
            "fetch_redirects",
            f"reply {number + 1}, {status} to {place}",
            partial(_check_redirect, row=row, number=number, status=status, place=place),
        )
        for number in range(len(row.replies))
        for status in _REDIRECTS
        for place in (f"https://{_FOREIGN}/file", "http://127.0.0.1:8080/file")
    ]
    cases += [
        Case("fetch_credentials", each.label, partial(_check_credentials, row=each))
        for each in rows
        if each.raises is None
    ]
    cases += [
        Case("fetch_limit", "too large", partial(_check_large, row=row)),
        Case("fetch_limit", "endless", partial(_check_endless, row=row)),
        Case("fetch_limit", "endless failure", partial(_check_endless_failure, row=row)),
        Case("fetch_limit", "packed", partial(_check_packed, row=row, times=1)),
        Case("fetch_limit", "packed twice", partial(_check_packed, row=row, times=2)),
    ]
    cases += [
        Case("fetch_errors", label, partial(_check_error, row=row, reply=reply, kind=kind))
        for label, reply, kind in _failures()
    ]
    return cases


def fetch_utterances(suite: Suite, rows: Sequence[Fetch]) -> Iterator[object]:
    """Fetch in every way the rows know, and give what the plugin says."""
    for row in rows:
        yield from spoken(_fetching(suite, row))
        for _, reply, _ in _failures():
            if row.replies:
                yield from spoken(_fetching(suite, row, [*row.replies[:-1], reply]))


def check_fetching(channel: Channel[Any], rows: Sequence[Fetch]) -> None:
    """Make sure that what is claimed is there, and what is there is claimed.

    :raises CheckFailedError: if it is not.
    """
    implements = type(channel).fetch is not Channel.fetch
    claimed = channel.capabilities.fetch
    expect(claimed == implements, "fetch: implement it and claim it, or neither")
    expect(claimed or not rows, "there are rows in `fetches`, but fetch is not claimed")
    good = any(row.raises is None and row.replies for row in rows)
    expect(good or not claimed, "fetch is claimed; give a row in `fetches` that succeeds")


def _failures() -> Iterator[tuple[str, Reply, type[ProviderError]]]:
    """Give the failures of a provider but for redirects, which are checked by where they lead."""
    for label, reply, kind in failures():
        if kind is None or (isinstance(reply, httpx.Response) and reply.is_redirect):
            continue
        yield label, reply, kind


def _check_fetch(suite: Suite, row: Fetch) -> None:
    outcome = _fetching(suite, row)
    suite.compare(outcome, row.expect, row.raises, row.requests)
    if row.raises is None:
        expect(isinstance(outcome.value, File), f"fetch has to give a File, not {outcome.value!r}")


def _check_address(suite: Suite, row: Fetch, url: str) -> None:
    attachment = replace(row.attachment, url=url or None)
    outcome = _fetching(suite, row, attachment=attachment)
    _check_refused(outcome, f"an attachment at {url!r}")
    asked = [request.url.host for request in outcome.context.requests]
    expect(not asked, f"for an attachment at {url!r} it asked {', '.join(asked)}")


def _check_redirect(suite: Suite, row: Fetch, number: int, status: int, place: str) -> None:
    redirect = httpx.Response(status, headers={"Location": place})
    outcome = _fetching(suite, row, [*row.replies[:number], redirect])
    _check_refused(outcome, f"a redirect to {place}")
    expect(
        len(outcome.context.requests) == number + 1,
        f"after a redirect to {place} it asked {outcome.context.requests[-1].url.host}",
    )


def _check_credentials(suite: Any, row: Fetch) -> None:
    """Make sure that secrets go where messages are sent to, and nowhere else."""
    own = {origin_of(f"https://{host}") for host in suite.credential_hosts}
    for send in suite.sends:
        own |= {origin_of(str(it.url)) for it in suite.outgoing(send).context.requests}
    for request in _fetching(suite, row).context.requests:
        if origin_of(str(request.url)) in own:
            continue
        said = " ".join(_said(request))
        for secret in secrets_of(suite.config):
            expect(
                secret not in said,
                f"{request.url.host} is told a secret; if that is right, name it in "
                "credential_hosts",
            )


def _said(request: httpx.Request) -> Iterator[str]:
    """Give everything that a request says, Basic credentials decoded."""
    yield from (str(request.url), unquote(str(request.url)))
    yield request.content.decode("latin-1")
    for value in request.headers.values():
        yield value
        scheme, _, coded = value.partition(" ")
        if scheme.lower() == "basic":
            try:
                yield base64.b64decode(coded).decode("latin-1")
            except binascii.Error:
                continue


def _check_large(suite: Suite, row: Fetch) -> None:
    exact = httpx.Response(200, content=b"x" * row.limit)
    outcome = _fetching(suite, row, [*row.replies[:-1], exact])
    expect(outcome.raw is None, f"a file of exactly `limit` bytes: {outcome.raw!r}")
    over = httpx.Response(200, content=b"x" * (row.limit + 1))
    outcome = _fetching(suite, row, [*row.replies[:-1], over])
    _check_refused(outcome, f"a file of {row.limit + 1:,} bytes, one above the limit,")


def _check_endless(suite: Suite, row: Fetch) -> None:
    body = _Endless(row.limit)
    outcome = _fetching(
        suite, row, [*row.replies[:-1], lambda _request: httpx.Response(200, stream=body)]
    )
    _check_refused(outcome, "an endless file")
    expect(
        body.read <= row.limit + _SLACK,
        f"with a limit of {row.limit:,} bytes it read {body.read:,}; stream the answer, and read "
        "it by read_file",
    )


def _check_endless_failure(suite: Suite, row: Fetch) -> None:
    body = _Endless(row.limit)
    _fetching(suite, row, [*row.replies[:-1], lambda _request: httpx.Response(500, stream=body)])
    expect(
        body.read <= _SLACK,
        f"of a failed answer without an end it read {body.read:,} bytes; read it by read_failure",
    )


def _check_packed(suite: Suite, row: Fetch, times: int) -> None:
    data = bytes(row.limit + _ENDLESS)
    for _ in range(times):
        data = gzip.compress(data)
    headers = {"Content-Encoding": ", ".join(["gzip"] * times)}
    outcome = _fetching(
        suite,
        row,
        [
            *row.replies[:-1],
            lambda _request: httpx.Response(200, headers=headers, stream=_Once(data)),
        ],
    )
    _check_refused(outcome, f"a file that is {len(data):,} bytes packed and above the limit,")


def _check_error(suite: Suite, row: Fetch, reply: Reply, kind: type[ProviderError]) -> None:
    outcome = _fetching(suite, row, [*row.replies[:-1], reply])
    status = reply.status_code if isinstance(reply, httpx.Response) else None
    if status in _NOT_YET:
        wanted: tuple[type[ProviderError], ...] = (Refused, Unavailable)
    elif kind is OutcomeUnknown:  # to fetch again does no harm
        wanted = (OutcomeUnknown, Unavailable)
    else:
        check_failure(outcome, kind)
        return
    expect(outcome.raw is not None, f"expected a failure, got {outcome.value!r}")
    names = " or ".join(each.__name__ for each in wanted)
    expect(
        isinstance(outcome.error, wanted),
        f"expected {names}, got {type(outcome.error).__name__}: {outcome.error}",
    )


def _check_refused(outcome: Outcome, what: str) -> None:
    expect(outcome.raw is not None, f"{what} was fetched: {outcome.value!r}")
    expect(
        isinstance(outcome.error, Refused),
        f"{what} has to be Refused, not {type(outcome.error).__name__}: {outcome.error}",
    )


def _fetching(
    suite: Suite,
    row: Fetch,
    replies: Sequence[Reply] | None = None,
    attachment: Any = None,
) -> Outcome:
    wanted = attachment or row.attachment
    try:
        return suite.perform(
            row.replies if replies is None else replies,
            lambda channel: channel.fetch(wanted, row.limit),
        )
    except CheckFailedError as error:
        if replies is not None or attachment is not None:
            raise CheckFailedError(f"{row.label}, with another answer: {error}") from error
        raise
