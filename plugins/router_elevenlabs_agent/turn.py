"""One turn with an agent: what its messages mean, without a connection.

The protocol is ElevenLabs' agent.asyncapi.yaml. Every message may be missing, come twice, or be of
a kind that is not known yet: which ones come is a setting of the agent (``client_events``).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from router import plugin
from router_elevenlabs_agent.failures import raised

#: What the agent hears of a tool when nothing more is looked up for this answer.
_ENOUGH = "Nothing more can be looked up now. Answer with what is known."
_UNKNOWN = "There is no such tool here. Answer without it."


@dataclass(slots=True)
class Turn:
    """Collects what the agent says until it has answered.

    :param tools: what may be proposed.
    :param results: what came of what was proposed before: the agent, asked anew, calls it again.
    :param last: nothing may be proposed any more.
    :ivar started: the agent listens.
    :ivar complete: the agent said that its turn is over, or waits for what only the router can say.
    :ivar proposals: what is to be looked up. With any, nothing more is heard.
    """

    host: str
    tools: frozenset[str] = frozenset()
    results: tuple[plugin.ToolResult, ...] = ()
    last: bool = False
    started: bool = False
    complete: bool = False
    model: str | None = None
    tokens: int = 0
    conversation: str | None = None
    proposals: list[plugin.ProposedAction] = field(default_factory=list)
    _said: dict[int, str] = field(default_factory=dict)
    _parts: dict[int, str] = field(default_factory=dict)
    _busy: set[str] = field(default_factory=set)
    #: It was just told what it wanted to know: what it said before is not the answer.
    _told: bool = False
    _greeting: dict[int, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What the agent has said, whole messages only, in order."""
        texts = [text.strip() for _, text in sorted(self._said.items())]
        return "\n\n".join(text for text in texts if text)

    @property
    def answered(self) -> bool:
        """Whether there is an answer, and nothing is known to be under way."""
        return bool(self._said) and not self._busy and not self._told

    def forget(self) -> None:
        """Drop what was said, and what is only said again: it was the agent's greeting.

        What it wants to know is not dropped: it will say no more before it is told.
        """
        self._greeting = {number: text.strip() for number, text in self._said.items()}
        self._said.clear()
        self._parts.clear()
        self._told = False
        self.complete = bool(self.proposals)

    def take(self, message: Any) -> dict[str, Any] | None:
        """Take one message; give what has to be sent back at once.

        :raises ProviderError: if it says that there will be no answer.
        """
        if not isinstance(message, dict):
            return None
        match message.get("type"):
            case "conversation_initiation_metadata":
                self.started = True
                about = _inside(message, "conversation_initiation_metadata_event")
                given = about.get("conversation_id")
                self.conversation = given if isinstance(given, str) else None
            case "ping":
                number = _inside(message, "ping_event").get("event_id")
                return {"type": "pong", "event_id": number} if _is_number(number) else None
            case "agent_response":
                about = _inside(message, "agent_response_event")
                self._say(about, about.get("agent_response"))
            case "agent_response_correction":
                about = _inside(message, "agent_response_correction_event")
                self._say(about, about.get("corrected_agent_response"))
            case "agent_chat_response_part":
                self._part(_inside(message, "text_response_part"))
            case "client_tool_call":
                return self._called(_inside(message, "client_tool_call"))
            case "agent_tool_request":
                self._busy.add(str(_inside(message, "agent_tool_request").get("tool_call_id")))
            case "agent_tool_response" | "agent_tool_response_full_payload" as kind:
                self._busy.discard(str(_inside(message, kind).get("tool_call_id")))
            case "context_usage":
                about = _inside(message, "context_usage_event")
                tokens, model = about.get("context_tokens"), about.get("model")
                self.tokens = tokens if _is_number(tokens) else 0
                self.model = model if isinstance(model, str) else None
                self.complete = self.answered
            case "guardrail_triggered":
                reason = f"{self.host}: the agent's own guardrail stopped the answer"
                raise plugin.Refused(reason, code="guardrail_triggered")
            case "external_agent_connected":
                reason = f"{self.host}: the agent handed the conversation to somebody else"
                raise plugin.Refused(reason, code="external_agent_connected")
            case "error":
                raise raised(self.host, message.get("error_event"))
            case _:
                pass  # sound, and what a later version may say
        return None

    def completion(self, agent: str) -> plugin.Completion:
        """Give what was said.

        Without a confidence: an agent gives none. Without citations: it does not tell what its
        answer rests on.
        """
        usage = plugin.Usage(model=self.model or agent, input_tokens=self.tokens)
        return plugin.Completion(self.text, proposals=tuple(self.proposals), usage=usage)

    def _say(self, about: Mapping[str, Any], text: Any) -> None:
        if not isinstance(text, str):
            return
        given = about.get("event_id")
        number = given if _is_number(given) else len(self._said)
        if self._greeting.get(number) == text.strip():
            return
        if self._said.get(number, "").strip() != text.strip():
            self._told = False
        self._said[number] = text

    def _part(self, part: Mapping[str, Any]) -> None:
        number, text = part.get("event_id"), part.get("text")
        if not _is_number(number) or not isinstance(text, str):
            return
        if part.get("type") == "start":
            self._parts[number] = ""
        self._parts[number] = self._parts.get(number, "") + text
        # The whole text may come as well, and then it counts.
        if part.get("type") == "stop" and number not in self._said:
            self._say(part, self._parts[number])

    def _called(self, call: Mapping[str, Any]) -> dict[str, Any] | None:
        """Answer a call with what is known, or make it a proposal, which ends this turn."""
        name, number = call.get("tool_name"), call.get("tool_call_id")
        if not isinstance(name, str) or not isinstance(number, str):
            return None
        given = call.get("parameters")
        params = given if isinstance(given, dict) else {}
        same = _key(name, params)
        found = next((it for it in self.results if _key(it.name, it.params) == same), None)
        if found is not None:
            self._told = True
            return _result(number, found.text, failed=found.failed)
        if name not in self.tools:
            # It may be one whose result the agent does not wait for.
            return _result(number, _UNKNOWN, failed=True)
        if self.last:
            self._told = True
            return _result(number, _ENOUGH, failed=True)
        self.proposals.append(plugin.ProposedAction(name, params))
        self.complete = True
        return None


def _key(name: str, params: Mapping[str, Any]) -> str:
    return json.dumps([name, dict(params)], sort_keys=True)


def _result(number: str, text: str, *, failed: bool) -> dict[str, Any]:
    return {
        "type": "client_tool_result",
        "tool_call_id": number,
        "result": text,
        "is_error": failed,
    }


def _inside(message: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inside = message.get(key)
    return inside if isinstance(inside, dict) else {}


def _is_number(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
