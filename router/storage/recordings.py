"""Recordings: what was decided, with everything that it was decided on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from router.rules.trace import unpacked
from router.storage.decisions import UNSETTLED
from router.storage.store import EventRef
from router.storage.tables import decision, inbox_event

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Lanes, or events, that one statement asks for.
_BATCH: Final = 400
_NO_TURN: Final = ("dead", *sorted(UNSETTLED))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """One event that was worked.

    :param payload: as :func:`router.storage.codec.encode` gives it.
    :param body: what was decided, as ``router.storage.codec.decision_values`` gives it.
    :param before: the thread that it was decided on; ``None`` where it was not recorded.
    :param question: the digest of what a model was asked, and the messages asked about.
    :param changes: the attributes that were set.
    :param trace: as it is stored; empty where only the values above were kept.
    :param masked: personal data was taken out of what was decided about.
    """

    ref: EventRef
    source: str
    kind: str
    payload: str
    received_at: datetime
    conversation: str | None
    outcome: str
    body: Mapping[str, Any]
    before: Mapping[str, Any] | None = None
    question: tuple[str, tuple[int, ...]] | None = None
    changes: Mapping[str, str] = field(default_factory=dict)
    trace: bytes = b""
    masked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A message that a decision saw as a part of the turn."""

    payload: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTurn:
    """Events that were settled by one decision: that of the last of them.

    :param lines: the messages of the turn that any of the decisions saw, by number.
    :param shared: made fit to be shared: no text in it holds personal data any more.
    """

    tenant: str
    events: tuple[RecordedEvent, ...]
    lines: Mapping[int, Line] = field(default_factory=dict)
    shared: bool = False

    @property
    def decided(self) -> RecordedEvent:
        return self.events[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What was recorded in a time.

    :param turns: in the order in which they were decided.
    :param left_out: events that are in no turn, by what became of them.
    :param more: older turns were left out, because there were too many.
    """

    turns: tuple[RecordedTurn, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    more: bool = False


def recorded(
    connection: "Connection",
    tenants: Sequence[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int,
) -> Recording:
    """Read what was decided about the events of a time, the newest so many of each tenant.

    :param since: the deciding event came then or later; likewise ``until``, before then.
    """
    turns: list[RecordedTurn] = []
    left_out: Counter[str] = Counter()
    more = False
    for tenant in tenants:
        during = _during(tenant, since, until)
        rows = connection.execute(
            _events()
            .where(*during, inbox_event.c.outcome.not_in(_NO_TURN))
            .where(inbox_event.c.settled_seq.is_(None))
            .order_by(inbox_event.c.received_at.desc(), inbox_event.c.lane, inbox_event.c.seq)
            .limit(limit + 1)
        ).all()
        more = more or len(rows) > limit
        turns += _turns(connection, tenant, [_event(row) for row in rows[:limit]])
        left_out.update(_left_out(connection, during))
    turns.sort(key=lambda turn: (turn.decided.received_at, turn.decided.ref))
    return Recording(turns=tuple(turns), left_out=dict(sorted(left_out.items())), more=more)


def _during(
    tenant: str, since: datetime | None, until: datetime | None
) -> list[sa.ColumnElement[bool]]:
    during = [inbox_event.c.tenant == tenant]
    if since is not None:
        during.append(inbox_event.c.received_at >= since)
    if until is not None:
        during.append(inbox_event.c.received_at < until)
    return during


def _events() -> sa.Select[Any]:
    return sa.select(
        inbox_event.c.lane,
        inbox_event.c.seq,
        inbox_event.c.source,
        inbox_event.c.type,
        inbox_event.c.payload,
        inbox_event.c.received_at,
        inbox_event.c.outcome,
        inbox_event.c.settled_seq,
        decision.c.conversation,
        decision.c.body,
        decision.c.trace,
    ).join(
        decision,
        sa.and_(decision.c.lane == inbox_event.c.lane, decision.c.seq == inbox_event.c.seq),
    )


def _event(row: sa.Row[Any]) -> RecordedEvent:
    trace = unpacked(row.trace) if row.trace else {}
    question = trace.get("question")
    return RecordedEvent(
        ref=EventRef(row.lane, row.seq),
        source=row.source,
        kind=row.type,
        payload=row.payload,
        received_at=row.received_at,
        conversation=row.conversation,
        outcome=row.outcome,
        body=row.body,
        before=trace.get("before"),
        question=None if question is None else (question[0], tuple(question[1])),
        changes=trace.get("decision", {}).get("set", {}),
        trace=row.trace,
    )


def _turns(
    connection: "Connection", tenant: str, decided: Sequence[RecordedEvent]
) -> Iterator[RecordedTurn]:
    members: dict[EventRef, list[RecordedEvent]] = {event.ref: [] for event in decided}
    for batch in _batches(decided):
        statement = _events().where(
            inbox_event.c.tenant == tenant,
            inbox_event.c.lane.in_({event.ref.lane for event in batch}),
            inbox_event.c.settled_seq.in_({event.ref.seq for event in batch}),
        )
        for row in connection.execute(statement.order_by(inbox_event.c.lane, inbox_event.c.seq)):
            # The numbers of one lane are those of another, too.
            settled = members.get(EventRef(row.lane, row.settled_seq))
            if settled is not None and not any(each.ref.seq == row.seq for each in settled):
                settled.append(_event(row))
    turns = [(*members[event.ref], event) for event in decided]
    wanted = {
        EventRef(event.ref.lane, number)
        for events in turns
        for event in events
        for number in _seen(event)
    }
    lines = _lines(connection, tenant, wanted)
    for events in turns:
        lane = events[-1].ref.lane
        numbers = sorted({number for event in events for number in _seen(event)})
        found = {n: line for n in numbers if (line := lines.get(EventRef(lane, n))) is not None}
        yield RecordedTurn(tenant=tenant, events=events, lines=found)


def _seen(event: RecordedEvent) -> Sequence[int]:
    """Give the numbers of the messages that waited when an event was worked."""
    stood = (event.before or {}).get("conversation") or {}
    numbers: Sequence[int] = stood.get("turn", ())
    return numbers


def _lines(
    connection: "Connection", tenant: str, wanted: Iterable[EventRef]
) -> dict[EventRef, Line]:
    refs = sorted(wanted)
    lines: dict[EventRef, Line] = {}
    for at in range(0, len(refs), _BATCH):
        batch = refs[at : at + _BATCH]
        rows = connection.execute(
            sa.select(
                inbox_event.c.lane,
                inbox_event.c.seq,
                inbox_event.c.payload,
                inbox_event.c.received_at,
            ).where(
                inbox_event.c.tenant == tenant,
                inbox_event.c.lane.in_({ref.lane for ref in batch}),
                inbox_event.c.seq.in_({ref.seq for ref in batch}),
                inbox_event.c.type == "message",
            )
        )
        for row in rows:
            lines[EventRef(row.lane, row.seq)] = Line(
                payload=row.payload, received_at=row.received_at
            )
    return lines


def _batches(events: Sequence[RecordedEvent]) -> Iterator[Sequence[RecordedEvent]]:
    for at in range(0, len(events), _BATCH):
        yield events[at : at + _BATCH]


def _left_out(connection: "Connection", during: list[sa.ColumnElement[bool]]) -> dict[str, int]:
    """Count the events that belong to no turn that was decided."""
    decided = sa.exists().where(
        decision.c.lane == inbox_event.c.lane, decision.c.seq == inbox_event.c.seq
    )
    rows = connection.execute(
        sa.select(inbox_event.c.outcome, sa.func.count())
        .where(
            *during,
            inbox_event.c.settled_seq.is_(None),
            sa.or_(
                inbox_event.c.outcome.is_(None),
                inbox_event.c.outcome.in_(_NO_TURN),
                sa.not_(decided),
            ),
        )
        .group_by(inbox_event.c.outcome)
    )
    return {outcome or "open": count for outcome, count in rows}
