"""Policy: what a tenant lets the router do by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from router.rules.hours import Hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A tenant's policy, as ``[policy]`` in router.toml states it.

    :param mode: ``assisted``: whatever a model wrote waits for a person's word. ``autopilot``: it
        is sent if its category is in ``autopilot_categories`` and of low risk.
    :param confidence_threshold: answers below it become tickets; ``None`` for no threshold.
    :param debounce: how long the customer has to be quiet before a model is asked.
    :param debounce_cap: how long the first message waits at most.
    :param review_fixed_texts: texts that a rule states wait for a person's word, too.
    :param while_owned: what becomes of a turn while a person owns the conversation, or it waits
        for one: a ``draft``, or only a notification (``notify``). ``None``: a draft where people
        approve drafts anyway (``assisted``), else only the notification.
    :param handback_after: how long after a person's last word the bot owns it again.
    :param idle_close: how long a conversation is quiet before it is closed.
    :param keep: how long a closed conversation is kept after its last word; ``None`` for ever.
    :param silence_alarm: an event without an outcome for so long is an alarm.
    :param notice_links: what tells people of an escalation or a ticket carries a link to the
        conversation.
    :param quiet_hours: when the business begins nothing, on the tenant's clock: what is not an
        answer waits until they end; ``None``: it may at any time.
    :param apology: what the customer is told when answering failed for good; by language, or one
        text; empty for nothing.
    :param language: the tenant's language, a BCP 47 tag.
    :param timezone: where the tenant's clock is, an IANA name.
    """

    mode: Literal["assisted", "autopilot"] = "assisted"
    autopilot_categories: frozenset[str] = frozenset({"INFO", "TRACKING"})
    confidence_threshold: float | None = None
    debounce: timedelta = timedelta(seconds=2)
    debounce_cap: timedelta = timedelta(seconds=10)
    review_fixed_texts: bool = False
    while_owned: Literal["draft", "notify"] | None = None
    handback_after: timedelta | None = timedelta(hours=24)
    idle_close: timedelta = timedelta(hours=24)
    keep: timedelta | None = None
    silence_alarm: timedelta | None = timedelta(minutes=10)
    notice_links: bool = True
    quiet_hours: Hours | None = None
    apology: str | Mapping[str, str] = field(default="")
    language: str = "es"
    timezone: str = "UTC"

    @property
    def drafts_while_owned(self) -> bool:
        """Whether what the bot would say to a customer that people have is kept as a draft."""
        if self.while_owned is None:
            return self.mode == "assisted"
        return self.while_owned == "draft"
