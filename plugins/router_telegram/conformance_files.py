"""Rows: what customers sent: Telegram tells where it is, and gives it out there."""

import httpx

from router.plugin import Attachment, File, Refused
from router.plugin.testing import Expected, Fetch
from router_telegram.conformance_sending import TOKEN

VOICE = Attachment(kind="audio", url="telegram-file:AwACAgQ_-1", content_type="audio/ogg")
METHOD = f"https://api.telegram.org/bot{TOKEN}/getFile"
PLACE = f"https://api.telegram.org/file/bot{TOKEN}/voice/file_0.oga"
SOME_BYTES = {"Content-Type": "application/octet-stream"}


def _told(path: object) -> httpx.Response:
    return httpx.Response(200, json={"ok": True, "result": {"file_id": "A", "file_path": path}})


FETCHES = (
    Fetch(
        "a voice note",
        VOICE,
        _told("voice/file_0.oga"),
        httpx.Response(200, headers=SOME_BYTES, content=b"OggS"),
        expect=File("audio/ogg", b"OggS"),
        requests=[
            Expected("POST", METHOD, json={"file_id": "AwACAgQ_-1"}),
            Expected("GET", PLACE),
        ],
    ),
    Fetch(
        "too large for a bot",
        VOICE,
        httpx.Response(
            400,
            json={"ok": False, "error_code": 400, "description": "Bad Request: file is too big"},
        ),
        raises=Refused(code="400"),
    ),
    Fetch("a place outside", VOICE, _told("../../x"), raises=Refused),
)
