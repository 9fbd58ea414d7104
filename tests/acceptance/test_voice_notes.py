"""A customer speaks instead of writing: the daemon fetches, has it written down, and answers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.acceptance.daemon import Daemon, folder_of, wait_for
from tests.acceptance.twilio_provider import (
    CUSTOMER,
    HOOK,
    TOKEN,
    Twilio,
    call,
    question,
    router_toml,
    running,
)

OGG = b"OggS\0\x02" + b"\0" * 20 + b"OpusHead" + b"la voz de Ana"
KEY = "sk-0123456789abcdef"

RULES = """
default.ignore = "nobody asked"

[[rule]]
id = "hours"
when.text.words = "horario"
then.reply = { text = "Abrimos de 8 a 18." }

[[rule]]
id = "unheard"
when.attachments.kind = "audio"
unless.attachments.transcribed = true
then.reply = { text = "No pude escuchar su audio. ¿Me lo puede escribir?" }
"""


@pytest.fixture
def twilio() -> Iterator[Twilio]:
    with running() as twilio:
        yield twilio


@pytest.fixture
def daemon(tmp_path: Path, twilio: Twilio, httpserver: HTTPServer) -> Iterator[Daemon]:
    settings = f"""{router_toml(twilio)}
[ai.ears]
type = "openai"
base_url = "{httpserver.url_for("/v1")}"
api_key = {{ env = "EARS_KEY" }}
model = "none"
transcription_model = "whisper-1"

[media]
transcribe = "ears"
transcribe_wait = "3s"
"""
    httpserver.expect_request("/v1/models").respond_with_json({"data": []})
    files = {"rules.toml": RULES, ".env": f"TWILIO_AUTH_TOKEN={TOKEN}\nEARS_KEY={KEY}\n"}
    with folder_of(tmp_path, settings, files) as daemon:
        daemon.start()
        yield daemon


def _speak(daemon: Daemon, twilio: Twilio, name: str, data: bytes = OGG) -> None:
    url = twilio.keep(name, "audio/ogg", data)
    form = question(
        f"SM{name}",
        Body="",
        NumMedia="1",
        MediaUrl0=url,
        MediaContentType0="audio/ogg",
        MessageType="audio",
    )
    answer = call(daemon, HOOK, form)
    assert answer.status_code == 200, (answer.text, daemon.log)


def _answers(twilio: Twilio, number: int) -> list[str]:
    wait_for(lambda: len(twilio.taken()) >= number, f"{number} answers at Twilio")
    return [message.text for message in twilio.taken()]


def test_what_is_said_in_a_voice_note_is_answered(
    daemon: Daemon, twilio: Twilio, httpserver: HTTPServer
) -> None:
    heard: list[tuple[str | None, str, bytes]] = []

    def transcribe(request: Request) -> Response:
        voice = request.files["file"]
        heard.append((request.headers.get("Authorization"), voice.filename or "", voice.read()))
        assert request.form["model"] == "whisper-1"
        return Response(json.dumps({"text": " ¿Me dice el horario? "}), mimetype="application/json")

    httpserver.expect_request("/v1/audio/transcriptions", method="POST").respond_with_handler(
        transcribe
    )

    _speak(daemon, twilio, "1")

    assert _answers(twilio, 1) == ["Abrimos de 8 a 18."]
    assert heard == [(f"Bearer {KEY}", "voice.ogg", OGG)]
    shown = daemon.command("conversations", "show", CUSTOMER.replace("whatsapp:", "tel:"))
    assert "[audio: “¿Me dice el horario?”]" in shown
    kept = [path for path in (daemon.folder / "data" / "media").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in kept] == [OGG]
    assert KEY not in daemon.log
    assert TOKEN not in daemon.log


def test_a_voice_note_that_nobody_can_write_down_is_not_met_with_silence(
    daemon: Daemon, twilio: Twilio, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/audio/transcriptions").respond_with_json(
        {"error": {"message": "overloaded"}}, status=503, headers={"Retry-After": "30"}
    )

    _speak(daemon, twilio, "1")

    assert _answers(twilio, 1) == ["No pude escuchar su audio. ¿Me lo puede escribir?"]


def test_a_file_that_is_not_what_it_is_called_is_neither_kept_nor_waited_for(
    daemon: Daemon, twilio: Twilio
) -> None:
    _speak(daemon, twilio, "1", b"MZ\x90\0 this program cannot be run in DOS mode")

    assert _answers(twilio, 1) == ["No pude escuchar su audio. ¿Me lo puede escribir?"]
    shown = daemon.command("conversations", "show", CUSTOMER.replace("whatsapp:", "tel:"))
    assert "[audio, not available: the file is called 'audio/ogg'" in shown
    assert not (daemon.folder / "data" / "media").exists()
