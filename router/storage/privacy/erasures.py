"""Erasures: that people were erased, and the look for what is left of somebody.

What is kept of an erasure names nobody. The digests of the addresses are made slowly, with a salt
of the tenant: whoever has an address can tell whether it was erased; whoever has the digests would
have to try every number there is, each for a twentieth of a second.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

import sqlalchemy as sa

from router.domain.identity import Address, thread_key
from router.ids import new_secret
from router.storage.conflicts import insert_missing
from router.storage.keyset import Order, behind, in_order
from router.storage.tables import erasure, erasure_salt, metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """That a person was erased.

    :param by: who did it.
    :param opted_out: their addresses are kept, and nothing else, because they want no messages.
    :param counts: how many rows of which table were deleted, or blanked.
    """

    id: str
    tenant: str
    at: datetime
    by: str
    opted_out: bool
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Where somebody is still named.

    :param row: the row's key, as it is written in the database.
    :param columns: in which columns of it.
    """

    table: str
    row: str
    columns: tuple[str, ...]


def salt_of(connection: "Connection", tenant: str) -> str:
    """Give the salt of a tenant's digests, made when it is first asked for."""
    asked = sa.select(erasure_salt.c.salt).where(erasure_salt.c.tenant == tenant)
    salt: str | None = connection.scalar(asked)
    if salt is None:
        insert_missing(
            connection, erasure_salt, {"tenant": tenant, "salt": new_secret()}, key=("tenant",)
        )
        salt = connection.execute(asked).scalar_one()
    return salt


def digests_of(salt: str, keys: Iterable[str]) -> list[str]:
    """Give what the addresses of an erased person are known by."""
    return [
        hashlib.scrypt(key.encode(), salt=salt.encode(), n=2**14, r=8, p=1, dklen=32).hex()
        for key in keys
    ]


_NEWEST: Final[Order] = ((erasure.c.created_at, True), (erasure.c.id, True))


def list_erasures(
    connection: "Connection",
    tenant: str,
    *,
    name: str | None = None,
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> list[Erasure]:
    """Give erasures, the newest first.

    :param name: only those of this address, ``scheme:value``.
    :param before: only those behind this place: ``created_at`` and ``id`` of another one.
    """
    statement = sa.select(erasure).where(erasure.c.tenant == tenant)
    if before is not None:
        statement = statement.where(behind(_NEWEST, before))
    statement = statement.order_by(*in_order(_NEWEST))
    if name is None:
        statement = statement.limit(limit)
    rows = connection.execute(statement).all()
    if name is not None:
        salt = connection.scalar(
            sa.select(erasure_salt.c.salt).where(erasure_salt.c.tenant == tenant)
        )
        mine = (
            set() if salt is None else set(digests_of(salt, [thread_key(Address.from_text(name))]))
        )
        rows = [row for row in rows if not mine.isdisjoint(row.digests)][:limit]
    return [
        Erasure(
            id=row.id,
            tenant=row.tenant,
            at=row.created_at,
            by=row.by,
            opted_out=row.opted_out,
            counts=row.counts,
        )
        for row in rows
    ]


#: Rows that one statement reads.
_LOOK: Final = 500


def traces_of(
    connection: "Connection", tenant: str, wanted: re.Pattern[str], *, limit: int = 100
) -> list[Trace]:
    """Look for somebody in every text of every table of a tenant; give where they are named.

    Every row is read, and what is stored in another form than text is unpacked before: it takes
    as long as the database is large.

    :param wanted: what they are known by; see :func:`router.storage.privacy.subjects.mention_of`.
    """
    traces: list[Trace] = []
    for table in metadata.sorted_tables:
        if "tenant" not in table.c:
            continue
        key = list(table.primary_key.columns)
        place: tuple[Any, ...] | None = None
        while True:
            statement = sa.select(table).where(table.c.tenant == tenant)
            if place is not None:
                statement = statement.where(sa.tuple_(*key) > sa.tuple_(*place))
            rows = connection.execute(statement.order_by(*key).limit(_LOOK)).all()
            for row in rows:
                values = row._asdict()
                columns = tuple(
                    column.name
                    for column in table.c
                    if wanted.search(_text_of(table.name, column.name, values))
                )
                if columns:
                    name = "/".join(str(values[column.name]) for column in key)
                    traces.append(Trace(table=table.name, row=name, columns=columns))
                    if len(traces) >= limit:
                        return traces
            if len(rows) < _LOOK:
                break
            place = tuple(rows[-1]._mapping[column.name] for column in key)  # noqa: SLF001
    return traces


def _text_of(table: str, column: str, values: Mapping[str, Any]) -> str:
    """Give a value as somebody would read it."""
    value = values[column]
    if value is None or isinstance(value, bool | int | datetime):
        return ""
    if isinstance(value, bytes):
        from router.rules.trace import unpacked

        try:
            return json.dumps(unpacked(value), ensure_ascii=False)
        except ValueError:
            return value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if table == "inbox_event" and column == "payload" and values["type"] == "unparsed":
        return f"{value}\n{raw_text(value)}"
    return value


def raw_text(payload: str) -> str:
    """Give what a request that could not be read says, as far as it is text."""
    try:
        body = base64.b64decode(json.loads(payload).get("body", ""))
    except ValueError:
        return payload
    return unquote_to_bytes(body.replace(b"+", b" ")).decode("utf-8", "replace") + body.decode(
        "utf-8", "replace"
    )
