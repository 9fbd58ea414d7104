"""What the suite of channels makes sure of where a channel polls."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from router.errors import PluginError, ProviderError
from router.plugin.channel import Channel
from router.plugin.polling import LONGEST_CURSOR, Polled, Poller, check_pollers
from router.plugin.testing.cases import Case, CheckFailedError, Outcome, Suite, expect, spoken
from router.plugin.testing.clock import FakeClock
from router.plugin.testing.context import Reply
from router.plugin.testing.provider import check_failure, failures
from router.plugin.testing.rows import Poll


def poll_cases(rows: Sequence[Poll]) -> list[Case]:
    """Give the cases of a channel's polls; the first of them stands without rows, too."""
    good = [row for row in rows if row.raises is None]
    firsts = {row.poller: row for row in reversed(good) if row.replies}
    return [
        Case("pollers", "", partial(_check_pollers, rows=rows)),
        *(Case("polls", row.label, partial(_check_poll, row=row)) for row in rows),
        *(Case("poll_is_repeatable", row.label, partial(_check_again, row=row)) for row in good),
        *(
            Case("poll_errors", f"{name}, {label}", partial(_fail, row=row, reply=reply, kind=kind))
            for name, row in firsts.items()
            for label, reply, kind in failures()
        ),
    ]


def poll_utterances(suite: Suite, rows: Sequence[Poll]) -> Iterator[object]:
    """Poll in every way the rows know, and give what the plugin says."""
    for row in rows:
        yield from spoken(_polling(suite, row))
        if row.replies:
            for _, reply, _ in failures():
                yield from spoken(_polling(suite, row, [*row.replies[:-1], reply]))


def _check_pollers(suite: Suite, rows: Sequence[Poll]) -> None:
    if type(suite.make()).pollers is Channel.pollers:
        expect(not rows, "it has no pollers, but rows in `polls`")
        return
    outcome = suite.perform((), _pollers)
    if outcome.raw is not None:
        message = f"pollers() raised {type(outcome.raw).__name__}: {outcome.raw}"
        raise CheckFailedError(message)
    pollers: Sequence[Poller] = outcome.value
    try:
        check_pollers(pollers)
    except PluginError as error:
        raise CheckFailedError(str(error)) from None
    shown = {row.poller for row in rows if row.raises is None}
    for poller in pollers:
        expect(poller.name in shown, f"give a row in `polls` where {poller.name!r} finds something")


def _check_poll(suite: Suite, row: Poll) -> None:
    outcome = _polling(suite, row)
    if isinstance(outcome.value, Polled):
        outcome = replace(outcome, value=_plain(outcome.value))
    wanted = None if row.expect is None else _plain(row.expect)
    suite.compare(outcome, wanted, row.raises, row.requests)
    if row.raises is not None:
        return
    found = outcome.value
    expect(isinstance(found, Polled), f"poll has to give a Polled, not {found!r}")
    cursor = found.cursor
    expect(
        cursor is None or (isinstance(cursor, str) and len(cursor) <= LONGEST_CURSOR),
        f"a cursor is None or a text of at most {LONGEST_CURSOR} characters, not {cursor!r}",
    )
    moved = found.events or cursor != row.cursor
    expect(moved or not found.again, "again, with neither an event nor another cursor: for ever")


def _check_again(suite: Suite, row: Poll) -> None:
    """Make sure that the same answers, later, are the same facts: else a repeat doubles them."""
    clock = FakeClock()
    clock.advance(timedelta(hours=3))
    keys = [event.dedupe_key for event in _polling(suite, row).value.events]
    again = [event.dedupe_key for event in _polling(suite, row, clock=clock).value.events]
    expect(keys == again, f"found again three hours later, {keys} became {again}")
    expect(len(set(keys)) == len(keys), f"two events of one poll share a key: {keys}")
    expect(all(key.partition(":")[2] for key in keys), f"an event has an empty id: {keys}")


def _fail(suite: Suite, row: Poll, reply: Reply, kind: type[ProviderError] | None) -> None:
    outcome = _polling(suite, row, [*row.replies[:-1], reply])
    expect(
        outcome.raw is not None,
        "a failure was swallowed: raise it, so that the cursor stays and the operator is told. "
        f"It gave {outcome.value!r}",
    )
    if kind is not None:
        check_failure(outcome, kind)


def _polling(
    suite: Suite,
    row: Poll,
    replies: Sequence[Reply] | None = None,
    clock: FakeClock | None = None,
) -> Outcome:
    async def call(channel: Any) -> Any:
        if clock is not None:
            channel.context.clock.set(clock.now())
        named = {poller.name: poller for poller in channel.pollers()}
        if row.poller not in named:
            message = f"there is no poller {row.poller!r}: {sorted(named)}"
            raise CheckFailedError(message)
        return await named[row.poller].poll(row.cursor)

    outcome = suite.perform(row.replies if replies is None else replies, call)
    if isinstance(outcome.raw, CheckFailedError):
        raise outcome.raw
    return outcome


async def _pollers(channel: Any) -> Any:
    return tuple(channel.pollers())


def _plain(polled: Polled) -> Polled:
    return replace(polled, events=list(polled.events))
