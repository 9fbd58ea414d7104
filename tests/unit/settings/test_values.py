"""What may be written for a duration, a size and the like."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from router.clock import seconds
from router.settings.values import (
    DurationOrNever,
    Keep,
    Language,
    Network,
    PublicUrl,
    QuietHours,
    Rate,
    RateOrUnlimited,
    Size,
    Texts,
    Timezone,
    duration_text,
)


@pytest.mark.parametrize(
    "text, length",
    [
        ("500ms", 0.5),
        ("0s", 0),
        ("1.5s", 1.5),
        ("15s", 15),
        ("2m", 120),
        ("24h", 86400),
        ("7d", 604800),
    ],
)
def test_durations_are_seconds(text: str, length: float) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize(
    "text", ["", "15", "15 s", "s", "-1s", "1w", "٣s", "1h30m", "9999d", "1e3s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        seconds(text)


@pytest.mark.parametrize(
    "length, text",
    [(0.5, "0.5s"), (90, "90s"), (120, "2m"), (86400, "24h"), (604800, "7d"), (0, "0s")],
)
def test_durations_are_written_as_people_do(length: float, text: str) -> None:
    assert duration_text(length) == text
    assert seconds(text) == length


@pytest.mark.parametrize(
    "kind, written, meant",
    [
        (Size, "1 MiB", 1 << 20),
        (Size, "512KiB", 512 << 10),
        (Size, "7 B", 7),
        (Size, 9, 9),
        (DurationOrNever, "never", None),
        (DurationOrNever, "1m", 60.0),
        (Keep, "never", None),
        (Keep, "7d", 604800.0),
        (RateOrUnlimited, "unlimited", None),
        (RateOrUnlimited, "100/s", Rate(100, 1.0)),
        (RateOrUnlimited, "600/m", Rate(600, 60.0)),
        (RateOrUnlimited, "5000/h", Rate(5000, 3600.0)),
        (Language, "pt-BR", "pt-BR"),
        (Timezone, "Europe/Madrid", "Europe/Madrid"),
        (Network, "10.1.2.3/8", "10.1.2.3/8"),
        (Network, "::1", "::1"),
        (PublicUrl, "https://desk.example.org/router/", "https://desk.example.org/router"),
        (PublicUrl, "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        (Texts, "Hola", "Hola"),
        (Texts, {"es": "Hola", "pt": "Olá"}, {"es": "Hola", "pt": "Olá"}),
    ],
)
def test_a_value_becomes_what_is_meant(kind: Any, written: object, meant: object) -> None:
    assert TypeAdapter(kind).validate_python(written) == meant


@pytest.mark.parametrize(
    "kind, written",
    [
        (Size, 0),
        (Size, True),
        (Size, "1 MB"),
        (Size, 1.5),
        (DurationOrNever, 3),
        (Keep, "167h"),
        (Keep, 604800),
        (RateOrUnlimited, 100),
        (RateOrUnlimited, "100"),
        (RateOrUnlimited, "0/s"),
        (RateOrUnlimited, "100/d"),
        (RateOrUnlimited, "never"),
        (DurationOrNever, True),
        (Language, "español"),
        (Timezone, ""),
        (Timezone, "../etc/passwd"),
        (Network, "proxy"),
        (PublicUrl, "https://"),
        (PublicUrl, "https://desk.example.org:port"),
        (PublicUrl, "https://desk.example.org/?a=1"),
        (PublicUrl, "ftp://desk.example.org"),
        (Texts, 3),
        (Texts, {"es": 3}),
        (Texts, {"español": "Hola"}),
    ],
)
def test_what_cannot_be_meant_is_refused(kind: Any, written: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(written)


@pytest.mark.parametrize(
    "written, week",
    [
        ("21:00-8:00", "mon-sun 21:00-08:00"),
        (["00:00-07:00", "21:00-24:00"], "mon-sun 00:00-07:00, 21:00-00:00"),
        ({"sat-mon": "20:00-10:00"}, "sat 20:00-10:00; sun 20:00-10:00; mon 20:00-10:00"),
    ],
)
def test_quiet_hours_are_intervals_or_a_table_of_them_by_days(written: Any, week: str) -> None:
    meant = TypeAdapter(QuietHours).validate_python(written)

    if week.startswith("mon-sun "):
        days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
        week = "; ".join(week.replace("mon-sun", day) for day in days)
    assert str(meant) == week
