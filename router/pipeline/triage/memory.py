"""What the router keeps of a thread for itself, beside the attributes that rules set.

It lies among the attributes, under names that no rules file can write. Of a conversation: what was
said lately, as ``history.*`` counts it, until when a rule has silenced the bot, and until when
quiet hours hold something back. Of a contact: that a call gave their name.
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
_HELD: Final = "~held"
_NAMED: Final = "~named"


def stated(attributes: Mapping[str, str]) -> Mapping[str, str]:
    """Give the attributes that rules set."""
    if not attributes or not any(name.startswith(_MARK) for name in attributes):
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


def holding(attributes: Mapping[str, str], until: datetime) -> Mapping[str, str]:
    """Give the attributes of a conversation in which something is held back until then."""
    return {**attributes, _HELD: str(to_micros(until))}


def held(attributes: Mapping[str, str], now: datetime) -> bool:
    """Say whether something may still be held back."""
    until = attributes.get(_HELD)
    return until is not None and from_micros(int(until)) > now


def released(attributes: Mapping[str, str]) -> Mapping[str, str]:
    """Give the attributes of a conversation in which nothing is held back any more."""
    return {name: each for name, each in attributes.items() if name != _HELD}


def naming(attributes: Mapping[str, str]) -> Mapping[str, str]:
    """Give the attributes of a contact whose name a call gave."""
    return {**attributes, _NAMED: "call"}


def named(attributes: Mapping[str, str]) -> bool:
    """Say whether a call gave the contact's name: what a profile says is less sure."""
    return _NAMED in attributes
