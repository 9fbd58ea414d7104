"""Plans: in which way something is said to a customer, what that costs, and why, in words."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from router.domain.decision import Decision, Outcome, Reply, TicketRequest
from router.domain.message import Attachment
from router.domain.record import changed, record
from router.pipeline.outbound.approvals import Objection
from router.pipeline.outbound.reasons import TITLES, WORDS, Why
from router.rules.model import DEFAULT_QUEUE


class Way(StrEnum):
    """In which form something is said."""

    TEXT = "text"
    TEMPLATE = "template"
    #: It cannot be said there: a person learns of it.
    TICKET = "ticket"
    #: It must not be said at all.
    NOTHING = "nothing"


class Cost(StrEnum):
    """What a provider counts it as. What that costs is between the business and the provider."""

    #: The channel has no window, and charges nothing for a message as such.
    FREE = "free"
    #: A text within the window: an answer, which is not charged as a template is.
    SERVICE = "service"
    #: A template, charged by the category under which the provider approved it.
    TEMPLATE = "template"


@record(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of something that is to be said.

    :param replies: what is sent; empty where nothing is.
    :param at: when it may leave at the earliest; ``None`` for now.
    :param because: what decided, the most important first.
    :param cost: what the provider counts it as; ``None`` where nothing is sent.
    """

    way: Way
    channel: str
    replies: tuple[Reply, ...] = ()
    at: datetime | None = None
    because: tuple[Why, ...]
    cost: Cost | None = None
    hours: int = 0
    timezone: str = "UTC"
    #: What the provider would refuse of it.
    objections: tuple[Objection, ...] = ()
    #: Files that leave as addresses in the text.
    linked: tuple[Attachment, ...] = ()

    @property
    def files(self) -> tuple[Attachment, ...]:
        """What leaves after the texts, each file as a message of its own."""
        return tuple(file for reply in self.replies for file in reply.media)

    @property
    def sends(self) -> bool:
        return self.way in (Way.TEXT, Way.TEMPLATE)

    def words(self, language: str) -> str:
        """Say why, in a language; in English where that one is not spoken here."""
        until = ""
        if self.at is not None:
            until = f"{self.at.astimezone(ZoneInfo(self.timezone)):%Y-%m-%d %H:%M}"
        words = WORDS.get(language.partition("-")[0], WORDS["en"])
        objections = links = ""
        if self.objections:
            objections = "; ".join(dict.fromkeys(it.words(language) for it in self.objections))
        if self.linked:
            links = ", ".join(file.name or file.url or file.kind for file in self.linked)
        values = {
            "hours": self.hours,
            "until": until,
            "objections": objections,
            "links": links,
        }
        return "; ".join([words[why].format_map(values) for why in self.because])

    def values(self, language: str) -> Mapping[str, Any]:
        """Give the plan as a trace keeps it."""
        found: dict[str, Any] = {"send": self.way.value, "channel": self.channel}
        if self.at is not None:
            found["at"] = self.at.isoformat()
        if self.files:
            found["files"] = [file.url for file in self.files]
        found["because"] = self.words(language)
        if self.cost is not None:
            found["cost"] = self.cost.value
        return found


def applied(decision: Decision, plan: Plan, language: str) -> Decision:
    """Give a decision as it is after the plan about what it says.

    Where it cannot be said, a ticket tells a person why; where it must not, nothing is said. What
    is said as it was decided stays the very same decision.

    :param language: of whoever reads tickets.
    """
    if plan.sends:
        if plan.replies == decision.replies:
            return decision
        return changed(decision, replies=plan.replies)
    if plan.way is Way.NOTHING:
        decided = changed(decision, replies=(), channel=None)
        if decision.outcome is Outcome.REPLY:
            decided = changed(decided, outcome=Outcome.IGNORE, because=plan.words("en"))
        return decided
    ticket = decision.ticket or TicketRequest(
        queue=DEFAULT_QUEUE,
        title=_title(plan, language),
        priority=decision.priority or "normal",
    )
    return changed(
        decision,
        outcome=max(decision.outcome, Outcome.TICKET),
        because=_title(plan, "en"),
        replies=(),
        ticket=ticket,
        channel=None,
    )


def _title(plan: Plan, language: str) -> str:
    words = TITLES.get(language.partition("-")[0], TITLES["en"])
    return words.format(channel=plan.channel, why=plan.words(language))
