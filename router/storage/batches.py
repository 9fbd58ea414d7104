"""Batches of calls as people look them up: outbox items of actions that make calls.

Who is called stands in an item's body, which may be large; of that only the number is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from router.domain.outbox import ItemKind
from router.errors import NotFound
from router.storage.calls import count_calls
from router.storage.keyset import behind, in_order
from router.storage.tables import outbox

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """A batch of calls, and how far it is.

    :param id: of the outbox item that it leaves as.
    :param batch: the provider's id; ``None`` while the provider has not taken it.
    :param action: the ``[actions.*]`` table that makes the calls.
    :param state: of the outbox item; ``done``: the provider has it.
    :param recipients: how many are to be called.
    :param done: calls that came about, as far as they were reported.
    :param failed: calls that reached nobody.
    :param at: when it was to begin; ``None``: at once.
    :param cancel: the outbox item that ends it at the provider, if one does.
    :param cancel_state: how far that is.
    """

    id: str
    batch: str | None
    action: str
    name: str
    state: str
    recipients: int
    done: int
    failed: int
    at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    error: str | None
    cancel: str | None = None
    cancel_state: str | None = None


def list_batches(
    connection: "Connection",
    tenant: str,
    actions: Sequence[str],
    *,
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> list[BatchView]:
    """Give batches, the newest first, those that rules began among them.

    :param actions: the names of the actions that make calls.
    :param before: only those behind this place: ``created_at`` and ``id`` of another one.
    """
    order = ((outbox.c.created_at, True), (outbox.c.id, True))
    statement = _batches(connection, tenant).where(outbox.c.destination.in_(actions))
    if before is not None:
        statement = statement.where(behind(order, before))
    rows = connection.execute(statement.order_by(*in_order(order)).limit(limit)).all()
    return _views(connection, tenant, rows)


def find_batch(connection: "Connection", tenant: str, id: str, actions: Sequence[str]) -> BatchView:
    """Give one batch.

    :param id: the outbox item's, or the provider's.
    :raises NotFound: if the tenant has none of this id.
    """
    # A question of its own, and no order: else SQLite reads all that the tenant ever sent.
    named = sa.select(outbox.c.id).where(outbox.c.tenant == tenant, outbox.c.provider_ref == id)
    ids = [id, *connection.scalars(named)]
    theirs = _batches(connection, tenant).where(outbox.c.destination.in_(actions))
    rows = connection.execute(theirs.where(outbox.c.id.in_(ids))).all()
    if not rows:
        raise NotFound(f'there is no batch "{id}"')
    newest = max(rows, key=lambda it: it.created_at)
    return _views(connection, tenant, [newest])[0]


def show_batch(
    connection: "Connection", tenant: str, item: str, *, lock: bool = False
) -> BatchView:
    """Give the batch that leaves as an outbox item.

    :param lock: nobody else locks it until this transaction ends; waits for who has.
    :raises NotFound: if the tenant has none of this id.
    """
    statement = _batches(connection, tenant).where(outbox.c.id == item)
    rows = connection.execute(statement.with_for_update() if lock else statement).all()
    if not rows:
        raise NotFound(f'there is no batch "{item}"')
    return _views(connection, tenant, rows)[0]


def _batches(connection: "Connection", tenant: str) -> sa.Select[Any]:
    number = _number_of(connection, "recipients")
    return sa.select(
        outbox.c.id,
        outbox.c.provider_ref,
        outbox.c.destination,
        outbox.c.state,
        outbox.c.created_at,
        outbox.c.finished_at,
        outbox.c.error,
        _text_of(connection, "name").label("name"),
        _text_of(connection, "at").label("at"),
        number.label("recipients"),
    ).where(outbox.c.tenant == tenant, outbox.c.kind == ItemKind.ACTION, number > 0)


def _views(connection: "Connection", tenant: str, rows: Sequence[sa.Row[Any]]) -> list[BatchView]:
    names = [row.provider_ref for row in rows if row.provider_ref is not None]
    counts = count_calls(connection, tenant, names)
    ends = _ends(connection, tenant, rows, names)
    views = []
    for row in rows:
        done, failed = counts.get(row.provider_ref, (0, 0))
        cancel, cancel_state = ends.get((row.destination, row.provider_ref), (None, None))
        views.append(
            BatchView(
                id=row.id,
                batch=row.provider_ref,
                action=row.destination,
                name=row.name or "",
                state=row.state,
                recipients=row.recipients,
                done=done,
                failed=failed,
                at=_moment(row.at),
                created_at=row.created_at,
                finished_at=row.finished_at,
                error=row.error,
                cancel=cancel,
                cancel_state=cancel_state,
            )
        )
    return views


def _ends(
    connection: "Connection", tenant: str, rows: Sequence[sa.Row[Any]], names: Sequence[str]
) -> Mapping[tuple[str, str], tuple[str, str]]:
    """Give the newest item that ends each batch."""
    if not names:
        return {}
    ended = _text_of(connection, "cancel")
    found = connection.execute(
        sa.select(outbox.c.id, outbox.c.state, outbox.c.destination, ended.label("batch"))
        .where(
            outbox.c.tenant == tenant,
            outbox.c.kind == ItemKind.ACTION,
            outbox.c.destination.in_({row.destination for row in rows}),
            outbox.c.created_at >= min(row.created_at for row in rows),
            ended.in_(names),
        )
        .order_by(outbox.c.created_at, outbox.c.id)
    )
    return {(row.destination, row.batch): (row.id, row.state) for row in found}


def _text_of(connection: "Connection", name: str) -> sa.ColumnElement[Any]:
    """Give a parameter of an action as the database reads it out of the item's body."""
    if connection.dialect.name == "sqlite":
        return sa.func.json_extract(outbox.c.body, f"$.params.{name}", type_=sa.Text)
    return sa.func.json_extract_path_text(_body(), "params", name, type_=sa.Text)


def _number_of(connection: "Connection", name: str) -> sa.ColumnElement[Any]:
    """Give how many there are of a parameter that is a list; for any other, nothing."""
    if connection.dialect.name == "sqlite":
        return sa.func.json_array_length(outbox.c.body, f"$.params.{name}", type_=sa.Integer)
    listed = sa.func.json_extract_path(_body(), "params", name)
    length = sa.func.json_array_length(listed, type_=sa.Integer)
    return sa.case((sa.func.json_typeof(listed) == "array", length))


def _body() -> sa.ColumnElement[Any]:
    return sa.cast(outbox.c.body, postgresql.JSON)


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:  # as a rule wrote it
        return None
