"""What sorts of values there are, when they are known, and the operators that look at them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

#: The kinds of events that rules decide about.
KINDS: Final = (
    "message",
    "echo",
    "delivery",
    "idle",
    "call.ended",
    "call.failed",
    "conversation.opened",
    "conversation.escalated",
)
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RISKS: Final = ("low", "medium", "high")
OWNERS: Final = ("bot", "nobody", "person")
STATUSES: Final = ("active", "closed", "escalated")
DELIVERIES: Final = ("queued", "sent", "delivered", "read", "failed")
DIRECTIONS: Final = ("inbound", "outbound")
CALL_OUTCOMES: Final = ("success", "failure", "unknown")
#: Who reported a call.
ORIGINS: Final = ("provider", "api")
#: Personal data that is told apart, worst first.
PII: Final = ("card", "iban", "cpf", "curp", "cuit", "rut", "nit", "dni", "email", "phone")
#: How far back ``history.*.WINDOW`` looks at most, and how much it counts at most.
LONGEST_WINDOW: Final = timedelta(hours=24)
MOST_COUNTED: Final = 40


class Type(StrEnum):
    """What sort of value a field has."""

    TEXT = "text"
    WORD = "word"
    LANGUAGE = "language"
    NUMBER = "number"
    DURATION = "duration"
    FLAG = "flag"
    SET = "set"
    HOSTS = "hosts"
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

    :param path: as rules write it. A path that ends in ``.NAME`` stands for every name, one that
        ends in ``.WINDOW`` for every duration.
    :param doc: one line for the reference.
    :param kinds: the kinds of events that have it.
    :param known: from when on it is known.
    :param choices: every value it can have; ``None`` where they are not fixed.
    :param names: what its values are names of, such as ``channels``.
    :param bounds: the smallest and the greatest number that it can be.
    """

    path: str
    type: Type
    doc: str
    kinds: frozenset[str] = frozenset(KINDS)
    known: Stage = Stage.EVENT
    choices: tuple[str, ...] | None = None
    names: str | None = None
    bounds: tuple[float, float] | None = None

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
    "outside": Operator("a list", "the set has a member that is none of these"),
    "empty": Operator("true or false", "there is nothing in it"),
    "present": Operator("true or false", "there is a value at all"),
}

_ORDER = ("above", "below", "at_least", "at_most", "between")
_TEXT = ("words", "all_words", "lexicon", "contains", "equals", "starts_with", "matches", "empty")
_SET = ("contains", "any_of", "none_of", "outside", "empty", "present")

OPERATORS_OF: Final[Mapping[Type, tuple[str, ...]]] = {
    Type.TEXT: (*_TEXT, "present"),
    Type.WORD: ("equals", "any_of", "none_of", "present"),
    Type.LANGUAGE: ("equals", "any_of", "none_of", "present"),
    Type.NUMBER: ("equals", *_ORDER, "present"),
    Type.DURATION: (*_ORDER, "present"),
    Type.FLAG: ("equals", "present"),
    Type.SET: _SET,
    Type.HOSTS: _SET,
    Type.TIME: ("at_least", "at_most", "between", "present"),
    Type.DATE: ("equals", "any_of", "none_of", "at_least", "at_most", "between", "present"),
}
