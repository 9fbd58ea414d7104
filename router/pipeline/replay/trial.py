"""Trying a configuration on recorded traffic before a running router takes it up."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.clock import Clock
from router.errors import RouterError, StorageUnavailable
from router.pipeline.instances.configuration import Configuration
from router.pipeline.replay.comparing import Comparison, Verdict, compare, compare_both
from router.pipeline.replay.deciding import Replayer
from router.settings.model import ReloadReplay, Settings
from router.settings.values import duration_text
from router.storage.recordings import RecordedTurn, recorded

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SETTING: Final = "[router] reload_replay"
_SQLITE: Final = "sqlite+aiosqlite:///"
#: Seconds that a trial may take; whoever asked for the reload waits for it.
_LONGEST: Final = 60.0
#: Seconds for whoever else wants to run, after each turn: the router goes on serving meanwhile.
_BREATH: Final = 0.0005
#: Changes that are named when a configuration is refused.
_NAMED: Final = 12


class Trial:
    """Says what recorded traffic has against a configuration.

    :param clock: for how far back to look.
    :param longest: seconds that it may take.
    """

    def __init__(self, clock: Clock, *, longest: float = _LONGEST) -> None:
        self._clock = clock
        self._longest = longest

    def objections(
        self,
        before: Configuration,
        after: Configuration,
        go_on: Callable[[], bool] = lambda: True,
    ) -> list[str]:
        """Decide recorded traffic again, and say what changes more than is allowed. Blocks.

        Meant for a thread: after each turn it lets others run.

        :param before: the configuration in force, whose database is read.
        :param after: the one that may take its place, and says how much may change.
        :param go_on: asked after each turn; false ends the trial, and nothing is said.
        :return: sentences for people; empty if nothing speaks against it, or nothing is to be
            looked at.
        """
        allowed = after.settings.router.reload_replay
        if allowed is None or before.settings.hash == after.settings.hash:
            return []
        try:
            turns = self._recorded(before.settings, allowed)
            found = self._compared(turns, Replayer(before), Replayer(after), go_on)
        except RouterError as error:
            return [f"{_SETTING} wants recorded traffic to be looked at, and it cannot be: {error}"]
        if found is None:
            many = f"deciding {len(turns)} recorded turns again"
            return [f"{_SETTING}: {many} takes longer than {self._longest:g} s. Lower its limit"]
        if found.share * 100 <= allowed.max_changed:
            return []
        return list(_told(found, allowed))

    def _recorded(self, settings: Settings, allowed: ReloadReplay) -> tuple[RecordedTurn, ...]:
        since = self._clock.now() - timedelta(seconds=allowed.since)
        with _reading(settings.router.database) as connection:
            return recorded(
                connection, tuple(settings.tenants), since=since, limit=allowed.limit
            ).turns

    def _compared(
        self,
        turns: Iterable[RecordedTurn],
        before: Replayer,
        after: Replayer,
        go_on: Callable[[], bool],
    ) -> Comparison | None:
        """Compare turn by turn; ``None`` if that takes too long."""
        comparison = Comparison()
        deadline = self._clock.monotonic() + self._longest
        for turn in turns:
            if not go_on():
                return Comparison()
            if self._clock.monotonic() > deadline:
                return None
            now = after.replay(turn)
            compared = compare(turn, now)
            if compared.verdict is not Verdict.SAME:
                compared = compare_both(compared, before.replay(turn), now)
            comparison.add(compared)
            time.sleep(_BREATH)
        return comparison


@contextmanager
def _reading(url: str) -> "Iterator[Connection]":
    """Open a database read-only, beside the router that writes to it.

    :raises StorageUnavailable: if it cannot be read.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from router.storage.database.reading import reader, reader_of

    path = Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
    try:
        with reader(path) if path else reader_of(url) as connection:
            yield connection
    except SQLAlchemyError as error:
        raise StorageUnavailable(" ".join(str(error).split())) from error


def _told(found: Comparison, allowed: ReloadReplay) -> Iterator[str]:
    """Say how much changes, and which rules decide what instead."""
    since = duration_text(allowed.since)
    yield (
        f"{found.changed} of {found.turns} decisions of the last {since} would come out "
        f"differently ({found.share:.2%}), and {_SETTING} allows {allowed.max_changed:g} %. "
        f"`router replay --since {since}` shows them; to take it up all the same, raise "
        "max_changed in the same files"
    )
    changes = found.most_first()
    for change in changes[:_NAMED]:
        now = "not known" if change.now is None else f"{change.now.outcome} by {change.now.rule}"
        because = f" ({change.because})" if change.because else ""
        yield (
            f"{change.count} x {change.verdict}: {change.then.outcome} by {change.then.rule} "
            f"→ {now}{because}"
        )
    if len(changes) > _NAMED:
        yield f"and {len(changes) - _NAMED} more kinds of change"
