"""Circuit breakers: an instance whose calls fail one after the other is left alone for a while.

── closed ──(so many failures in a row)──► open ──(the pause is over)──► one call tries
     ▲                                      ▲                                │
     └───────────────── it succeeds ────────┼────────────────────────────────┤
                                            └────────── it fails ────────────┘

While it is open, what is to leave there goes back to its lane, which is no attempt. Each node has
breakers of its own; the database only keeps which are open, so that a restart goes on with them
and people are told once. What a node that is gone has left there goes when another has an answer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from router.domain.limits import CLOCKS_APART

#: How long others wait while one call tries.
_TRYING = timedelta(seconds=1)
#: Lanes that wait for an open breaker come back one after the other, so far apart.
_APART = timedelta(milliseconds=2)
#: So many do not wait that the last comes back so long after the pause.
_LONGEST_QUEUE = timedelta(minutes=10)
#: How often one that is closed is looked for in the database, where another node's may be open.
_LOOKS = timedelta(minutes=1)


@dataclass(slots=True)
class Breaker:
    """One instance's breaker. It belongs to the event loop's thread.

    :param after: failures in a row that open it; 0: none do.
    :param pause: seconds until one call tries.
    :ivar opened_at: ``None`` while it is closed.
    :ivar until: when the next call may try.
    :ivar error: what failed last, in words.
    :ivar untold: it has opened, and that is not stored yet: nobody was told.
    """

    after: int
    pause: float
    opened_at: datetime | None = None
    until: datetime | None = None
    error: str = ""
    failures: int = 0
    untold: bool = False
    _trying: bool = False
    _queued_to: datetime | None = None
    _looked_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None

    def as_values(self) -> dict[str, str] | None:
        """Give what people are shown of it, as values for JSON; ``None`` while it is closed."""
        if self.opened_at is None or self.until is None:
            return None
        return {
            "open_since": self.opened_at.isoformat(),
            "until": self.until.isoformat(),
            "error": self.error,
        }

    def admit(self, now: datetime) -> datetime | None:
        """Let a call be made, or say when to ask again.

        What is let through must end in :meth:`succeeded`, :meth:`failed` or :meth:`spared`.
        """
        self._believe(now)
        if self.until is None:
            return None
        if now >= self.until and not self._trying:
            self._trying = True
            return None
        ready = max(now + _TRYING if self._trying else self.until, self._queued_to or now)
        self._queued_to = ready + _APART
        return ready

    def rests(self, now: datetime) -> bool:
        """Say whether no call may try yet."""
        self._believe(now)
        return self.until is not None and now < self.until

    def _believe(self, now: datetime) -> None:
        """Count the pause from now if it ends later than it can: the clock was set back since."""
        if self.until is None:
            return
        latest = now + timedelta(seconds=self.pause)
        queue = self._queued_to or now
        if self.until > latest + CLOCKS_APART or queue > latest + _LONGEST_QUEUE:
            self.until, self._queued_to = min(self.until, latest), None

    def spared(self) -> None:
        """Say that the call was not made after all."""
        self._trying = False

    def succeeded(self) -> bool:
        """Note that the provider answered; say whether that closed the breaker."""
        was_open = self.is_open
        if was_open or self.failures:
            self.opened_at = self.until = self._queued_to = None
            self.failures, self._trying, self.error = 0, False, ""
            self.untold = False
        return was_open

    def is_to_look(self, now: datetime) -> bool:
        """Say now and then that it is time to look for what a node that is gone has left open."""
        before = self._looked_at or now
        if due := abs(now - before) >= _LOOKS:
            before = now
        self._looked_at = before
        return due

    def failed(self, error: str, now: datetime) -> bool:
        """Note that a call failed; say whether that opened the breaker, or kept it open."""
        self.failures += 1
        if not self.after or self.failures < self.after or (self.is_open and not self._trying):
            return False
        self.untold = self.untold or not self.is_open
        self.opened_at, self.error, self._trying = self.opened_at or now, error, False
        self.until, self._queued_to = now + timedelta(seconds=self.pause), None
        return True

    def restore(self, opened_at: datetime, until: datetime, error: str) -> None:
        """Go on where another process stopped."""
        if not self.is_open and self.after:
            self.opened_at, self.until, self.error = opened_at, until, error
            self.failures = self.after
