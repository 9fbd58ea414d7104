"""A conversation as ElevenLabs describes it, as the router's call.

The post-call webhook and ``GET /v1/convai/conversations/{id}`` bring the same object, so that a
call is the same whichever way it comes. Fields that are not known yet are nobody's business.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from router import plugin
from router_elevenlabs_calls.config import ElevenLabsCallsConfig

#: A conversation that is in none of these is not over.
ENDED = frozenset({"done", "failed"})

_OUTCOMES = frozenset({"success", "failure", "unknown"})
_WHOLE = re.compile(r"\+[1-9][0-9]{5,14}")
_DIGITS = re.compile(r"[0-9]{6,15}")
_ROLES = {"user": "customer", "agent": "agent"}
#: Later than any call, and a date on every machine.
_LATEST = 32_503_680_000


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Turn(_Model):
    role: str = ""
    message: str | None = None
    time_in_call_secs: float | None = None


class _PhoneCall(_Model):
    direction: str | None = None
    external_number: str | None = None


class _WhatsApp(_Model):
    direction: str | None = None
    whatsapp_user_id: str | None = None


class _Batch(_Model):
    batch_call_id: str | None = None


class _Error(_Model):
    reason: str | None = None


class _Metadata(_Model):
    start_time_unix_secs: int | None = Field(None, ge=0, le=_LATEST)
    call_duration_secs: int | None = Field(None, ge=0, le=10_000_000)
    termination_reason: str | None = None
    main_language: str | None = None
    text_only: bool | None = None
    phone_call: _PhoneCall | None = None
    whatsapp: _WhatsApp | None = None
    batch_call: _Batch | None = None
    error: _Error | None = None


class _Collected(_Model):
    value: Any = None


class _Analysis(_Model):
    call_successful: str | None = None
    transcript_summary: str | None = None
    data_collection_results: Mapping[str, _Collected] | None = None


class _Initiation(_Model):
    dynamic_variables: Mapping[str, Any] | None = None


class Conversation(_Model):
    """What is read of a conversation."""

    conversation_id: str = Field(min_length=1, max_length=200)
    agent_id: str | None = None
    status: str | None = None
    transcript: Sequence[_Turn] | None = None
    metadata: _Metadata | None = None
    analysis: _Analysis | None = None
    conversation_initiation_client_data: _Initiation | None = None
    has_audio: bool | None = None


def call_of(conversation: Conversation, config: ElevenLabsCallsConfig) -> plugin.CallEnded | None:
    """Give the call, or ``None`` where it is none of ours.

    None of ours is another agent's, one that is not over, a chat, and a call of whom nobody knows
    the number.
    """
    data = conversation.metadata or _Metadata()
    if conversation.agent_id not in config.agents or data.text_only:
        return None
    # A webhook is sent when the conversation is over, and need not say so.
    if conversation.status is not None and conversation.status not in ENDED:
        return None
    party = party_of(data, config)
    if party is None:
        return None
    analysis = conversation.analysis or _Analysis()
    failed = conversation.status == "failed"
    outcome = analysis.call_successful
    variables = (
        conversation.conversation_initiation_client_data or _Initiation()
    ).dynamic_variables
    started = data.start_time_unix_secs
    seconds = data.call_duration_secs
    return plugin.CallEnded(
        id=conversation.conversation_id,
        party=party,
        direction=_direction(data),
        status="failed" if failed else "done",
        outcome=outcome if outcome in _OUTCOMES else "unknown",
        started_at=None if not started else datetime.fromtimestamp(started, UTC),
        duration=None if seconds is None else timedelta(seconds=seconds),
        summary=(analysis.transcript_summary or "").strip(),
        transcript=tuple(_turns(conversation.transcript or ())),
        data=_collected(analysis.data_collection_results or {}),
        agent=conversation.agent_id,
        name=name_in(variables or {}, config.name_variables),
        language=data.main_language or None,
        reason=(data.error and data.error.reason) or data.termination_reason or None,
        batch=data.batch_call.batch_call_id if data.batch_call else None,
        recording=recording_of(conversation, config),
    )


def address_of(number: str | None, *, international: bool = False) -> plugin.Address | None:
    """Give the address of somebody's number; ``None`` if it is none.

    Without a plus it may be of any country, or an extension. A plus that is put before it makes it
    somebody else's, so it is an address of its own, which is nobody's elsewhere.

    :param international: numbers without a plus have their country, too; those at WhatsApp have.
    """
    at_whatsapp = (number or "").startswith("whatsapp:")
    plain = re.sub(r"[ ()-]", "", (number or "").removeprefix("whatsapp:"))
    for written in (plain, f"+{plain}" if international or at_whatsapp else ""):
        if _WHOLE.fullmatch(written):
            return plugin.Address("tel", written)
    if at_whatsapp or not _DIGITS.fullmatch(plain):
        return None
    return plugin.Address("phone", plain)


def party_of(data: _Metadata, config: ElevenLabsCallsConfig) -> plugin.Address | None:
    """Give whom the call was with; somebody at WhatsApp need not have a number."""
    if data.phone_call is not None:
        number = data.phone_call.external_number
        return address_of(number, international=config.international_numbers)
    user = data.whatsapp.whatsapp_user_id if data.whatsapp is not None else None
    if not user:
        return None
    return address_of(f"whatsapp:{user}") or plugin.Address("bsuid", user)


def recording_of(
    conversation: Conversation, config: ElevenLabsCallsConfig
) -> plugin.Attachment | None:
    """Give where the recording is kept; fetching it needs the API key."""
    if not conversation.has_audio:
        return None
    name = conversation.conversation_id
    return plugin.Attachment(
        kind="audio",
        url=config.url(f"conversations/{name}/audio"),
        content_type="audio/mpeg",
        name=f"{name}.mp3",
    )


def name_in(variables: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Give the customer's name as a call was told it."""
    found = (variables.get(name) for name in names)
    return next((it.strip() for it in found if isinstance(it, str) and it.strip()), None)


def _direction(data: _Metadata) -> str:
    said = data.phone_call or data.whatsapp
    return "outbound" if said is not None and said.direction == "outbound" else "inbound"


def _turns(turns: Sequence[_Turn]) -> list[plugin.CallTurn]:
    return [
        plugin.CallTurn(
            _ROLES.get(turn.role, turn.role),
            turn.message.strip(),
            None
            if turn.time_in_call_secs is None or not 0 <= turn.time_in_call_secs < 10_000_000
            else timedelta(seconds=turn.time_in_call_secs),
        )
        for turn in turns
        # What the agent did with a tool says nothing.
        if turn.message is not None and turn.message.strip()
    ]


def _collected(results: Mapping[str, _Collected]) -> dict[str, str]:
    found = {}
    for name, result in results.items():
        match result.value:
            case None | "":
                continue
            case bool():
                found[name] = "true" if result.value else "false"
            case str() | int() | float():
                found[name] = str(result.value)
            case _:
                continue
    return found
