"""Recordings as files: a line of JSON a turn, for sharing and for replaying elsewhere."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from router.clock import from_micros, to_micros
from router.domain.decision import Outcome
from router.errors import ConfigError
from router.pipeline.replay.masking import Masking
from router.storage import codec
from router.storage.recordings import Line, RecordedEvent, RecordedTurn, Recording
from router.storage.store import EventRef
from router.toml import Problem
from router.whole import PRIVATE, write_whole

#: The first line says which form the others have.
_FORM: Final = 1
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def write(recording: Recording, path: Path) -> None:
    """Write a recording with personal data masked; the same recording gives the same bytes.

    :raises ConfigError: if the file cannot be written.
    """
    masking = Masking()
    head = {
        "recording": _FORM,
        "turns": len(recording.turns),
        "left_out": dict(recording.left_out),
        "more": recording.more,
    }
    rows = chain([head], (_turn(masking.turn(turn)) for turn in recording.turns))
    lines = (f"{_encoder.encode(row)}\n".encode(errors="replace") for row in rows)
    try:
        write_whole(path, lines, mode=PRIVATE)
    except OSError as error:
        why = f"it cannot be written: {error.strerror}"
        raise ConfigError([Problem(path=path, message=why)]) from None


def load(path: Path) -> Recording:
    """Read :func:`write` back.

    :raises ConfigError: if it is no recording, with the line.
    """
    try:
        with path.open(encoding="utf-8") as file:
            lines = [line for line in file.read().split("\n") if line]
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise ConfigError([Problem(path=path, message=f"it cannot be read: {why}")]) from None
    turns: list[RecordedTurn] = []
    number, head = 1, {}
    try:
        for number, line in enumerate(lines, 1):
            values = json.loads(line)
            if number > 1:
                turns.append(_read_turn(values))
                continue
            head = values
            if head["recording"] != _FORM:
                remedy = f"This version reads form {_FORM}: export it again with this version."
                why = f"the recording has the form {head['recording']!r}"
                raise ConfigError([Problem(path=path, line=1, message=why, remedy=remedy)])
        if head.get("turns") != len(turns):
            why = f"{len(turns)} of {head.get('turns', 'some')} turns are there"
            raise ValueError(why)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        remedy = "`router replay --export FILE` writes recordings."
        words = f"it is no recording: {type(error).__name__}: {error}"
        problem = Problem(path=path, line=number, message=words, remedy=remedy)
        raise ConfigError([problem]) from None
    return Recording(
        turns=tuple(turns), left_out=head.get("left_out", {}), more=head.get("more", False)
    )


def _turn(turn: RecordedTurn) -> dict[str, Any]:
    return {
        "tenant": turn.tenant,
        "lane": turn.decided.ref.lane,
        "events": [dict(_event(event)) for event in turn.events],
        "lines": {
            str(number): {"payload": json.loads(line.payload), "at": to_micros(line.received_at)}
            for number, line in sorted(turn.lines.items())
        },
    }


def _event(event: RecordedEvent) -> Iterator[tuple[str, Any]]:
    yield "seq", event.ref.seq
    yield "source", event.source
    yield "kind", event.kind
    yield "payload", json.loads(event.payload)
    yield "at", to_micros(event.received_at)
    yield "conversation", event.conversation
    yield "outcome", event.outcome
    yield "body", dict(event.body)
    if event.before is not None:
        yield "before", dict(event.before)
    if event.question is not None:
        yield "question", [event.question[0], list(event.question[1])]
    if event.changes:
        yield "set", dict(event.changes)
    if event.masked:
        yield "masked", True


def _read_turn(values: Mapping[str, Any]) -> RecordedTurn:
    lane = values["lane"]
    events = tuple(_read_event(lane, each) for each in values["events"])
    if not events:
        message = "a turn has no event"
        raise ValueError(message)
    return RecordedTurn(
        tenant=values["tenant"],
        events=events,
        shared=True,
        lines={
            int(number): Line(payload=_text(line["payload"]), received_at=from_micros(line["at"]))
            for number, line in values["lines"].items()
        },
    )


def _read_event(lane: str, values: Mapping[str, Any]) -> RecordedEvent:
    question = values.get("question")
    # What cannot be read is said here, where its line is known.
    codec.decode(values["kind"], _text(values["payload"]))
    Outcome.from_word(values["body"]["outcome"])
    event = RecordedEvent(
        ref=EventRef(lane, values["seq"]),
        source=values["source"],
        kind=values["kind"],
        payload=_text(values["payload"]),
        received_at=from_micros(values["at"]),
        conversation=values["conversation"],
        outcome=values["outcome"],
        body=values["body"],
        before=values.get("before"),
        changes=values.get("set", {}),
        masked=values.get("masked", False),
    )
    if question is None:
        return event
    return replace(event, question=(question[0], tuple(question[1])))


def _text(values: Any) -> str:
    return json.dumps(values, ensure_ascii=False)
