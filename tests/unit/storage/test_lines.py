"""When a line of a thread was said, by clocks that differ."""

from datetime import UTC, datetime, timedelta

import pytest

from router.domain.conversation import Contact, Conversation
from router.domain.event import MessageReceived
from router.domain.identity import Address
from router.storage.lines import said_at
from router.storage.store import EventRef, Work

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ANA = Address("tel", "+573001234567")


def work(received: timedelta, newest: timedelta | None) -> Work:
    contact, thread = Contact(id="c1", key=str(ANA)), None
    if newest is not None:
        thread = Conversation(
            id="v1", contact=contact, channel="phone", address=ANA, last_activity_at=NOW + newest
        )
    return Work(
        ref=EventRef("main/tel:+573001234567", 1),
        tenant="main",
        source="main/phone",
        event=MessageReceived("m1", ANA, "hola"),
        received_at=NOW + received,
        contact=contact,
        conversation=thread,
    )


@pytest.mark.parametrize(
    "received, newest, heard, said",
    [
        pytest.param(-2, None, -2, 0, id="a new thread"),
        pytest.param(-2, -5, -2, 0, id="each clock is right"),
        pytest.param(-5, -2, -5, 0, id="something was said before it was worked"),
        pytest.param(-2, 300, 300 + 1e-6, 300 + 2e-6, id="set back before it came in"),
        pytest.param(300, -2, 300, 300 + 1e-6, id="set back after it came in"),
        pytest.param(300, 200, 200 + 1e-6, 200 + 2e-6, id="set back after both"),
        pytest.param(-2, 100_000, 0, 0, id="a thread of a clock that was wrong"),
        pytest.param(100_000, -2, 0, 0, id="an event of a clock that was wrong"),
        pytest.param(100_000, 100_000, 0, 0, id="both of a clock that was wrong"),
        pytest.param(300, 100_000, 0, 0, id="wrong, and set back"),
    ],
)
def test_a_line_stands_behind_what_is_there(
    received: float, newest: float | None, heard: float, said: float
) -> None:
    given = None if newest is None else timedelta(seconds=newest)

    stands = said_at(work(timedelta(seconds=received), given), NOW)

    assert stands == (NOW + timedelta(seconds=heard), NOW + timedelta(seconds=said))
