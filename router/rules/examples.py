"""``[[example]]``: what comes in and what is expected of it, read and run.

An example goes through exactly what a customer's message goes through.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from router.domain.answer import Completion
from router.domain.decision import Decision
from router.domain.identity import Address
from router.rules.decide import conclude
from router.rules.engine import Reading, read
from router.rules.facts import Facts
from router.rules.fields import DELIVERIES, KINDS, OWNERS, WEEKDAYS
from router.rules.model import Example, RuleSet
from router.rules.policy import Policy
from router.rules.source import Source, parse_duration
from router.rules.text import fold, squeeze
from router.rules.trace import Trace, cut
from router.toml import KeyPath, Problem

_KEYS = ("say", "event", "as", "channel", "at", "owner", "history", "answer", "expect")
_EVENT = ("kind", "text", "attachments", "status", "code")
_AS = ("name", "language", "tag", "opted_out", "address", "attribute")
_SPOKEN = ("customer", "bot", "person")
_ANSWER = ("text", "confidence", "category", "cites")
_EXPECT = ("rule", "decision", "category", "tag", "reply")
#: ``answer`` and ``classify``: a model is asked, and the example does not say what it answers.
_DECISIONS = ("ignore", "reply", "draft", "ticket", "escalate", "answer", "classify")

#: When examples happen that do not say when: a Wednesday morning.
_MOMENT = datetime(2026, 1, 14, 10, 0)  # noqa: DTZ001  the business's own clock
_ADDRESS = "tel:+573001234567"


# Reading ──────────────────────────────────────────────────────────────────────────────────────


def read_example(source: Source, path: KeyPath, table: dict[str, Any]) -> Example | None:
    """Read one example; ``None`` after noting what keeps it from being run."""
    before = len(source.problems)
    source.table(path, table, _KEYS, "an example")
    if ("say" in table) is ("event" in table):
        source.problem(
            path, "an example has either say or event", 'Write say = "…" for what a customer says.'
        )
    if table.get("expect", {}) == {}:
        source.problem(path, "this example expects nothing", "Add expect = { decision = … }.")
    facts: dict[str, object] = {}
    if "say" in table:
        facts["text"] = source.string((*path, "say"), table["say"]) or ""
    if "event" in table:
        facts |= _event(source, (*path, "event"), table["event"])
    facts |= _history(source, (*path, "history"), table.get("history", []), facts)
    if "as" in table:
        facts |= _contact(source, (*path, "as"), table["as"])
    if "channel" in table:
        channels = source.known.names.channels
        here = (*path, "channel")
        if (name := source.string(here, table["channel"])) and name not in channels:
            source.unknown(here, "channel", name, channels, "router.toml")
        facts["channel"] = name
    if "at" in table:
        facts |= _moment(source, (*path, "at"), table["at"])
    if "owner" in table:
        facts["conversation.owner"] = source.choice(
            (*path, "owner"), table["owner"], OWNERS, "owner"
        )
    answer = _answer(source, (*path, "answer"), table["answer"]) if "answer" in table else None
    expect = _expect(source, (*path, "expect"), table.get("expect", {}))
    if len(source.problems) > before:
        return None
    return Example(facts=facts, answer=answer, expect=expect, place=source.place(path))


def _event(source: Source, path: KeyPath, value: object) -> dict[str, object]:
    table = source.table(path, value, _EVENT, "an event") or {}
    kind = "message"
    if "kind" in table:
        kind = source.choice((*path, "kind"), table["kind"], KINDS, "kind of event") or kind
    facts: dict[str, object] = {"event.kind": kind}
    if kind != "delivery":
        facts["text"] = ""
    if "text" in table:
        facts["text"] = source.string((*path, "text"), table["text"])
    if "attachments" in table:
        kinds = source.strings((*path, "attachments"), table["attachments"]) or []
        facts |= {"attachments": len(kinds), "attachments.kind": frozenset(kinds)}
    if "status" in table:
        facts["delivery.status"] = source.choice(
            (*path, "status"), table["status"], DELIVERIES, "delivery status"
        )
    if "code" in table:
        facts["delivery.code"] = source.string((*path, "code"), table["code"])
    return facts


def _history(
    source: Source, path: KeyPath, value: object, facts: Mapping[str, object]
) -> dict[str, object]:
    """Read what was said before: texts of the customer, or who said them."""
    if not isinstance(value, list):
        source.wrong(path, "history", "a list", value)
        return {}
    open_turn: list[str] = []
    found: dict[str, object] = {"contact.new": not value}
    bot_turns = 0
    for index, each in enumerate(value):
        here = (*path, index)
        table = {"customer": each} if isinstance(each, str) else each
        table = source.table(here, table, (*_SPOKEN, "ago"), "what was said")
        if table is None:
            continue
        who = [key for key in _SPOKEN if key in table]
        if len(who) != 1:
            source.problem(here, "one of customer, bot and person said it", "Name who.")
            continue
        said = source.string((*here, who[0]), table[who[0]]) or ""
        if who[0] == "customer":
            open_turn.append(said)
            continue
        open_turn = []
        bot_turns = bot_turns + 1 if who[0] == "bot" else 0
        if who[0] == "person" and "ago" in table:
            ago = table["ago"]
            since = parse_duration(ago) if isinstance(ago, str) else None
            if since is None:
                source.wrong((*here, "ago"), "ago", 'a duration such as "2h"', ago)
            found["conversation.since_human"] = since
    if facts.get("event.kind", "message") == "message":
        turn = [*open_turn, str(facts.get("text") or "")]
        found |= {"turn.text": "\n".join(turn).strip(), "turn.messages": len(turn)}
    return {**found, "conversation.bot_turns": bot_turns}


def _contact(source: Source, path: KeyPath, value: object) -> dict[str, object]:
    """Read who writes: an address, or a table of what is known of the contact."""
    if isinstance(value, str):
        return _address(source, path, value)
    table = source.table(path, value, _AS, "as") or {}
    facts: dict[str, object] = {}
    if "name" in table:
        facts["contact.name"] = source.string((*path, "name"), table["name"])
    if "language" in table:
        tag = source.language((*path, "language"), table["language"])
        facts |= {"contact.language": tag, "language": tag}
    if "tag" in table:
        tags = source.strings((*path, "tag"), table["tag"])
        facts["contact.tag"] = frozenset(tags or ())
    if "opted_out" in table:
        facts["contact.opted_out"] = source.flag((*path, "opted_out"), table["opted_out"])
    if "address" in table:
        text = source.string((*path, "address"), table["address"])
        facts |= _address(source, (*path, "address"), text or _ADDRESS)
    attributes = table.get("attribute", {})
    if isinstance(attributes, dict):
        for name, each in attributes.items():
            text = source.string((*path, "attribute", name), each)
            facts[f"contact.attribute.{name}"] = text
    else:
        source.wrong((*path, "attribute"), "attribute", "a table", attributes)
    return facts


def _address(source: Source, path: KeyPath, text: str) -> dict[str, object]:
    try:
        return {"contact.address": str(Address.from_text(text))}
    except ValueError:
        remedy = "Write scheme:value, such as tel:+573001234567."
        source.problem(path, f'"{text}" is not an address', remedy, part="value")
        return {}


def _moment(source: Source, path: KeyPath, value: object) -> dict[str, object]:
    """Read when it happens: a TOML date-time or time, ``"22:30"``, ``"sat 22:30"``."""
    moment: datetime | None = None
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, time):
        moment = datetime.combine(_MOMENT.date(), value)
    elif isinstance(value, str):
        day, _, clock = value.rpartition(" ")
        try:
            at = time.fromisoformat(clock)
            on = _weekday(day) if day else _MOMENT.date()
            moment = datetime.combine(on, at)
        except ValueError:
            moment = None
    if moment is None:
        source.problem(
            path,
            "this is no moment",
            'Write "22:30", "sat 22:30" or 2026-12-24T22:30:00.',
            part="value",
        )
        return {}
    return _clock(moment)


def _weekday(text: str) -> date:
    if text in WEEKDAYS:
        # The week of the usual moment, Monday first.
        return date(2026, 1, 12 + WEEKDAYS.index(text))
    return date.fromisoformat(text)


def _clock(moment: datetime) -> dict[str, object]:
    return {
        "clock.time": moment.time(),
        "clock.date": moment.date(),
        "clock.weekday": WEEKDAYS[moment.weekday()],
    }


def _answer(source: Source, path: KeyPath, value: object) -> Mapping[str, Any]:
    """Read what the backend answers: a text, or a table with confidence and the like."""
    if isinstance(value, str):
        return {"text": value}
    table = source.table(path, value, _ANSWER, "answer") or {}
    found: dict[str, Any] = {"text": ""}
    if "text" in table:
        text = table["text"]
        if isinstance(text, str):
            found["text"] = text
        else:
            source.wrong((*path, "text"), "text", "a text", text)
    if "confidence" in table:
        confidence = table["confidence"]
        if isinstance(confidence, int | float) and not isinstance(confidence, bool):
            found["confidence"] = float(confidence)
        else:
            source.wrong((*path, "confidence"), "confidence", "a number", confidence)
    if "category" in table:
        found["category"] = source.string((*path, "category"), table["category"])
    if "cites" in table:
        found["citations"] = tuple(source.strings((*path, "cites"), table["cites"]) or ())
    return found


def _expect(source: Source, path: KeyPath, value: object) -> Mapping[str, Any]:
    table = source.table(path, value, _EXPECT, "expect") or {}
    found: dict[str, Any] = {}
    if "rule" in table:
        found["rule"] = source.string((*path, "rule"), table["rule"])
    if "decision" in table:
        found["decision"] = source.choice(
            (*path, "decision"), table["decision"], _DECISIONS, "decision"
        )
    if "category" in table:
        found["category"] = source.category((*path, "category"), table["category"])
    if "tag" in table:
        found["tag"] = frozenset(source.strings((*path, "tag"), table["tag"]) or ())
    if "reply" in table:
        found["reply"] = source.string((*path, "reply"), table["reply"])
    return found


# Running ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What an example came to.

    :param rules: the ids of everything that matched, ``default`` among them.
    :param decision: an outcome's word, or ``answer`` or ``classify`` where a model is asked.
    :param texts: what the customer is told, and what waits as a draft.
    """

    rules: tuple[str, ...]
    decision: str
    category: str | None
    tags: frozenset[str]
    texts: tuple[str, ...]
    trace: Trace


def run_examples(rules: RuleSet, policy: Policy) -> list[Problem]:
    """Run every example; each one that fails is a problem at the expectation that failed."""
    problems: list[Problem] = []
    for example in rules.examples:
        problems += check_example(example, rules, policy)
    return problems


def check_example(example: Example, rules: RuleSet, policy: Policy) -> list[Problem]:
    """Run one example, and give what is not as expected."""
    seen = run_example(example, rules, policy)
    expect = example.expect
    wrong: list[tuple[str, str, str]] = []
    if "rule" in expect and expect["rule"] not in seen.rules:
        wrong.append(("rule", f'"{expect["rule"]}"', ", ".join(seen.rules) or "no rule"))
    if "decision" in expect and expect["decision"] != seen.decision:
        by = f" by {seen.rules[-1]}" if seen.rules else ""
        wrong.append(("decision", f'"{expect["decision"]}"', f'"{seen.decision}"{by}'))
    if "category" in expect and expect["category"] != seen.category:
        wrong.append(("category", f'"{expect["category"]}"', seen.category or "none"))
    if "tag" in expect and not expect["tag"] <= seen.tags:
        expected = ", ".join(sorted(expect["tag"]))
        wrong.append(("tag", expected, ", ".join(sorted(seen.tags)) or "no tag"))
    if "reply" in expect:
        part = squeeze(fold(expect["reply"]))
        if not any(part in squeeze(fold(text)) for text in seen.texts):
            said = " / ".join(cut(text) for text in seen.texts) or "nothing"
            wrong.append(("reply", f'"{expect["reply"]}"', said))
    return [
        example.place.problem(
            f"the example fails: {key} should be {wanted}, and is {found}",
            "`router rules explain` shows why.",
            below=("expect", key),
            part="value",
        )
        for key, wanted, found in wrong
    ]


def run_example(example: Example, rules: RuleSet, policy: Policy) -> Seen:
    """Read the rules about an example, and decide about its answer if it has one."""
    facts = Facts(
        {
            "event.kind": "message",
            "attachments": 0,
            "attachments.kind": frozenset(),
            "contact.tag": frozenset(),
            "contact.opted_out": False,
            "contact.address": _ADDRESS,
            "conversation.owner": "bot",
            "conversation.status": "active",
            "conversation.tag": frozenset(),
            "conversation.open_ticket": False,
            "tenant": "main",
            "language": policy.language,
            **_clock(_MOMENT),
            **example.facts,
        }
    )
    reading = read(rules, policy, facts)
    answer = example.answer
    if reading.ask is not None and reading.ask.classify and answer and answer.get("category"):
        facts = facts.with_(
            {"ai.category": answer["category"], "ai.confidence": answer.get("confidence")}
        )
        reading = read(rules, policy, facts)
    if reading.ask is not None and not reading.ask.classify and answer is not None:
        conclusion = conclude(rules, policy, facts, reading, Completion(**answer))
        return _seen(conclusion.trace, conclusion.decision, None)
    return _seen(reading.trace, reading.decision, reading)


def _seen(trace: Trace, decision: Decision | None, reading: Reading | None) -> Seen:
    matched = [
        entry[0]
        for part in ("input", "triage", "guards")
        for entry in trace.get(part, ())
        if entry[1] == "+"
    ]
    if trace.get("default"):
        matched.append("default")
    if decision is None:
        assert reading is not None and reading.ask is not None  # noqa: S101, PT018
        return Seen(
            rules=tuple(matched),
            decision="classify" if reading.ask.classify else "answer",
            category=reading.category,
            tags=reading.added.tags,
            texts=(),
            trace=trace,
        )
    draft = (decision.draft.text,) if decision.draft else ()
    return Seen(
        rules=tuple(matched),
        decision=decision.outcome.word,
        category=decision.category,
        tags=decision.tags,
        texts=(*(reply.text for reply in decision.replies), *draft),
        trace=trace,
    )
