"""Rows: recordings, which ElevenLabs gives to whoever has the key."""

import httpx

from router.plugin import Attachment, File, Refused, Unavailable
from router.plugin.testing import Expected, Fetch

PLACE = "https://api.elevenlabs.io/v1/convai/conversations/conv_0001/audio"
RECORDING = Attachment(kind="recording", url=PLACE, content_type="audio/mpeg")

FETCHES = (
    Fetch(
        "a recording",
        RECORDING,
        httpx.Response(200, headers={"Content-Type": "audio/mpeg"}, content=b"ID3\x04"),
        expect=File("audio/mpeg", b"ID3\x04"),
        requests=[Expected("GET", PLACE, headers={"xi-api-key": "xi-key-of-nobody"})],
    ),
    Fetch(
        "not there as yet",
        RECORDING,
        httpx.Response(404, json={"detail": {"status": "conversation_history_not_found"}}),
        raises=Unavailable,
    ),
    Fetch("a key that may not read", RECORDING, httpx.Response(401), raises=Refused(code="401")),
    Fetch(
        "another question to the API",
        Attachment(
            kind="recording", url="https://api.elevenlabs.io/v1/convai/conversations/../user/audio"
        ),
        raises=Refused,
        requests=[],
    ),
    Fetch(
        "above where conversations are",
        Attachment(
            kind="recording", url="https://api.elevenlabs.io/v1/convai/conversations/../audio"
        ),
        raises=Refused,
        requests=[],
    ),
)
