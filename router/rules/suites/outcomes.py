"""Outcomes one step less careful than the rules have them."""

from enum import Enum
from typing import Final

from router.rules.model import (
    AskAnswer,
    CallPerson,
    Decider,
    GuardStage,
    Ignore,
    KeepDraft,
    OpenTicket,
    SayMessage,
    SayReply,
    Verdict,
)


class Dropped(Enum):
    """The type of :data:`DROPPED`."""

    DROPPED = "dropped"


#: What is left of a verdict that is the least careful one.
DROPPED: Final = Dropped.DROPPED
_BECAUSE = "one step less careful"


def less_careful(decider: Decider) -> Decider | None:
    """Give what decides one step less carefully; ``None`` where nothing does.

    ``escalate`` becomes ``ticket``, that ``draft``, that ``reply``, that ``ignore``.
    """
    match decider:
        case CallPerson():
            return OpenTicket(say=decider.say)
        case OpenTicket():
            return KeepDraft(because=_BECAUSE, text=decider.say)
        case KeepDraft():
            return Ignore(because=_BECAUSE) if decider.text is None else SayReply(text=decider.text)
        case AskAnswer() if decider.draft is not None:
            return AskAnswer(backend=decider.backend)
        case SayReply() | SayMessage() | AskAnswer():
            return Ignore(because=_BECAUSE)
    return None


def less_careful_verdict(verdict: Verdict, stage: GuardStage) -> Verdict | Dropped | None:
    """Give a guardrail's verdict one step less careful: none at all, where there is none between.

    That a message is ignored is final, and as careful as nothing else: there is no step.
    """
    match verdict:
        case CallPerson():
            return OpenTicket(say=verdict.say)
        case OpenTicket() if stage is GuardStage.ANSWER:
            return KeepDraft(because=_BECAUSE)
        case Ignore():
            return None
        case _:
            return DROPPED
