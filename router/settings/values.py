"""Kinds of values in router.toml: what may be written, and what becomes of it."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from router.clock import seconds
from router.rules.hours import Hours, Interval, read_days, read_interval
from router.rules.operators import WEEKDAYS

#: The form of every name that the deployer chooses; names stand in URLs and rules.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
NAME_FORM = "Use lower-case letters, digits, _ and -, and begin with a letter or digit."
#: The endpoint at which every channel tests itself; no channel or tenant may be called so.
RESERVED = "test"

_SIZE = re.compile(r"([0-9]+) ?(B|KiB|MiB|GiB)")
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")
_RATE = re.compile(r"([0-9]{1,9})/(s|m|h)")
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


_DAYS = "|".join(WEEKDAYS)
_INTERVAL = {"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2} ?- ?[0-9]{1,2}:[0-9]{2}$"}
_INTERVALS = {"anyOf": [_INTERVAL, {"type": "array", "items": _INTERVAL, "minItems": 1}]}


def _schema(pattern: re.Pattern[str], *, examples: list[str]) -> WithJsonSchema:
    """Tell editors the form that the validator checks."""
    return WithJsonSchema(
        {"type": "string", "pattern": f"^{pattern.pattern}$", "examples": examples}
    )


def _size(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        message = 'must be a size such as "512 KiB" or "1 MiB"'
        raise ValueError(message)
    return int(match[1]) * _UNITS[match[2]]


def _duration_or_never(value: object) -> object:
    if value == "never":
        return None
    try:
        return seconds(value) if isinstance(value, str) else seconds("")
    except ValueError as error:
        message = f'{error}, or "never"'
        raise ValueError(message) from None


#: The shortest that conversations may be kept, in seconds. WhatsApp's Cloud API sends a webhook for
#: up to a week again, no provider for longer; what it repeats has to be known as a repeat.
KEPT_AT_LEAST: Final = 7 * 86400.0


def _kept(value: float | None) -> float | None:
    if value is not None and value < KEPT_AT_LEAST:
        least = duration_text(KEPT_AT_LEAST)
        message = (
            f'must be at least "{least}" (for so long may providers repeat themselves), or "never"'
        )
        raise ValueError(message)
    return value


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may happen: so many times at once, and in each period.

    :param count: above 0.
    :param period: in seconds.
    """

    count: int
    period: float

    def __str__(self) -> str:
        unit = next(name for name, seconds in _PERIODS.items() if seconds == self.period)
        return f"{self.count}/{unit}"


def _rate(value: object) -> object:
    if value == "unlimited":
        return None
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not int(match[1]):
        message = 'must be a rate such as "100/s", "600/m" or "5000/h", or "unlimited"'
        raise ValueError(message)
    return Rate(int(match[1]), _PERIODS[match[2]])


def duration_text(length: float) -> str:
    """Write a number of seconds as it is written in a file, such as ``"24h"`` or ``"7d"``."""
    for unit, size, least in (("d", 86400, 172800), ("h", 3600, 3600), ("m", 60, 60)):
        if length >= least and length % size == 0:
            return f"{length / size:g}{unit}"
    return f"{length:g}s"


def default_public_url(host: str, port: int) -> str:
    """Give the address of a router whose ``public_url`` is not set."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    return f"http://{shown}:{port}"


def _texts(value: object) -> object:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        message = 'must be a text, or a table of texts by language such as { es = "…", pt = "…" }'
        raise ValueError(message)
    for tag in value:
        if not _LANGUAGE.fullmatch(tag):
            message = f'must have language tags for keys, and "{tag}" is none'
            raise ValueError(message)
    return value


def _quiet_hours(value: object) -> object:
    table = value if isinstance(value, dict) else {"mon-sun": value}
    week: dict[str, tuple[Interval, ...]] = {}
    for key, each in table.items():
        days = read_days(key) if isinstance(key, str) else None
        if days is None:
            message = f'must have days of the week for keys, such as "mon-fri", and "{key}" is none'
            raise ValueError(message)
        texts = each if isinstance(each, list) else [each]
        found = [read_interval(text) if isinstance(text, str) else None for text in texts]
        if not found or None in found:
            message = 'must be hours such as "21:00-08:00", a list of them, or a table by days'
            raise ValueError(message)
        if again := sorted(week.keys() & set(days)):
            message = f'must name each day once, and "{again[0]}" is there twice'
            raise ValueError(message)
        week |= dict.fromkeys(days, tuple(it for it in found if it is not None))
    hours = Hours(week=week)
    try:
        hours.over_at(datetime(2026, 1, 5, tzinfo=UTC))  # any Monday, on any clock
    except ValueError:
        message = "must end at some time of the week, or nothing would ever be begun"
        raise ValueError(message) from None
    return hours


def _percentage(value: object) -> object:
    match = _PERCENTAGE.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) > 100:
        message = 'must be a percentage such as "2%"'
        raise ValueError(message)
    return float(match[1])


def _language(value: str) -> str:
    if not _LANGUAGE.fullmatch(value):
        message = 'must be a language tag such as "es" or "pt-BR"'
        raise ValueError(message)
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError):
        message = 'must be a time zone such as "America/Bogota"'
        raise ValueError(message) from None
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        message = 'must be an address or network such as "10.0.0.0/8"'
        raise ValueError(message) from None
    return value


def _public_url(value: str) -> str:
    message = 'must be an address such as "https://desk.example.org"'
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018  reading it checks it
    except ValueError:
        raise ValueError(message) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(message)
    return value.rstrip("/")


#: A number of bytes, written ``"1 MiB"`` or as the number itself.
Size: TypeAlias = Annotated[
    int,
    BeforeValidator(_size),
    Field(gt=0),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)$"},
            ],
            "examples": ["1 MiB"],
        }
    ),
]
#: A share of a hundred, written ``"2%"``.
Percentage: TypeAlias = Annotated[
    float, BeforeValidator(_percentage), _schema(_PERCENTAGE, examples=["2%"])
]
#: Seconds, or ``None`` for never; written as a duration or ``"never"``.
DurationOrNever: TypeAlias = Annotated[
    float | None,
    BeforeValidator(_duration_or_never),
    WithJsonSchema({"type": "string", "pattern": r"^(never|[0-9]+(\.[0-9]+)?(ms|s|m|h|d))$"}),
]
#: How long conversations are kept: seconds, :data:`KEPT_AT_LEAST` or more; ``None`` for ever.
Keep: TypeAlias = Annotated[DurationOrNever, AfterValidator(_kept)]
#: How often something may happen, or ``None`` for as often as one likes; ``"unlimited"``.
RateOrUnlimited: TypeAlias = Annotated[
    Rate | None,
    BeforeValidator(_rate),
    WithJsonSchema({"type": "string", "pattern": "^(unlimited|[0-9]{1,9}/[smh])$"}),
]
#: Hours of the week: an interval, several, or a table of them by days.
QuietHours: TypeAlias = Annotated[
    Hours,
    BeforeValidator(_quiet_hours),
    WithJsonSchema(
        {
            "anyOf": [
                _INTERVALS,
                {
                    "type": "object",
                    "propertyNames": {"pattern": f"^({_DAYS})(-({_DAYS}))?$"},
                    "additionalProperties": _INTERVALS,
                },
            ],
            "examples": ["21:00-08:00"],
        }
    ),
]
#: One text, or texts by language.
Texts: TypeAlias = Annotated[
    str | dict[str, str],
    BeforeValidator(_texts),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "propertyNames": {"pattern": f"^{_LANGUAGE.pattern}$"},
                    "additionalProperties": {"type": "string"},
                },
            ]
        }
    ),
]
#: A BCP 47 tag.
Language: TypeAlias = Annotated[
    str, AfterValidator(_language), _schema(_LANGUAGE, examples=["es", "pt-BR"])
]
#: A name of the IANA time zone database.
Timezone: TypeAlias = Annotated[
    str, AfterValidator(_timezone), Field(examples=["America/Bogota", "Europe/Madrid"])
]
#: An ISO 3166 code.
#: An IP address or network.
Network: TypeAlias = Annotated[str, AfterValidator(_network), Field(examples=["10.0.0.0/8"])]
#: An http or https address without a query; a slash at its end is dropped.
PublicUrl: TypeAlias = Annotated[
    str,
    AfterValidator(_public_url),
    _schema(re.compile(r"https?://[^?#]+"), examples=["https://desk.example.org"]),
]
