"""Cutting a text that is longer than a channel's messages may be."""

from typing import Final

from router.plugin.channel import TextUnit

_SENTENCE_ENDS: Final = frozenset(".!?…。")
# What may stand between the end of a sentence and the space after it.
_CLOSERS: Final = frozenset("\"'”\N{RIGHT SINGLE QUOTATION MARK}»)]}*_~")
_NO_BREAK: Final = frozenset("\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}")
_JOINER: Final = "\N{ZERO WIDTH JOINER}"
#: The most that one character can be.
_WIDEST: Final = {"utf16": 2, "bytes": 4}


def split_text(text: str, limit: int, unit: TextUnit = "characters") -> tuple[str, ...]:
    """Cut a text into parts that fit, in order; what fits already is left exactly as it is.

    A cut is made where a paragraph, a line or a sentence ends, as late as it can be; else between
    words; inside a word only if it alone is too long, and then never inside what a reader sees as
    one character, unless that alone is too long. White space at a cut, and around the whole of a
    text that is cut, is dropped; nothing else is.

    :param limit: the most that a part may hold, at least 1.
    :param unit: what the limit counts. A character that alone is too long is a part of its own.
    :raises ValueError: if the limit is below 1.
    """
    if limit < 1:
        message = f"a part must hold at least 1, not {limit}"
        raise ValueError(message)
    fits = _fitting(text, limit, unit)
    if fits == len(text):
        return (text,)
    rest = text.strip()
    if not rest:
        return (text[:fits],)
    parts = []
    while (fits := _fitting(rest, limit, unit)) < len(rest):
        cut = _cut(rest, fits)
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return (*parts, rest)


def _fitting(text: str, limit: int, unit: TextUnit) -> int:
    """Say how many of a text's characters fit, of a text that is not empty at least one."""
    if unit == "characters" or len(text) * _WIDEST[unit] <= limit:
        return min(len(text), limit)
    held = 0
    for place, character in enumerate(text):
        held += _width(character, unit)
        if held > limit:
            return max(place, 1)
    return len(text)


def _width(character: str, unit: TextUnit) -> int:
    if unit == "utf16":
        return 1 if character < "\U00010000" else 2
    return 1 + (character > "\x7f") + (character > "\u07ff") + (character > "\uffff")


def _cut(text: str, limit: int) -> int:
    """Give the best place to cut, from 1 to ``limit``.

    A better kind of place counts only in the second half: else a heading would be a message of
    its own. A sentence that ends in the second quarter is still better than one cut in two.
    """
    found: dict[str, int] = {}
    for place in range(limit, 0, -1):
        if text[place].isspace() and not text[place - 1].isspace():
            found.setdefault(_kind(text, place), place)
    for least in (limit // 2, limit // 4):
        for kind in ("paragraph", "line", "sentence"):
            if found.get(kind, 0) > least:
                return found[kind]
    words = [place for kind, place in found.items() if kind != "glued"]
    if words:
        return max(words)
    return next((place for place in range(limit, 0, -1) if not _joined(text, place)), limit)


def _kind(text: str, place: int) -> str:
    """Say what ends where the white space at ``place`` begins."""
    end = place
    while end < len(text) and text[end].isspace():
        end += 1
    lines = text[place:end].count("\n")
    if lines:
        return "line" if lines == 1 else "paragraph"
    if set(text[place:end]) <= _NO_BREAK:
        return "glued"
    last = place - 1
    while last > 0 and text[last] in _CLOSERS:
        last -= 1
    return "sentence" if text[last] in _SENTENCE_ENDS else "word"


def _joined(text: str, place: int) -> bool:
    """Tell whether the characters before and after a place are seen as one.

    Not all of Unicode's rules, but what people write: accents and vowel signs, emoji with a skin
    tone, a gender or a variant, families, and flags.
    """
    before, after = text[place - 1], text[place]
    if _JOINER in (before, after) or _extends(after) or before + after == "\r\n":
        return True
    if not (_is_flag(before) and _is_flag(after)):
        return False
    # Flags are pairs of letters: an odd number of them before means that a pair is being cut.
    start = place
    while start > 0 and _is_flag(text[start - 1]):
        start -= 1
    return (place - start) % 2 == 1


def _extends(character: str) -> bool:
    import unicodedata

    if character < "\N{COMBINING GRAVE ACCENT}":
        return False
    return (
        unicodedata.category(character).startswith("M")
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags, as in the flag of Wales
    )


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
