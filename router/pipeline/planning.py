"""What is to be said to a customer, planned before it is queued: text, template, later, or not.

Nothing is queued that the provider must refuse, or that the customer or the business does not
want to leave now. Pure: everything that counts is given, and the plan says why in words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from router.domain.decision import Decision, Outcome, Reply, TicketRequest
from router.pipeline.reaching import Reach
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


class Why(StrEnum):
    """What decided about the way."""

    UNLIMITED = "unlimited"
    OPEN = "open"
    UNSURE = "unsure"
    STATED = "stated"
    SHUT = "shut"
    SHUT_TEMPLATE = "shut_template"
    GONE = "gone"
    MUTE = "mute"
    OPTED_OUT = "opted_out"
    CONFIRMS = "confirms"
    QUIET = "quiet"


_WORDS: Final[Mapping[str, Mapping[Why, str]]] = {
    "es": {
        Why.UNLIMITED: "el canal acepta textos siempre",
        Why.OPEN: "el cliente escribió hace menos de {hours} h",
        Why.UNSURE: "no se sabe cuándo escribió el cliente por última vez",
        Why.STATED: "la regla pide la plantilla",
        Why.SHUT: "hace más de {hours} h que el cliente no escribe ahí, y la regla no da plantilla",
        Why.SHUT_TEMPLATE: "hace más de {hours} h que el cliente no escribe ahí: sale la plantilla",
        Why.GONE: "ese canal no está configurado",
        Why.MUTE: "por ese canal no se envían mensajes",
        Why.OPTED_OUT: "el cliente pidió que no se le escriba",
        Why.CONFIRMS: "es la confirmación de que no se le escribirá más",
        Why.QUIET: "son horas de silencio hasta {until}",
    },
    "pt": {
        Why.UNLIMITED: "o canal aceita textos sempre",
        Why.OPEN: "o cliente escreveu há menos de {hours} h",
        Why.UNSURE: "não se sabe quando o cliente escreveu pela última vez",
        Why.STATED: "a regra pede o modelo",
        Why.SHUT: "faz mais de {hours} h que o cliente não escreve ali, e a regra não dá modelo",
        Why.SHUT_TEMPLATE: "faz mais de {hours} h que o cliente não escreve ali: sai o modelo",
        Why.GONE: "esse canal não está configurado",
        Why.MUTE: "por esse canal não se enviam mensagens",
        Why.OPTED_OUT: "o cliente pediu que não lhe escrevam",
        Why.CONFIRMS: "é a confirmação de que não lhe escreverão mais",
        Why.QUIET: "são horas de silêncio até {until}",
    },
    "en": {
        Why.UNLIMITED: "the channel always takes texts",
        Why.OPEN: "the customer wrote less than {hours} h ago",
        Why.UNSURE: "nobody knows when the customer last wrote",
        Why.STATED: "the rule wants the template",
        Why.SHUT: "the customer has not written there for {hours} h, and there is no template",
        Why.SHUT_TEMPLATE: "the customer has not written there for {hours} h: the template is sent",
        Why.GONE: "there is no such channel",
        Why.MUTE: "that channel sends no messages",
        Why.OPTED_OUT: "the customer has asked for no more messages",
        Why.CONFIRMS: "it confirms that there will be no more messages",
        Why.QUIET: "these are quiet hours until {until}",
    },
}
_TITLES: Final[Mapping[str, str]] = {
    "es": "No se pudo escribir por «{channel}»: {why}",
    "pt": "Não foi possível escrever por «{channel}»: {why}",
    "en": 'Nothing could be written through "{channel}": {why}',
}


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


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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

    @property
    def sends(self) -> bool:
        return self.way in (Way.TEXT, Way.TEMPLATE)

    def words(self, language: str) -> str:
        """Say why, in a language; in English where that one is not spoken here."""
        until = ""
        if self.at is not None:
            until = f"{self.at.astimezone(ZoneInfo(self.timezone)):%Y-%m-%d %H:%M}"
        words = _WORDS.get(language.partition("-")[0], _WORDS["en"])
        return "; ".join(words[why].format(hours=self.hours, until=until) for why in self.because)

    def values(self, language: str) -> Mapping[str, Any]:
        """Give the plan as a trace keeps it."""
        found: dict[str, Any] = {"send": self.way.value, "channel": self.channel}
        if self.at is not None:
            found["at"] = self.at.isoformat()
        found["because"] = self.words(language)
        if self.cost is not None:
            found["cost"] = self.cost.value
        return found


def plan(replies: Sequence[Reply], reach: Reach, setting: Setting, now: datetime) -> Plan:
    """Plan how something is said to a customer.

    :param replies: what is to be said, in order; one that has an ``otherwise`` may leave as that.
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
            made = replace(made, at=over, timezone=setting.quiet.timezone)
    if reach.takes_text(at or now):
        chosen = tuple(replace(it, otherwise=None) for it in replies)
        why = Why.OPEN
        if reach.window is None:
            why = Why.UNLIMITED
        elif reach.wrote_at is None:
            why = Why.UNSURE
    else:
        chosen = tuple(it if it.otherwise is None else it.otherwise for it in replies)
        if any(it.template is None for it in chosen):
            return replace(made, at=None).plan(Way.TICKET, Why.SHUT)
        why = Why.SHUT_TEMPLATE
    if any(it.template is not None for it in chosen):
        why = Why.STATED if all(it.template is not None for it in replies) else why
        return made.plan(Way.TEMPLATE, why, *more, replies=chosen, cost=Cost.TEMPLATE)
    cost = Cost.FREE if reach.window is None else Cost.SERVICE
    return made.plan(Way.TEXT, why, *more, replies=chosen, cost=cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    reach: Reach
    hours: int
    at: datetime | None = None
    timezone: str = "UTC"

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
        )


def applied(decision: Decision, plan: Plan, language: str) -> Decision:
    """Give a decision as it is after the plan about what it says.

    Where it cannot be said, a ticket tells a person why; where it must not, nothing is said.

    :param language: of whoever reads tickets.
    """
    if plan.sends:
        return replace(decision, replies=plan.replies)
    if plan.way is Way.NOTHING:
        decided = replace(decision, replies=(), channel=None)
        if decision.outcome is Outcome.REPLY:
            decided = replace(decided, outcome=Outcome.IGNORE, because=plan.words("en"))
        return decided
    ticket = decision.ticket or TicketRequest(
        queue=DEFAULT_QUEUE,
        title=_title(plan, language),
        priority=decision.priority or "normal",
    )
    return replace(
        decision,
        outcome=max(decision.outcome, Outcome.TICKET),
        because=_title(plan, "en"),
        replies=(),
        ticket=ticket,
        channel=None,
    )


def _title(plan: Plan, language: str) -> str:
    words = _TITLES.get(language.partition("-")[0], _TITLES["en"])
    return words.format(channel=plan.channel, why=plan.words(language))
