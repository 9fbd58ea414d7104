"""What is to be said to a customer, planned before it is queued: text, template, later, or not.

Nothing is queued that the provider must refuse, or that the customer or the business does not
want to leave now. Pure: everything that counts is given, and the plan says why in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from router.domain.decision import Reply
from router.domain.message import Attachment
from router.domain.record import changed, record
from router.pipeline.outbound.approvals import Listing, Objection
from router.pipeline.outbound.plans import Cost, Plan, Way
from router.pipeline.outbound.reaching import Reach
from router.pipeline.outbound.reasons import Why
from router.rules.hours import Hours


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
