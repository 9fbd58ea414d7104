"""Contacts: what is stored of one person, and having it erased."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeAlias

import anyio.to_thread
import sqlalchemy as sa
from pydantic import Field

from router.domain.identity import Address
from router.errors import NotFound, RouterError
from router.pipeline.people import acts
from router.pipeline.people.acts import contacts
from router.storage.idempotency import RequestKey, once
from router.storage.privacy.erasures import list_erasures
from router.storage.privacy.export import export, is_empty
from router.storage.store import Tx
from router.storage.tables import api_answer
from router.web.api.call import Call
from router.web.api.endpoints import Routes
from router.web.api.models import Input, Name, Output, Page
from router.web.api.pages import Order, PageQuery, page
from router.web.api.problems import Mistake, Wrong

routes: Final = Routes(
    "contacts",
    "One person's data: to give it to them, and to erase it. A token has to have been given these "
    "scopes by name: `read` and `write` are not enough.",
    named=True,
)

_NEWEST: Final = Order("erasures", (datetime, str), lambda it: (it.at, it.id))
_Rows: TypeAlias = list[dict[str, Any]]


class PersonalData(Output):
    """Everything that is stored of a person; the fields of each kind are those of the database."""

    format: int
    exported_at: datetime
    tenant: str
    address: str = Field(description="By which their messages and calls are one thread.")
    addresses: list[str] = Field(description="Every one that they were known by.")
    contacts: _Rows
    aliases: _Rows
    opt_ins: _Rows
    conversations: _Rows
    messages: _Rows
    calls: _Rows
    drafts: _Rows
    tickets: _Rows
    ticket_entries: _Rows
    escalations: _Rows
    events: _Rows = Field(description="What came in, as it came.")
    decisions: _Rows = Field(description="What was decided, and why: the whole trace.")
    outbox: _Rows = Field(description="What left, or was to leave.")
    first_messages: _Rows
    timers: _Rows
    named_in: _Rows = Field(
        description="Batches of calls and actions that name them beside others: what is about "
        "them. Of requests that could not be read, only which these are: others may be in them."
    )
    files: _Rows = Field(description="Files that are kept, by the digests that messages name.")


class EraseQuery(Input):
    """Who erases, and how much."""

    by: Name | None = Field(None, description="Who does it. Default: the name of the token.")
    forget_opt_out: bool = Field(
        False,
        description="Also that they want no messages; else their addresses are kept for that.",
    )
    with_unread: bool = Field(
        False,
        description="Also requests that could not be read and name them, whoever else these are "
        "about; else it is refused while there are any.",
    )


class ErasureMade(Output):
    """That a person was erased, without saying who it was."""

    id: str
    at: datetime
    by: str
    opted_out: bool = Field(
        description="Their addresses are kept, and nothing else, because they want no messages."
    )
    counts: dict[str, int] = Field(description="How many rows of each table were erased.")


class Erased(Output):
    """What came of an erasure."""

    erasure: ErasureMade


@routes.get("/contacts/{address}/export")
async def export_contact(call: Call, address: str) -> PersonalData:
    """Give everything that is stored of a person.

    Named by any address that they were known by: a telephone number, or `scheme:value`.
    """
    name, now = _name(address), call.host.clock.now()
    document = await call.read(lambda it: export(it, call.tenant, name, now=now))
    if is_empty(document):
        raise NotFound(f'there is no data of "{name}"')
    return PersonalData.model_validate(document)


@routes.delete("/contacts/{address}")
async def erase_contact(call: Call, address: str, query: EraseQuery) -> Erased:
    """Delete everything that is stored of a person, for good.

    What waits to be sent to them is withdrawn. Where a message is just leaving, or an event of
    theirs is being worked, it waits for that, some seconds; then it is refused with 409, and the
    request is to be sent again. It is refused, too, while there are requests that could not be
    read and name them: what others wrote may be in these. Backups keep what they have.
    """
    given = {"id": _name(address), "by": query.by or call.bearer.name}
    given |= {"tenant": call.tenant}
    wishes = {"forget_opt_out": query.forget_opt_out, "with_unread": query.with_unread}
    erase = acts.bound(contacts.ERASE, {**given, **wishes}, call.host.surroundings)
    if call.key is not None:
        key = await anyio.to_thread.run_sync(_unreadable, call.key)
        erase = _once(call, key, erase)
    done = await contacts.erased(
        call.host.store, erase, call.tenant, call.host.surroundings, patience=contacts.PATIENCE
    )
    return Erased.model_validate(done)


@routes.get("/erasures")
async def list_of_erasures(call: Call, query: PageQuery) -> Page[ErasureMade]:
    """List erasures, the newest first. They say how much was erased, and not of whom."""
    return await page(
        call,
        query,
        _NEWEST,
        ErasureMade,
        lambda it, before, limit: list_erasures(it, call.tenant, before=before, limit=limit),
    )


def _name(text: str) -> str:
    try:
        return str(Address.as_typed(text))
    except ValueError as error:
        raise Mistake(400, [Wrong(str(error), parameter="address")]) from None


def _unreadable(key: RequestKey) -> RequestKey:
    """Give a request's key whose digest does not give the address away to whoever tries numbers."""
    salt = f"{key.token}\n{key.key}".encode()
    digest = hashlib.scrypt(key.digest.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
    return replace(key, digest=digest.hex())


class _Waits(RouterError):
    """Something of the person is being worked."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__()
        self.result = result


def _once(
    call: Call, key: RequestKey, erase: Callable[[Tx], dict[str, Any]]
) -> Callable[[Tx], dict[str, Any]]:
    """Let an erasure answer a repeat as it answered the first time; what waits is no answer."""

    def done(tx: Tx) -> dict[str, Any]:
        keys: list[str] = []

        def do() -> dict[str, Any]:
            result = erase(tx)
            if result.get("under_way"):
                raise _Waits(result)
            keys.extend(result.pop("keys"))
            return result

        try:
            answer, call.replayed = once(tx, key, do)
        except _Waits as waits:
            columns = ("tenant", "token", "route", "key")
            mine = (api_answer.c[name] == getattr(key, name) for name in columns)
            tx.connection.execute(sa.delete(api_answer).where(*mine))
            return waits.result
        return {**answer, "keys": keys}

    return done
