"""What an AI backend is asked, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from router.domain.message import File


@dataclass(frozen=True, slots=True)
class PromptTurn:
    """One thing that was said, as the backend sees it."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of the business's knowledge.

    :param id: what a citation names, such as ``envios#2``.
    :param score: how well it fits the question, 0 to 1, comparable within one prompt only.
    :param category: the triage category of questions that it answers, if its article states one.
    """

    id: str
    title: str
    text: str
    score: float = 0.0
    category: str | None = None


@dataclass(frozen=True, slots=True)
class ContactCard:
    """What a backend may know of the customer."""

    name: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class CallSummary:
    """An earlier call of the customer.

    :param at: when it began.
    :param outcome: ``success``, ``failure`` or ``unknown``, as the calling agent judged it.
    :param id: the provider's id of the call.
    :param data: what was collected in it, by name.

    .. versionadded:: 1.1
    """

    at: datetime
    summary: str
    outcome: str = "unknown"
    id: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said in a voice note.

    :param text: empty where nothing is said.
    :param language: the language that was heard, a BCP 47 tag, if the backend tells.

    .. versionadded:: 1.1
    """

    text: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """An action that the backend may have run while it writes an answer.

    It proposes the call; the host runs it, or does not, and asks again with what came of it.

    :param parameters: a JSON schema.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call that the backend proposed for this answer.

    :param name: the tool's.
    :param params: as they were proposed.
    :param text: what it gave, or why it gave nothing.
    :param failed: it gave nothing.

    .. versionadded:: 1.1
    """

    name: str
    params: Mapping[str, Any]
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Everything a backend may use. Retrieval is the host's; a backend adds no knowledge.

    :param system: the instructions.
    :param turns: oldest first; the last is the customer's open turn.
    :param language: the language to answer in, a BCP 47 tag.
    :param categories: the tenant's; a completion that can tell names the one that fits.
    :param task: ``answer``, or ``classify`` where only the category is wanted (``text`` may then
        say why).
    :param calls: the customer's last calls, oldest first: what was said there may be referred to;
        since 1.1.
    :param files: what the customer sent in the open turn, of the kinds that the backend declares
        in ``accepts``; since 1.1.
    :param tools: what may be proposed, for backends that declare ``calls_tools``.
    :param results: what came of earlier proposals for this answer, oldest first; since 1.1.
    :param last: no proposal is run any more: the answer is due, with what is known; since 1.1.
    """

    system: str
    turns: tuple[PromptTurn, ...]
    passages: tuple[Passage, ...] = ()
    contact: ContactCard = field(default_factory=ContactCard)
    language: str | None = None
    categories: tuple[str, ...] = ()
    task: Literal["answer", "classify"] = "answer"
    tools: tuple[Tool, ...] = ()
    calls: tuple[CallSummary, ...] = ()
    files: tuple[File, ...] = ()
    results: tuple[ToolResult, ...] = ()
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a call consumed."""

    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ProposedAction:
    """A call of one of the prompt's tools that a backend would like to be run."""

    name: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Completion:
    """A backend's answer.

    :param text: empty means that the backend does not know; it is never sent.
    :param confidence: 0 to 1. Leave it ``None`` where there is none: a guardrail treats a missing
        confidence as below every threshold.
    :param category: the backend's triage, if it was asked for one.
    :param citations: ids of the passages that the text rests on.
    :param proposals: calls of the prompt's tools. With any, the text is no answer: the host asks
        again with what came of them, unless the prompt was the ``last``.
    """

    text: str
    confidence: float | None = None
    category: str | None = None
    citations: tuple[str, ...] = ()
    proposals: tuple[ProposedAction, ...] = ()
    usage: Usage = field(default_factory=Usage)
