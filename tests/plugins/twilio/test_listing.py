"""Whether Twilio has a message, where its clock and ours are apart."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from pydantic import SecretStr

from router import plugin
from router_twilio import TwilioConfig
from router_twilio.listing import find

SENDER = "whatsapp:+14155550199"
CONFIG = TwilioConfig(
    account_sid="AC00000000000000000000000000000001",
    auth_token=SecretStr("token-of-nobody-else"),
    sender=SENDER,
    listing_is_complete=True,
)
HELLO = plugin.OutboundMessage(id="01k7", recipient=plugin.Address("tel", "+5491155550100"))
TAKEN = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
LATER = timedelta(seconds=90)


async def listed(*, ahead: timedelta, age: timedelta = timedelta(), pages: int = 1) -> list[str]:
    """Look for a message by a clock that is ahead of Twilio's.

    :param age: how long before the attempt Twilio took what it lists.
    """
    taken = format_datetime(TAKEN - age)
    message = {
        "sid": "SM1",
        "to": "whatsapp:+5491155550100",
        "body": "",
        "direction": "outbound-api",
        "num_media": "0",
        "date_created": taken,
        "date_sent": taken,
    }
    asked = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        last = asked == pages
        page = {
            "messages": [message] if last else [],
            "next_page_uri": None if last else "/2010-04-01/more",
        }
        date = format_datetime(TAKEN + LATER, usegmt=True) if asked == 1 else "soon"
        return httpx.Response(200, json=page, headers={"Date": date})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        found = await find(http, CONFIG, HELLO, TAKEN + ahead, TAKEN + ahead + LATER)
    return [it.provider_id for it in found]


@pytest.mark.parametrize("pages", [1, 2])
@pytest.mark.parametrize(
    "ahead", [timedelta(seconds=-120), timedelta(seconds=120), timedelta(hours=3)]
)
async def test_a_message_is_found_whichever_clock_is_ahead(ahead: timedelta, pages: int) -> None:
    assert await listed(ahead=ahead, pages=pages) == ["SM1"]


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=3)])
async def test_an_older_message_is_none_by_a_clock_that_is_ahead(ahead: timedelta) -> None:
    assert await listed(ahead=ahead, age=timedelta(minutes=5)) == []
