"""When a line of a thread was said: behind the one before it, although a clock was set back."""

from datetime import datetime, timedelta
from typing import Final

from router.storage.store import Work

_TICK: Final = timedelta(microseconds=1)
#: A thread that is so far ahead was written by a clock that was wrong: no line is dated after it.
_FAR: Final = timedelta(days=1)


def said_at(work: Work, now: datetime) -> tuple[datetime, datetime]:
    """Give when what an event brought stands in its thread, and what was decided about it.

    That is when it came in, and now. Only where the thread, or the event, is ahead of now, because
    a clock was set back or several nodes' clocks differ, it is just behind what is there.
    """
    heard, thread = work.received_at, work.conversation
    newest = None if thread is None else thread.last_activity_at
    if newest is not None and newest > now:
        heard = after(newest, now)
    said = after(heard, now) if heard > now else now
    return min(heard, said), said


def after(newest: datetime, now: datetime) -> datetime:
    """Give when a line is said in a thread that has lines of ``newest``."""
    return now if newest <= now or newest - now > _FAR else newest + _TICK
