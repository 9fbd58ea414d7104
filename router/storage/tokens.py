"""Tokens of the API: the rows that make them revocable, and the keys that they are signed with.

The token itself is kept nowhere. A tenant's tokens are signed with keys of its own: who has the one
tenant's key signs nothing for another.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from router.errors import ActRefused, NotFound
from router.ids import new_id
from router.storage.conflicts import hold
from router.storage.tables import api_key, api_token

#: Random bytes of a key; HMAC-SHA-256 gains nothing from more.
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """A token, without what is written in it.

    :param name: what uses it, for people; it stands as the author of what is done with it.
    :param scopes: what it may be used for, as ``drafts:write``.
    :param revoked_at: since when it is worth nothing; ``None`` while nobody revoked it.
    """

    id: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """What tokens are signed with.

    :param secret: 64 hex digits; never shown to anybody.
    """

    id: str
    tenant: str
    secret: str

    def __repr__(self) -> str:
        return f"SigningKey({self.id!r})"


def signing_key(connection: sa.Connection, tenant: str, now: datetime) -> SigningKey:
    """Give the key that signs a tenant's tokens; the first time one is made."""
    hold(connection, "api_key", tenant)
    row = connection.execute(
        sa.select(api_key)
        .where(api_key.c.tenant == tenant, api_key.c.retired_at.is_(None))
        .order_by(api_key.c.created_at.desc(), api_key.c.id.desc())
        .limit(1)
    ).first()
    return new_key(connection, tenant, now) if row is None else _key(row)


def new_key(connection: sa.Connection, tenant: str, now: datetime) -> SigningKey:
    """Make the key that signs a tenant's tokens from now on; older ones are still believed."""
    key = SigningKey(id=new_id(), tenant=tenant, secret=secrets.token_hex(_KEY_BYTES))
    connection.execute(
        sa.insert(api_key).values(id=key.id, tenant=tenant, secret=key.secret, created_at=now)
    )
    return key


def retire_keys(connection: sa.Connection, tenant: str, *, but: str, now: datetime) -> int:
    """Believe no key of a tenant any more but one; give how many tokens this ended."""
    others = sa.and_(
        api_key.c.tenant == tenant, api_key.c.id != but, api_key.c.retired_at.is_(None)
    )
    keys = list(connection.execute(sa.select(api_key.c.id).where(others)).scalars())
    connection.execute(sa.update(api_key).where(others).values(retired_at=now))
    ended = sa.select(sa.func.count()).where(
        api_token.c.tenant == tenant,
        api_token.c.key.in_(keys),
        api_token.c.revoked_at.is_(None),
        api_token.c.expires_at > now,
    )
    return int(connection.execute(ended).scalar_one())


def find_key(connection: sa.Connection, id: str) -> SigningKey | None:
    """Give a key that is believed; ``None`` if there is none of the id.

    Asked before it is known whose token it is: the key says which tenant it may sign for.
    """
    row = connection.execute(
        sa.select(api_key).where(api_key.c.id == id, api_key.c.retired_at.is_(None))
    ).first()
    return None if row is None else _key(row)


def add_token(
    connection: sa.Connection,
    *,
    tenant: str,
    key: str,
    name: str,
    scopes: Sequence[str],
    by: str,
    now: datetime,
    expires_at: datetime,
) -> TokenView:
    """Keep a token that is being given out."""
    token_id = new_id()
    connection.execute(
        sa.insert(api_token).values(
            id=token_id,
            tenant=tenant,
            key=key,
            name=name,
            scopes=list(scopes),
            created_at=now,
            created_by=by,
            expires_at=expires_at,
        )
    )
    return show_token(connection, tenant, token_id)


def list_tokens(
    connection: sa.Connection, tenant: str, *, limit: int = 50, useful: datetime | None = None
) -> list[TokenView]:
    """Give a tenant's tokens, the newest first.

    :param useful: only those that are neither revoked nor expired at this moment.
    """
    statement = sa.select(api_token).where(api_token.c.tenant == tenant)
    if useful is not None:
        statement = statement.where(
            api_token.c.revoked_at.is_(None), api_token.c.expires_at > useful
        )
    newest = (api_token.c.created_at.desc(), api_token.c.id.desc())
    return [_view(row) for row in connection.execute(statement.order_by(*newest).limit(limit))]


def show_token(connection: sa.Connection, tenant: str, id: str) -> TokenView:
    """Give one token.

    :raises NotFound: if the tenant has none of this id.
    """
    row = connection.execute(
        sa.select(api_token).where(api_token.c.id == id, api_token.c.tenant == tenant)
    ).first()
    if row is None:
        raise NotFound(f'there is no token "{id}"')
    return _view(row)


def revoke_token(
    connection: sa.Connection, tenant: str, id: str, *, by: str, now: datetime
) -> TokenView:
    """Let a token be worth nothing from now on.

    :raises NotFound: if the tenant has none of this id.
    :raises ActRefused: if somebody has revoked it already.
    """
    connection.execute(
        sa.select(api_token.c.id)
        .where(api_token.c.id == id, api_token.c.tenant == tenant)
        .with_for_update()
    )
    view = show_token(connection, tenant, id)
    if view.revoked_at is not None:
        raise ActRefused(f'token "{id}" is revoked already, by {view.revoked_by}')
    connection.execute(
        sa.update(api_token)
        .where(api_token.c.id == id, api_token.c.tenant == tenant)
        .values(revoked_at=now, revoked_by=by)
    )
    return show_token(connection, tenant, id)


def _key(row: sa.Row[Any]) -> SigningKey:
    return SigningKey(id=row.id, tenant=row.tenant, secret=row.secret)


def _view(row: sa.Row[Any]) -> TokenView:
    return TokenView(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        scopes=tuple(row.scopes),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
    )
