"""Unicode's normal forms, in time that grows with the text and no faster."""

import re
import unicodedata
from functools import cache
from typing import Final, Literal

#: As many marks on one letter as Unicode's Stream-Safe Text Format allows; no language comes near.
#: https://unicode.org/reports/tr15/#Stream_Safe_Text_Format
_MOST: Final = 30
_TOO_MANY: Final = re.compile(rb"\x01{%d,}" % (_MOST + 1))
#: No marks themselves, but they become some.
_BECOME_MARKS: Final = "\u0f73\u0f75\u0f81\uff9e\uff9f"
#: Where marks may be: behind these there are ideographs, tags and what is nobody's.
_PLACES: Final = range(0x300, 0x20000)


def normalize(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
    """Give a text in one of Unicode's normal forms, at most 30 marks on each of its letters.

    Marks are put in order one by one, each past all that belong behind it: tens of thousands of
    them, which fit a message, take :func:`unicodedata.normalize` many seconds.

    .. versionadded:: 1.1
    """
    if text.isascii():
        return text
    return unicodedata.normalize(form, _stream_safe(text))  # noqa: TID251


def _stream_safe(text: str) -> str:
    """Give a text without the marks that are too many on one letter."""
    if len(text) <= _MOST or _marks().isdisjoint(text):
        return text
    parts: list[str] = []
    at = 0
    # Character by character, but none of them by the interpreter: 1 is a mark, 0 is none.
    for run in _TOO_MANY.finditer(bytes(map(_marks().__contains__, text))):
        parts.append(text[at : run.start() + _MOST])
        at = run.end()
    return "".join((*parts, text[at:]))


@cache
def _marks() -> frozenset[str]:
    return frozenset(filter(unicodedata.combining, map(chr, _PLACES))).union(_BECOME_MARKS)
