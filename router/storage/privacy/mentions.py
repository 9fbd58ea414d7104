"""Mentions: a person in what is nobody's, or somebody else's, such as a batch of calls to many."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from router.domain.outbox import ItemState
from router.storage.events import DISCARDED, RETRIED
from router.storage.privacy.erasures import raw_text
from router.storage.privacy.subjects import Subject
from router.storage.tables import api_answer, inbox_event, outbox, ticket

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: What stands where somebody's data stood, in rows that others need.
BLANK: Final = "erased"
#: Why what waited for a person does not leave.
WHY: Final = "the customer's data is being erased"
#: Whose data an event of this type is about is told by nothing but its body.
_UNPARSED: Final = "unparsed"
_NAMES: Final = re.compile(r"[0-9a-z]{20,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loose:
    """Rows of nobody that name a person: what they are in, and the row itself."""

    items: tuple[Any, ...]
    unparsed: tuple[Any, ...]

    @property
    def lanes(self) -> list[str]:
        return [row.lane for row in self.items]

    @property
    def unread(self) -> list[str]:
        """Names of requests that nobody has read yet: what others wrote may be in them, too."""
        done = (RETRIED, DISCARDED)
        return [f"{row.lane}#{row.seq}" for row in self.unparsed if row.outcome not in done]


def loose_rows(connection: "Connection", subject: Subject) -> Loose:
    """Find what names a person and belongs to no conversation: batches of calls, raw requests."""
    items = connection.execute(
        sa.select(outbox).where(
            outbox.c.tenant == subject.tenant,
            outbox.c.conversation.is_(None),
            _not(subject.belongings[outbox]),
        )
    )
    raw = connection.execute(
        sa.select(inbox_event.c.lane, inbox_event.c.seq, inbox_event.c.source)
        .add_columns(inbox_event.c.external_id, inbox_event.c.payload)
        .add_columns(inbox_event.c.outcome, inbox_event.c.received_at)
        .add_columns(inbox_event.c.discarded_because)
        .where(
            inbox_event.c.tenant == subject.tenant,
            sa.text(f"inbox_event.type = '{_UNPARSED}'"),  # as its index has it
            _not(subject.belongings[inbox_event]),
        )
    )
    return Loose(
        items=tuple(row for row in items if subject.mention.search(f"{row.body}\n{row.error}")),
        unparsed=tuple(
            row
            for row in raw
            if subject.mention.search(f"{raw_text(row.payload)}\n{row.discarded_because or ''}")
        ),
    )


def _not(theirs: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Say that a row is not theirs, nor unknown to be."""
    return sa.case((theirs, 1), else_=0) == 0


def blank_items(connection: "Connection", subject: Subject, loose: Loose, now: datetime) -> int:
    """Take a person out of what is done for several, such as a batch of calls."""
    for row in loose.items:
        body = json.loads(row.body)
        values: dict[str, Any] = {}
        people = recipients_of(body)
        if people is not None:
            people[:] = [it for it in people if not is_theirs(subject, it)]
        if row.state == ItemState.WAITING and not people:
            values = {"state": ItemState.WITHDRAWN, "finished_at": now}
        values["body"] = json.dumps(_blanked(body, subject.mention), ensure_ascii=False)
        error = WHY if "state" in values else row.error
        values["error"] = error and subject.mention.sub(BLANK, error)
        connection.execute(sa.update(outbox).where(outbox.c.id == row.id).values(**values))
    return len(loose.items)


def is_theirs(subject: Subject, recipient: Any) -> bool:
    """Say whether one of several that something is done for is this person, by the number."""
    number = recipient.get("phone_number") if isinstance(recipient, dict) else recipient
    if not isinstance(number, str):
        return False
    written = number.strip().removeprefix("tel:").removeprefix("+")
    return number in subject.addresses or subject.mention.fullmatch(written) is not None


def recipients_of(body: Any) -> list[Any] | None:
    """Give those for whom something is done, such as the people of a batch of calls."""
    params = body.get("params") if isinstance(body, dict) else None
    found = params.get("recipients") if isinstance(params, dict) else None
    return found if isinstance(found, list) else None


def _blanked(value: Any, mention: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return mention.sub(BLANK, value)
    if isinstance(value, Mapping):
        return {mention.sub(BLANK, key): _blanked(it, mention) for key, it in value.items()}
    if isinstance(value, list):
        return [_blanked(it, mention) for it in value]
    return value


def forget_answers(connection: "Connection", subject: Subject) -> int:
    """Forget what the API answered about a person; a repeat of such a request is one of its own."""
    ids = {*subject.conversations, *subject.contacts}
    for table in (outbox, ticket):
        ids.update(connection.scalars(sa.select(table.c.id).where(subject.belongings[table])))
    rows = connection.execute(
        sa.select(api_answer).where(api_answer.c.tenant == subject.tenant)
    ).all()
    gone = 0
    for row in rows:
        text = f"{row.key}\n{row.answer}"
        if not ids.isdisjoint(_NAMES.findall(text)) or subject.mention.search(text):
            keys = (column == getattr(row, column.name) for column in api_answer.primary_key)
            gone += connection.execute(sa.delete(api_answer).where(*keys)).rowcount
    return gone
