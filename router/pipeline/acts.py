"""What a person may do, from the command line, the desk or the API: one table of acts.

An act is a function over one transaction with checked arguments. Who calls it does not matter:
the process that owns the database runs it, everybody else asks that process over its control
socket, so there is one writer always.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from router.domain.draft import DraftState
from router.domain.host_event import Unparsed
from router.domain.identity import MAIN_TENANT, Address, thread_key
from router.domain.message import Author
from router.domain.ticket import TicketState
from router.errors import ActRefused, NotFound
from router.pipeline.outgoing import message_items
from router.pipeline.surroundings import Surroundings
from router.storage import codec, conversations, drafts, escalations, events, outbox, tickets
from router.storage.store import EventRef, NewEvent, Store, Tx
from router.storage.tables import alias
from router.storage.views import as_values

#: How long a takeover waits for messages that are just leaving, in seconds.
PATIENCE: Final = 5.0
_LOOK_AGAIN: Final = 0.05
_RETRY: Final = re.compile(r"~retry[0-9]+$")


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    tenant: str = MAIN_TENANT
    id: str = Field(min_length=1)


class _Signed(_Arguments):
    by: str = Field(min_length=1, max_length=100)


class _DraftEdit(_Signed):
    text: str = Field(min_length=1)


class _DraftReject(_Signed):
    because: str = ""


class _Resolve(_Signed):
    verdict: outbox.Verdict | None = None
    #: As ``verdict``: true for ``sent``, false for ``resend``.
    sent: bool | None = None


class _TicketState(_Signed):
    state: TicketState


class _TicketNote(_Signed):
    text: str = Field(min_length=1)


# Drafts ───────────────────────────────────────────────────────────────────────────────────────


def _approve(tx: Tx, given: _Signed, around: Surroundings) -> dict[str, Any]:
    return _send_draft(tx, given, around, None)


def _edit(tx: Tx, given: _DraftEdit, around: Surroundings) -> dict[str, Any]:
    return _send_draft(tx, given, around, given.text)


def _send_draft(
    tx: Tx, given: _Signed, around: Surroundings, changed: str | None
) -> dict[str, Any]:
    """Send a draft's text as a person's. It takes nothing over: the epoch stays."""
    tenant = given.tenant
    view = drafts.show_draft(tx.connection, tenant, given.id)
    thread = conversations.show_conversation(tx.connection, tenant, view.conversation)
    text = view.text if changed is None else changed
    same = text == view.text.strip()
    state = DraftState.APPROVED if changed is None or same else DraftState.EDITED
    resolved = drafts.resolve_draft(
        tx.connection, tenant, given.id, state=state, by=given.by, now=tx.now, sent_text=text
    )
    pairs = message_items(
        text,
        tenant=tenant,
        channel=thread.channel,
        recipient=Address.from_text(thread.address),
        author=Author.PERSON,
        max_text=around.max_text(tenant, thread.channel),
        in_reply_to=thread.last_provider_id,
    )
    items = [item for item, _ in pairs]
    tx.send(
        items, tenant=tenant, conversation=thread.id, epoch=thread.epoch, decided=resolved.event
    )
    for _, line in pairs:
        conversations.add_line(
            tx.connection, tenant, thread.id, line, event=resolved.event, now=tx.now
        )
    conversations.note_person(tx.connection, tenant, thread.id, now=tx.now)
    return {"draft": as_values(resolved), "items": [item.id for item in items]}


def _reject(tx: Tx, given: _DraftReject, around: Surroundings) -> dict[str, Any]:
    view = drafts.resolve_draft(
        tx.connection,
        given.tenant,
        given.id,
        state=DraftState.DISCARDED,
        by=given.by,
        now=tx.now,
        because=given.because,
    )
    return {"draft": as_values(view)}


# Outbox and events ────────────────────────────────────────────────────────────────────────────


def _resolve(tx: Tx, given: _Resolve, around: Surroundings) -> dict[str, Any]:
    verdict = given.verdict
    if verdict is None:
        if given.sent is None:
            raise ActRefused('say what became of it: "verdict" is sent, resend or drop')
        verdict = outbox.Verdict.SENT if given.sent else outbox.Verdict.RESEND
    item = outbox.resolve_item(
        tx.connection, given.tenant, given.id, verdict=verdict, by=given.by, now=tx.now
    )
    return {"item": as_values(item)}


def _retry_item(tx: Tx, given: _Signed, around: Surroundings) -> dict[str, Any]:
    item = outbox.retry_item(tx.connection, given.tenant, given.id, by=given.by, now=tx.now)
    return {"item": as_values(item)}


def _retry_event(tx: Tx, given: _Signed, around: Surroundings) -> dict[str, Any]:
    """Put a dead letter in again, or read an unparsed request again."""
    tenant = given.tenant
    try:
        ref = EventRef.from_text(given.id)
    except ValueError as error:
        raise ActRefused(str(error)) from None
    view = events.show_event(tx.connection, tenant, ref)
    if view.outcome == events.RETRIED:
        raise ActRefused(f'event "{ref}" was {(view.dead_error or "tried again").split("; ")[-1]}')
    event = codec.decode(view.kind, codec.dumps(view.payload))
    if isinstance(event, Unparsed):
        fresh = [
            NewEvent(
                lane=_lane(tx, tenant, parsed.address),
                tenant=tenant,
                source=view.source,
                external_id=parsed.dedupe_key,
                event=parsed,
                received_at=view.received_at,
            )
            for parsed in around.parse(tenant, event, view.received_at)
        ]
    elif view.dead_at is None:
        stands = "still waits for its turn" if view.outcome is None else f"ended: {view.outcome}"
        raise ActRefused(f'event "{ref}" {stands}. Only a dead or an unparsed event can be retried')
    else:
        stem = _RETRY.sub("", view.external_id)
        fresh = [
            NewEvent(
                lane=ref.lane,
                tenant=tenant,
                source=view.source,
                external_id=events.retry_id(tx.connection, view.source, stem),
                event=event,
                received_at=view.received_at,
            )
        ]
    accepted = tx.enqueue(fresh)
    events.mark_retried(tx.connection, tenant, ref, [each.ref for each in accepted])
    known = [str(each.ref) for each in accepted if not each.new]
    return {"event": str(ref), "as": [str(each.ref) for each in accepted], "known": known}


def _lane(tx: Tx, tenant: str, address: Address) -> str:
    key = thread_key(address)
    learnt = tx.connection.scalar(
        sa.select(alias.c.key).where(alias.c.tenant == tenant, alias.c.address == key)
    )
    return f"{tenant}/{learnt or key}"


# Conversations, escalations, tickets ──────────────────────────────────────────────────────────


def _take(tx: Tx, given: _Signed, around: Surroundings) -> dict[str, Any]:
    view, withdrawn = conversations.take_conversation(
        tx.connection, given.tenant, given.id, by=given.by, now=tx.now
    )
    leaving = outbox.under_way(tx.connection, given.tenant, view.id)
    return {"conversation": as_values(view), "withdrawn": withdrawn, "under_way": leaving}


def _release(tx: Tx, given: _Arguments, around: Surroundings) -> dict[str, Any]:
    view = conversations.release_conversation(tx.connection, given.tenant, given.id, now=tx.now)
    return {"conversation": as_values(view)}


def _acknowledge(tx: Tx, given: _Signed, around: Surroundings) -> dict[str, Any]:
    view = escalations.acknowledge(tx.connection, given.tenant, given.id, by=given.by, now=tx.now)
    return {"escalation": as_values(view)}


def _ticket_state(tx: Tx, given: _TicketState, around: Surroundings) -> dict[str, Any]:
    view = tickets.change_state(
        tx.connection, given.tenant, given.id, state=given.state, by=given.by, now=tx.now
    )
    return {"ticket": as_values(view)}


def _ticket_note(tx: Tx, given: _TicketNote, around: Surroundings) -> dict[str, Any]:
    view = tickets.add_note(
        tx.connection, given.tenant, given.id, text=given.text, by=given.by, now=tx.now
    )
    return {"ticket": as_values(view)}


# The table ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a person may do.

    :param arguments: what it needs.
    :param function: does it, in one transaction; raises ``ActRefused`` in words.
    """

    arguments: type[BaseModel]
    function: Callable[[Tx, Any, Surroundings], dict[str, Any]]


ACTS: Final[Mapping[str, Act]] = {
    "drafts.approve": Act(_Signed, _approve),
    "drafts.edit": Act(_DraftEdit, _edit),
    "drafts.reject": Act(_DraftReject, _reject),
    "outbox.resolve": Act(_Resolve, _resolve),
    "outbox.retry": Act(_Signed, _retry_item),
    "events.retry": Act(_Signed, _retry_event),
    "conversations.take": Act(_Signed, _take),
    "conversations.release": Act(_Arguments, _release),
    "escalations.ack": Act(_Signed, _acknowledge),
    "tickets.state": Act(_TicketState, _ticket_state),
    "tickets.note": Act(_TicketNote, _ticket_note),
}


async def perform(
    store: Store,
    name: str,
    arguments: Mapping[str, Any],
    surroundings: Surroundings,
    *,
    patience: float = PATIENCE,
) -> dict[str, Any]:
    """Do one act, and give what came of it as values for JSON.

    A takeover answers once nothing of the bot's is on its way any more, or after ``patience``
    seconds; ``under_way`` then names the messages that could not be called back.

    :raises NotFound: if there is no such act, or nothing of the id.
    :raises ActRefused: if an argument is wrong, or things do not stand so; nothing was changed.
    :raises StorageUnavailable: if the database is away.
    """
    act = ACTS.get(name)
    if act is None:
        raise NotFound(f'there is no act "{name}"')
    try:
        given = act.arguments.model_validate(dict(arguments))
    except ValidationError as error:
        raise ActRefused(_in_words(error)) from None
    result = await store.write(lambda tx: act.function(tx, given, surroundings))
    if result.get("under_way"):
        result["under_way"] = await _landed(store, result, patience)
    return result


async def _landed(store: Store, taken: Mapping[str, Any], patience: float) -> list[str]:
    """Wait for the messages that are just leaving; give those that still are."""
    tenant, conversation = taken["conversation"]["tenant"], taken["conversation"]["id"]
    leaving: list[str] = taken["under_way"]
    with anyio.move_on_after(patience):
        while leaving:
            await anyio.sleep(_LOOK_AGAIN)
            leaving = await store.read(lambda it: outbox.under_way(it, tenant, conversation))
    return leaving


def _in_words(error: ValidationError) -> str:
    wrong = [f'"{".".join(map(str, it["loc"]))}": {it["msg"]}' for it in error.errors()]
    return f"the arguments do not fit: {'; '.join(wrong)}"
