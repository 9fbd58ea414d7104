"""What comes in, as examples and suites state it: a message or another event, who, when, where."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from router.domain.identity import Address
from router.errors import Refusal
from router.rules import recall
from router.rules.durations import parse_duration
from router.rules.facts import Facts
from router.rules.fields import DELIVERIES, KINDS, OWNERS, WEEKDAYS
from router.rules.language import turn_language
from router.rules.policy import Policy
from router.rules.recall import BOT, CUSTOMER, History, Said
from router.rules.source import Source
from router.rules.suites.given import Given
from router.toml import KeyPath

#: What examples, and the cases of suites, say of what comes in.
INPUTS = ("say", "event", "as", "channel", "at", "owner", "history", "answer")
_EVENT = (
    "kind",
    "text",
    "attachments",
    "transcribed",
    "status",
    "code",
    "reason",
    "why",
    "metadata",
    "call",
)
_CALLS = ("call.ended", "call.failed")
_AS = ("name", "language", "tag", "opted_out", "address", "attribute")
_SPOKEN = ("customer", "bot", "person")
_ANSWER = ("text", "confidence", "category", "cites", "sources")

#: When examples happen that do not say when: a Wednesday morning.
_MOMENT = datetime(2026, 1, 14, 10, 0)  # noqa: DTZ001  the business's own clock
_NOW = _MOMENT.replace(tzinfo=UTC)
_ADDRESS = "tel:+573001234567"
#: Where what was said before lies among the facts that an example states.
_HISTORY = "history"


def example_facts(stated: Mapping[str, object], policy: Policy) -> Facts:
    """Give the facts of an example: those that it states, and the usual ones.

    The language is the one stated, else what the text tells, else the policy's.
    """
    text = str(stated.get("turn.text") or stated.get("text") or "")
    language, _ = turn_language(text, conversation=None, contact=None, default=policy.language)
    history = stated.get(_HISTORY)
    return Facts(
        {
            "event.kind": "message",
            "attachments": 0,
            "attachments.kind": frozenset(),
            "attachments.transcribed": False,
            "contact.tag": frozenset(),
            "contact.opted_out": False,
            "contact.address": _ADDRESS,
            "conversation.owner": "bot",
            "conversation.status": "active",
            "conversation.snoozed": False,
            "conversation.window_open": True,
            "conversation.tag": frozenset(),
            "conversation.open_ticket": False,
            "tenant": "main",
            "language": language,
            **_clock(_MOMENT),
            **{path: value for path, value in stated.items() if path != _HISTORY},
        },
        history if isinstance(history, History) else None,
    )


def read_inputs(
    source: Source, path: KeyPath, table: Mapping[str, Any]
) -> tuple[dict[str, object], Mapping[str, Any] | None]:
    """Read what comes in: the facts that are stated, and what the backend answers, if anything.

    Other keys of the table than :data:`INPUTS` are not looked at; mistakes are noted.
    """
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
    return facts, answer


def _event(source: Source, path: KeyPath, value: object) -> dict[str, object]:
    table = source.table(path, value, _EVENT, "an event") or {}
    kind = "message"
    if "kind" in table:
        kind = source.choice((*path, "kind"), table["kind"], KINDS, "kind of event") or kind
    facts: dict[str, object] = {"event.kind": kind}
    if kind in {"message", "echo"}:
        facts["text"] = ""
    if "text" in table:
        facts["text"] = source.string((*path, "text"), table["text"])
    if "attachments" in table:
        kinds = source.strings((*path, "attachments"), table["attachments"]) or []
        facts |= {"attachments": len(kinds), "attachments.kind": frozenset(kinds)}
    if "transcribed" in table:
        facts["attachments.transcribed"] = source.flag((*path, "transcribed"), table["transcribed"])
    if "metadata" in table:
        facts |= _named(source, (*path, "metadata"), table["metadata"], "event.metadata")
    if "status" in table:
        facts["delivery.status"] = source.choice(
            (*path, "status"), table["status"], DELIVERIES, "delivery status"
        )
    if "code" in table:
        facts["delivery.code"] = source.string((*path, "code"), table["code"])
    if "reason" in table:
        facts["delivery.reason"] = source.string((*path, "reason"), table["reason"])
    if "call" in table or kind in _CALLS:
        facts |= _call(source, (*path, "call"), table.get("call", {}), kind)
    if "why" in table:
        facts["delivery.why"] = source.choice(
            (*path, "why"), table["why"], tuple(Refusal), "reason of a failure"
        )
    return facts


def _call(source: Source, path: KeyPath, value: object, kind: str) -> dict[str, object]:
    """Read what is known of a call: any of the fields ``call.*``, without that word."""
    if kind not in _CALLS:
        message = f"a {kind} event has no call"
        source.problem(path, message, 'Add kind = "call.ended".')
        return {}
    stated = Given(source, kind).read(path[:-1], {"call": value})
    usual: dict[str, object] = {
        "call.id": "call-1",
        "call.direction": "outbound",
        "call.origin": "provider",
    }
    if kind == "call.ended":
        usual |= {"call.outcome": "unknown", "call.recorded": False}
    return {**usual, **stated}


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
    lines: list[Said] = []
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
        # What does not say when was said a minute before what follows.
        since = timedelta(minutes=len(value) - index)
        if "ago" in table:
            since = _ago(source, (*here, "ago"), table["ago"]) or since
        if who[0] != "person":
            speaker = CUSTOMER if who[0] == "customer" else BOT
            lines.append(recall.said(speaker, said, _NOW - since))
        if who[0] == "customer":
            found["conversation.since_customer"] = since
            open_turn.append(said)
            continue
        open_turn = []
        bot_turns = bot_turns + 1 if who[0] == "bot" else 0
        if who[0] == "person" and "ago" in table:
            found["conversation.since_human"] = since
    if facts.get("event.kind", "message") == "message":
        turn = [*open_turn, str(facts.get("text") or "")]
        found |= {"turn.text": "\n".join(turn).strip(), "turn.messages": len(turn)}
        lines.append(recall.said(CUSTOMER, str(facts.get("text") or ""), _NOW))
    found |= {"conversation.new": not value, _HISTORY: History(tuple(lines), _NOW)}
    return {**found, "conversation.bot_turns": bot_turns}


def _ago(source: Source, path: KeyPath, value: object) -> timedelta | None:
    since = parse_duration(value) if isinstance(value, str) else None
    if since is None:
        source.wrong(path, "ago", 'a duration such as "2h"', value)
    return since


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
    if "attribute" in table:
        here = (*path, "attribute")
        facts |= _named(source, here, table["attribute"], "contact.attribute")
    return facts


def _named(source: Source, path: KeyPath, value: object, stem: str) -> dict[str, object]:
    """Read texts by name."""
    if not isinstance(value, dict):
        source.wrong(path, str(path[-1]), "a table", value)
        return {}
    return {f"{stem}.{name}": source.string((*path, name), each) for name, each in value.items()}


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
    if "sources" in table:
        found["sources"] = tuple(source.strings((*path, "sources"), table["sources"]) or ())
    return found
