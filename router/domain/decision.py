"""What was decided about an event: one outcome and any number of effects."""

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from enum import IntEnum
from typing import Any

from router.domain.message import Attachment, Author, Template
from router.domain.record import record


class Outcome(IntEnum):
    """How an event ended, ordered by care. Guardrails and mode only ever move to the right."""

    IGNORE = 0
    REPLY = 1
    DRAFT = 2
    TICKET = 3
    ESCALATE = 4

    @property
    def word(self) -> str:
        """The word used in rules, tables and output."""
        return _WORDS[self]

    @classmethod
    def from_word(cls, word: str) -> "Outcome":
        """Read :attr:`word` back.

        :raises KeyError: if there is no such outcome.
        """
        return cls[word.upper()]


#: Their words, in their order: asked for several times of every decision.
_WORDS = tuple(outcome.name.lower() for outcome in Outcome)


@record(frozen=True, slots=True, kw_only=True)
class Reply:
    """One text or template for the customer. The host splits what is too long for the channel.

    :param otherwise: what is sent in its place where the channel takes no free text now.
    :param instead: the template that is sent in place of this one where the provider is known to
        refuse this one.
    :param variant: which of several wordings it is, as the rule names them.
    :param media: files that leave after the text, each as a message of its own.
    """

    text: str = ""
    template: Template | None = None
    author: Author = Author.RULE
    otherwise: "Reply | None" = None
    instead: "Reply | None" = None
    variant: str | None = None
    media: tuple[Attachment, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class DraftRequest:
    """A text that waits for a person's word before it is sent."""

    text: str
    because: str
    author: Author = Author.BOT
    sources: tuple[str, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class TicketRequest:
    """Something a person has to do."""

    queue: str
    title: str
    priority: str = "normal"


@record(frozen=True, slots=True, kw_only=True)
class EscalationRequest:
    """A person is called, now.

    :param to: a queue or the name of an ``[actions.*]`` instance.
    """

    to: str
    because: str


@record(frozen=True, slots=True, kw_only=True)
class ActionRequest:
    """An action that is to be run, with parameters already checked."""

    action: str
    params: Mapping[str, Any] = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class AskRequest:
    """An AI backend that is to be asked, outside the lane.

    :param classify: only a category is wanted; reading the rules starts again once it is known.
    :param prompt: the name of instructions in the rules files, in place of the backend's own.
    :param knowledge: the ids of the articles that it may use; ``None`` for all.
    :param redact: kinds of personal data that it is not to see.
    """

    backend: str
    classify: bool = False
    prompt: str | None = None
    knowledge: tuple[str, ...] | None = None
    redact: frozenset[str] = frozenset()


@record(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision: what becomes of an event, and why.

    :param because: a sentence for people.
    :param rule: the id of the rule or guardrail that decided; ``None`` for the default.
    :param snooze: the bot says nothing of its own for so long afterwards.
    :param notify: somebody is told that the customer wrote, though nothing else becomes of it.
    :param channel: where the replies leave; ``None``: where the customer last wrote.
    """

    outcome: Outcome
    because: str
    rule: str | None = None
    category: str | None = None
    risk: str | None = None
    priority: str | None = None
    language: str | None = None
    replies: tuple[Reply, ...] = ()
    draft: DraftRequest | None = None
    ticket: TicketRequest | None = None
    escalation: EscalationRequest | None = None
    actions: tuple[ActionRequest, ...] = ()
    tags: frozenset[str] = frozenset()
    untags: frozenset[str] = frozenset()
    contact_attributes: Mapping[str, str] = field(default_factory=dict)
    conversation_attributes: Mapping[str, str] = field(default_factory=dict)
    opted_out: bool | None = None
    notify: bool = False
    sources: tuple[str, ...] = ()
    snooze: timedelta | None = None
    channel: str | None = None

    @property
    def changes(self) -> bool:
        """Whether anything at all becomes of the event."""
        said = (self.replies, self.draft, self.ticket, self.escalation, self.actions, self.snooze)
        marked = (self.tags, self.untags, self.category, self.risk, self.priority, self.language)
        kept = (self.contact_attributes, self.conversation_attributes, self.opted_out)
        return any((*said, *marked, *kept))
