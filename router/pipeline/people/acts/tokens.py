"""What a person may do with the API's tokens, and with what signs them."""

from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from router.domain.conversation import BOT, NOBODY
from router.domain.identity import MAIN_TENANT
from router.errors import ActRefused
from router.pipeline.people.acts.arguments import Signed
from router.pipeline.people.acts.table import Act, Acts
from router.pipeline.people.surroundings import Surroundings
from router.storage import tokens
from router.storage.store import Tx
from router.storage.views import as_values


class _NewToken(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    tenant: str = MAIN_TENANT
    name: str = Field(min_length=1, max_length=100)
    scopes: list[str] = Field(min_length=1)
    #: For how long it is good, in seconds.
    expires: float = Field(gt=0, le=3650 * 86400)
    by: str = Field(min_length=1, max_length=100)


class _NewKey(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str = MAIN_TENANT
    #: Tokens signed with older keys are worth nothing from now on.
    now: bool = False


def _new_token(tx: Tx, given: _NewToken, around: Surroundings) -> dict[str, Any]:
    from router.pipeline.people.tokens import give_out

    if given.name in (BOT, NOBODY):
        raise ActRefused(f'"{given.name}" is not a name for a token: it stands for somebody else')
    view, text = give_out(
        tx.connection,
        tenant=given.tenant,
        name=given.name,
        scopes=list(dict.fromkeys(given.scopes)),
        by=given.by,
        now=tx.now,
        expires_at=tx.now + timedelta(seconds=given.expires),
    )
    return {"token": as_values(view), "text": text}


def _revoke_token(tx: Tx, given: Signed, around: Surroundings) -> dict[str, Any]:
    view = tokens.revoke_token(tx.connection, given.tenant, given.id, by=given.by, now=tx.now)
    return {"token": as_values(view)}


def _new_key(tx: Tx, given: _NewKey, around: Surroundings) -> dict[str, Any]:
    key = tokens.new_key(tx.connection, given.tenant, tx.now)
    ended = 0
    if given.now:
        ended = tokens.retire_keys(tx.connection, given.tenant, but=key.id, now=tx.now)
    return {"key": key.id, "ended": ended}


ACTS: Final[Acts] = {
    "tokens.create": Act(_NewToken, _new_token),
    "tokens.revoke": Act(Signed, _revoke_token),
    "tokens.rotate": Act(_NewKey, _new_key),
}
