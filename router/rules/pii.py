"""Personal data in texts: which kinds there are, and a text with it left out.

What looks like a number of some kind counts only where its check digits are right, so that order
numbers stay. Patterns are bounded and run on a linear-time engine: customers choose the text.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, Final

import re2

from router.rules.operators import PII
from router.rules.text import clean

#: Words of a telephone number that are no digits.
_BETWEEN = "[ ().-]{0,2}"

#: No number of any kind has fewer digits.
_FEWEST = 7

_PATTERNS = {
    "email": r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}",
    "iban": r"(?i)\b[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,4})?\b",
    "card": r"\b\d(?:[ .-]?\d){12,18}\b",
    "cpf": r"\b\d{3}\.?\d{3}\.?\d{3}-?\d{2}\b",
    "curp": r"(?i)\b[a-z]{4}\d{6}[hmx][a-z]{5}[a-z0-9]\d\b",
    "cuit": r"\b(?:20|23|24|25|26|27|30|33|34)-?\d{8}-?\d\b",
    "rut": r"(?i)\b\d{1,2}\.?\d{3}\.?\d{3}-[\dk]\b",
    "nit": r"\b\d{3}\.?\d{3}\.?\d{3}-\d\b",
    "dni": r"(?i)\b[xyz]?\d{7,8}-?[a-z]\b",
    "phone": rf"\+?\(?\d(?:{_BETWEEN}\d){{6,14}}\b",
}


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
    text = clean(text)
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
    return frozenset(
        (each.kind, "".join(c for c in text[each.start : each.end].lower() if c.isalnum()))
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


def _spans(kind: str, text: str, country: str | None) -> Iterator[tuple[int, int]]:
    if kind == "phone":
        yield from _phones(text, country)
        return
    valid = _valid(kind)
    for match in _pattern(kind).finditer(text):
        if valid(match.group()):
            yield match.span()


def _phones(text: str, country: str | None) -> Iterator[tuple[int, int]]:
    for match in _pattern("phone").finditer(text):
        written = match.group()
        if (written.startswith("+") or country) and _is_phone(written, country):
            yield match.span()


def _is_phone(written: str, country: str | None) -> bool:
    import phonenumbers

    try:
        number = phonenumbers.parse(written, country)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_valid_number(number))


@cache
def _pattern(kind: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(_PATTERNS[kind], options)


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
