"""Rules, guardrails and what they lead to, as read from the files and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from router.domain.decision import Outcome
from router.rules.conditions import Condition, Test
from router.rules.text import PhraseSet
from router.rules.texts import Text
from router.toml import Document, KeyPath, Part, Problem

if TYPE_CHECKING:
    from pydantic import BaseModel

#: The category of everything that no other fits.
OTHER = "OTHER"
#: The queue of a ticket that names none.
DEFAULT_QUEUE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What rules may name besides what the rules files define themselves.

    :param channels: names of ``[channels.*]``.
    :param backends: names of ``[ai.*]``.
    :param actions: names of ``[actions.*]`` with the model of their parameters, ``None`` where it
        is not known.
    :param queues: ``None`` while nothing declares queues: every name is taken then, except one
        that looks like a misspelt action.
    :param languages: the languages that the tenant serves, BCP 47 tags; empty for any.
    :param default_language: the tenant's own.
    """

    channels: frozenset[str] = frozenset()
    backends: frozenset[str] = frozenset()
    actions: "Mapping[str, type[BaseModel] | None]" = field(default_factory=dict)
    queues: frozenset[str] | None = None
    languages: frozenset[str] = frozenset()
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


# What decides ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class SayReply:
    """Say a fixed text."""

    text: Text

    @property
    def summary(self) -> str:
        return f"reply {_short(self.text)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAnswer:
    """Ask a backend for the answer.

    :param draft: the answer waits for a person's word whatever the mode is, because of this.
    """

    backend: str
    draft: str | None = None

    @property
    def summary(self) -> str:
        asked = f"answer by {self.backend}"
        return asked if self.draft is None else f"draft, {asked}: {self.draft}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepDraft:
    """Keep a text for a person's word; without a text, the one that is being judged."""

    because: str
    text: Text | None = None

    @property
    def summary(self) -> str:
        return f"draft: {self.because}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTicket:
    """Open a ticket.

    :param title: ``None`` for the beginning of what the customer wrote.
    :param priority: ``None`` for the one set by the rules, else ``normal``.
    :param say: what the customer is told.
    """

    queue: str = DEFAULT_QUEUE
    title: Text | None = None
    priority: str | None = None
    say: Text | None = None

    @property
    def summary(self) -> str:
        return f"ticket in {self.queue}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPerson:
    """Escalate: call a person now, through a queue or an action."""

    to: str
    because: str
    say: Text | None = None

    @property
    def summary(self) -> str:
        return f"escalate to {self.to}: {self.because}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """Do nothing more."""

    because: str

    @property
    def summary(self) -> str:
        return f"ignore: {self.because}"


Decider: TypeAlias = SayReply | AskAnswer | KeepDraft | OpenTicket | CallPerson | Ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """Say a fixed text instead of the answer."""

    text: Text

    @property
    def summary(self) -> str:
        return f"replace by {_short(self.text)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """Take the customer at their word: no more messages."""

    say: Text | None = None

    @property
    def summary(self) -> str:
        return "opt out"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAI:
    """Ask no model: a fixed text answers, or a person."""

    say: Text | None = None

    @property
    def summary(self) -> str:
        return "ask no model"


Verdict: TypeAlias = Ignore | OptOut | NoAI | Replace | KeepDraft | OpenTicket | CallPerson

#: What a verdict of an answer guardrail makes of the outcome, at least.
CARE: Mapping[type, Outcome] = {
    Ignore: Outcome.IGNORE,
    SayReply: Outcome.REPLY,
    Replace: Outcome.REPLY,
    AskAnswer: Outcome.REPLY,
    KeepDraft: Outcome.DRAFT,
    OpenTicket: Outcome.TICKET,
    CallPerson: Outcome.ESCALATE,
}


def _short(text: Text) -> str:
    shown = text.pick()
    return f'"{shown}"' if len(shown) <= 60 else f'"{shown[:60]}…"'


# What does not decide ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAction:
    """Run an action, with parameters already checked."""

    action: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a rule adds to the decision without deciding.

    :param use: the backend that answers in place of the default's.
    """

    tags: frozenset[str] = frozenset()
    untags: frozenset[str] = frozenset()
    category: str | None = None
    risk: str | None = None
    priority: str | None = None
    language: str | None = None
    contact_attributes: Mapping[str, str] = field(default_factory=dict)
    conversation_attributes: Mapping[str, str] = field(default_factory=dict)
    actions: tuple[RunAction, ...] = ()
    classify: str | None = None
    use: str | None = None

    @property
    def summary(self) -> tuple[str, ...]:
        """What is added, in words."""
        named = {
            "category": self.category,
            "risk": self.risk,
            "priority": self.priority,
            "language": self.language,
            **{f"contact.attribute.{k}": v for k, v in self.contact_attributes.items()},
            **{f"conversation.attribute.{k}": v for k, v in self.conversation_attributes.items()},
        }
        return (
            *(f"tag {tag}" for tag in sorted(self.tags)),
            *(f"untag {tag}" for tag in sorted(self.untags)),
            *(f"set {name} {value}" for name, value in named.items() if value is not None),
            *(f"run {action.action}" for action in self.actions),
            *((f"classify by {self.classify}",) if self.classify else ()),
            *((f"use {self.use}",) if self.use else ()),
        )


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "tests", tuple(each.test for each in self.conditions))
        missed = tuple(
            [self.id, "-", each.text, list(each.fields)]
            if CHANGING.isdisjoint(each.fields)
            else None
            for each in self.conditions
        )
        object.__setattr__(self, "missed", missed)

    @property
    def summary(self) -> tuple[str, ...]:
        """What it leads to, in words."""
        decided = (self.decider.summary,) if self.decider else ()
        return (*self.effects.summary, *decided)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """One ``[[guardrail]]``. It can only make an outcome more careful."""

    id: str
    stage: GuardStage
    gate: Gate
    conditions: tuple[Condition, ...]
    effects: Effects
    verdict: Verdict
    place: Place

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
class RuleSet:
    """Everything that a tenant's rules files say.

    :param categories: each known category with its risk.
    :param phrases: every phrase of every rule.
    :param fields: the fields that any rule looks at, in the order of the reference.
    :param hash: equal for files that mean the same.
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

    @property
    def guardrails(self) -> tuple[Guardrail, ...]:
        """Those of both stages."""
        return (*self.input_guardrails, *self.answer_guardrails)
