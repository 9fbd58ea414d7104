"""Replay over a varied day that the engine lived through, on both stores."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from router.pipeline.instances.configuration import Configuration
from router.pipeline.replay.comparing import Comparison, Verdict, compare_all
from router.pipeline.replay.deciding import Replayer
from router.pipeline.replay.files import load, write
from router.storage.recordings import Recording, recorded
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import RULES, Pipeline
from tests.integration.replay.traffic import MORE, another, day, recording

ALL = RULES + MORE


@pytest.fixture(params=list(DATABASES))
async def lived(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with day(request.param, tmp_path) as pipeline:
        yield pipeline


@pytest.fixture
async def lived_here(tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with day("sqlite", tmp_path) as pipeline:
        yield pipeline


def replayed(recorded: Recording, configuration: Configuration) -> Comparison:
    replayer = Replayer(configuration)
    return compare_all((turn, replayer.replay(turn)) for turn in recorded.turns)


def told(comparison: Comparison) -> list[str]:
    """Give each change as a line."""
    return [
        f"{it.count} {it.verdict}: {it.then.outcome} ({it.then.rule}) -> "
        + (it.because if it.now is None else f"{it.now.outcome} ({it.now.rule})")
        for it in comparison.most_first()
    ]


# --- the same


async def test_the_same_configuration_decides_everything_the_same(
    lived: Pipeline, tmp_path: Path
) -> None:
    found = await recording(lived)

    again = replayed(found, another(lived, tmp_path))

    assert told(again) == []
    assert again.totals == {Verdict.SAME: len(found.turns)}


async def test_the_day_that_is_replayed_is_a_varied_one(lived_here: Pipeline) -> None:
    found = await recording(lived_here)

    outcomes = Counter(turn.decided.outcome for turn in found.turns)
    kinds = Counter(event.kind for turn in found.turns for event in turn.events)
    rules = {turn.decided.body.get("rule") for turn in found.turns}
    assert set(outcomes) == {"reply", "draft", "ticket", "escalate", "ignore", "closed"}
    assert set(kinds) == {"message", "timer", "answer", "echo", "delivery"}
    assert rules >= {"greets", "unsure", "invented", "insists", "marked", "later", "lost", "stop"}
    # Answered at once; asked about; put in order first, or written in pieces.
    assert {len(turn.events) for turn in found.turns} == {1, 3, 4}
    assert found.left_out == {"recorded": 4, "superseded": 1}


@pytest.mark.parametrize(("then", "now"), [("2s", "0s"), ("0s", "2s"), ("0s", "0s")])
async def test_how_long_the_router_waits_changes_no_decision(
    tmp_path: Path, then: str, now: str
) -> None:
    async with day("sqlite", tmp_path, debounce=then) as pipeline:
        found = await recording(pipeline)

        again = replayed(found, another(pipeline, tmp_path, debounce=now))

    assert told(again) == []
    assert again.turns > 20


# --- other rules

CHANGES: list[tuple[str, str, list[str]]] = [
    (
        "De 8 a 18.",
        "De 9 a 18.",
        ["2 different: reply (hours) -> reply (hours)"],
    ),
    (
        (
            'then.escalate = { to = "legal", because = "amenaza legal", say = "Ya le escribe una'
            ' persona." }'
        ),
        'then.reply = { text = "Lo sentimos." }',
        ["1 less careful: escalate (legal) -> reply (legal)"],
    ),
    (
        (
            'when.text.starts_with = "buenas"\nthen.reply = { text = "Hola, {{ contact.name }}. Son'
            ' las {{ clock.time }}." }'
        ),
        'when.text.starts_with = "buenas"\nthen.escalate = { to = "legal", because = "saluda" }',
        ["1 more careful: reply (greets) -> escalate (greets)"],
    ),
    (
        "when.answer.confidence.below = 0.5",
        "when.answer.confidence.below = 0.95",
        ["4 more careful: reply ((default)) -> draft (unsure)"],
    ),
    (
        'when.text.words = "abogado"',
        'when.text.words = "juez"',
        [
            (
                "1 unknown: escalate (legal) -> "
                '"assistant" would be asked for an answer, and none is recorded'
            )
        ],
    ),
    (
        'then.tag = "factura"',
        'then.tag = "facturas"',
        ["1 different: draft ((default)) -> draft ((default))"],
    ),
    ("¿Seguimos?", "¿Hola?", ["1 different: reply (later) -> reply (later)"]),
    (
        'when.delivery.status = "failed"',
        'when.delivery.status = "read"',
        ["1 less careful: ticket (lost) -> ignore ((default))"],
    ),
    (
        'then.tag = "llamada"',
        'then.ticket = { queue = "legal", title = "Llamar" }',
        ["1 more careful: ignore ((default)) -> ticket (person-writes)"],
    ),
    (
        "when.history.repeats.10m.at_least = 1",
        "when.history.repeats.10m.at_least = 9",
        [
            (
                "1 unknown: ticket (insists) -> "
                '"assistant" would be asked for an answer, and none is recorded'
            )
        ],
    ),
    (
        'then.reply = { text = "De 8 a 18." }',
        (
            'then.reply = { text = "De 8 a 18." }\n\n[[rule]]\nid = "hola"\n'
            'when.text.starts_with = "hola"\nthen.reply = { text = "¡Hola!" }'
        ),
        [
            "1 stale: reply ((default)) -> the recorded answer is one to other messages",
        ],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES, ids=[new for _, new, _ in CHANGES])
async def test_what_a_change_of_the_rules_does_is_told_by_rule(
    lived_here: Pipeline, tmp_path: Path, old: str, new: str, expected: list[str]
) -> None:
    assert old in ALL
    found = await recording(lived_here)

    now = replayed(found, another(lived_here, tmp_path, rules=ALL.replace(old, new)))

    assert [line for line in told(now) if line not in expected] == []
    assert told(now) == expected


async def test_a_stricter_mode_holds_every_answer_of_a_model_back(
    lived_here: Pipeline, tmp_path: Path
) -> None:
    found = await recording(lived_here)

    now = replayed(
        found,
        another(
            lived_here,
            tmp_path,
            # Drafts beside a person would ask the model about more than was recorded.
            policy=('mode = "autopilot"', 'mode = "assisted"\nwhile_owned = "notify"'),
        ),
    )

    assert told(now) == ["4 more careful: reply ((default)) -> draft ((default))"]


# --- what a model was asked


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('type = "script"', 'type = "script"\nprompt = "told.md"'),
        ('then.redact = ["email"]', 'then.redact = ["email", "phone"]'),
        (
            "[category.BILLING]\nrisk",
            '[category.COMPLAINT]\nrisk = "low"\n\n[category.BILLING]\nrisk',
        ),
    ],
    ids=["other instructions", "other data kept from it", "other categories to choose from"],
)
async def test_answers_to_another_question_are_stale(
    lived_here: Pipeline, tmp_path: Path, old: str, new: str
) -> None:
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "told.md").write_text("Sé breve.", encoding="utf-8")
    found = await recording(lived_here)
    asked = sum(turn.decided.kind == "answer" for turn in found.turns)

    other = another(lived_here, tmp_path, policy=(old, new), rules=ALL.replace(old, new))
    now = replayed(found, other)

    assert now.totals == {Verdict.STALE: asked, Verdict.SAME: len(found.turns) - asked}
    assert asked > 8


# --- what the record does not hold


async def test_what_was_not_recorded_is_said_not_guessed(
    lived_here: Pipeline, tmp_path: Path
) -> None:
    found = await recording(lived_here)
    turn = next(each for each in found.turns if len(each.events) == 4)
    first = turn.events[0]
    before: dict[str, Any] = dict(first.before or {})
    known = next(each for each in found.turns if (each.decided.before or {}).get("conversation"))
    forgotten = {k: v for k, v in (known.decided.before or {}).items() if k != "remembers"}
    cases = {
        "it was recorded without the state of its conversation": replace(
            turn, events=(replace(first, before=None), *turn.events[1:])
        ),
        "a message of the turn is not kept any more": replace(turn, lines={}),
        "the recorded state of its conversation cannot be read: "
        "unsupported type for timedelta microseconds component: str": replace(
            turn, events=(replace(first, before={"at": "noon"}), *turn.events[1:])
        ),
        "the rules count what was said before, which was not recorded": replace(
            known, events=(replace(known.decided, before=forgotten),)
        ),
        'the configuration has no tenant "acme"': replace(turn, tenant="acme"),
    }
    assert before
    replayer = Replayer(another(lived_here, tmp_path))

    said = {why: replayer.replay(case) for why, case in cases.items()}

    assert {why: each.because for why, each in said.items()} == {why: why for why in cases}
    assert {each.doubt for each in said.values()} == {"unknown"}


async def test_grounds_that_nobody_weighed_then_are_unknown_now(tmp_path: Path) -> None:
    found = await _ungrounded(tmp_path)

    assert found == {"the rules look at answer.prices, which was not recorded"}


async def _ungrounded(folder: Path) -> set[str]:
    async with day("sqlite", folder) as pipeline:
        found = await recording(pipeline)
        replayer = Replayer(another(pipeline, folder))
        answers = [turn for turn in found.turns if turn.decided.kind == "answer"]
        because = set()
        for turn in answers:
            payload = json.loads(turn.decided.payload)
            if payload.pop("grounds", None) is not None:
                event = replace(turn.decided, payload=json.dumps(payload))
                without = replace(turn, events=(*turn.events[:-1], event))
                because.add(replayer.replay(without).because)
        return because


# --- reading


async def test_a_recording_is_of_a_time_a_tenant_and_so_many(lived: Pipeline) -> None:
    whole = await recording(lived)
    middle = whole.turns[10].decided.received_at
    last = whole.turns[-1].decided.received_at + timedelta(seconds=1)

    async def read(tenants: list[str], **chosen: Any) -> Recording:
        chosen = {"limit": 1000, **chosen}
        return await lived.engine.store.read(lambda it: recorded(it, tenants, **chosen))

    earlier = await read(["main"], until=middle)
    later = await read(["main"], since=middle)
    newest = await read(["main"], limit=3)

    assert earlier.turns + later.turns == whole.turns
    assert [turn.decided.received_at < middle for turn in earlier.turns] == [True] * 10
    assert later.turns[0].decided.received_at == middle
    assert (newest.turns, newest.more) == (whole.turns[-3:], True)
    assert (whole.more, later.more) == (False, False)
    assert (await read(["main"], since=last)).turns == ()
    assert (await read(["acme"])).turns == ()


# --- sharing


async def test_an_exported_recording_decides_as_the_real_one(
    lived: Pipeline, tmp_path: Path
) -> None:
    found = await recording(lived)
    write(found, tmp_path / "shared.jsonl")

    shared = load(tmp_path / "shared.jsonl")
    again = replayed(shared, another(lived, tmp_path))

    assert told(again) == []
    assert (again.turns, shared.left_out) == (len(found.turns), found.left_out)


async def test_an_exported_recording_says_nothing_of_who_it_was(
    lived_here: Pipeline, tmp_path: Path
) -> None:
    found = await recording(lived_here)
    write(found, tmp_path / "one.jsonl")
    write(found, tmp_path / "two.jsonl")

    text = (tmp_path / "one.jsonl").read_text(encoding="utf-8")

    private = ["3001234567", "3009876543", "5512345678", "4711", "Ana", "Gómez", "luis@", "Eva"]
    assert [word for word in private if word in text] == []
    # People stay apart, and telephones in their countries.
    people = {turn.decided.ref.lane for turn in load(tmp_path / "one.jsonl").turns}
    assert people == {
        "main/tel:+570000000001",
        "main/tel:+570000000002",
        "main/tel:+520000000003",
        "main/telegram:person-4",
    }
    assert (tmp_path / "two.jsonl").read_text(encoding="utf-8") == text


async def test_what_was_masked_and_is_decided_otherwise_is_in_doubt(
    lived_here: Pipeline, tmp_path: Path
) -> None:
    found = await recording(lived_here)
    write(found, tmp_path / "shared.jsonl")
    rules = ALL.replace(
        'id = "legal"',
        'id = "mail"\nwhen.pii.any_of = ["email"]\n'
        'then.reply = { text = "Escríbanos." }\n\n[[rule]]\nid = "legal"',
    )
    other = another(lived_here, tmp_path, rules=rules)

    assert told(replayed(found, other)) == ["1 less careful: ticket (invented) -> reply (mail)"]
    assert told(replayed(load(tmp_path / "shared.jsonl"), other)) == [
        (
            "1 unknown: ticket (invented) -> "
            "personal data was taken out of the recording, and it is decided otherwise"
        )
    ]
