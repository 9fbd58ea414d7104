"""What rules and guardrails lead to: what decides, verdicts, and what is only added."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from router.domain.decision import Outcome
from router.domain.message import Attachment
from router.rules.durations import duration_text
from router.rules.texts import Text

#: The queue of a ticket that names none.
DEFAULT_QUEUE = "default"


# What decides ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedTemplate:
    """A message text that the provider approved beforehand, and what is put into it.

    :param ref: the provider's reference, by language where there are several.
    :param variables: texts to be filled in, by the name of the place that they take.
    """

    name: str
    ref: Text
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SayReply:
    """Say a fixed text.

    :param template: sent in its place; the text then only says what the template reads like.
    :param instead: another template, where the provider is known to refuse this one.
    :param media: files that leave after the text; none beside a template.
    """

    text: Text
    template: UsedTemplate | None = None
    instead: "SayReply | None" = None
    media: tuple[Attachment, ...] = ()

    @property
    def summary(self) -> str:
        if self.template is not None:
            return f"reply with the template {self.template.name}"
        files = "".join(f" + {file.url}" for file in self.media)
        return f"reply {_short(self.text)}{files}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """One way to word a message. At least one of ``text`` and ``template`` is stated.

    :param name: what counts of it are kept under; empty where there is only one.
    :param text: sent while the channel takes free text.
    :param template: sent while it does not, or always if there is no text.
    """

    name: str = ""
    text: Text | None = None
    template: SayReply | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SayMessage:
    """Write to the customer through a named channel, whether or not they wrote there before.

    :param wordings: one, or several of which each customer always gets the same.
    """

    channel: str
    wordings: tuple[Wording, ...]

    @property
    def summary(self) -> str:
        names = ", ".join(wording.name for wording in self.wordings if wording.name)
        return f"message through {self.channel}{f' ({names})' if names else ''}"


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


Decider: TypeAlias = (
    SayReply | SayMessage | AskAnswer | KeepDraft | OpenTicket | CallPerson | Ignore
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Redact:
    """Leave personal data out: of what a model is asked, or of what it answers.

    :param kinds: which.
    """

    kinds: frozenset[str]

    @property
    def summary(self) -> str:
        return f"redact {', '.join(sorted(self.kinds))}"


Verdict: TypeAlias = Ignore | OptOut | NoAI | Redact | Replace | KeepDraft | OpenTicket | CallPerson

#: What a verdict of an answer guardrail makes of the outcome, at least.
CARE: Mapping[type, Outcome] = {
    Ignore: Outcome.IGNORE,
    SayReply: Outcome.REPLY,
    SayMessage: Outcome.REPLY,
    Redact: Outcome.REPLY,
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
    :param prompt: the name of the instructions that the backend gets; likewise ``knowledge``, the
        articles that it may use. ``None`` leaves them as they are.
    :param snooze: the bot says nothing of its own for so long afterwards.
    :param stop: no further rule is read; the default decides.
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
    prompt: str | None = None
    knowledge: tuple[str, ...] | None = None
    snooze: timedelta | None = None
    stop: bool = False

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
            *((f"use the prompt {self.prompt}",) if self.prompt else ()),
            *((f"use the articles {', '.join(self.knowledge)}",) if self.knowledge else ()),
            *((f"snooze the bot for {duration_text(self.snooze)}",) if self.snooze else ()),
            *(("read no further rule",) if self.stop else ()),
        )
