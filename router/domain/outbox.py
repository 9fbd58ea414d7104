"""Obligations: what was decided to leave, and what became of it.

       ┌──────────────── Unavailable: retry ───────────────┐
       ▼                                                    │
── waiting ── start_attempt ──► started ──┬── receipt ─► done
       │                                  ├── Refused ─► refused
       │ epoch is older                   ├── OutcomeUnknown, or a crash ─► unknown
       ▼                                  └── too many attempts ─► dead
   withdrawn
     unknown ─► done | waiting              (reconciled, or resolved by a person)
     unknown | refused | dead ─► withdrawn  (dropped by a person)

An attempt that may not be made yet (a bucket is empty, a circuit breaker is open) is none: the item
stays waiting, and its lane is claimed again later.
"""

from dataclasses import dataclass
from enum import StrEnum


class ItemKind(StrEnum):
    """What an outbox item does."""

    MESSAGE = "message"
    ACTION = "action"
    ASK = "ask"
    CLASSIFY = "classify"
    RECONCILE = "reconcile"
    FETCH = "fetch"
    TRANSCRIBE = "transcribe"


class ItemState(StrEnum):
    """Where an outbox item stands."""

    WAITING = "waiting"
    STARTED = "started"
    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait between attempts.

    ``min(cap, base * 2 ** attempts)`` seconds, spread by ±20 % so that what failed together does
    not come back together.
    """

    base: float = 2.0
    cap: float = 300.0

    def delay(self, attempts: int, spread: float) -> float:
        """Give the seconds to wait after ``attempts`` failures.

        :param spread: 0 to 1, random outside tests.
        """
        wait = min(self.cap, self.base * 2.0 ** min(attempts, 30))
        return float(wait * (0.8 + 0.4 * spread))
