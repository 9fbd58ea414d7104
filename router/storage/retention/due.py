"""What retention would delete just now, counted; nothing is."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from router.storage.retention.strays import STRAYS, old_strays
from router.storage.retention.threads import NAMES, THEIRS, lanes_of, old_threads
from router.storage.tables import call, draft, escalation, message, outbox, ticket, usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

#: Rows that one statement looks at.
_LOOK: Final = 200
_COUNTED: Final = {
    table.name: sa.select(sa.func.count()).where(table.c.conversation.in_(NAMES))
    for table in (message, call, draft, escalation, outbox, ticket, usage)
}
_EVENTS: Final = sa.select(sa.func.count()).where(*THEIRS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is old of a tenant.

    :param before: what is older may go.
    :param goes: how many rows of which table would be deleted.
    :param stays: how many rows are older and stay: conversations, and rows of no conversation.
        Something of them is open, or younger.
    """

    tenant: str
    before: datetime
    goes: "Mapping[str, int]"
    stays: "Mapping[str, int]"


def due(connection: "Connection", tenant: str, before: datetime) -> Due:
    """Count what retention would delete of a tenant, and what it would leave although it is old."""
    goes: Counter[str] = Counter(conversation=0)
    stays: Counter[str] = Counter(conversation=0)
    place: tuple[Any, ...] | None = None
    while True:
        threads = old_threads(connection, tenant, before, place=place, limit=_LOOK)
        goes["conversation"] += len(threads.over)
        stays["conversation"] += threads.staying
        if threads.over:
            names: dict[str, Any] = {"names": [thread.id for thread in threads.over]}
            for table, statement in _COUNTED.items():
                goes[table] += connection.execute(statement, names).scalar_one()
            names["lanes"] = lanes_of(connection, threads.over)
            goes["inbox_event"] += connection.execute(_EVENTS, names).scalar_one()
        place = threads.place
        if place is None:
            break
    for each in STRAYS:
        place = None
        while True:
            strays = old_strays(connection, tenant, each, before, place=place, limit=_LOOK)
            goes[each.name] += len(strays.over)
            stays[each.name] += strays.staying
            place = strays.place
            if place is None:
                break
    return Due(tenant=tenant, before=before, goes=dict(goes), stays=dict(stays))
