"""How far our clock is ahead, by what a provider answers."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from router.plugin.testing import FakeClock
from router.web.findings import ahead

CLOCK = FakeClock()


@pytest.mark.parametrize(
    "date, seconds",
    [
        (format_datetime(CLOCK.now() - timedelta(seconds=90), usegmt=True), 90.0),
        ("", None),
        ("soon", None),
        ("Mon, 02 Mar 2026 09:00:00 -0000", None),
        ("Mon, 02 Mar 99999999999999999999 09:00:00 GMT", None),
        ("Mon, 02 Mar 2026 09:00:00 +99999999999999", None),
    ],
)
def test_a_date_is_compared_if_it_is_one(date: str, seconds: float | None) -> None:
    assert ahead(CLOCK, date) == seconds
