"""The scribe keeps the contract."""

import httpx
from scribe import ScribeBackend, ScribeConfig

from router import plugin
from router.plugin.testing import AIBackendSuite, Complete, Expected, Transcribe, Upload

SHOWN = plugin.Prompt(
    system="Be brief.",
    turns=(plugin.PromptTurn("user", "Do you have this one?"),),
    files=(plugin.File("image/png", b"\x89PNG"),),
)


class TestScribe(AIBackendSuite):
    backend = ScribeBackend
    config = ScribeConfig(url="https://ai.example")

    completes = (
        Complete(
            "a picture",
            SHOWN,
            httpx.Response(200, json={"text": "In blue."}),
            expect=plugin.Completion("In blue."),
        ),
    )

    transcribes = (
        Transcribe(
            "a voice note",
            plugin.File("audio/ogg", b"OggS"),
            httpx.Response(200, json={"text": "¿Abren hoy?"}),
            language="es",
            expect=plugin.Transcript("¿Abren hoy?"),
            requests=[
                Expected(
                    "POST",
                    "https://ai.example/transcript",
                    multipart={"language": "es", "voice": Upload("voice", "audio/ogg", b"OggS")},
                )
            ],
        ),
    )
