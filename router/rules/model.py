"""Rules, guardrails and what they lead to, as read from the files and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.rules.conditions import Condition, Test
from router.rules.consequences import (
    CARE,
    DEFAULT_QUEUE,
    AskAnswer,
    CallPerson,
    Decider,
    Effects,
    Ignore,
    KeepDraft,
    NoAI,
    OpenTicket,
    OptOut,
    Redact,
    Replace,
    RunAction,
    SayMessage,
    SayReply,
    UsedTemplate,
    Verdict,
    Wording,
)
from router.rules.hours import Hours
from router.rules.index import Index
from router.rules.signals import Derivations, derivations, remembers
from router.rules.text import PhraseSet
from router.rules.texts import Text
from router.toml import Document, KeyPath, Part, Problem

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "CARE",
    "CHANGING",
    "DEFAULT_QUEUE",
    "OTHER",
    "ApprovedTemplate",
    "AskAnswer",
    "CallPerson",
    "Decider",
    "Default",
    "Effects",
    "Example",
    "Gate",
    "GuardStage",
    "Guardrail",
    "Ignore",
    "KeepDraft",
    "Names",
    "NoAI",
    "OpenTicket",
    "OptOut",
    "Place",
    "PromptText",
    "Redact",
    "Replace",
    "Rule",
    "RuleSet",
    "RunAction",
    "SayMessage",
    "SayReply",
    "UsedTemplate",
    "Verdict",
    "Wording",
]

#: The category of everything that no other fits.
OTHER = "OTHER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What rules may name besides what the rules files define themselves.

    :param channels: names of ``[channels.*]``.
    :param backends: names of ``[ai.*]``.
    :param actions: names of ``[actions.*]`` with the model of their parameters, ``None`` where it
        is not known.
    :param queues: ``None`` while nothing declares queues: every name is taken then, except one
        that looks like a misspelt action.
    :param default_language: the tenant's own.
    """

    channels: frozenset[str] = frozenset()
    backends: frozenset[str] = frozenset()
    actions: "Mapping[str, type[BaseModel] | None]" = field(default_factory=dict)
    queues: frozenset[str] | None = None
    default_language: str = "es"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the files something stands."""

    document: Document
    key_path: KeyPath

    def problem(
        self, message: str, remedy: str = "", *, below: KeyPath = (), part: Part = "key"
    ) -> Problem:
        """Give a problem with it, or with a key below it."""
        return self.document.problem((*self.key_path, *below), message, remedy, part=part)


# Rules ────────────────────────────────────────────────────────────────────────────────────────


class GuardStage(StrEnum):
    """When a guardrail is asked."""

    INPUT = "input"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """For which events something is read at all.

    :param channels: ``None`` for all; likewise ``languages``, which hold primary tags.
    """

    kinds: frozenset[str] = frozenset({"message"})
    channels: frozenset[str] | None = None
    languages: frozenset[str] | None = None

    @property
    def narrow(self) -> bool:
        """Whether more than the kind matters."""
        return self.channels is not None or self.languages is not None

    def stops(self, kind: str, channel: str, language: str) -> str | None:
        """Give what an event is skipped for, ``kind``, ``channel`` or ``language``, or ``None``.

        :param language: a primary tag, such as ``pt``.
        """
        if kind not in self.kinds:
            return "kind"
        if self.channels is not None and channel not in self.channels:
            return "channel"
        if self.languages is not None and language not in self.languages:
            return "language"
        return None

    def covers(self, other: "Gate", kind: str) -> bool:
        """Say whether every event of a kind that passes the other one passes this one."""
        return (
            kind in self.kinds
            and _covers(self.channels, other.channels)
            and _covers(self.languages, other.languages)
        )


def _covers(mine: frozenset[str] | None, other: frozenset[str] | None) -> bool:
    return mine is None or (other is not None and other <= mine)


#: What rules themselves change while they are read.
CHANGING = frozenset({"category", "risk", "priority", "language", "conversation.tag"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One ``[[rule]]``. All of its conditions must hold, those of ``unless`` negated.

    :param tests: of the conditions.
    :param missed: what the trace says where a condition fails, ready made because most rules fail
        on most messages; ``None`` where it depends on what earlier rules did.
    """

    id: str
    gate: Gate
    conditions: tuple[Condition, ...]
    effects: Effects
    decider: Decider | None
    place: Place
    tests: tuple[Test, ...] = field(init=False, compare=False)
    missed: tuple[list[Any] | None, ...] = field(init=False, compare=False)
    #: What it leads to, in words.
    summary: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        decided = (self.decider.summary,) if self.decider else ()
        object.__setattr__(self, "summary", (*self.effects.summary, *decided))
        object.__setattr__(self, "tests", tuple(each.test for each in self.conditions))
        object.__setattr__(self, "missed", _missed(self.id, self.conditions))


def _missed(name: str, conditions: Sequence[Condition]) -> tuple[list[Any] | None, ...]:
    return tuple(
        [name, "-", each.text, list(each.fields)] if CHANGING.isdisjoint(each.fields) else None
        for each in conditions
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """One ``[[guardrail]]``. It can only make an outcome more careful.

    :param missed: what the trace says where a condition fails, as a rule's.
    """

    id: str
    stage: GuardStage
    gate: Gate
    conditions: tuple[Condition, ...]
    effects: Effects
    verdict: Verdict
    place: Place
    missed: tuple[list[Any] | None, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "missed", _missed(self.id, self.conditions))

    @property
    def summary(self) -> tuple[str, ...]:
        """What it leads to, in words."""
        return (*self.effects.summary, self.verdict.summary)


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """What happens when no rule decides."""

    decider: Decider
    classify: str | None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One ``[[example]]``: what comes in, and what is expected of it.

    :param facts: of the event, on top of those that every example has.
    :param answer: what the backend answers, where the example says so.
    """

    facts: Mapping[str, object]
    answer: Mapping[str, Any] | None
    expect: Mapping[str, Any]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptText:
    """``[prompt.NAME]``: instructions that rules may choose for a backend.

    :param path: the file that they are in, if they are in one; it has to be watched, too.
    """

    name: str
    text: str
    hash: str
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedTemplate:
    """``[template.NAME]``: a message text that the provider approved beforehand.

    :param ref: the provider's reference, by language where there are several.
    :param text: what it reads like, with ``{{NAME}}`` where a variable goes.
    :param variables: the names of its variables.
    :param instead: the name of the one that is sent where the provider would refuse this one.
    """

    name: str
    ref: Text
    text: Text
    variables: frozenset[str]
    instead: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Everything that a tenant's rules files say.

    :param categories: each known category with its risk.
    :param phrases: every phrase of every rule.
    :param fields: the fields that any rule looks at, in the order of the reference.
    :param hash: equal for files that mean the same.
    :param hours: when the business is open; ``None`` if no file says.
    :param prompts: the instructions that rules may choose, by name.
    :param templates: the texts that a provider approved, by the names that rules use.
    :param signals: what is worked out at the beginning of a reading, as the rules look at it.
    :param index: which rules a text can make hold at all.
    """

    rules: tuple[Rule, ...]
    input_guardrails: tuple[Guardrail, ...]
    answer_guardrails: tuple[Guardrail, ...]
    lexicons: Mapping[str, tuple[str, ...]]
    categories: Mapping[str, str]
    default: Default
    examples: tuple[Example, ...]
    phrases: PhraseSet
    fields: tuple[str, ...]
    hash: str
    files: tuple[str, ...]
    hours: Hours | None = None
    prompts: Mapping[str, PromptText] = field(default_factory=dict)
    templates: Mapping[str, ApprovedTemplate] = field(default_factory=dict)
    signals: Derivations = field(init=False, compare=False, repr=False)
    index: Index = field(init=False, compare=False, repr=False)
    #: Whether a rule looks at what was said lately, so that it has to be kept.
    remembers: bool = field(init=False, compare=False, repr=False)
    #: The kinds of events that any rule or input guardrail is for.
    kinds: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "signals", derivations(self.fields, self.hours))
        object.__setattr__(self, "index", Index(self.rules, self.input_guardrails))
        object.__setattr__(self, "remembers", remembers(self.fields))
        gates = [each.gate for each in self.rules] + [each.gate for each in self.input_guardrails]
        kinds = frozenset[str]().union(*(gate.kinds for gate in gates))
        object.__setattr__(self, "kinds", kinds)

    @property
    def redacts(self) -> frozenset[str]:
        """The kinds of personal data that some guardrail keeps from a model."""
        verdicts = (each.verdict for each in self.input_guardrails)
        kinds = (verdict.kinds for verdict in verdicts if isinstance(verdict, Redact))
        return frozenset[str]().union(*kinds)

    def on(self, kind: str) -> bool:
        """Say whether any rule or input guardrail is for a kind of event."""
        return kind in self.kinds

    @property
    def guardrails(self) -> tuple[Guardrail, ...]:
        """Those of both stages."""
        return (*self.input_guardrails, *self.answer_guardrails)
