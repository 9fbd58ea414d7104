"""What is to be said to a customer, planned before it is queued: text, template, later, or not.

Nothing is queued that the provider must refuse, or that the customer or the business does not
want to leave now. Pure: everything that counts is given, and the plan says why in words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from router.domain.decision import Decision, Outcome, Reply, TicketRequest
from router.domain.message import Attachment
from router.domain.record import changed, record
from router.pipeline.approvals import Listing, Objection
from router.pipeline.reaching import Reach
from router.pipeline.reasons import TITLES, WORDS, Why
from router.rules.hours import Hours
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


@dataclass(frozen=True, slots=True)
class Quiet:
    """When the business starts nothing.

    :param hours: on its own clock.
    """

    hours: Hours
    timezone: str

    def over_at(self, now: datetime) -> datetime:
        """Give the moment at which something may leave that is ready now; ``now`` if it may."""
        return self.hours.over_at(now.astimezone(ZoneInfo(self.timezone))).astimezone(now.tzinfo)


@record(frozen=True, slots=True, kw_only=True)
class Setting:
    """What counts besides how the customer is reached.

    :param asked: it answers what the customer wrote; else the business begins.
    :param opted_out: the customer wants no messages that they did not ask for.
    :param confirms: it tells them that they get no more.
    :param quiet: when the business begins nothing; ``None``: it may at any time.
    """

    asked: bool
    opted_out: bool = False
    confirms: bool = False
    quiet: Quiet | None = None


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


def plan(
    replies: Sequence[Reply],
    reach: Reach,
    setting: Setting,
    now: datetime,
    *,
    listing: Listing | None = None,
) -> Plan:
    """Plan how something is said to a customer.

    :param replies: what is to be said, in order; one that has an ``otherwise`` may leave as that.
    :param listing: the templates that the channel's provider has; ``None``: nobody knows, and the
        provider will say.
    """
    hours = 0 if reach.window is None else round(reach.window.total_seconds() / 3600)
    made = _Making(reach=reach, hours=hours)
    if setting.opted_out and not (setting.asked or setting.confirms):
        return made.plan(Way.NOTHING, Why.OPTED_OUT)
    if setting.confirms:
        # The one message that may follow an opt-out.
        replies = replies[:1]
    if not reach.known:
        return made.plan(Way.TICKET, Why.GONE)
    if not reach.sends:
        return made.plan(Way.TICKET, Why.MUTE)
    at, more = None, (Why.CONFIRMS,) if setting.confirms else ()
    if setting.quiet is not None and not setting.asked:
        over = setting.quiet.over_at(now)
        if over > now:
            at, more = over, (*more, Why.QUIET)
            made = changed(made, at=over, timezone=setting.quiet.timezone)
    takes_text = reach.takes_text(at or now)
    if takes_text:
        chosen = tuple(
            it if it.otherwise is None else changed(it, otherwise=None) for it in replies
        )
        why = Why.OPEN
        if reach.window is None:
            why = Why.UNLIMITED
        elif reach.wrote_at is None:
            why = Why.UNSURE
    else:
        chosen = tuple(it if it.otherwise is None else it.otherwise for it in replies)
        if any(it.template is None for it in chosen):
            return changed(made, at=None).plan(Way.TICKET, Why.SHUT)
        why = Why.SHUT_TEMPLATE
    if listing is not None:
        taken, objections, how = _taken(chosen, listing, takes_text=takes_text)
        made, more = changed(made, objections=objections), (*how, *more)
        if taken is None:
            return changed(made, at=None).plan(Way.TICKET, *how)
        chosen = taken
    chosen = tuple(it if it.instead is None else changed(it, instead=None) for it in chosen)
    chosen, linked = _linked(chosen, reach)
    if linked:
        made, more = changed(made, linked=linked), (*more, Why.LINKED)
    if any(it.template is not None for it in chosen):
        why = Why.STATED if all(it.template is not None for it in replies) else why
        return made.plan(Way.TEMPLATE, why, *more, replies=chosen, cost=Cost.TEMPLATE)
    cost = Cost.FREE if reach.window is None else Cost.SERVICE
    return made.plan(Way.TEXT, why, *more, replies=chosen, cost=cost)


def _taken(
    replies: Sequence[Reply], listing: Listing, *, takes_text: bool
) -> tuple[tuple[Reply, ...] | None, tuple[Objection, ...], tuple[Why, ...]]:
    """Put in the place of each template that would be refused what would not be.

    That is the next one that the rules name; else, where the channel takes text, what it reads
    like; else nothing, and then none of the replies is sent.
    """
    taken: list[Reply] = []
    objections: list[Objection] = []
    how: list[Why] = []
    for reply in replies:
        found: Reply | None = reply
        while found is not None and found.template is not None:
            objection = listing.objection(found.template, in_window=takes_text)
            if objection is None:
                break
            objections.append(objection)
            found = found.instead
        if found is None and takes_text and reply.text:
            found = changed(reply, template=None)
            how.append(Why.IN_WORDS)
        elif found is not None and found is not reply:
            how.append(Why.INSTEAD)
        if found is None:
            return None, tuple(objections), (Why.OBJECTED,)
        taken.append(found)
    return tuple(taken), tuple(objections), tuple(dict.fromkeys(how))


def _linked(
    replies: Sequence[Reply], reach: Reach
) -> tuple[tuple[Reply, ...], tuple[Attachment, ...]]:
    """Put the addresses of files that a channel does not send into the texts before them."""
    found: list[Reply] = []
    linked: list[Attachment] = []
    for reply in replies:
        if not reply.media:
            found.append(reply)
            continue
        if reply.template is not None:
            # A template brings its own files, and has no room for addresses.
            found.append(changed(reply, media=()))
            continue
        sent = tuple(file for file in reply.media if reach.takes_file(file))
        links = [file for file in reply.media if file not in sent]
        text = "\n".join(filter(None, (reply.text, *(file.url for file in links))))
        found.append(changed(reply, text=text, media=sent))
        linked += links
    return tuple(found), tuple(linked)


@record(frozen=True, slots=True, kw_only=True)
class _Making:
    reach: Reach
    hours: int
    at: datetime | None = None
    timezone: str = "UTC"
    objections: tuple[Objection, ...] = ()
    linked: tuple[Attachment, ...] = ()

    def plan(
        self, way: Way, *because: Why, replies: tuple[Reply, ...] = (), cost: Cost | None = None
    ) -> Plan:
        return Plan(
            way=way,
            channel=self.reach.channel,
            replies=replies,
            at=self.at,
            because=because,
            cost=cost,
            hours=self.hours,
            timezone=self.timezone,
            objections=self.objections,
            linked=self.linked,
        )


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
