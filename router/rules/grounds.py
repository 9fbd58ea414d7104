"""What an answer says that it cannot know: prices, dates, personal data.

Texts are compared by what they mean: ``$45.000``, ``45,000 pesos`` and ``45 mil`` are one price,
``24/12`` and ``24 de diciembre`` one date. It is a check of what is stated, not of what is true.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import re2

from router.rules import pii
from router.rules.text import fold, words

_MONTHS: Final = (
    ("enero", "janeiro", "january", "ene", "jan"),
    ("febrero", "fevereiro", "february", "feb", "fev"),
    ("marzo", "marco", "march", "mar"),
    ("abril", "april", "abr", "apr"),
    ("mayo", "maio", "may", "mai"),
    ("junio", "junho", "june", "jun"),
    ("julio", "julho", "july", "jul"),
    ("agosto", "august", "ago", "aug"),
    ("septiembre", "setiembre", "setembro", "september", "sept", "sep", "set"),
    ("octubre", "outubro", "october", "oct", "out"),
    ("noviembre", "novembro", "november", "nov"),
    ("diciembre", "dezembro", "december", "dic", "dez", "dec"),
)
_MONTH: Final = {name: number for number, names in enumerate(_MONTHS, 1) for name in names}
_NAMES: Final = "|".join(sorted(_MONTH, key=len, reverse=True))

_NUMBER: Final = r"\d{1,12}(?:[.,]\d{1,3}){0,4}"
_SIGN: Final = r"(?:[$€£]|r\$|us\$|s/\.?|cop|mxn|ars|clp|pen|brl|eur|usd)"
_UNIT: Final = (
    r"(?:€|pesos|soles|euros?|reais|real|dolares|dollars|usd|cop|mxn|ars|clp|pen|brl|eur)"
)
#: What only a price follows: "of" three boxes a price may be, too, but then it is not stated yet.
_COSTS: Final = (
    r"(?:(?:cuestan?|costaria|costara|custam?|custaria|costs?)"
    r"|(?:prices?|precios?|precos?|tarifas?|costo)(?:\s\w+){0,4}(?:\s(?:es|son|e|is|are)|:))"
)
#: What a price may follow as well as a time or how many there are: it has thousands, then.
_MAKES: Final = (
    r"(?:salen?|saldria|sai|saem|valen?|valdria|queda[ns]?|ficam?|total|cobramos|pagas?|pagaria)"
)
_LEAD: Final = (
    r"(?:\s(?:es|de|en|a|por|con|e|em|is|are|of|at|just|only|solo|apenas|unos|total)){0,3}"
)
_PRICES: Final = (
    rf"(?:{_SIGN}\s?({_NUMBER})(\s?mil\b|k\b)?|\b({_NUMBER})(\s?mil\b|k\b)?\s?(?:de\s)?{_UNIT}"
    rf"|\b{_COSTS}{_LEAD}:?\s({_NUMBER})(\s?mil\b|k\b)?|\b{_MAKES}{_LEAD}:?\s({_NUMBER})(\s?mil\b|k\b)?)"
)
#: With so many digits and points a number is an amount: a year and a time have fewer.
_MANY: Final = 5
_NUMBERS: Final = rf"\b({_NUMBER})(\s?mil\b|k\b)?"
_DATES: Final = (
    r"\b(?:(\d{4})-(\d{1,2})-(\d{1,2})|(\d{1,2})[/.-](\d{1,2})(?:[/.-](?:\d{4}|\d{2}))?"
    rf"|(\d{{1,2}})(?:st|nd|rd|th|o)?\s(?:de\s|of\s)?({_NAMES})|({_NAMES})\s(\d{{1,2}}))\b"
)
#: Words of so many letters carry what a sentence says.
_TELLING: Final = 4
#: So much of a word is its stem, near enough.
_STEM: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What an answer rests on, and what in it rests on nothing.

    :param prices: as the answer states them; likewise ``dates``.
    :param pii: kinds of personal data.
    :param grounding: the share of its telling words that the sources hold, 0 to 1.
    """

    prices: frozenset[str] = frozenset()
    dates: frozenset[str] = frozenset()
    pii: frozenset[str] = frozenset()
    grounding: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """Give it as values for JSON; :meth:`from_json` reads them back."""
        return {
            "prices": sorted(self.prices),
            "dates": sorted(self.dates),
            "pii": sorted(self.pii),
            "grounding": self.grounding,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Grounds":
        return cls(
            prices=frozenset(values.get("prices", ())),
            dates=frozenset(values.get("dates", ())),
            pii=frozenset(values.get("pii", ())),
            grounding=values.get("grounding", 1.0),
        )


#: The fields that :func:`weigh` brings.
FIELDS: Final = ("answer.prices", "answer.dates", "answer.pii", "answer.grounding")


def weigh(answer: str, sources: Iterable[str], country: str | None = None) -> Grounds:
    """Compare an answer with what it may rest on: the passages, and what the customer wrote.

    :param sources: their texts, titles too.
    :param country: where telephone numbers without a country code are from.
    """
    texts = [*sources]
    source = "\n".join(texts)
    plain, known = _plain(answer), _plain(source)
    numbers = {_amount(m[1], m[2]) for m in _pattern(_NUMBERS).finditer(known)}
    days = {_day(m) for m in _pattern(_DATES).finditer(known)}
    told = {(kind, value) for text in texts for kind, value in pii.values(text, country)}
    return Grounds(
        prices=frozenset(price for price, amount in _prices(plain) if amount not in numbers),
        dates=frozenset(
            m[0].strip() for m in _pattern(_DATES).finditer(plain) if _day(m) not in days
        ),
        pii=frozenset(kind for kind, value in pii.values(answer, country) - told),
        grounding=_grounding(answer, source),
    )


def _prices(plain: str) -> Iterator[tuple[str, int]]:
    """Give each price as it is written, and its amount in hundredths."""
    for match in _pattern(_PRICES).finditer(plain):
        signed, signed_mil, named, named_mil, costs, costs_mil, makes, makes_mil = match.groups()
        amount = _amount(
            signed or named or costs or makes, signed_mil or named_mil or costs_mil or makes_mil
        )
        if makes and not (makes_mil or len(makes) >= _MANY):
            continue
        yield match[0].strip(), amount


def _plain(text: str) -> str:
    return " ".join(fold(text).split())


def _amount(number: str, thousands: str | None) -> int:
    """Give an amount in hundredths, whatever separates its thousands and its decimals."""
    at = max(number.rfind("."), number.rfind(","))
    decimals = number[at + 1 :] if at >= 0 and len(number) - at - 1 in {1, 2} else ""
    whole = number[:at] if decimals else number
    digits = "".join(c for c in whole if c.isdigit())
    amount = int(digits or "0") * 100 + int((decimals or "0").ljust(2, "0"))
    return amount * 1000 if thousands else amount


def _day(match: Any) -> tuple[int, int]:
    """Give day and month; 3/4 is what it was meant to be on either side of an ocean."""
    _, iso_month, iso_day, first, second, day, month, other_month, other_day = match.groups()
    if iso_month:
        return _pair(int(iso_day), int(iso_month))
    if first:
        return _pair(int(first), int(second))
    return _pair(int(day or other_day), _MONTH[month or other_month])


def _pair(day: int, month: int) -> tuple[int, int]:
    return (min(day, month), max(day, month))


def _grounding(answer: str, source: str) -> float:
    stems = {word[:_STEM] for word in words(fold(answer)).split() if len(word) >= _TELLING}
    if not stems:
        return 1.0
    known = {word[:_STEM] for word in words(fold(source)).split()}
    return round(len(stems & known) / len(stems), 2)


@cache
def _pattern(source: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(source, options)
