"""Rows: what customers sent, as Twilio gives it out."""

import base64

import httpx

from router.plugin import Attachment, File, Refused, Unavailable
from router.plugin.testing import Expected, Fetch
from router_twilio.conformance_messages import ACCOUNT

URL = (
    f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages/"
    "MM00000000000000000000000000000001/Media/ME00000000000000000000000000000001"
)
STORE = "https://mms.twiliocdn.com/AC1/ME1?Signature=x"
VOICE = Attachment(kind="audio", url=URL, content_type="audio/ogg")
NOTE = httpx.Response(200, headers={"Content-Type": "audio/ogg; codecs=opus"}, content=b"OggS")


def fetches(user: str, password: str) -> tuple[Fetch, ...]:
    """Give the rows of a channel that speaks to Twilio with these credentials."""
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    told = Expected("GET", URL, headers={"Authorization": f"Basic {basic}"})
    return (
        Fetch(
            "sent on to where it is kept",
            VOICE,
            httpx.Response(307, headers={"Location": STORE}),
            NOTE,
            expect=File("audio/ogg", b"OggS"),
            requests=[told, Expected("GET", STORE)],
        ),
        Fetch("given at once", VOICE, NOTE, expect=File("audio/ogg", b"OggS"), requests=[told]),
        Fetch(
            "not there yet",
            VOICE,
            httpx.Response(404, json={"code": 20404}),
            raises=Unavailable(code="404", retry_after=2.0),
        ),
        Fetch(
            "another account's store",
            VOICE,
            httpx.Response(307, headers={"Location": "https://mms.twiliocdn.com.evil.example/x"}),
            raises=Refused,
            requests=[told],
        ),
    )
