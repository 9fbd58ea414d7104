"""What a person may do, from the command line, the desk or the API: one table of acts.

An act is a function over one transaction with checked arguments. Who calls it does not matter:
the process that owns the database runs it, everybody else asks that process over its control
socket, so there is one writer always.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import anyio
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from router.domain.conversation import BOT, NOBODY
from router.domain.decision import Reply
from router.domain.draft import DraftState
from router.domain.host_event import Unparsed
from router.domain.identity import MAIN_TENANT, Address, thread_key
from router.domain.message import Author
from router.domain.ticket import TicketState
from router.errors import ActRefused, NotFound
from router.pipeline.outgoing import message_items
from router.pipeline.planning import Setting, plan
from router.pipeline.reaching import reach_for
from router.pipeline.reporting import ActionRun, ReportedCall, report_call, run_action
from router.pipeline.surroundings import Surroundings
from router.storage import (
    codec,
    conversations,
    drafts,
    escalations,
    events,
    outbox,
    pollers,
    tickets,
    tokens,
)
from router.storage.fence import withdraw_held
from router.storage.store import EventRef, NewEvent, NewItem, NewMessage, Store, Tx
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


class _TicketAssignee(_Signed):
    #: ``None``: nobody's.
    assignee: str | None = Field(min_length=1, max_length=100)


class _TicketNote(_Signed):
    text: str = Field(min_length=1)


class _Say(_Signed):
    text: str = Field(min_length=1)


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
    # What quiet hours hold back must not keep a person's word waiting.
    withdraw_held(tx.connection, tenant, thread.id, f"{given.by} wrote before it was sent", tx.now)
    pairs = _written(tx, thread, text, around)
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


def _written(
    tx: Tx, thread: conversations.ConversationView, text: str, around: Surroundings
) -> tuple[tuple[NewItem, NewMessage], ...]:
    """Give what sends a person's text, planned as everything that leaves.

    A person decides when they write; what the provider would refuse they are told at once.

    :raises ActRefused: if it cannot be said there.
    """
    can = around.capabilities(thread.tenant, thread.channel)
    at, shut_at, source = conversations.heard(tx.connection, thread.tenant, thread.id)
    recipient = Address.from_text(thread.address)
    made = plan(
        (Reply(text=text, author=Author.PERSON),),
        reach_for(thread.channel, recipient, can, wrote_at=at, shut_at=shut_at, source=source),
        Setting(asked=True),
        tx.now,
    )
    if can is None or not made.sends:
        raise ActRefused(f'nothing can be written through "{thread.channel}": {made.words("en")}')
    return message_items(
        text,
        tenant=thread.tenant,
        channel=thread.channel,
        recipient=recipient,
        author=Author.PERSON,
        max_text=can.max_text,
        in_reply_to=thread.last_provider_id,
    )


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


def _say(tx: Tx, given: _Say, around: Surroundings) -> dict[str, Any]:
    """Send a person's text. As when they speak anywhere else, the conversation is theirs then."""
    tenant = given.tenant
    view, withdrawn = conversations.speak_as(
        tx.connection, tenant, given.id, by=given.by, now=tx.now
    )
    pairs = _written(tx, view, given.text, around)
    items = [item for item, _ in pairs]
    tx.send(items, tenant=tenant, conversation=view.id, epoch=view.epoch)
    for _, line in pairs:
        conversations.add_line(tx.connection, tenant, view.id, line, event=None, now=tx.now)
    view = conversations.show_conversation(tx.connection, tenant, view.id)
    return {
        "conversation": as_values(view),
        "withdrawn": withdrawn,
        "items": [item.id for item in items],
    }


def _close(tx: Tx, given: _Signed, around: Surroundings) -> dict[str, Any]:
    view = conversations.close_conversation(
        tx.connection, given.tenant, given.id, by=given.by, now=tx.now
    )
    return {"conversation": as_values(view)}


def _resume_poller(tx: Tx, given: _Signed, around: Surroundings) -> dict[str, Any]:
    """Let a poller go on that a restore had held."""
    return {"poller": as_values(pollers.resume(tx.connection, given.tenant, given.id, tx.now))}


def _acknowledge(tx: Tx, given: _Signed, around: Surroundings) -> dict[str, Any]:
    view = escalations.acknowledge(tx.connection, given.tenant, given.id, by=given.by, now=tx.now)
    return {"escalation": as_values(view)}


def _ticket_state(tx: Tx, given: _TicketState, around: Surroundings) -> dict[str, Any]:
    view = tickets.change_state(
        tx.connection, given.tenant, given.id, state=given.state, by=given.by, now=tx.now
    )
    return {"ticket": as_values(view)}


def _ticket_assignee(tx: Tx, given: _TicketAssignee, around: Surroundings) -> dict[str, Any]:
    view = tickets.assign_ticket(
        tx.connection, given.tenant, given.id, assignee=given.assignee, by=given.by, now=tx.now
    )
    return {"ticket": as_values(view)}


def _ticket_note(tx: Tx, given: _TicketNote, around: Surroundings) -> dict[str, Any]:
    view = tickets.add_note(
        tx.connection, given.tenant, given.id, text=given.text, by=given.by, now=tx.now
    )
    return {"ticket": as_values(view)}


# Calls and actions ────────────────────────────────────────────────────────────────────────────


def _report_call(tx: Tx, given: ReportedCall, around: Surroundings) -> dict[str, Any]:
    lane = _lane(tx, given.tenant, Address("tel", given.phone_number))
    return report_call(tx, given, lane)


def _run_action(tx: Tx, given: ActionRun, around: Surroundings) -> dict[str, Any]:
    return run_action(tx, given)


# Tokens ───────────────────────────────────────────────────────────────────────────────────────


def _new_token(tx: Tx, given: _NewToken, around: Surroundings) -> dict[str, Any]:
    from router.pipeline.tokens import give_out

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


def _revoke_token(tx: Tx, given: _Signed, around: Surroundings) -> dict[str, Any]:
    view = tokens.revoke_token(tx.connection, given.tenant, given.id, by=given.by, now=tx.now)
    return {"token": as_values(view)}


def _new_key(tx: Tx, given: _NewKey, around: Surroundings) -> dict[str, Any]:
    key = tokens.new_key(tx.connection, given.tenant, tx.now)
    ended = 0
    if given.now:
        ended = tokens.retire_keys(tx.connection, given.tenant, but=key.id, now=tx.now)
    return {"key": key.id, "ended": ended}


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
    "conversations.send": Act(_Say, _say),
    "conversations.close": Act(_Signed, _close),
    "escalations.ack": Act(_Signed, _acknowledge),
    "tickets.state": Act(_TicketState, _ticket_state),
    "tickets.assign": Act(_TicketAssignee, _ticket_assignee),
    "tickets.note": Act(_TicketNote, _ticket_note),
    "pollers.resume": Act(_Signed, _resume_poller),
    "calls.report": Act(ReportedCall, _report_call),
    "actions.run": Act(ActionRun, _run_action),
    "tokens.create": Act(_NewToken, _new_token),
    "tokens.revoke": Act(_Signed, _revoke_token),
    "tokens.rotate": Act(_NewKey, _new_key),
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
    result = await store.write(bound(name, arguments, surroundings))
    return await landed(store, result, patience=patience)


def bound(
    name: str, arguments: Mapping[str, Any], surroundings: Surroundings
) -> Callable[[Tx], dict[str, Any]]:
    """Give one act as a function over a transaction, its arguments checked.

    :raises NotFound: if there is no such act.
    :raises ActRefused: if an argument is wrong.
    """
    act = ACTS.get(name)
    if act is None:
        raise NotFound(f'there is no act "{name}"')
    try:
        given = act.arguments.model_validate(dict(arguments))
    except ValidationError as error:
        raise ActRefused(_in_words(error)) from None
    return lambda tx: act.function(tx, given, surroundings)


async def landed(
    store: Store, result: dict[str, Any], *, patience: float = PATIENCE
) -> dict[str, Any]:
    """Give what came of an act, once nothing of the bot's is on its way any more.

    :param result: of an act that :func:`bound` gave; ``under_way`` becomes what still is.
    :param patience: how long to wait for that, in seconds.
    """
    if result.get("under_way"):
        return {**result, "under_way": await _leaving(store, result, patience)}
    return result


async def _leaving(store: Store, taken: Mapping[str, Any], patience: float) -> list[str]:
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
