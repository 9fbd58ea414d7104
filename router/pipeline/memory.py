"""What the router keeps of a conversation for itself, beside the attributes that rules set.

It lies among the attributes, under names that no rules file can write: what was said lately, as
``history.*`` counts it, and until when a rule has silenced the bot.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from router.clock import from_micros, to_micros
from router.rules import recall
from router.rules.recall import History, Speaker

_MARK: Final = "~"
_SAID: Final = "~said"
_SNOOZED: Final = "~snoozed"


def stated(attributes: Mapping[str, str]) -> Mapping[str, str]:
    """Give the attributes that rules set."""
    if not any(name.startswith(_MARK) for name in attributes):
        return attributes
    return {name: each for name, each in attributes.items() if not name.startswith(_MARK)}


def remembering(
    attributes: Mapping[str, str], who: Speaker, text: str, now: datetime
) -> Mapping[str, str]:
    """Give the attributes with one more thing that was said."""
    lines = (*recall.from_text(attributes.get(_SAID, "")), recall.said(who, text, now))
    return {**attributes, _SAID: recall.as_text(recall.kept(lines, now))}


def history(attributes: Mapping[str, str], now: datetime) -> History:
    """Give what was said lately."""
    return History(recall.from_text(attributes.get(_SAID, "")), now)


def snoozing(attributes: Mapping[str, str], length: timedelta, now: datetime) -> Mapping[str, str]:
    """Give the attributes of a conversation in which the bot is silent for so long from now."""
    return {**attributes, _SNOOZED: str(to_micros(now + length))}


def snoozed(attributes: Mapping[str, str], now: datetime) -> bool:
    """Say whether a rule has silenced the bot, and the time is not over."""
    until = attributes.get(_SNOOZED)
    return until is not None and from_micros(int(until)) > now
