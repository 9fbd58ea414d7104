"""Post-call webhooks as the router's calls.

What each of them holds is in the README, with how sure that is. None has an id of its own: the
conversation's is the call's, so that a webhook, its repeat and a listing are one call.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from router import plugin
from router_elevenlabs_calls.config import ElevenLabsCallsConfig
from router_elevenlabs_calls.conversations import Conversation, address_of, call_of

TRANSCRIPTION = "post_call_transcription"
AUDIO = "post_call_audio"
FAILURE = "call_initiation_failure"

#: Fields in which carriers say whom they tried to reach, the surest first.
_CALLED = ("To", "to", "Called", "to_number", "called_number")


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Envelope(_Model):
    type: str | None = None
    data: Mapping[str, Any]


class _FailureDetails(_Model):
    type: str | None = None
    body: Mapping[str, Any] | None = None


class _Failure(_Model):
    agent_id: str | None = None
    conversation_id: str = Field(min_length=1, max_length=200)
    failure_reason: str | None = None
    metadata: _FailureDetails | None = None


def events_in(body: Any, config: ElevenLabsCallsConfig) -> Sequence[plugin.InboundEvent]:
    """Give the call that a webhook reports.

    A recording comes in an event of its own, which names nobody, and would stand in the database as
    text: it is left out, because the call names where the recording is, and it is fetched there.

    :raises ValueError: if it is none of the webhooks that are known.
    """
    envelope = _Envelope.model_validate(body)
    kind = envelope.type or _kind(envelope.data)
    if kind == AUDIO:
        return ()
    if kind == FAILURE:
        return _failed(_Failure.model_validate(envelope.data), config)
    if kind == TRANSCRIPTION:
        call = call_of(Conversation.model_validate(envelope.data), config)
        return () if call is None else (call,)
    # Newer options send more; an agent's owner may not want them, and need not lose them.
    raise ValueError(f"there is no post-call webhook {kind!r}")


def _kind(data: Mapping[str, Any]) -> str:
    """Tell what a webhook without a type is by what only it has."""
    if "full_audio" in data:
        return AUDIO
    if "failure_reason" in data:
        return FAILURE
    if "transcript" in data or "analysis" in data:
        return TRANSCRIPTION
    return ""


def _failed(failure: _Failure, config: ElevenLabsCallsConfig) -> Sequence[plugin.InboundEvent]:
    if failure.agent_id not in config.agents:
        return ()
    details = failure.metadata or _FailureDetails()
    fields = details.body or {}
    called = (fields.get(name) for name in _CALLED)
    addresses = (_address(it, config) for it in called)
    party = next((it for it in addresses if it is not None), None)
    if party is None:
        raise ValueError("a call that could not be made names nobody who was called")
    return (
        plugin.CallEnded(
            id=failure.conversation_id,
            party=party,
            direction="outbound",
            status="failed",
            agent=failure.agent_id,
            reason=failure.failure_reason or None,
        ),
    )


def _address(value: object, config: ElevenLabsCallsConfig) -> plugin.Address | None:
    # A SIP address has the number before its host.
    text = value if isinstance(value, str) else ""
    number = text.removeprefix("sip:").partition("@")[0]
    return address_of(number, international=config.international_numbers)
