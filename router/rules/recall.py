"""What was said lately in a conversation: enough to count it, not what it was.

Each line is a moment, who spoke, and a digest of the folded words, so that the same question is
known again. It is kept as one short text beside the conversation.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from router.domain.record import record
from router.rules.operators import LONGEST_WINDOW, MOST_COUNTED
from router.rules.text import fold, squeeze, words

Speaker: TypeAlias = Literal["c", "b"]
#: The customer, and whoever answers by itself: the bot or a rule.
CUSTOMER: Final[Speaker] = "c"
BOT: Final[Speaker] = "b"
#: Lines that are kept; a count beyond is not known, and not needed.
_LINES: Final = 2 * MOST_COUNTED


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that was said.

    :param at: seconds since 1970, UTC.
    :param digest: of its words; empty where it had none.
    """

    at: int
    who: str
    digest: str


def said(who: Speaker, text: str, now: datetime) -> Said:
    """Make a line of what is said now."""
    spoken = squeeze(words(fold(text)))
    digest = f"{zlib.crc32(spoken.encode('utf-8', 'replace')):08x}" if spoken else ""
    return Said(int(now.timestamp()), who, digest)


def kept(lines: Iterable[Said], now: datetime) -> tuple[Said, ...]:
    """Give the lines that may still be counted, oldest first."""
    oldest = now.timestamp() - LONGEST_WINDOW.total_seconds()
    return tuple(line for line in lines if line.at >= oldest)[-_LINES:]


def as_text(lines: Iterable[Said]) -> str:
    """Give lines as one text; :func:`from_text` reads it back."""
    return ";".join(f"{line.at:x}{line.who}{line.digest}" for line in lines)


def from_text(text: str) -> tuple[Said, ...]:
    """Read :func:`as_text` back; what is no line is left out."""
    found = []
    for part in text.split(";") if text else ():
        moment, who, digest = part[:8], part[8:9], part[9:]
        if who in {CUSTOMER, BOT}:
            try:
                found.append(Said(int(moment, 16), who, digest))
            except ValueError:
                continue
    return tuple(found)


@record(frozen=True, slots=True)
class History:
    """What was said lately, as rules count it.

    :param lines: oldest first; the message that the rules are read about is the last of the
        customer's.
    """

    lines: tuple[Said, ...]
    now: datetime

    def count(self, who: Speaker, window: timedelta) -> int:
        """Count what somebody said within a time."""
        since = self.now.timestamp() - window.total_seconds()
        return sum(line.who == who and line.at >= since for line in self.lines)

    def repeats(self, window: timedelta) -> int:
        """Count how often the customer wrote the words of their last message before it."""
        since = self.now.timestamp() - window.total_seconds()
        spoken = [line for line in self.lines if line.who == CUSTOMER]
        if not spoken or not spoken[-1].digest:
            return 0
        last = spoken[-1].digest
        return sum(line.digest == last and line.at >= since for line in spoken[:-1])
