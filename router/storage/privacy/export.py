"""Export: everything that is stored of one person, as a document that people can read.

Kinds and fields are called as in the API and the database. What is no data of the person is left
out: the secrets of links, the order of lanes, what models cost.
"""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from router.rules.trace import unpacked
from router.storage.links import without_links
from router.storage.privacy.erasing import files_in
from router.storage.privacy.mentions import Loose, is_theirs, loose_rows, recipients_of
from router.storage.privacy.subjects import Subject, find_subject
from router.storage.tables import (
    alias,
    call,
    contact,
    conversation,
    decision,
    draft,
    escalation,
    first_message,
    inbox_event,
    media,
    message,
    opt_in,
    outbox,
    ticket,
    ticket_entry,
    timer,
)
from router.storage.views import as_values

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Of the document; a field that means something else makes it a higher one.
FORMAT: Final = 1

#: The kinds of the document, and what they are in order by.
KINDS: Final[Mapping[str, tuple[sa.Table, str]]] = {
    "contacts": (contact, "created_at"),
    "aliases": (alias, "created_at"),
    "opt_ins": (opt_in, "created_at"),
    "conversations": (conversation, "created_at"),
    "messages": (message, "created_at"),
    "calls": (call, "began_at"),
    "drafts": (draft, "created_at"),
    "tickets": (ticket, "number"),
    "ticket_entries": (ticket_entry, "created_at"),
    "escalations": (escalation, "created_at"),
    "events": (inbox_event, "received_at"),
    "decisions": (decision, "created_at"),
    "outbox": (outbox, "created_at"),
    "first_messages": (first_message, "created_at"),
    "timers": (timer, "due_at"),
}
#: Tables of which nothing is given, and why.
LEFT_OUT: Final[Mapping[str, str]] = {
    "link": "secrets that let people of the business read a conversation",
    "usage": "what models cost",
    "early_report": "reports on messages that are given with them, for some minutes",
    "bucket": "how fast messages may leave",
    "lane": "the order of events, which their names hold",
}
#: Columns that say nothing about the person.
_OURS: Final = ("tenant", "epoch", "turn_generation", "pending_ask", "generation")


def export(connection: "Connection", tenant: str, name: str, *, now: datetime) -> dict[str, Any]:
    """Give everything that is stored of a person; without anything, kinds are empty.

    :param name: any address of theirs, ``scheme:value``.
    """
    subject = find_subject(connection, tenant, name)
    document: dict[str, Any] = {
        "format": FORMAT,
        "exported_at": now.isoformat(),
        "tenant": tenant,
        "address": subject.key,
        "addresses": sorted(subject.addresses),
    }
    for kind, (table, order) in KINDS.items():
        statement = sa.select(table).where(subject.belongings[table])
        rows = connection.execute(statement.order_by(table.c[order], *table.primary_key))
        document[kind] = [_values(row) for row in rows]
    document["named_in"] = _named(loose_rows(connection, subject), subject)
    document["files"] = _files(connection, tenant, document)
    return document


def is_empty(document: Mapping[str, Any]) -> bool:
    """Say whether nothing is stored of whom a document is about."""
    return not any(document[kind] for kind in (*KINDS, "named_in"))


def _values(row: Any) -> dict[str, Any]:
    values = {
        key: value
        for key, value in row._mapping.items()  # noqa: SLF001 - its public name
        if key not in _OURS and value is not None
    }
    if "trace" in values:
        values["trace"] = _trace(values["trace"])
    for key in ("payload", "body"):
        if isinstance(values.get(key), str):
            values[key] = without_links(json.loads(values[key]))
    found: dict[str, Any] = as_values(values)
    return found


def _trace(data: bytes) -> Any:
    try:
        return unpacked(data)
    except ValueError:
        return base64.b64encode(data).decode()


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _named(loose: Loose, subject: Subject) -> list[dict[str, Any]]:
    """Give what names the person beside others: only what is about them."""
    found: list[dict[str, Any]] = []
    for row in loose.items:
        body = without_links(json.loads(row.body))
        people = recipients_of(body)
        if people is None:
            mine = [body.get("params") or {}]
            mine = [it for it in mine if subject.mention.search(_text(it))]
        else:
            mine = [it for it in people if is_theirs(subject, it)]
        at, what = row.created_at.isoformat(), {"kind": "outbox", "id": row.id}
        found.append({**what, "destination": row.destination, "created_at": at, "params": mine})
    for row in loose.unparsed:
        # Nobody has read it: what else it holds may be about others.
        what = {"kind": "event", "id": f"{row.lane}#{row.seq}"}
        channel, at = row.source.split("/")[1], row.received_at.isoformat()
        found.append({**what, "channel": channel, "received_at": at})
    return found


def _files(
    connection: "Connection", tenant: str, document: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Give the files that are kept of a person, by the digest that messages and calls name."""
    told = [document["messages"], document["events"], document["calls"]]
    rows = connection.execute(
        sa.select(media.c.digest, media.c.content_type, media.c.size)
        .where(media.c.tenant == tenant, media.c.digest.in_(files_in(told)))
        .order_by(media.c.digest)
    )
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - its public name
