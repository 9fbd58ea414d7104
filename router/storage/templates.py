"""What providers last listed of their templates, so that a restart, and other nodes, know it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from router.plugin.templates import TemplateInfo
from router.storage.conflicts import insert_missing
from router.storage.tables import template_listing

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SETS = ("variables", "aliases")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredListing:
    """Everything that the provider of a channel listed, at one moment."""

    tenant: str
    channel: str
    listed_at: datetime
    templates: tuple[TemplateInfo, ...]


def keep_listing(
    connection: "Connection",
    tenant: str,
    channel: str,
    templates: Sequence[TemplateInfo],
    now: datetime,
) -> None:
    """Keep a listing in place of the one before."""
    values = {"listed_at": now, "body": _encoded(templates)}
    key = {"tenant": tenant, "channel": channel}
    if not insert_missing(connection, template_listing, {**key, **values}, key=tuple(key)):
        connection.execute(sa.update(template_listing).where(_of(tenant, channel)).values(**values))


def listings(
    connection: "Connection", tenant: str, channels: Sequence[str] | None = None
) -> list[StoredListing]:
    """Give what is kept of a tenant's channels, those that are no more among them.

    :param channels: only these; ``None``: all.
    """
    statement = (
        sa.select(template_listing)
        .where(template_listing.c.tenant == tenant)
        .order_by(template_listing.c.channel)
    )
    if channels is not None:
        statement = statement.where(template_listing.c.channel.in_(channels))
    return [
        StoredListing(
            tenant=row.tenant,
            channel=row.channel,
            listed_at=row.listed_at,
            templates=_decoded(row.body),
        )
        for row in connection.execute(statement)
    ]


def listed_at(connection: "Connection", tenant: str) -> dict[str, datetime]:
    """Say when the listing of each of a tenant's channels was made."""
    rows = connection.execute(
        sa.select(template_listing.c.channel, template_listing.c.listed_at).where(
            template_listing.c.tenant == tenant
        )
    )
    return {row.channel: row.listed_at for row in rows}


def _encoded(templates: Sequence[TemplateInfo]) -> str:
    values = [
        {
            name: sorted(value) if name in _SETS else value
            for name in TemplateInfo.__slots__
            if (value := getattr(each, name))
        }
        for each in templates
    ]
    # In ASCII: what a provider writes may hold characters that no database takes.
    return json.dumps(values, separators=(",", ":"))


def _decoded(body: str) -> tuple[TemplateInfo, ...]:
    return tuple(_template(each) for each in json.loads(body))


def _template(values: dict[str, Any]) -> TemplateInfo:
    found: dict[str, Any] = dict.fromkeys(("ref", "name", "language", "status"), "")
    found |= {key: frozenset(it) if key in _SETS else it for key, it in values.items()}
    return TemplateInfo(**found)


def _of(tenant: str, channel: str) -> sa.ColumnElement[bool]:
    return sa.and_(template_listing.c.tenant == tenant, template_listing.c.channel == channel)
