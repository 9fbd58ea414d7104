"""Intake: verified, stored once, acknowledged; whatever a plugin does and a provider sends."""

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import BaseModel

from router.domain.event import InboundEvent, MessageEchoed, MessageReceived
from router.domain.identity import Address
from router.errors import InvalidSignature, StorageUnavailable
from router.metrics import Metrics
from router.pipeline.instances.instances import LiveChannel
from router.pipeline.intake.intake import Intake, IntakeResult
from router.pipeline.intake.rush import Rush
from router.plugin.channel import WebhookAnswer, WebhookRequest
from router.plugin.testing import RecordingLog
from router.schedule.finds import keyed
from router.storage.sqlite.store import SQLiteStore
from router.storage.store import Accepted, NewEvent, Store
from router.storage.tables import inbox_event
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Ledger, Pipeline, running
from tests.wordless import Wordless


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path) as pipeline:
        yield pipeline


def _live(pipeline: Pipeline) -> LiveChannel:
    return pipeline.configuration.instances.channels["main", "phone"]


def _request(
    pipeline: Pipeline, body: object = None, *, signature: str = "ok", **changes: Any
) -> WebhookRequest:
    values = {"id": "A1", "from": str(ANA), "text": "hola"} if body is None else body
    return WebhookRequest(
        url="https://router.example/hooks/phone",
        headers={"x-signature": signature, "content-type": "application/json", "cookie": "x"},
        body=values if isinstance(values, bytes) else json.dumps(values).encode(),
        received_at=pipeline.engine.clock.now(),
        **changes,
    )


async def _receive(pipeline: Pipeline, request: WebhookRequest) -> IntakeResult:
    return await pipeline.intake.receive(_live(pipeline), request)


def _channel(pipeline: Pipeline, kind: type[Ledger]) -> LiveChannel:
    """Put another plugin into the live channel."""
    live = _live(pipeline)
    live.plugin = kind(live.plugin.config, live.plugin.context)
    return live


async def test_a_signed_request_is_stored_and_then_acknowledged(pipeline: Pipeline) -> None:
    result = await _receive(pipeline, _request(pipeline))

    assert result == IntakeResult(200, WebhookAnswer())
    (row,) = await pipeline.engine.rows(inbox_event)
    assert (row.lane, row.source, row.external_id, row.type) == (
        f"main/{ANA}",
        "main/phone",
        "message:A1",
        "message",
    )


async def test_a_duplicate_is_acknowledged_and_ignored(pipeline: Pipeline) -> None:
    results = [await _receive(pipeline, _request(pipeline)) for _ in range(2)]

    assert [it.status for it in results] == [200, 200]
    assert len(await pipeline.engine.rows(inbox_event)) == 1


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_an_unsigned_request_is_refused_without_a_row(
    pipeline: Pipeline, method: str
) -> None:
    result = await _receive(pipeline, _request(pipeline, signature="forged", method=method))

    assert result == IntakeResult(403)
    assert await pipeline.engine.rows(inbox_event) == []


def _breaks(request: WebhookRequest) -> None:
    raise ZeroDivisionError


def _breaks_without_words(request: WebhookRequest) -> None:
    raise Wordless


async def _never_runs(request: WebhookRequest) -> None:
    raise InvalidSignature("nobody awaits this")


@pytest.mark.parametrize(
    "verify, error",
    [
        (_breaks, "ZeroDivisionError"),
        (_breaks_without_words, "Wordless"),
        (_never_runs, "verify gave coroutine: it has to give None, or to raise InvalidSignature"),
        (lambda _: False, "verify gave bool: it has to give None, or to raise InvalidSignature"),
        (lambda _: True, "verify gave bool: it has to give None, or to raise InvalidSignature"),
    ],
    ids=["breaks", "words", "async", "false", "true"],
)
async def test_a_verify_that_does_anything_but_end_fails_closed(
    pipeline: Pipeline, verify: Callable[[WebhookRequest], object], error: str
) -> None:
    class Broken(Ledger):
        def verify(self, request: WebhookRequest) -> None:
            return verify(request)  # type: ignore[return-value]

    _channel(pipeline, Broken)

    assert await _receive(pipeline, _request(pipeline)) == IntakeResult(403)
    assert await pipeline.engine.rows(inbox_event) == []
    told = [(it.level, it.event, it.values["error"]) for it in pipeline.log.entries]
    assert told == [("error", "verify broke", error)]


async def test_what_cannot_be_parsed_is_kept_once_for_each_body(pipeline: Pipeline) -> None:
    for body in (b"<xml/>", b"<xml/>", b"", b"\xff\x00", b""):
        assert (await _receive(pipeline, _request(pipeline, body))).status == 200

    rows = await pipeline.engine.rows(inbox_event)
    kept = [json.loads(row.payload) for row in rows]
    assert [base64.b64decode(it.get("body", "")) for it in kept] == [b"<xml/>", b"", b"\xff\x00"]
    assert {row.lane for row in rows} == {"main/raw:phone"}
    assert kept[0]["headers"] == {"content-type": "application/json"}
    assert kept[0]["error"] == "JSONDecodeError: line 1, column 1"
    await pipeline.settle()
    assert await pipeline.engine.outcomes() == ["unparsed"] * 3


class _Letter(BaseModel):
    sender: int
    words: list[int]


@pytest.mark.parametrize(
    "error, reason",
    [
        (
            lambda: _Letter.model_validate({"sender": "hush", "words": [1, "hush"]}),
            "ValidationError: sender (int_parsing), words.1 (int_parsing)",
        ),
        (lambda: _Letter.model_validate({"sender": "hush", "words": ["hush"] * 99}), None),
        (lambda: _Letter.model_validate("hush"), "ValidationError: all of it (model_type)"),
        (lambda: int("hush"), "ValueError in test_intake.py:"),
        (lambda: dict[str, str]()["hush"], "KeyError in test_intake.py:"),
        (b"hush\xff".decode, "UnicodeDecodeError: byte 4"),
    ],
)
async def test_why_a_request_was_not_read_is_told_without_a_word_of_it(
    pipeline: Pipeline, error: Callable[[], object], reason: str | None
) -> None:
    class Broken(Ledger):
        def parse(self, request: WebhookRequest) -> Sequence[InboundEvent]:
            error()
            raise AssertionError

    _channel(pipeline, Broken)
    await _receive(pipeline, _request(pipeline))

    (row,) = await pipeline.engine.rows(inbox_event)
    stored = json.loads(row.payload)["error"]
    assert stored.startswith(reason or "ValidationError: sender (int_parsing), words.0 ")
    assert "hush" not in stored
    assert len(stored) <= 200
    told = [entry for entry in pipeline.log.entries if entry.event == "webhook kept unparsed"]
    assert [entry.values["reason"] for entry in told] == [stored]


class _Odd(Ledger):
    """A plugin that gives whatever the test says."""

    event: InboundEvent

    def parse(self, request: WebhookRequest) -> Sequence[InboundEvent]:
        return [MessageReceived("good", ANA, "hola"), self.event]


def _deep() -> dict[str, str]:
    values: dict[str, Any] = {}
    for _ in range(2000):
        values = {"x": values}
    return values


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(MessageReceived("A1", Address("tel", "")), id="nobody's address"),
        pytest.param(MessageReceived("A1", Address("", "1")), id="an address without a scheme"),
        pytest.param(MessageReceived("A1", Address("a:b", "1")), id="an address of two schemes"),
        pytest.param(MessageReceived("A1", Address("tel", "9" * 1000)), id="too long an address"),
        pytest.param(
            MessageReceived("A1", ANA, aliases=(Address("tel", ""),)), id="an empty alias"
        ),
        pytest.param(
            MessageReceived("A1", ANA, sent_at=datetime(2026, 1, 1)),  # noqa: DTZ001
            id="a moment without a zone",
        ),
        pytest.param(
            MessageReceived("A1", ANA, metadata={"x": cast("str", object())}), id="no JSON"
        ),
        pytest.param(MessageReceived("A1", ANA, metadata=_deep()), id="nested too deep"),
        pytest.param(MessageReceived(cast("str", None), cast("Address", None)), id="no event"),
        # What would be refused, too, each time that it comes again.
        pytest.param(MessageEchoed("E1", ANA, cast("str", ["yo"])), id="an echo of texts"),
        pytest.param(MessageEchoed(cast("str", 2**70), ANA, "yo"), id="an echo with a number"),
        pytest.param(
            MessageEchoed("E1", ANA, "yo", provider_id=cast("str", ["p"])), id="an echo of several"
        ),
    ],
)
async def test_a_request_with_an_event_that_cannot_be_stored_is_kept_whole_as_unparsed(
    pipeline: Pipeline, event: InboundEvent
) -> None:
    live = _channel(pipeline, _Odd)
    cast("_Odd", live.plugin).event = event

    result = await _receive(pipeline, _request(pipeline))

    assert result.status == 200
    assert [row.type for row in await pipeline.engine.rows(inbox_event)] == ["unparsed"]
    await pipeline.settle()
    assert await pipeline.engine.outcomes() == ["unparsed"]


async def test_what_the_database_never_takes_is_kept_whole_as_unparsed(pipeline: Pipeline) -> None:
    # Too long for PostgreSQL's index, however it is packed; SQLite takes it.
    scheme = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(200))
    live = _channel(pipeline, _Odd)
    cast("_Odd", live.plugin).event = MessageReceived("A1", Address(scheme, "1"))

    result = await _receive(pipeline, _request(pipeline))

    assert result.status == 200
    taken = ["message", "message"] if isinstance(pipeline.engine.store, SQLiteStore) else None
    kept = [row.type for row in await pipeline.engine.rows(inbox_event)]
    assert kept == (taken or ["unparsed"])


class _Mistaken:
    """A store that fails at first, as a mistake of ours in its functions would."""

    def __init__(self, store: Store) -> None:
        self.aliases = store.aliases
        self._store = store
        self._sound = False

    async def enqueue(self, events: Sequence[NewEvent]) -> list[Accepted]:
        if not self._sound:
            self._sound = True
            raise KeyError("hush")  # the customer's word, which no log is to quote
        return await self._store.enqueue(events)


async def test_a_request_that_we_fail_at_is_not_acknowledged_and_is_taken_when_it_comes_again(
    pipeline: Pipeline,
) -> None:
    echo = MessageEchoed("E1", ANA, "yo me encargo")
    live = _channel(pipeline, _Odd)
    cast("_Odd", live.plugin).event = echo
    log = RecordingLog()
    intake = Intake(cast("Any", _Mistaken(pipeline.engine.store)), log, Metrics(), Rush())

    failed = await intake.receive(live, _request(pipeline))

    assert failed == IntakeResult(500)
    assert await pipeline.engine.rows(inbox_event) == []
    (told,) = log.entries
    assert (told.level, told.event) == ("error", "webhook not stored")
    assert told.values["error"] == "KeyError"
    assert re.search(r"test_intake\.py:\d+ enqueue$", told.values["where"])
    assert "hush" not in str(told.values)

    again = await intake.receive(live, _request(pipeline))

    assert again.status == 200
    assert [row.type for row in await pipeline.engine.rows(inbox_event)] == ["message", "echo"]


class _Forgetful:
    """A store that knows nobody at first, as a mistake of ours around it would."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sound = False

    @property
    def aliases(self) -> Mapping[tuple[str, str], str]:
        if not self._sound:
            self._sound = True
            raise KeyError("hush")
        return self._store.aliases

    async def enqueue(self, events: Sequence[NewEvent]) -> list[Accepted]:
        return await self._store.enqueue(events)


async def test_a_mistake_of_ours_before_it_is_stored_is_not_acknowledged_either(
    pipeline: Pipeline,
) -> None:
    live = _channel(pipeline, _Odd)
    cast("_Odd", live.plugin).event = MessageReceived("A1", ANA, "\ud800")
    log = RecordingLog()
    intake = Intake(cast("Any", _Forgetful(pipeline.engine.store)), log, Metrics(), Rush())

    failed = await intake.receive(live, _request(pipeline))

    assert failed == IntakeResult(500)
    assert await pipeline.engine.rows(inbox_event) == []
    (told,) = log.entries
    assert (told.level, told.event) == ("error", "webhook not stored")
    assert told.values["error"] == "KeyError"
    assert "hush" not in str(told.values)
    assert (await intake.receive(live, _request(pipeline))).status == 200
    assert [row.type for row in await pipeline.engine.rows(inbox_event)] == ["message", "message"]


@pytest.mark.parametrize("given", ["nothing", "lazily", "words"])
async def test_what_a_plugin_gives_instead_of_events_is_kept_as_unparsed(
    pipeline: Pipeline, given: str
) -> None:
    def lazily() -> Iterator[InboundEvent]:
        yield MessageReceived("good", ANA, "hola")
        raise KeyError("hush")

    class Broken(Ledger):
        def parse(self, request: WebhookRequest) -> Sequence[InboundEvent]:
            answers = {"nothing": None, "lazily": lazily(), "words": "hola"}
            return cast("Sequence[InboundEvent]", answers[given])

    _channel(pipeline, Broken)

    assert (await _receive(pipeline, _request(pipeline))).status == 200
    assert [row.type for row in await pipeline.engine.rows(inbox_event)] == ["unparsed"]


async def test_a_mistake_of_ours_with_what_a_poll_found_fails_the_poll(pipeline: Pipeline) -> None:
    live = _channel(pipeline, Ledger)
    poller = cast("Any", SimpleNamespace(live=live, name="calls"))
    intake = Intake(
        cast("Any", _Forgetful(pipeline.engine.store)), RecordingLog(), Metrics(), Rush()
    )
    found: list[InboundEvent] = [
        MessageReceived("A1", ANA, "hola"),
        MessageReceived("A2", Address("tel", "\0" * 300)),  # too long once it can be stored
        MessageReceived("A3", Address("tel", cast("str", 3))),
        cast("Any", None),
    ]
    now = pipeline.engine.clock.now()

    with pytest.raises(KeyError):
        keyed(intake, poller, found, now, RecordingLog())

    kept = keyed(intake, poller, found, now, RecordingLog())
    assert [it.event.kind for it in kept] == ["message", "unparsed", "unparsed", "unparsed"]


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "ñ" * 100_000, "🏴󠁧󠁢󠁷󠁬󠁳󠁿"])
async def test_any_text_can_be_stored_and_worked(pipeline: Pipeline, text: str) -> None:
    body = {"id": f"id {text}"[:900], "from": f"name:{text}"[:90], "text": text}

    result = await _receive(pipeline, _request(pipeline, body))
    again = await _receive(pipeline, _request(pipeline, body))

    assert (result.status, again.status) == (200, 200)
    assert [row.type for row in await pipeline.engine.rows(inbox_event)] == ["message"]
    await pipeline.pass_time(5)
    assert None not in await pipeline.engine.outcomes()


async def test_what_has_nothing_in_it_is_acknowledged_and_not_stored(pipeline: Pipeline) -> None:
    class Silent(Ledger):
        def parse(self, request: WebhookRequest) -> Sequence[InboundEvent]:
            return []

    _channel(pipeline, Silent)

    assert (await _receive(pipeline, _request(pipeline))).status == 200
    assert await pipeline.engine.rows(inbox_event) == []


async def test_a_get_stores_nothing_and_is_answered_by_the_channel(pipeline: Pipeline) -> None:
    class Challenged(Ledger):
        def acknowledge(self, request: WebhookRequest) -> WebhookAnswer | None:
            return WebhookAnswer(body=b"42") if request.method == "GET" else None

    assert await _receive(pipeline, _request(pipeline, method="GET")) == IntakeResult(405)
    _channel(pipeline, Challenged)
    result = await _receive(pipeline, _request(pipeline, method="GET"))

    assert result == IntakeResult(200, WebhookAnswer(body=b"42"))
    assert await pipeline.engine.rows(inbox_event) == []


@pytest.mark.parametrize(
    "acknowledge, error",
    [
        (_breaks, "ZeroDivisionError"),
        (_breaks_without_words, "Wordless"),
        (lambda _: {"ok": True}, "acknowledge gave dict, not a WebhookAnswer"),
        (lambda _: "ok", "acknowledge gave str, not a WebhookAnswer"),
    ],
    ids=["breaks", "words", "dict", "text"],
)
async def test_an_acknowledge_that_gives_no_answer_loses_nothing(
    pipeline: Pipeline, acknowledge: Callable[[WebhookRequest], Any], error: str
) -> None:
    class Broken(Ledger):
        def acknowledge(self, request: WebhookRequest) -> WebhookAnswer | None:
            answer: WebhookAnswer = acknowledge(request)
            return answer

    _channel(pipeline, Broken)

    assert await _receive(pipeline, _request(pipeline)) == IntakeResult(200)
    assert len(await pipeline.engine.rows(inbox_event)) == 1
    told = [(it.level, it.event, it.values["error"]) for it in pipeline.log.entries]
    assert told == [("error", "acknowledge broke", error)]


async def test_an_endpoint_is_a_source_of_its_own(pipeline: Pipeline) -> None:
    await _receive(pipeline, _request(pipeline))
    await _receive(pipeline, _request(pipeline, endpoint="status"))

    sources = [row.source for row in await pipeline.engine.rows(inbox_event)]
    assert sources == ["main/phone", "main/phone/status"]


async def test_a_learnt_address_leads_to_its_person(pipeline: Pipeline) -> None:
    await pipeline.engine.store.write(lambda tx: tx.learn_alias("main", str(ANA), "bsuid:US.1"))

    await _receive(pipeline, _request(pipeline))

    (row,) = await pipeline.engine.rows(inbox_event)
    assert row.lane == "main/bsuid:US.1"


class _AwayStore:
    """A store whose disk is full."""

    def __init__(self) -> None:
        self.aliases: dict[tuple[str, str], str] = {}

    async def enqueue(self, events: Sequence[NewEvent]) -> list[Any]:
        message = "full"
        raise StorageUnavailable(message)


@pytest.mark.parametrize("body", [None, b"<xml/>"])
async def test_while_the_database_is_away_the_provider_is_told_to_come_again(
    pipeline: Pipeline, body: bytes | None
) -> None:
    log = RecordingLog()
    intake = Intake(cast("Any", _AwayStore()), log, Metrics(), Rush())

    result = await intake.receive(_live(pipeline), _request(pipeline, body))

    assert (result.status, result.retry_after) == (503, 5)
    assert log.entries[-1].event == "webhook not stored"
