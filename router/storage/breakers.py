"""Which circuit breakers are open, so that a restart goes on with them and people are told once."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from router.storage.conflicts import insert_missing
from router.storage.tables import breaker

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBreaker:
    """An instance to which nothing leaves for a while.

    :param instance: as operators know it: ``channels.whatsapp``, ``ai.assistant``.
    :param until: when one call tries.
    :param error: what failed last, in words.
    """

    tenant: str
    instance: str
    opened_at: datetime
    until: datetime
    error: str


def open_breakers(connection: "Connection", tenant: str | None = None) -> list[OpenBreaker]:
    """Give what is open; of one tenant, or of all."""
    statement = sa.select(breaker).order_by(breaker.c.tenant, breaker.c.instance)
    if tenant is not None:
        statement = statement.where(breaker.c.tenant == tenant)
    return [OpenBreaker(**row) for row in connection.execute(statement).mappings()]


def note_open(connection: "Connection", opened: OpenBreaker) -> bool:
    """Keep that a breaker is open; say whether that is news."""
    values = asdict(opened)
    if insert_missing(connection, breaker, values, key=("tenant", "instance")):
        return True
    # Of another node's, or of the last process's, whose moment stays.
    of_this = _of(opened.tenant, opened.instance)
    connection.execute(
        sa.update(breaker).where(of_this).values(until=opened.until, error=opened.error)
    )
    return False


def note_closed(connection: "Connection", tenant: str, instance: str) -> None:
    """Forget a breaker: it is closed."""
    connection.execute(sa.delete(breaker).where(_of(tenant, instance)))


def note_success(connection: "Connection", tenant: str, instance: str, now: datetime) -> None:
    """Forget a breaker whose pause is over: a node whose own is closed has had an answer.

    Whose it is may be gone, and would never say that it is closed. If it is there, and its next
    try fails, it is kept again.
    """
    connection.execute(sa.delete(breaker).where(_of(tenant, instance), breaker.c.until <= now))


def _of(tenant: str, instance: str) -> sa.ColumnElement[bool]:
    return sa.and_(breaker.c.tenant == tenant, breaker.c.instance == instance)
