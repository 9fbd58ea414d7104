"""Files that customers send: fetched, kept, written down, and never waited for too long."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from router import plugin
from router.domain.event import MessageReceived
from router.domain.message import Attachment
from router.errors import Refused, Unavailable
from router.storage.calls import show_call
from router.storage.store import NewEvent
from router.storage.tables import inbox_event, media, message, outbox
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

OGG = b"OggS\0\x02" + b"\0" * 20 + b"OpusHead" + b"la voz"
JPEG = b"\xff\xd8\xff\xe0" + b"una foto"
PDF = b"%PDF-1.7\n"
TABLES = """
[media]
store = "files"
transcribe = "assistant"
transcribe_wait = "20s"
max_size = 1000
"""


class Cloud:
    """Where the customers' files are, and who listens to them.

    :ivar files: what is at each address: a file, or why there is none.
    :ivar heard: what is said in voice notes, one after the other, or why nobody knows.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.files: dict[str, list[plugin.File | Exception]] = {}
        self.heard: list[str | Exception] = []
        self.languages: list[str | None] = []
        channel = pipeline.configuration.instances.channels["main", "phone"].plugin
        backend = pipeline.configuration.instances.backends["assistant"].plugin
        pipeline.can("phone", fetch=True)
        backend.transcribes = True
        setattr(channel, "fetch", self.fetch)  # noqa: B010 - the ledger has no such method
        setattr(backend, "transcribe", self.transcribe)  # noqa: B010 - nor has the script
        self.backend = backend

    async def fetch(self, attachment: Attachment, limit: int) -> plugin.File:
        assert limit == 1000
        found = self.files[attachment.url or ""]
        outcome = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def transcribe(self, voice: plugin.File, language: str | None) -> plugin.Transcript:
        assert voice.data == OGG
        self.languages.append(language)
        outcome = self.heard.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return plugin.Transcript(outcome)


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path, debounce="0s", tables=TABLES) as pipeline:
        yield pipeline


def _sent(pipeline: Pipeline, kind: str, *, text: str = "", of: str | None = None) -> NewEvent:
    """Give a message with one attachment."""
    number = next(pipeline.engine.numbers)
    attachment = Attachment(kind=kind, url=f"https://files/{kind}", content_type=of)
    event = MessageReceived(f"in-{number}", ANA, text, attachments=(attachment,))
    return pipeline.engine.event(event)


async def _receive(pipeline: Pipeline, event: NewEvent) -> None:
    await pipeline.engine.accept(event)
    await pipeline.settle()


async def _line(pipeline: Pipeline) -> dict[str, object]:
    """Give the attachment of the first message that came in, as people see it."""
    rows = await pipeline.engine.rows(message)
    (attachment,) = next(row.attachments for row in rows if row.direction == "in")
    return dict(attachment)


async def test_rules_see_what_is_said_in_a_voice_note(pipeline: Pipeline) -> None:
    cloud = Cloud(pipeline)
    cloud.files["https://files/audio"] = [plugin.File("audio/ogg; codecs=opus", OGG)]
    cloud.heard = ["¿Cuál es el horario?"]

    await _receive(pipeline, _sent(pipeline, "audio", of="audio/ogg"))

    assert pipeline.texts() == ["De 8 a 18."]
    assert pipeline.provider.asked == []
    known = await _line(pipeline)
    assert known["transcript"] == "¿Cuál es el horario?"
    assert known["content_type"] == "audio/ogg"
    assert known["size"] == len(OGG)
    outcomes = [(row.type, row.outcome) for row in await pipeline.engine.rows(inbox_event)]
    assert outcomes == [("message", "reply"), ("file", "recorded"), ("transcript", "reply")]


async def test_a_voice_note_waits_for_a_backend_that_is_still_starting(pipeline: Pipeline) -> None:
    cloud = Cloud(pipeline)
    cloud.files["https://files/audio"] = [plugin.File("audio/ogg", OGG)]
    cloud.heard = ["¿Cuál es el horario?"]
    live = pipeline.configuration.instances.backends["assistant"]
    live.up = False
    await _receive(pipeline, _sent(pipeline, "audio", of="audio/ogg"))
    for _ in range(8):
        await pipeline.pass_time(1)

    live.up = True
    await pipeline.pass_time(1)

    assert len(cloud.languages) == 1
    assert pipeline.texts() == ["De 8 a 18."]


async def test_model_is_asked_what_was_said_and_written_together(pipeline: Pipeline) -> None:
    cloud = Cloud(pipeline)
    cloud.files["https://files/audio"] = [plugin.File("audio/ogg", OGG)]
    cloud.heard = ["y además una talla M"]
    await pipeline.engine.accept(_sent(pipeline, "audio"))
    await pipeline.engine.accept(pipeline.engine.said("Quiero la camisa roja"))

    await pipeline.settle()

    (prompt,) = pipeline.provider.asked
    assert prompt.turns[-1].text == "y además una talla M\nQuiero la camisa roja"
    assert pipeline.texts() == ["Cuesta 5."]


async def test_what_cannot_be_heard_in_time_is_decided_without_it(pipeline: Pipeline) -> None:
    cloud = Cloud(pipeline)
    cloud.files["https://files/audio"] = [
        Unavailable("not yet", retry_after=60.0),
        plugin.File("audio/ogg", OGG),
    ]
    cloud.heard = ["demasiado tarde"]
    await _receive(pipeline, _sent(pipeline, "audio", text="Escucha"))
    assert pipeline.texts() == []

    await pipeline.pass_time(20)

    (prompt,) = pipeline.provider.asked
    assert prompt.turns[-1].text == "Escucha"
    assert pipeline.texts() == ["Cuesta 5."]

    await pipeline.pass_time(60)

    # Late, it is there to be read, and decides nothing.
    assert (await _line(pipeline))["transcript"] == "demasiado tarde"
    assert pipeline.texts() == ["Cuesta 5."]
    assert len(pipeline.provider.asked) == 1


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (Refused("it has expired"), "it has expired"),
        (plugin.File("audio/ogg", b"x" * 1001), "more than 1,000 bytes"),
        (plugin.File("audio/ogg", b""), "the file is empty"),
        (plugin.File("audio/ogg", JPEG), "its bytes say 'image/jpeg'"),
        (plugin.File("application/octet-stream", b"MZ\x90\0"), "are not kept"),
    ],
)
async def test_voice_note_that_is_not_to_be_had_is_not_waited_for(
    pipeline: Pipeline, file: plugin.File | Exception, problem: str
) -> None:
    cloud = Cloud(pipeline)
    cloud.files["https://files/audio"] = [file]

    await _receive(pipeline, _sent(pipeline, "audio", text="Hola"))

    assert pipeline.texts() == ["Cuesta 5."]
    known = await _line(pipeline)
    assert problem in str(known["problem"])
    assert "digest" not in known
    assert await pipeline.engine.rows(media) == []


async def test_voice_note_that_nobody_can_write_down_is_not_waited_for(
    pipeline: Pipeline,
) -> None:
    cloud = Cloud(pipeline)
    cloud.files["https://files/audio"] = [plugin.File("audio/ogg", OGG)]
    cloud.heard = [Refused("it is too long")]

    await _receive(pipeline, _sent(pipeline, "audio", text="Hola"))

    assert pipeline.texts() == ["Cuesta 5."]
    known = await _line(pipeline)
    assert known["problem"] == "it is too long"
    assert known["digest"]


async def test_pictures_are_waited_for_by_nobody(pipeline: Pipeline) -> None:
    cloud = Cloud(pipeline)
    cloud.files["https://files/image"] = [
        Unavailable("not yet", retry_after=5.0),
        plugin.File("image/jpeg", JPEG),
    ]

    await _receive(pipeline, _sent(pipeline, "image", text="¿Cuál es el horario?"))
    assert pipeline.texts() == ["De 8 a 18."]
    assert "digest" not in await _line(pipeline)

    await pipeline.pass_time(5)
    known = await _line(pipeline)
    (kept,) = await pipeline.engine.rows(media)
    assert known["digest"] == kept.digest
    assert (kept.tenant, kept.content_type, kept.size) == ("main", "image/jpeg", len(JPEG))


async def test_model_that_sees_pictures_is_shown_them(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with running("sqlite", tmp_path, debounce="2s", tables=TABLES) as pipeline:
        cloud = Cloud(pipeline)
        cloud.backend.accepts = frozenset({"image"})
        cloud.files["https://files/image"] = [plugin.File("image/jpeg", JPEG)]
        cloud.files["https://files/document"] = [plugin.File("application/pdf", PDF)]
        await _receive(pipeline, _sent(pipeline, "document", text="El recibo"))
        await _receive(pipeline, _sent(pipeline, "image", text="y la foto"))

        await pipeline.pass_time(2)

        (prompt,) = pipeline.provider.asked
        assert prompt.files == (plugin.File("image/jpeg", JPEG),)


async def test_crash_around_a_file_loses_nothing(pipeline: Pipeline) -> None:
    cloud = Cloud(pipeline)
    cloud.files["https://files/audio"] = [plugin.File("audio/ogg", OGG)]
    cloud.heard = ["¿Cuál es el horario?"]
    await pipeline.engine.accept(_sent(pipeline, "audio"))
    await pipeline.think()
    (item,) = await pipeline.engine.store.claim_items("job", 10)
    await pipeline.engine.store.start_attempt(item)

    await pipeline.crash()
    await pipeline.settle()

    assert pipeline.texts() == ["De 8 a 18."]


async def test_taking_a_conversation_over_stops_no_file(pipeline: Pipeline) -> None:
    cloud = Cloud(pipeline)
    cloud.files["https://files/audio"] = [plugin.File("audio/ogg", OGG)]
    cloud.heard = ["quiero hablar con alguien"]
    await pipeline.engine.accept(_sent(pipeline, "audio"))
    await pipeline.think()
    await pipeline.engine.accept(pipeline.engine.echoed("Le atiende Marta"))

    await pipeline.settle()

    assert (await _line(pipeline))["transcript"] == "quiero hablar con alguien"
    assert pipeline.texts() == []


async def test_items_say_what_they_are_about(pipeline: Pipeline) -> None:
    cloud = Cloud(pipeline)
    cloud.files["https://files/audio"] = [plugin.File("audio/ogg", OGG)]
    cloud.heard = ["hola"]
    await _receive(pipeline, _sent(pipeline, "audio"))

    rows = [row for row in await pipeline.engine.rows(outbox) if row.author == "customer"]

    assert [(row.kind, row.destination, row.state) for row in rows] == [
        ("fetch", "phone", "done"),
        ("transcribe", "assistant", "done"),
    ]
    assert json.loads(rows[0].body)["message_seq"] == 1


MP3 = b"ID3\x04" + b"la llamada"
CALL = plugin.CallEnded(
    id="conv_1",
    party=ANA,
    summary="Quiere la factura",
    recording=Attachment(kind="audio", url="https://files/call", content_type="audio/mpeg"),
)


async def _recorded(pipeline: Pipeline, event: plugin.CallEnded = CALL) -> Attachment:
    """Let a call be over; give what is known of its recording."""
    await _receive(pipeline, pipeline.engine.event(event))
    kept = await pipeline.engine.store.read(lambda it: show_call(it, "main", event.id))
    assert kept.recording is not None
    return kept.recording


async def test_a_recording_is_kept_with_its_call_where_it_is_wanted(pipeline: Pipeline) -> None:
    cloud = Cloud(pipeline)
    pipeline.can("phone", fetch=True, recordings=True)
    cloud.files["https://files/call"] = [Unavailable("not yet"), plugin.File("audio/mpeg", MP3)]

    waiting = await _recorded(pipeline)
    await pipeline.pass_time(10)
    kept = await pipeline.engine.store.read(lambda it: show_call(it, "main", "conv_1"))

    assert (waiting.digest, waiting.url) == (None, "https://files/call")
    assert kept.recording is not None
    assert (kept.recording.size, kept.recording.content_type) == (len(MP3), "audio/mpeg")
    (row,) = await pipeline.engine.rows(media)
    assert row.digest == kept.recording.digest
    # Nobody writes down what is said in it: the call has its transcript.
    assert [row.kind for row in await pipeline.engine.rows(outbox)] == ["fetch"]
    outcomes = [(row.type, row.outcome) for row in await pipeline.engine.rows(inbox_event)]
    assert outcomes[-1] == ("file", "recorded")


async def test_a_recording_is_left_where_it_is_unless_it_is_wanted(pipeline: Pipeline) -> None:
    Cloud(pipeline)

    left = await _recorded(pipeline)

    assert (left.url, left.digest, left.problem) == ("https://files/call", None, None)
    assert await pipeline.engine.rows(outbox) == []
    assert await pipeline.engine.rows(media) == []


async def test_a_recording_that_only_a_later_report_names_is_kept(pipeline: Pipeline) -> None:
    cloud = Cloud(pipeline)
    pipeline.can("phone", fetch=True, recordings=True)
    cloud.files["https://files/call"] = [plugin.File("audio/mpeg", MP3)]
    told = replace(CALL, recording=None, origin="api")
    await _receive(pipeline, pipeline.engine.event(told, channel="api"))
    await pipeline.pass_time(25 * 3600)  # by now the conversation is closed

    kept = await _recorded(pipeline)

    assert kept.size == len(MP3)


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (plugin.File("audio/mpeg", MP3 + b"x" * 1000), "the file has more than 1,000 bytes"),
        (plugin.File("audio/mpeg", PDF), "called 'audio/mpeg', and its bytes say"),
        (Refused("gone"), "gone"),
    ],
)
async def test_a_recording_that_cannot_be_kept_says_why(
    pipeline: Pipeline, outcome: plugin.File | Exception, why: str
) -> None:
    cloud = Cloud(pipeline)
    pipeline.can("phone", fetch=True, recordings=True)
    cloud.files["https://files/call"] = [outcome]

    kept = await _recorded(pipeline)

    assert kept.digest is None
    assert why in (kept.problem or "")
