"""The openai backend shows pictures to models that see, and has voice notes written down."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from router import plugin
from router.plugin.host import HostContext
from router.plugin.testing import FakeContext, RecordingLog
from router_openai import OpenAI, OpenAIConfig
from router_openai.conformance import (
    HOURS,
    PICTURE,
    PRICES,
    SHOWN,
    SeesAndHearsConformance,
    reply,
)

KEY = "sk-live-never-shown-0001"
HEAR = "/v1/audio/transcriptions"
OGG = b"OggS\0\x02\r\n--boundary--\r\n\xff"


class TestSeesAndHears(SeesAndHearsConformance):
    pass


def config(**keys: Any) -> OpenAIConfig:
    return OpenAIConfig.model_validate(
        {"base_url": "https://ai.example/v1", "model": "small", **keys}
    )


async def hear(
    server: HTTPServer,
    voice: plugin.File,
    language: str | None = None,
    **keys: Any,
) -> plugin.Transcript:
    """Have a voice note written down by a real server, over the client of the host."""
    table = config(
        base_url=server.url_for("/v1"),
        api_key=SecretStr(KEY),
        transcription_model="whisper-1",
        **keys,
    )
    context = HostContext(name="ears", log=RecordingLog(), public_url="https://router.example")
    try:
        return await OpenAI(table, context).transcribe(voice, language)
    finally:
        await context.aclose()


# --- voice notes


@pytest.mark.parametrize(
    "content_type, name",
    [
        ("audio/ogg", "voice.ogg"),
        ("audio/mpeg", "voice.mp3"),
        ("audio/mp4", "voice.m4a"),
        ("audio/wav", "voice.wav"),
        ("audio/amr", "voice.amr"),
        ("audio/aac", "voice.aac"),
        ("audio/flac", "voice.flac"),
        ("video/mp4", "voice.mp4"),
        ("video/webm", "voice.webm"),
        ("application/octet-stream", "voice.ogg"),
        ("", "voice.ogg"),
    ],
)
async def test_server_is_given_the_file_under_a_name_that_says_its_format(
    httpserver: HTTPServer, content_type: str, name: str
) -> None:
    files: list[tuple[str, str, bytes]] = []

    def answer(request: Request) -> Response:
        file = request.files["file"]
        files.append((file.filename or "", file.content_type or "", file.read()))
        assert list(request.files) == ["file"]
        return Response('{"text": "hola"}', mimetype="application/json")

    httpserver.expect_request(HEAR, method="POST").respond_with_handler(answer)

    await hear(httpserver, plugin.File(content_type, OGG))

    ((given, _, data),) = files
    assert (given, data) == (name, OGG)


@pytest.mark.parametrize(
    "language, said",
    [("es", "es"), ("es-CO", "es"), ("PT-br", "pt"), ("zh-Hant-TW", "zh"), (None, None)],
)
async def test_server_is_told_the_language_and_not_the_region(
    httpserver: HTTPServer, language: str | None, said: str | None
) -> None:
    forms: list[dict[str, str]] = []

    def answer(request: Request) -> Response:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        assert request.headers["X-Team"] == "support"
        forms.append(request.form.to_dict())
        return Response('{"text": "hola"}', mimetype="application/json")

    httpserver.expect_request(HEAR, method="POST").respond_with_handler(answer)

    await hear(httpserver, plugin.File("audio/ogg", OGG), language, headers={"X-Team": "support"})

    expected = {"model": "whisper-1", "response_format": "json"}
    assert forms == [expected if said is None else {**expected, "language": said}]


@pytest.mark.parametrize(
    "says, transcript",
    [
        ({"text": "  ¿A qué hora abren?\n"}, plugin.Transcript("¿A qué hora abren?")),
        ({"text": ""}, plugin.Transcript("")),
        ({"text": "oi", "language": "pt"}, plugin.Transcript("oi", "pt")),
        # Some servers write the language's English name.
        ({"text": "hola", "language": "spanish"}, plugin.Transcript("hola")),
        ({"text": "hola", "language": 7, "usage": {"type": "tokens"}}, plugin.Transcript("hola")),
    ],
)
async def test_what_is_said_is_understood(
    httpserver: HTTPServer, says: object, transcript: plugin.Transcript
) -> None:
    httpserver.expect_request(HEAR).respond_with_json(says)

    assert await hear(httpserver, plugin.File("audio/ogg", OGG)) == transcript


@pytest.mark.parametrize(
    "status, body, headers, kind",
    [
        (503, b'{"error": {"message": "busy"}}', {"Retry-After": "7"}, plugin.Unavailable),
        (429, b"{}", {"Retry-After": "7"}, plugin.Unavailable),
        (401, b'{"error": {"code": "invalid_api_key"}}', {}, plugin.Refused),
        (413, b"<html>too large</html>", {}, plugin.Refused),
        (400, b'{"error": {"message": "Invalid file format."}}', {}, plugin.Refused),
        (500, b"", {}, plugin.OutcomeUnknown),
        (200, b'{"task": "transcribe"}', {}, plugin.OutcomeUnknown),
        (200, b'{"text": null}', {}, plugin.OutcomeUnknown),
        (200, b'{"text": ["hola"]}', {}, plugin.OutcomeUnknown),
        (200, b"[]", {}, plugin.OutcomeUnknown),
        (200, b"hola", {}, plugin.OutcomeUnknown),
        (200, b"[" * 100_000, {}, plugin.OutcomeUnknown),
    ],
)
async def test_a_failure_to_hear_is_told_as_what_it_is(
    httpserver: HTTPServer,
    status: int,
    body: bytes,
    headers: dict[str, str],
    kind: type[plugin.ProviderError],
) -> None:
    httpserver.expect_request(HEAR).respond_with_data(body, status=status, headers=headers)

    with pytest.raises(plugin.ProviderError) as caught:
        await hear(httpserver, plugin.File("audio/ogg", OGG))

    assert type(caught.value) is kind
    assert getattr(caught.value, "retry_after", None) == (7.0 if headers else None)
    assert KEY not in repr(caught.value)
    assert len(httpserver.log) == 1


def test_only_a_table_that_names_a_model_for_it_hears() -> None:
    context = FakeContext()

    assert not OpenAI(config(), context).transcribes
    assert OpenAI(config(transcription_model="whisper-1"), context).transcribes
    with pytest.raises(ValidationError):
        config(transcription_model="")


# --- pictures and documents


async def asked(prompt: plugin.Prompt, **keys: Any) -> list[Any]:
    """Give the messages, but for the instructions, that a model is sent."""
    async with FakeContext(reply({"citations": [], "answer": "Sí."})) as context:
        await OpenAI(config(**keys), context).complete(prompt)
        (request,) = context.requests
        _, *messages = json.loads(request.content)["messages"]
        return list(messages)


@pytest.mark.parametrize(
    "keys, accepts",
    [
        ({}, set()),
        ({"vision": True}, {"image"}),
        ({"documents": True}, {"document"}),
        ({"vision": True, "documents": True}, {"image", "document"}),
    ],
)
def test_only_a_table_that_says_so_takes_files(keys: dict[str, Any], accepts: set[str]) -> None:
    assert OpenAI(config(**keys), FakeContext()).accepts == accepts


@pytest.mark.parametrize("key", ["vision", "documents"])
def test_what_is_taken_is_said_by_true_or_false(key: str) -> None:
    with pytest.raises(ValidationError):
        config(**{key: "yes"})


async def test_a_picture_goes_beside_the_words_that_it_came_with() -> None:
    assert await asked(SHOWN, vision=True) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "¿Tienen esta?"},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/"}},
            ],
        }
    ]


@pytest.mark.parametrize("caption", ["", " \n"])
async def test_a_picture_without_words_goes_alone(caption: str) -> None:
    prompt = replace(SHOWN, turns=(plugin.PromptTurn("user", caption),))

    (message,) = await asked(prompt, vision=True)

    assert [part["type"] for part in message["content"]] == ["image_url"]


async def test_a_document_goes_there_too_under_a_name_of_ours() -> None:
    prompt = replace(SHOWN, files=(PRICES, PRICES))

    (message,) = await asked(prompt, documents=True)

    data = "data:application/pdf;base64,JVBERi0="
    assert message["content"] == [
        {"type": "text", "text": "¿Tienen esta?"},
        {"type": "file", "file": {"filename": "document-1.pdf", "file_data": data}},
        {"type": "file", "file": {"filename": "document-2.pdf", "file_data": data}},
    ]


@pytest.mark.parametrize("keys", [{}, {"documents": True}])
async def test_a_model_that_does_not_see_is_sent_no_picture(keys: dict[str, Any]) -> None:
    assert await asked(SHOWN, **keys) == [{"role": "user", "content": "¿Tienen esta?"}]


@pytest.mark.parametrize(
    "content_type, keys",
    [
        ("application/pdf", {"vision": True}),
        # Chat completions take PDF and nothing else.
        ("application/msword", {"documents": True}),
        ("text/plain", {"documents": True}),
        ("", {"documents": True}),
    ],
)
async def test_what_the_server_does_not_take_is_not_sent(
    content_type: str, keys: dict[str, Any]
) -> None:
    prompt = replace(SHOWN, files=(plugin.File(content_type, b"%PDF-"),))

    assert await asked(prompt, **keys) == [{"role": "user", "content": "¿Tienen esta?"}]


async def test_pictures_go_with_the_last_turn_alone() -> None:
    prompt = plugin.Prompt(
        system="",
        turns=(
            plugin.PromptTurn("user", "Hola"),
            plugin.PromptTurn("assistant", "¿Sí?"),
            plugin.PromptTurn("user", "Estas"),
        ),
        passages=(HOURS,),
        files=(
            PICTURE,
            plugin.File("application/pdf", b"%PDF-"),
            plugin.File("image/png", b"\x89PNG"),
        ),
    )

    first, second, last = await asked(prompt, vision=True)

    assert (first["content"], second["content"]) == ("Hola", "¿Sí?")
    assert [part["type"] for part in last["content"]] == ["text", "image_url", "image_url"]
    assert last["content"][2]["image_url"]["url"] == "data:image/png;base64,iVBORw=="


async def test_a_prompt_without_pictures_is_words_alone() -> None:
    prompt = plugin.Prompt(system="", turns=(plugin.PromptTurn("user", "Hola"),))

    assert await asked(prompt, vision=True) == [{"role": "user", "content": "Hola"}]


@pytest.mark.parametrize("file", [PICTURE, PRICES])
async def test_no_error_repeats_a_file(file: plugin.File) -> None:
    response = httpx.Response(400, json={"error": {"message": "no files", "code": "x"}})
    async with FakeContext(response) as context:
        backend = OpenAI(config(vision=True, documents=True), context)
        with pytest.raises(plugin.Refused) as caught:
            await backend.complete(replace(SHOWN, files=(file,)))

    assert "base64" not in repr(caught.value)
