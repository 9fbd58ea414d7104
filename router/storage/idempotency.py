"""Requests that are done once, however often they are sent: the answers of ``Idempotency-Key``.

What a request was answered is written in the transaction of its effect: either both are there, or
neither. Of two that come at the same moment the second waits for the first, and gets its answer.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from router.errors import ActRefused
from router.storage.conflicts import insert_missing
from router.storage.store import Tx
from router.storage.tables import api_answer

#: How long an answer is kept; a repeat after that is a request of its own.
LIFE: Final = timedelta(hours=24)

#: How many answers that are over a request takes away.
_SWEPT: Final = 20

_KEY: Final = ("tenant", "token", "route", "key")


class KeyReused(ActRefused):
    """The same key came with another request. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """What a repeat is recognised by.

    :param token: the id of the token that asks.
    :param route: method and path, as the table of routes has them.
    :param key: what the client calls the request.
    :param digest: of everything that the request says.
    """

    tenant: str
    token: str
    route: str
    key: str
    digest: str


def once(
    tx: Tx, request: RequestKey, do: Callable[[], Mapping[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """Do what a request asks for, unless it was done before; give the answer, the same each time.

    What ``do`` raises keeps nothing: a repeat is tried again.

    :param do: has its effect in the same transaction, and gives values for JSON.
    :return: the answer, and whether it is one from before.
    :raises KeyReused: if the key was used for a request that said something else.
    """
    connection, over = tx.connection, tx.ages.at_least() - LIFE
    name = {column: getattr(request, column) for column in _KEY}
    mine = sa.and_(*(api_answer.c[column] == value for column, value in name.items()))
    connection.execute(sa.delete(api_answer).where(mine, api_answer.c.created_at <= over))
    values = {**name, "digest": request.digest, "created_at": tx.now}
    while not insert_missing(connection, api_answer, values, key=_KEY):
        row = connection.execute(sa.select(api_answer).where(mine)).first()
        if row is None:
            continue  # another node took it away just now, because it was over
        if row.digest != request.digest:
            raise KeyReused(
                "this Idempotency-Key was used for a request that said something else. "
                "Give each request a key of its own"
            )
        return json.loads(row.answer), True
    answer = dict(do())
    text = json.dumps(answer, ensure_ascii=False)
    connection.execute(sa.update(api_answer).where(mine).values(answer=text))
    # Last: who waits for another node holds nothing yet that the other could wait for.
    _sweep(connection, over)
    return json.loads(text), False


def _sweep(connection: sa.Connection, over: datetime) -> None:
    """Take away some answers that are over; no two nodes take the same."""
    rows = connection.execute(
        sa.select(*(api_answer.c[column] for column in _KEY))
        .where(api_answer.c.created_at <= over)
        .order_by(api_answer.c.created_at)
        .limit(_SWEPT)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        mine = (api_answer.c[column] == getattr(row, column) for column in _KEY)
        connection.execute(sa.delete(api_answer).where(*mine))
