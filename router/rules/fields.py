"""What a rule can look at: every field with its type, and every operator with what it takes.

The reference in ``rules/README.md`` is generated from here. A field is listed only if something
brings its value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RISKS: Final = ("low", "medium", "high")
OWNERS: Final = ("bot", "nobody", "person")
STATUSES: Final = ("active", "closed", "escalated")
DELIVERIES: Final = ("queued", "sent", "delivered", "read", "failed")
#: The kinds of events that rules decide about.
KINDS: Final = ("message", "echo", "delivery")


class Type(StrEnum):
    """What sort of value a field has."""

    TEXT = "text"
    WORD = "word"
    LANGUAGE = "language"
    NUMBER = "number"
    DURATION = "duration"
    FLAG = "flag"
    SET = "set"
    TIME = "time"
    DATE = "date"


class Stage(StrEnum):
    """When a value is known, from first to last."""

    EVENT = "event"
    TRIAGE = "triage"
    CLASSIFIED = "classified"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing that a rule can look at.

    :param path: as rules write it. A path that ends in ``.NAME`` stands for every name.
    :param doc: one line for the reference.
    :param kinds: the kinds of events that have it.
    :param known: from when on it is known.
    :param choices: every value it can have; ``None`` where they are not fixed.
    :param names: which of the configured names its values are, such as ``channels``.
    """

    path: str
    type: Type
    doc: str
    kinds: frozenset[str] = frozenset(KINDS)
    known: Stage = Stage.EVENT
    choices: tuple[str, ...] | None = None
    names: str | None = None

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators that rules may use on it."""
        return OPERATORS_OF[self.type]


@dataclass(frozen=True, slots=True)
class Operator:
    """One way to look at a value.

    :param takes: what stands on the right of it, in words.
    :param doc: when it holds.
    """

    takes: str
    doc: str


OPERATORS: Final[Mapping[str, Operator]] = {
    "words": Operator("a text or a list", "any of these words or phrases is there, whole"),
    "all_words": Operator("a text or a list", "every one of these words or phrases is there"),
    "lexicon": Operator("a name or a list", "any word or phrase of the `[lexicon.NAME]` is there"),
    "contains": Operator(
        "a text or a list; for a set one member",
        "any of these is somewhere in the text, in the middle of a word too; the set has it",
    ),
    "equals": Operator("a value, or for words and texts a list", "the value is this, or one of"),
    "starts_with": Operator("a text or a list", "the text starts with any of these"),
    "matches": Operator("a pattern or a list", "any of these regular expressions is found (RE2)"),
    "above": Operator("a value", "the value is greater"),
    "below": Operator("a value", "the value is smaller"),
    "at_least": Operator("a value", "the value is this or greater"),
    "at_most": Operator("a value", "the value is this or smaller"),
    "between": Operator(
        "a list of two",
        "the value is in between, both ends included; of a time the second is not, and the "
        "first may be the later one: across midnight",
    ),
    "any_of": Operator("a list", "the value, or a member of the set, is one of these"),
    "none_of": Operator("a list", "the value, or every member of the set, is none of these"),
    "empty": Operator("true or false", "there is nothing in it"),
    "present": Operator("true or false", "there is a value at all"),
}

_ORDER = ("above", "below", "at_least", "at_most", "between")
_TEXT = ("words", "all_words", "lexicon", "contains", "equals", "starts_with", "matches", "empty")

OPERATORS_OF: Final[Mapping[Type, tuple[str, ...]]] = {
    Type.TEXT: (*_TEXT, "present"),
    Type.WORD: ("equals", "any_of", "none_of", "present"),
    Type.LANGUAGE: ("equals", "any_of", "none_of", "present"),
    Type.NUMBER: ("equals", *_ORDER, "present"),
    Type.DURATION: (*_ORDER, "present"),
    Type.FLAG: ("equals", "present"),
    Type.SET: ("contains", "any_of", "none_of", "empty", "present"),
    Type.TIME: ("at_least", "at_most", "between", "present"),
    Type.DATE: ("equals", "any_of", "none_of", "at_least", "at_most", "between", "present"),
}

_MESSAGE = frozenset({"message"})
_WRITTEN = frozenset({"message", "echo"})
_DELIVERY = frozenset({"delivery"})

_ALL = (
    Field(path="event.kind", type=Type.WORD, doc="What happened.", choices=KINDS),
    Field(
        path="text",
        type=Type.TEXT,
        doc="This message; once the customer has been quiet for a while, the whole turn.",
        kinds=_WRITTEN,
    ),
    Field(
        path="turn.text",
        type=Type.TEXT,
        doc="Everything that the customer wrote since the last answer, a line a message.",
        kinds=_MESSAGE,
    ),
    Field(
        path="turn.messages",
        type=Type.NUMBER,
        doc="How many messages the customer wrote since the last answer.",
        kinds=_MESSAGE,
    ),
    Field(
        path="turn.age",
        type=Type.DURATION,
        doc="How long the customer's first unanswered message has waited.",
        kinds=_MESSAGE,
    ),
    Field(
        path="attachments",
        type=Type.NUMBER,
        doc="How many files, places or cards came with the message.",
        kinds=_WRITTEN,
    ),
    Field(
        path="attachments.kind",
        type=Type.SET,
        doc="What they are: image, audio, video, document, sticker, location, contact.",
        kinds=_WRITTEN,
    ),
    Field(path="contact.name", type=Type.TEXT, doc="What the customer calls themselves."),
    Field(path="contact.language", type=Type.LANGUAGE, doc="The customer's language, if known."),
    Field(path="contact.tag", type=Type.SET, doc="The customer's tags."),
    Field(
        path="contact.opted_out",
        type=Type.FLAG,
        doc="The customer wants no messages that they did not ask for.",
    ),
    Field(path="contact.new", type=Type.FLAG, doc="This is the customer's first message ever."),
    Field(
        path="contact.address",
        type=Type.TEXT,
        doc="Where the customer can be reached, such as `tel:+573001234567`.",
    ),
    Field(
        path="contact.attribute.NAME",
        type=Type.TEXT,
        doc="Anything else known of the customer, by name.",
    ),
    Field(
        path="conversation.owner",
        type=Type.WORD,
        doc="Who answers: the bot, nobody yet (it waits for a person), or a person.",
        choices=OWNERS,
    ),
    Field(
        path="conversation.status",
        type=Type.WORD,
        doc="Where the conversation stands.",
        choices=STATUSES,
    ),
    Field(
        path="conversation.bot_turns",
        type=Type.NUMBER,
        doc="How often the bot answered since a person last wrote.",
    ),
    Field(
        path="conversation.since_human",
        type=Type.DURATION,
        doc="How long ago a person of the business last wrote.",
    ),
    Field(
        path="conversation.category",
        type=Type.WORD,
        doc="The category of the conversation before this event.",
        names="categories",
    ),
    Field(path="conversation.tag", type=Type.SET, doc="The conversation's tags."),
    Field(
        path="conversation.open_ticket",
        type=Type.FLAG,
        doc="A ticket of this conversation is not yet resolved.",
    ),
    Field(
        path="conversation.attribute.NAME",
        type=Type.TEXT,
        doc="Anything else known of the conversation, by name.",
    ),
    Field(path="tenant", type=Type.WORD, doc="Whose customer this is; `main` at the top level."),
    Field(path="channel", type=Type.WORD, doc="The name of the channel.", names="channels"),
    Field(
        path="language",
        type=Type.LANGUAGE,
        doc="The language of the turn; `pt` fits `pt-BR` too.",
        names="languages",
    ),
    Field(path="clock.time", type=Type.TIME, doc="The time of day where the business is."),
    Field(
        path="clock.weekday",
        type=Type.WORD,
        doc="The day of the week where the business is.",
        choices=WEEKDAYS,
    ),
    Field(path="clock.date", type=Type.DATE, doc="The date where the business is."),
    Field(
        path="category",
        type=Type.WORD,
        doc="The category, as set so far in this reading.",
        known=Stage.TRIAGE,
        names="categories",
    ),
    Field(
        path="risk",
        type=Type.WORD,
        doc="The risk, as set so far in this reading or as the category has it.",
        known=Stage.TRIAGE,
        choices=RISKS,
    ),
    Field(
        path="priority",
        type=Type.WORD,
        doc="The priority, as set so far in this reading.",
        known=Stage.TRIAGE,
        choices=("low", "normal", "high", "urgent"),
    ),
    Field(
        path="delivery.status",
        type=Type.WORD,
        doc="How far the message got.",
        kinds=_DELIVERY,
        choices=DELIVERIES,
    ),
    Field(
        path="delivery.code",
        type=Type.TEXT,
        doc="The provider's code for a failure.",
        kinds=_DELIVERY,
    ),
    Field(
        path="ai.category",
        type=Type.WORD,
        doc="The category that the model found, after `classify`.",
        kinds=_MESSAGE,
        known=Stage.CLASSIFIED,
        names="categories",
    ),
    Field(
        path="ai.confidence",
        type=Type.NUMBER,
        doc="How sure the model is of its category, 0 to 1.",
        kinds=_MESSAGE,
        known=Stage.CLASSIFIED,
    ),
    Field(
        path="ai.reason",
        type=Type.TEXT,
        doc="Why, in the model's words.",
        kinds=_MESSAGE,
        known=Stage.CLASSIFIED,
    ),
    Field(
        path="answer.text",
        type=Type.TEXT,
        doc="What the backend would like to answer.",
        kinds=_MESSAGE,
        known=Stage.ANSWER,
    ),
    Field(
        path="answer.confidence",
        type=Type.NUMBER,
        doc="How sure the backend is of its answer, 0 to 1; 0 for an empty answer.",
        kinds=_MESSAGE,
        known=Stage.ANSWER,
    ),
    Field(
        path="answer.category",
        type=Type.WORD,
        doc="The category that came with the answer.",
        kinds=_MESSAGE,
        known=Stage.ANSWER,
        names="categories",
    ),
    Field(
        path="answer.cites",
        type=Type.SET,
        doc="The articles that the answer rests on, and their passages (`envios`, `envios#2`).",
        kinds=_MESSAGE,
        known=Stage.ANSWER,
    ),
    Field(
        path="answer.length",
        type=Type.NUMBER,
        doc="How many characters the answer has.",
        kinds=_MESSAGE,
        known=Stage.ANSWER,
    ),
    Field(
        path="answer.empty",
        type=Type.FLAG,
        doc="The backend does not know. An empty answer is never sent.",
        kinds=_MESSAGE,
        known=Stage.ANSWER,
    ),
)

FIELDS: Final[Mapping[str, Field]] = {field.path: field for field in _ALL}

_PREFIXES: Final = frozenset(
    ".".join(parts[:count])
    for parts in (path.split(".") for path in FIELDS)
    for count in range(1, len(parts))
)


def find(path: str) -> Field | None:
    """Give the field at a path, or ``None``. Attributes of any name are found."""
    if path in FIELDS:
        return FIELDS[path]
    stem, dot, name = path.rpartition(".")
    return FIELDS.get(f"{stem}.NAME") if dot and name and stem in _PREFIXES else None


def is_prefix(path: str) -> bool:
    """Say whether fields stand below this path."""
    return path in _PREFIXES
