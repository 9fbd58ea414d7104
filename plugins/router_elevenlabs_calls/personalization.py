"""What a ringing call is told of who calls.

https://elevenlabs.io/docs/agents-platform/customization/personalization: the answer has to be fast,
and an error may break the call, so there is always one.
"""

import json
from collections.abc import Mapping
from typing import Any

from router import plugin
from router_elevenlabs_calls.config import ElevenLabsCallsConfig
from router_elevenlabs_calls.conversations import address_of

#: The endpoint that answers.
ENDPOINT = "personalization"

#: As much of what was written, and as many calls, as an agent can use.
_TURNS = 6
_CALLS = 3
_LONGEST = 300

_ROLES = {"customer": "Cliente", "bot": "Bot", "rule": "Bot", "person": "Agente"}


def caller_in(
    body: bytes, config: ElevenLabsCallsConfig
) -> tuple[plugin.Address | None, str | None]:
    """Give who calls, and the agent that is called, as far as the request tells."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(values, dict):
        return None, None
    caller, agent = values.get("caller_id"), values.get("agent_id")
    number = caller if isinstance(caller, str) else None
    address = address_of(number, international=config.international_numbers)
    return address, agent if isinstance(agent, str) else None


def answer_for(card: plugin.Card | None, variables: Mapping[str, str]) -> plugin.WebhookAnswer:
    """Give the answer about somebody; ``None`` for somebody unknown.

    :param variables: the deployer's own, and what theirs are for somebody unknown.
    """
    values = {**_USUAL, **variables}
    if card is not None:
        known = {
            "contact_id": card.id,
            "contact_name": card.name,
            "contact_language": card.language,
            "history_summary": _history(card),
            "last_call_summary": _cut(card.calls[-1].summary) if card.calls else "",
            "open_tickets": str(card.open_tickets),
        }
        values |= {name: value for name, value in known.items() if value}
    body: dict[str, Any] = {
        "type": "conversation_initiation_client_data",
        "dynamic_variables": values,
    }
    return plugin.WebhookAnswer(
        body=json.dumps(body, ensure_ascii=False).encode(), content_type="application/json"
    )


#: Every variable there is, as it is for somebody unknown: an agent that declares one which is not
#: sent does not answer the call.
_USUAL: Mapping[str, str] = {
    "contact_id": "",
    "contact_name": "",
    "contact_language": "",
    "history_summary": "",
    "last_call_summary": "",
    "open_tickets": "0",
}


def _history(card: plugin.Card) -> str:
    """Sum up what was written and said, oldest first."""
    calls = [
        f"Llamada del {call.at:%Y-%m-%d}: {_cut(call.summary) or 'sin resumen'}"
        for call in card.calls[-_CALLS:]
    ]
    turns = [
        f"{_ROLES.get(turn.author, turn.author)}: {_cut(turn.text)}"
        for turn in card.turns[-_TURNS:]
        if turn.text.strip()
    ]
    return "\n".join([*calls, *turns])


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
