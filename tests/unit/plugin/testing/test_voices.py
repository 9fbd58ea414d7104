"""The kit finds what is wrong with how an AI backend hears and sees."""

from collections.abc import Sequence
from typing import Any, ClassVar

import httpx
import pytest

from router import plugin
from router.plugin.testing import AIBackendSuite, Complete, Expected, Transcribe, Upload
from router.plugin.testing.cases import Suite
from router.plugin.testing.conformance import run_suite

URL = "https://ai.example/hear"
VOICE = plugin.File("audio/ogg", b"OggS\r\n--x\r\n")
QUESTION = plugin.Prompt(system="", turns=(plugin.PromptTurn("user", "hola"),))
SHOWN = plugin.Prompt(
    system="",
    turns=(plugin.PromptTurn("user", "hola"),),
    files=(plugin.File("image/png", b"\x89PNG"),),
)
SAID = httpx.Response(200, json={"text": "hola"})


class Good(plugin.AIBackend[plugin.NoConfig]):
    """Keeps the contract."""

    transcribes = True
    accepts = frozenset({"image"})

    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        response = await self.context.http.post("https://ai.example/say", json=len(prompt.files))
        plugin.raise_for_status(response)
        return plugin.Completion(response.json()["text"])

    async def transcribe(self, voice: plugin.File, language: str | None) -> plugin.Transcript:
        response = await self.context.http.post(
            URL,
            data={"language": language or "?"},
            files={"file": ("voice.ogg", voice.data, voice.content_type)},
        )
        plugin.raise_for_status(response)
        return plugin.Transcript(response.json()["text"])


def row(language: str = "es", **more: Any) -> Transcribe:
    parts = {"language": language, "file": Upload("voice.ogg", "audio/ogg", VOICE.data), **more}
    return Transcribe(
        "hello",
        VOICE,
        SAID,
        language="es",
        expect=plugin.Transcript("hola"),
        requests=[Expected("POST", URL, multipart=parts)],
    )


class GoodSuite(AIBackendSuite):
    backend: ClassVar[Any] = Good
    config = plugin.NoConfig()
    completes: ClassVar[Sequence[Complete]] = (Complete("a picture", SHOWN, SAID),)
    transcribes: ClassVar[Sequence[Transcribe]] = (
        row(),
        Transcribe("too large", VOICE, httpx.Response(413), raises=plugin.Refused(code="413")),
    )


def failed(suite: type[Suite]) -> set[str]:
    return {result.check for result in run_suite(suite) if result.outcome == "failed"}


def reasons(suite: type[Suite]) -> str:
    return "\n".join(result.reason for result in run_suite(suite) if result.outcome == "failed")


def suite_of(**attributes: Any) -> type[GoodSuite]:
    return type("MutantSuite", (GoodSuite,), attributes)


def test_a_backend_that_hears_and_sees_passes_everything() -> None:
    results = list(run_suite(GoodSuite))

    assert [it for it in results if it.outcome != "passed"] == []
    checks = [it.check for it in results]
    assert [checks.count(it) for it in ("transcribes", "sound_transcript")] == [2, 1]
    assert checks.count("transcribe_errors") > 20


class GivesText(Good):
    async def transcribe(self, voice: plugin.File, language: str | None) -> Any:
        return (await super().transcribe(voice, language)).text


class Counts(Good):
    count = 0

    async def transcribe(self, voice: plugin.File, language: str | None) -> plugin.Transcript:
        given = await super().transcribe(voice, language)
        Counts.count += 1
        return plugin.Transcript(f"{given.text} {Counts.count}")


class Silent(Good):
    async def transcribe(self, voice: plugin.File, language: str | None) -> plugin.Transcript:
        try:
            return await super().transcribe(voice, language)
        except plugin.Unavailable:
            return plugin.Transcript("")


class CallsItRefused(Good):
    async def transcribe(self, voice: plugin.File, language: str | None) -> plugin.Transcript:
        try:
            return await super().transcribe(voice, language)
        except ValueError:
            raise plugin.Refused("not JSON") from None


@pytest.mark.parametrize(
    "backend, checks",
    [
        (GivesText, {"transcribes", "sound_transcript"}),
        (Counts, {"transcribes", "sound_transcript"}),
        (Silent, {"transcribe_errors"}),
        (CallsItRefused, {"transcribe_errors"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_mistake_of_hearing_fails_the_check_that_is_named_for_it(
    backend: type[Good], checks: set[str]
) -> None:
    assert failed(suite_of(backend=backend)) == checks


class Deaf(Good):
    transcribe = plugin.AIBackend.transcribe


class Modest(Good):
    transcribes = False


class Blind(Good):
    accepts = frozenset()


class Hopeful(Good):
    accepts = frozenset({"image", "smell"})


@pytest.mark.parametrize(
    "attributes, words",
    [
        ({"transcribes": ()}, "transcribes is claimed; give a row in `transcribes`"),
        ({"backend": Deaf, "transcribes": ()}, "transcribes is claimed; implement transcribe()"),
        ({"backend": Modest}, "there are rows in `transcribes`, but it is not claimed"),
        ({"backend": Blind}, "a row's prompt has files, but none are named in accepts"),
        ({"backend": Hopeful}, "accepts: ['smell'] are no kinds of files"),
        ({"completes": (Complete("x", QUESTION, SAID),)}, "whose prompt has files"),
        ({"transcribes": (row(language="pt"),)}, "parts: expected {'language': 'pt'"),
        ({"transcribes": (row(model="x"),)}, "parts: expected {'language': 'es'"),
    ],
)
def test_what_is_wrong_with_hearing_is_said(attributes: dict[str, Any], words: str) -> None:
    assert words in reasons(suite_of(**attributes))


def test_a_backend_whose_table_names_no_model_for_it_need_not_hear() -> None:
    assert failed(suite_of(backend=Modest, transcribes=())) == set()


def test_a_body_that_is_no_form_of_parts_differs_from_one() -> None:
    request = httpx.Request("POST", URL, content=b"x")

    assert Expected("POST", URL, multipart={}).difference(request) == "parts: expected {}, got b'x'"
