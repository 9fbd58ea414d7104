"""Rows: what customers sent, from where WAHA keeps it."""

import httpx

from router.plugin import Attachment, File, Refused
from router.plugin.testing import Expected, Fetch
from router_waha.conformance_sending import BASE

#: What WAHA calls itself inside its container.
URL = "http://localhost:3000/api/files/default/3EB0.oga"
PLACE = f"{BASE}/api/files/default/3EB0.oga"
VOICE = Attachment(kind="audio", url=URL, content_type="audio/ogg; codecs=opus")

FETCHES = (
    Fetch(
        "a voice note",
        VOICE,
        httpx.Response(200, headers={"Content-Type": "audio/ogg"}, content=b"OggS"),
        expect=File("audio/ogg", b"OggS"),
        requests=[Expected("GET", PLACE, headers={"X-Api-Key": "api-key-of-nobody"})],
    ),
    Fetch("gone", VOICE, httpx.Response(404), raises=Refused(code="404")),
    Fetch(
        "not a file of WAHA's",
        Attachment(kind="audio", url="http://localhost:3000/api/sessions"),
        raises=Refused,
        requests=[],
    ),
)
