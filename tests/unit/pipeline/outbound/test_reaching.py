"""How a customer is reached through a channel."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from router.domain.conversation import Contact, Conversation
from router.domain.identity import Address
from router.pipeline.outbound.reaching import Reach, moved, reach_of
from router.plugin.channel import Capabilities
from router.storage.store import Wrote

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
ANA = Address("tel", "+525512345678")
AS_WRITTEN = Address("tel", "+5215512345678")
THREAD = Conversation(
    id="t1",
    contact=Contact(id="c1", key=str(ANA)),
    channel="calls",
    address=ANA,
    last_in_at=NOW - timedelta(hours=1),
    last_provider_id="SM0",
)
CAN = Capabilities(window=DAY)


def reach(**changes: object) -> Reach:
    values: dict[str, object] = {"channel": "whatsapp", "address": ANA, "window": DAY, **changes}
    return Reach(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes, takes",
    [
        ({"window": None}, True),
        ({}, False),
        ({"wrote_at": NOW - DAY + timedelta(seconds=1)}, True),
        ({"wrote_at": NOW - DAY}, False),
        ({"wrote_at": NOW - timedelta(hours=2), "shut_at": NOW - timedelta(hours=1)}, False),
        ({"wrote_at": NOW - timedelta(hours=1), "shut_at": NOW - timedelta(hours=2)}, True),
        ({"unsure": True}, True),
        ({"unsure": True, "shut_at": NOW - timedelta(hours=2)}, False),
        ({"unsure": True, "wrote_at": NOW - DAY}, False),
    ],
)
def test_free_text_is_taken_for_so_long_after_they_wrote(
    changes: dict[str, object], takes: bool
) -> None:
    assert reach(**changes).takes_text(NOW) is takes


def test_a_customer_is_written_to_as_they_wrote_there() -> None:
    wrote = (Wrote("telegram", ANA, NOW), Wrote("whatsapp", AS_WRITTEN, NOW - DAY))

    there = reach_of(THREAD, "whatsapp", wrote=wrote, can=CAN)
    elsewhere = reach_of(THREAD, "waha", wrote=wrote, can=Capabilities())
    here = reach_of(THREAD, "calls", wrote=wrote, can=CAN)

    assert (there.address, there.wrote_at) == (AS_WRITTEN, NOW - DAY)
    assert (elsewhere.address, elsewhere.wrote_at) == (ANA, None)
    assert (here.address, here.wrote_at) == (ANA, THREAD.last_in_at)


def test_the_conversation_goes_on_there_with_what_is_true_there() -> None:
    there = reach(address=AS_WRITTEN, wrote_at=NOW - DAY)

    after = moved(THREAD, there)

    assert after == replace(
        THREAD,
        channel="whatsapp",
        address=AS_WRITTEN,
        last_in_at=NOW - DAY,
        last_provider_id=None,
    )
    assert moved(after, there) is after
