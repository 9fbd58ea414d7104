"""Tokens of the API: giving them out, and telling whose a request is.

A token is a JWT, signed with a key of its tenant that stands in the database (HMAC-SHA-256; the
header's ``kid`` names it). The signature says that it was given out here; the row says that it was
not revoked. Both are asked each time, and whatever is not as it should be is no token.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from router.errors import RouterError
from router.storage.tokens import TokenView, add_token, find_key, show_token, signing_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

ISSUER: Final = "channel-router"
_ALGORITHM: Final = "HS256"
#: A token of ours is 400 bytes long; nothing that is much longer is looked at.
_LONGEST: Final = 4096
_CLAIMS: Final = ("iss", "jti", "tenant", "scopes", "iat", "exp")


class NoToken(RouterError):
    """What came as a token is none, or none any more. The message says so to whoever sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whoever asks with a token.

    :param id: of the token.
    :param name: of the token: the author of what is done with it.
    :param scopes: what it may be used for.
    """

    id: str
    tenant: str
    name: str
    scopes: frozenset[str]
    expires_at: datetime

    def may(self, scope: str, *, named: bool = False) -> bool:
        """Say whether the token is good for a scope: it has it, or all of its kind.

        :param named: all of its kind is not enough.
        """
        return scope in self.scopes or (not named and scope.rpartition(":")[2] in self.scopes)


def give_out(
    connection: "Connection",
    *,
    tenant: str,
    name: str,
    scopes: "Sequence[str]",
    by: str,
    now: datetime,
    expires_at: datetime,
) -> tuple[TokenView, str]:
    """Make a token; give its row, and the token itself, which nobody can be told again."""
    import jwt  # here: it takes 150 ms

    key = signing_key(connection, tenant, now)
    view = add_token(
        connection,
        tenant=tenant,
        key=key.id,
        name=name,
        scopes=scopes,
        by=by,
        now=now,
        expires_at=expires_at,
    )
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "jti": view.id,
        "tenant": tenant,
        "scopes": list(scopes),
        "iat": int(now.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    text = jwt.encode(claims, key.secret, algorithm=_ALGORITHM, headers={"kid": key.id})
    return view, text


def bearer_of(connection: "Connection", text: str, now: datetime) -> Bearer:
    """Tell whose a token is.

    :param text: what stood behind ``Bearer`` in the request.
    :raises NoToken: if it was not given out here, has expired or was revoked. Only who has a token
        with a good signature is told which.
    """
    import jwt

    from router.errors import NotFound

    unknown = NoToken("the token is not one that was given out here")
    if len(text) > _LONGEST or not text.isascii():
        raise unknown
    try:
        kid = jwt.get_unverified_header(text).get("kid")
        # Not every text is one that a database can be asked for; names of keys are plain.
        if not isinstance(kid, str) or not kid.isascii() or "\0" in kid:
            raise unknown
        key = find_key(connection, kid)
        if key is None:
            raise unknown
        claims = jwt.decode(
            text,
            key.secret,
            algorithms=[_ALGORITHM],
            issuer=ISSUER,
            # By our own clock, below.
            options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False},
        )
    except jwt.InvalidTokenError:
        raise unknown from None
    if claims["tenant"] != key.tenant:
        raise unknown
    try:
        row = show_token(connection, key.tenant, claims["jti"])
    except NotFound:
        raise unknown from None
    if row.revoked_at is not None:
        raise NoToken("the token was revoked")
    if row.expires_at <= now:
        raise NoToken("the token has expired")
    scopes = frozenset(row.scopes) & frozenset(claims["scopes"])
    return Bearer(
        id=row.id, tenant=row.tenant, name=row.name, scopes=scopes, expires_at=row.expires_at
    )
