"""What may go wrong at a provider, and what the host must be told about it."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import httpx

from router.errors import OutcomeUnknown, ProviderError, Refused, Unavailable
from router.plugin.testing.cases import Case, CheckFailedError, Outcome, Suite, expect, spoken
from router.plugin.testing.context import Reply
from router.plugin.testing.rows import Complete, Run, Send

#: Seconds that the throttling replies ask to wait.
RETRY_AFTER = 7

_PAGE = b"<html><title>Sorry</title></html>"  # what a proxy in between says is never JSON

_STATUSES: dict[type[ProviderError], Sequence[int]] = {
    Refused: (301, 302, 307, 400, 401, 403, 404, 405, 409, 410, 413, 415, 422),
    Unavailable: (408, 425, 429, 503),
    OutcomeUnknown: (500, 501, 502, 504),
}

_CONNECTIONS: dict[type[ProviderError], Sequence[type[httpx.TransportError]]] = {
    Unavailable: (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout),
    OutcomeUnknown: (
        httpx.ReadTimeout,
        httpx.WriteTimeout,
        httpx.ReadError,
        httpx.WriteError,
        httpx.RemoteProtocolError,
    ),
}


def failures() -> Iterator[tuple[str, Reply, type[ProviderError] | None]]:
    """Give each failure with a label and what it has to be; ``None``: nothing certain."""
    for kind, statuses in _STATUSES.items():
        for status in statuses:
            headers = {"Content-Type": "text/html"}
            if kind is Unavailable:
                headers["Retry-After"] = str(RETRY_AFTER)
            yield f"HTTP {status}", httpx.Response(status, headers=headers, content=_PAGE), kind
    for kind, errors in _CONNECTIONS.items():
        for error in errors:
            yield error.__name__, error("broken by the test"), kind
    yield "HTTP 200 with a page", httpx.Response(200, content=_PAGE), None


def check_failure(outcome: Outcome, wanted: type[ProviderError] | None) -> None:
    """Make sure that a failure was told as what it is.

    :raises CheckFailedError: if it was not.
    """
    if wanted is None:
        expect(
            not isinstance(outcome.error, Unavailable | Refused),
            "a 200 that cannot be read may have been taken, and must not be "
            f"{type(outcome.error).__name__}",
        )
        return
    expect(outcome.raw is not None, f"expected {wanted.__name__}, got {outcome.value!r}")
    expect(
        isinstance(outcome.error, wanted),
        f"expected {wanted.__name__}, got {type(outcome.error).__name__}: {outcome.error}",
    )
    if isinstance(outcome.error, Unavailable) and isinstance(
        outcome.error.code, str
    ):  # an HTTP answer, not a broken connection
        expect(
            outcome.error.retry_after == RETRY_AFTER,
            f"Retry-After: {RETRY_AFTER} was read as {outcome.error.retry_after}",
        )


#: A row that calls a provider.
OutgoingRow: TypeAlias = Send | Complete | Run


class OutgoingSuite(Suite):
    """The part of a suite that calls a provider."""

    @abstractmethod
    def outgoing(self, row: Any, replies: Sequence[Reply] | None = None) -> Outcome:
        """Make the call of a row, with its own replies or with others."""

    @classmethod
    def provider_cases(cls, rows: Sequence[OutgoingRow]) -> list[Case]:
        """Replace the last reply of the first good row with each failure in turn."""
        good = next((row for row in rows if row.raises is None), None)
        return [
            Case("provider_errors", label, partial(_fail_last, row=good, reply=reply, kind=kind))
            for label, reply, kind in failures()
        ]

    def outgoing_utterances(self, rows: Sequence[OutgoingRow]) -> Iterator[object]:
        for row in rows:
            yield from spoken(self.outgoing(row))
            for _, reply, _ in failures():
                if row.replies:
                    yield from spoken(self.outgoing(row, [*row.replies[:-1], reply]))


def _fail_last(suite: OutgoingSuite, row: Any, reply: Reply, kind: Any) -> None:
    if row is None or not row.replies:
        message = "give a row that succeeds by a scripted reply, or exempt provider_errors"
        raise CheckFailedError(message)
    check_failure(suite.outgoing(row, [*row.replies[:-1], reply]), kind)


def row_cases(
    check: str, method: Callable[..., None], rows: Sequence[Any], good: Sequence[Any]
) -> list[Case]:
    """Give one case a row, or one that fails where no row is good enough to check anything with."""
    if not good:
        return [Case(check, "", partial(_missing_rows, check=check))]
    return [Case(check, row.label, partial(method, row=row)) for row in rows]


def _missing_rows(_suite: Suite, check: str) -> None:
    message = f"there is no row that succeeds to check {check} with; give one, or exempt it"
    raise CheckFailedError(message)
