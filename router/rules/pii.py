"""Personal data in texts: which kinds there are, and a text with it left out.

What looks like a number of some kind counts only where its check digits are right, so that order
numbers stay. Customers choose the text: patterns run on a linear-time engine, and of a run of
groups only so many are tried as one number at a time as such a number may have.
"""

import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, Final

import re2

from router.rules.operators import PII
from router.rules.text import clean

#: No number of any kind has fewer digits.
_FEWEST = 7

_PATTERNS = {
    "email": r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}",
    "cpf": r"\b\d{3}[. ]?\d{3}[. ]?\d{3}[- ]?\d{2}\b",
    "curp": r"(?i)\b[a-z]{4}\d{6}[hmx][a-z]{5}[a-z0-9]\d\b",
    "cuit": r"\b(?:20|23|24|25|26|27|30|33|34)[- ]?\d{8}[- ]?\d\b",
    "rut": r"(?i)\b\d{1,2}\.?\d{3}\.?\d{3}-[\dk]\b",
    "nit": r"\b\d{3}\.?\d{3}\.?\d{3}-\d\b",
    "dni": r"(?i)\b[xyz]?\d{7,8}-?[a-z]\b",
}


@dataclass(frozen=True, slots=True)
class _Grouped:
    """A number that is written in groups, and may have other numbers beside it.

    :param run: as many groups as follow each other.
    :param head: the group that it begins with.
    :param lengths: how many letters and digits it has.
    :param among: how many it has where the run has more: the fewer, the less is found by chance.
    :param groups: how many groups it has at most where the run has more.
    """

    run: str
    head: str
    lengths: range
    among: range
    groups: int


_GROUPED = {
    "card": _Grouped(
        run=r"\b\d+(?:[ .-]{1,3}\d+)*\b",
        head=r"[2-6]",
        lengths=range(13, 20),
        among=range(15, 17),
        groups=5,
    ),
    "iban": _Grouped(
        run=r"(?i)\b[a-z]{2}\d{2}[a-z0-9]*(?:[ -]{1,3}[a-z0-9]+)*\b",
        head=r"(?i)[a-z]{2}\d{2}",
        lengths=range(15, 35),
        among=range(15, 35),
        groups=9,
    ),
    "phone": _Grouped(
        run=r"\+?\(?\d+(?:[ ().-]{1,3}\d+)*\b",
        head="",
        lengths=range(7, 16),
        among=range(7, 16),
        groups=6,
    ),
}
_GROUP: Final = r"[A-Za-z0-9]+"


class _Plain(dict[int, int]):
    """Digits, spaces and dashes of whatever alphabet as ASCII has them, one for one.

    Places in the text stay what they are.
    """

    def __missing__(self, code: int) -> int:
        character = chr(code)
        category = unicodedata.category(character)
        plain = code
        if category == "Nd":
            plain = ord(str(unicodedata.digit(character)))
        elif category == "Zs" or character == "\t":
            plain = ord(" ")
        elif category == "Pd" or character == "\u2212":
            plain = ord("-")
        elif 0xFF01 <= code <= 0xFF5E:  # the wide forms of ASCII
            plain = code - 0xFEE0
        self[code] = plain
        return plain


_PLAIN: Final = _Plain()


@dataclass(frozen=True, slots=True)
class Found:
    """Personal data, and where it stands in the text."""

    kind: str
    start: int
    end: int


_start: Final[Callable[[Found], int]] = attrgetter("start")


@lru_cache(maxsize=16)  # the same text is redacted, and asked about by rules and guardrails
def find(text: str, country: str | None = None) -> tuple[Found, ...]:
    """Give the personal data in a text, in order, each piece once.

    :param country: where telephone numbers without a country code are from, such as ``CO``;
        without it only those with one are found.
    """
    text = _plain(text)
    numbers = sum(map(str.isdigit, text)) >= _FEWEST
    found: list[Found] = []
    # What several kinds could be is the first of them.
    for kind in PII:
        if not ("@" in text if kind == "email" else numbers):
            continue
        free = [
            Found(kind, start, end)
            for start, end in _spans(kind, text, country)
            if not _meets(found, start, end)
        ]
        found = sorted(found + free, key=_start)
    return tuple(found)


def _meets(found: Sequence[Found], start: int, end: int) -> bool:
    """Say whether a piece shares characters with one that was found; those stand in order."""
    before = bisect_left(found, end, key=_start)
    return before > 0 and found[before - 1].end > start


def kinds(text: str, country: str | None = None) -> frozenset[str]:
    """Give the kinds of personal data that are in a text."""
    return frozenset(each.kind for each in find(text, country))


def values(text: str, country: str | None = None) -> frozenset[tuple[str, str]]:
    """Give each piece as its kind and its letters and digits, which compare across spellings."""
    plain = _plain(text)
    return frozenset(
        (each.kind, "".join(c for c in plain[each.start : each.end].lower() if c.isalnum()))
        for each in find(text, country)
    )


def redact(text: str, wanted: Collection[str], country: str | None = None) -> str:
    """Give a text with the name of its kind, such as ``[card]``, in place of personal data.

    :param wanted: the kinds that are to go.
    """
    text = clean(text)
    parts: list[str] = []
    at = 0
    for each in find(text, country):
        if each.kind in wanted:
            parts += (text[at : each.start], f"[{each.kind}]")
            at = each.end
    return "".join((*parts, text[at:]))


@lru_cache(maxsize=4096)
def country_of(address: str) -> str | None:
    """Give the country of a telephone address such as ``tel:+573001234567``: ``CO``."""
    scheme, _, number = address.partition(":")
    if scheme != "tel":
        return None
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
    code = phonenumbers.region_code_for_number(parsed)
    return str(code) if code else None


def _plain(text: str) -> str:
    return text if text.isascii() and "\t" not in text else clean(text).translate(_PLAIN)


def _spans(kind: str, text: str, country: str | None) -> Iterator[tuple[int, int]]:
    if kind in _GROUPED:
        yield from _grouped(kind, text, country)
        return
    valid = _valid(kind)
    for match in _pattern(_PATTERNS[kind]).finditer(text):
        if valid(match.group()):
            yield match.span()


def _grouped(kind: str, text: str, country: str | None) -> Iterator[tuple[int, int]]:
    """Give the numbers in runs of groups: what stands beside one does not hide it."""
    shape = _GROUPED[kind]
    valid = _phone(country) if kind == "phone" else _valid(kind)
    head = _pattern(shape.head)
    for match in _pattern(shape.run).finditer(text):
        run, offset = match.group(), match.start()
        groups = [each.span() for each in _pattern(_GROUP).finditer(run)]
        at = 0
        while at < len(groups):
            start = groups[at][0]
            if head.match(run[start : start + 4]):
                start = _opened(run, start)
                for last in _ends(groups, at, shape):
                    end = groups[last][1]
                    if valid(run[start:end]):
                        yield offset + start, offset + end
                        at = last
                        break
            at += 1


def _opened(run: str, start: int) -> int:
    """Give where a number begins whose first group may be in brackets, or have a plus before it."""
    for sign in "(+":
        if start and run[start - 1] == sign:
            start -= 1
    return start


def _ends(groups: Sequence[tuple[int, int]], at: int, shape: _Grouped) -> list[int]:
    """Give the groups that a number may end with which begins at one, the farthest first."""
    found: list[int] = []
    length = 0
    for last in range(at, min(at + shape.lengths.stop, len(groups))):
        length += groups[last][1] - groups[last][0]
        if at == 0 and last == len(groups) - 1:
            fits = length in shape.lengths
        else:
            fits = length in shape.among and last - at < shape.groups
        if fits:
            found.append(last)
    return found[::-1]


def _phone(country: str | None) -> Callable[[str], bool]:
    return lambda written: (
        (written.startswith("+") or bool(country)) and _is_phone(written, country)
    )


def _is_phone(written: str, country: str | None) -> bool:
    import phonenumbers

    try:
        number = phonenumbers.parse(written, country)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_valid_number(number))


@cache
def _pattern(source: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(source, options)


@cache
def _valid(kind: str) -> Callable[[str], bool]:
    # Late: only rules that ask for personal data need the checks.
    from stdnum import iban, luhn
    from stdnum.ar import cuit
    from stdnum.br import cpf
    from stdnum.cl import rut
    from stdnum.co import nit
    from stdnum.es import dni, nie
    from stdnum.mx import curp

    checks: dict[str, Callable[[str], bool]] = {
        "email": bool,
        "iban": iban.is_valid,
        "card": lambda text: _is_card(text, luhn.is_valid),
        "cpf": cpf.is_valid,
        "curp": curp.is_valid,
        "cuit": cuit.is_valid,
        "rut": rut.is_valid,
        "nit": nit.is_valid,
        "dni": lambda text: dni.is_valid(text) or nie.is_valid(text),
    }
    return checks[kind]


def _is_card(text: str, luhn: Callable[[str], bool]) -> bool:
    digits = "".join(c for c in text if c.isdigit())
    # The issuers of cards have numbers that begin so; a long order number may begin with anything.
    return digits[0] in "23456" and luhn(digits)
