"""Rows: what customers sent: Meta tells where it is, and gives it out there."""

import httpx

from router.plugin import Attachment, File, OutcomeUnknown, Refused
from router.plugin.testing import Expected, Fetch

URL = "https://graph.facebook.com/v25.0/1013859600285441"
#: Where Meta keeps files, which takes the access token too.
STORE = "lookaside.fbsbx.com"
PLACE = f"https://{STORE}/whatsapp_business/attachments/?mid=1"
VOICE = Attachment(kind="audio", url=URL, content_type="audio/ogg")
TOLD = httpx.Response(200, json={"url": PLACE, "mime_type": "audio/ogg", "id": "1"})
TOKEN = {"Authorization": "Bearer token-of-nobody"}

FETCHES = (
    Fetch(
        "a voice note",
        VOICE,
        TOLD,
        httpx.Response(200, headers={"Content-Type": "audio/ogg; codecs=opus"}, content=b"OggS"),
        expect=File("audio/ogg", b"OggS"),
        requests=[Expected("GET", URL, headers=TOKEN), Expected("GET", PLACE, headers=TOKEN)],
    ),
    Fetch(
        "gone",
        VOICE,
        httpx.Response(400, json={"error": {"code": 100, "message": "does not exist"}}),
        raises=Refused(code="100"),
    ),
    Fetch("no place", VOICE, httpx.Response(200, json={"id": "1"}), raises=OutcomeUnknown),
    Fetch(
        "kept elsewhere",
        VOICE,
        httpx.Response(200, json={"url": "https://lookaside.fbsbx.com.evil.example/x"}),
        raises=Refused,
        requests=[Expected("GET", URL)],
    ),
)
