"""What a restored database holds back: all that would be said, or done, for a second time.

Between the backup and now the router went on, and nobody knows how far. So whatever would lead to
a message waits for a person: what was to leave is ``unknown``, what was not answered is a dead
letter, and nothing is polled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from router.domain.event import ContactOptedOut
from router.domain.host_event import RESTORED, AnswerArrived, OwnEcho, TimerFired, Unparsed
from router.domain.outbox import ItemKind, ItemState
from router.storage import codec
from router.storage.conflicts import insert_missing
from router.storage.events import HELD_BACK
from router.storage.pollers import hold_all
from router.storage.store import IN, JOB, OUT
from router.storage.tables import contact, conversation, inbox_event, lane, message, outbox, timer

#: What has an effect outside, so that nobody knows whether it has happened since.
_OUTWARD: Final = (ItemKind.MESSAGE, ItemKind.ACTION)
#: What would bring an answer, or send again what nobody knows of.
_LEADING: Final = (ItemKind.ASK, ItemKind.CLASSIFY, ItemKind.RECONCILE)
_OPEN: Final = (ItemState.WAITING, ItemState.STARTED)
#: Outcomes of events whose turn is not answered.
_ASKED: Final = ("waiting", "asking")

_WHY_UNPOLLED: Final = (
    "it was restored from a backup, and would find again, and have answered again, what it had "
    "found since. `router pollers resume` lets it go on"
)
_WHY_UNKNOWN: Final = "it was restored from a backup and may have been sent since"
_WHY_ENDED: Final = "it was restored from a backup; what it was for waits for a person"
_PAGE: Final = 500

#: How events end that say nothing by themselves; what they were to bring about is held back.
_ENDED: Final = {
    TimerFired.kind: "superseded",
    AnswerArrived.kind: "superseded",
    OwnEcho.kind: "recorded",
    ContactOptedOut.kind: "recorded",
    Unparsed.kind: "unparsed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How much is held back.

    :param items: messages and actions that may have left since.
    :param events: what came in and may have been answered since.
    :param quiet: conversations that may have been closed since; they close without a word.
    """

    items: int = 0
    events: int = 0
    quiet: int = 0


def hold_back(connection: sa.Connection, now: datetime) -> Held:
    """Hold back all that may have been said or done since the backup was made."""
    hold_all(connection, _WHY_UNPOLLED)
    items = _items(connection)
    quiet = _quiet(connection, now)
    return Held(items=items, events=_turns(connection, now) + _events(connection, now), quiet=quiet)


def _items(connection: sa.Connection) -> int:
    where = sa.and_(outbox.c.kind.in_(_OUTWARD), outbox.c.state.in_(_OPEN))
    rows = connection.execute(sa.select(outbox.c.id, outbox.c.lane, outbox.c.kind).where(where))
    found = rows.all()
    lanes = sorted({(OUT if it.kind == ItemKind.MESSAGE else JOB, it.lane) for it in found})
    connection.execute(
        sa.update(outbox).where(where).values(state=ItemState.UNKNOWN, error=_WHY_UNKNOWN)
    )
    for page in _pages([it.id for it in found]):
        connection.execute(
            sa.update(message).where(message.c.id.in_(page)).values(status=ItemState.UNKNOWN)
        )
    for kind in (OUT, JOB):
        for page in _pages([key for of, key in lanes if of == kind]):
            connection.execute(
                sa.update(lane)
                .where(lane.c.kind == kind, lane.c.key.in_(page))
                .values(parked=True, ready_at=None, lease_owner=None)
            )
    return len(found)


def _quiet(connection: sa.Connection, now: datetime) -> int:
    """Let what was to close since the backup close without a word: its rules may have had theirs.

    What falls due later has not done so yet.
    """
    # One that was fired when the backup was made is set again.
    fired = connection.execute(
        sa.select(inbox_event.c.tenant, inbox_event.c.lane, inbox_event.c.payload).where(
            _unworked(), inbox_event.c.type == TimerFired.kind
        )
    ).all()
    for tenant, key, payload in fired:
        event = codec.decode(TimerFired.kind, payload)
        if isinstance(event, TimerFired) and event.timer == "idle":
            values = {"tenant": tenant, "kind": event.timer, "key": event.key, "lane": key}
            values |= {"due_at": now, "generation": event.generation + 1, "payload": {}}
            insert_missing(connection, timer, values, key=("tenant", "kind", "key"))
    connection.execute(sa.delete(timer).where(timer.c.kind == "turn"))
    due = sa.update(timer).where(timer.c.kind == "idle", timer.c.due_at <= now)
    return connection.execute(due.values(payload={RESTORED: True})).rowcount


def _turns(connection: sa.Connection, now: datetime) -> int:
    """Make dead letters of what waits for an answer, and end the questions about it."""
    begun = (
        sa.select(conversation.c.turn_from)
        .join(contact, contact.c.id == conversation.c.contact)
        .where(
            conversation.c.turn_from <= inbox_event.c.seq,
            inbox_event.c.lane == conversation.c.tenant + "/" + contact.c.key,
        )
    )
    open_ = sa.and_(
        inbox_event.c.outcome.in_(_ASKED), inbox_event.c.settled_seq.is_(None), begun.exists()
    )
    said = inbox_event.c.type == "message"
    held = connection.execute(sa.update(inbox_event).where(open_, said).values(**_dead(now)))
    connection.execute(
        sa.update(inbox_event).where(open_, sa.not_(said)).values(outcome="superseded")
    )
    waits = sa.or_(conversation.c.turn_from.is_not(None), conversation.c.pending_ask.is_not(None))
    connection.execute(
        sa.update(conversation).where(waits).values(turn_from=None, pending_ask=None)
    )
    connection.execute(
        sa.update(outbox)
        .where(outbox.c.kind.in_(_LEADING), outbox.c.state.in_(_OPEN))
        .values(state=ItemState.WITHDRAWN, finished_at=now, error=_WHY_ENDED)
    )
    return held.rowcount


def _events(connection: sa.Connection, now: datetime) -> int:
    """Make dead letters of what no turn has come to, and let their lanes begin anew behind it."""
    kind = inbox_event.c.type
    connection.execute(
        sa.update(inbox_event)
        .where(_unworked(), kind.in_(list(_ENDED)))
        .values(outcome=sa.case(_ENDED, value=kind))
    )
    held = connection.execute(sa.update(inbox_event).where(_unworked()).values(**_dead(now)))
    connection.execute(
        sa.update(lane)
        .where(lane.c.kind == IN, lane.c.done_seq < lane.c.last_seq)
        .values(
            done_seq=lane.c.last_seq,
            ready_at=None,
            lease_owner=None,
            attempts=0,
            crashes=0,
            last_error=None,
            parked=False,
        )
    )
    return held.rowcount


def _unworked() -> sa.ColumnElement[bool]:
    behind = sa.select(lane.c.key).where(
        lane.c.kind == IN,
        lane.c.key == inbox_event.c.lane,
        lane.c.done_seq < inbox_event.c.seq,
    )
    return sa.and_(inbox_event.c.outcome.is_(None), behind.exists())


def _dead(now: datetime) -> dict[str, Any]:
    return {"outcome": "dead", "dead_at": now, "dead_error": HELD_BACK}


def _pages(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + _PAGE] for start in range(0, len(names), _PAGE)]
