"""The trace of a reading: what was known, what was looked at, and what stopped it.

A trace is a dictionary of JSON values, kept with every decision: it is small, and the same facts
and rules always give the same one. ``explain.py`` turns it into words.

==========  ======================================================================================
``rules``   the beginning of the hash of the rules
``facts``   the values that rules could look at, long texts cut
``input``   input guardrails, each an entry
``triage``  rules in reading order, each an entry
``unread``  how many rules came after the one that decided
``near``    the nearest miss: id, conditions that failed, how many held
``default`` true where no rule decided
``asked``   what a model was asked for, and which
``using``   the instructions and articles that a rule chose for it
``redact``  kinds of personal data that the model was not shown
``conditions``  by rule, each of its conditions: text, whether it held, what it saw; only where
            that was asked for
``guards``  answer guardrails, each an entry
``raised``  who made the outcome more careful, from what, to what
``steps``   what mode, ownership and the like made of it, in words
``decision``  what came out
==========  ======================================================================================

An entry is ``[id, "+", [effects], [[condition, [fields], {values}]]]`` for what matched (its
conditions only where it has any), ``[id, "-", condition, [fields], {values}]`` for what failed (the
values only where they are not those of ``facts``), ``[id, "s", what]`` for what was skipped,
``what`` being ``kind``, ``channel`` or ``language``, and ``[id, "!", error]`` for a guardrail that
could not be asked.

What is stored, :func:`packed`, begins with what is always the same, compressed once: the entries of
rules that no phrase was there for, and those of guardrails that did not hold. Behind it, the texts
of their conditions are numbers. :func:`unpacked` gives every trace back as it was.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, TypeAlias

from pydantic_core import PydanticSerializationError, to_json

from router.domain.decision import Decision, Reply
from router.rules.conditions import Condition
from router.rules.durations import duration_text
from router.rules.facts import MISSING, Facts
from router.rules.index import Entries
from router.rules.model import CHANGING, Guardrail, Rule, RuleSet

Trace: TypeAlias = dict[str, Any]
Entry: TypeAlias = list[Any]

_encoder = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), default=str, check_circular=False
)
#: A stream that any reader of zlib takes; 0x7801 says that its window is the usual one.
_HEADER = b"\x78\x01"

#: Up to so many bytes a piece is stored as it is. To compress it would save some hundred of them,
#: but zlib lets go of Python's lock, and under load the event loop then waits to get it back.
_SHORT = 1024

#: Longest text that a trace keeps whole, in characters.
LONGEST = 300

#: What a decision's values keep as it is, where it is there.
_PLAIN = ("rule", "category", "risk", "priority", "language")
_ALWAYS = ("event.kind", "text", "conversation.owner", "tenant", "channel", "language")
_ANSWER = ("answer.text", "answer.confidence", "answer.category", "answer.cites")


def cut(text: str) -> str:
    """Give a text, its end left out where it is long."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def plain(value: object) -> Any:
    """Give a fact as JSON."""
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, timedelta):
        return duration_text(timedelta(seconds=round(value.total_seconds())))
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Iterable):
        return sorted(cut(str(each)) for each in value)
    return cut(str(value))


def begin(rules: RuleSet, facts: Facts) -> Trace:
    """Begin a trace with what is known."""
    return {"rules": rules.hash[:12], "facts": values(_paths(rules.fields), facts)}


@lru_cache(maxsize=64)
def _paths(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*_ALWAYS, *fields)))


def add_answer(trace: Trace, rules: RuleSet, facts: Facts) -> None:
    """Add what the rules could look at once an answer was there."""
    paths = dict.fromkeys((*_ANSWER, *(p for p in rules.fields if p.startswith("answer."))))
    trace["facts"] = {**trace["facts"], **values(paths, facts)}


def values(paths: Iterable[str], facts: Facts) -> dict[str, Any]:
    """Give the values that are there."""
    known = facts.values
    return {path: plain(known[path]) for path in paths if path in known}


def matched(what: Rule | Guardrail, facts: Facts) -> Entry:
    """Give the entry of what matched."""
    entry: Entry = [what.id, "+", [cut(each) for each in what.summary]]
    if what.conditions:
        entry.append([_seen(condition, facts) for condition in what.conditions])
    return entry


def broken(what: Guardrail, error: Exception) -> Entry:
    """Give the entry of a guardrail that could not be asked, and therefore holds."""
    return [what.id, "!", cut(f"{type(error).__name__}: {error}")]


def examined(what: Rule | Guardrail, facts: Facts) -> list[list[Any]]:
    """Give each condition of a rule: as it is stated, whether it holds, and what it sees."""
    return [
        [each.text, each.test(facts), {path: _value(path, facts) for path in each.fields}]
        for each in what.conditions
    ]


def _value(path: str, facts: Facts) -> Any:
    """Give a fact as JSON; ``None`` where it is not there."""
    value = facts.get(path)
    return None if value is MISSING else plain(value)


def _seen(condition: Condition, facts: Facts) -> list[Any]:
    seen: list[Any] = [condition.text, list(condition.fields)]
    if not CHANGING.isdisjoint(condition.fields):
        seen.append(values(CHANGING.intersection(condition.fields), facts))
    return seen


def skipped(what: Rule | Guardrail, reason: str) -> Entry:
    """Give the entry of what was not for this event."""
    return [what.id, "s", reason]


def failed(what: Rule | Guardrail, condition: Condition, facts: Facts) -> Entry:
    """Give the entry of what a condition stopped."""
    return [what.id, "-", *_seen(condition, facts)]


def decision_values(decision: Decision) -> Mapping[str, Any]:
    """Give what came out as JSON, empty things left out."""
    found: dict[str, Any] = {"outcome": decision.outcome.word, "because": decision.because}
    for name in _PLAIN:
        if (value := getattr(decision, name)) is not None:
            found[name] = value
    if decision.replies:
        found |= _said(decision.replies)
    if decision.tags:
        found["tag"] = sorted(decision.tags)
    if decision.untags:
        found["untag"] = sorted(decision.untags)
    if decision.actions:
        found["run"] = [action.action for action in decision.actions]
    if decision.opted_out is not None:
        found["opted_out"] = decision.opted_out
    if decision.snooze is not None:
        found["snooze"] = plain(decision.snooze)
    if decision.channel is not None:
        found["channel"] = decision.channel
    if decision.sources:
        found["sources"] = list(decision.sources)
    found |= _for_people(decision)
    for whose in ("contact", "conversation"):
        if attributes := getattr(decision, f"{whose}_attributes"):
            stated = found.setdefault("set", {})
            stated |= {f"{whose}.attribute.{k}": cut(v) for k, v in attributes.items()}
    return found


def _said(replies: Sequence[Reply]) -> dict[str, list[Any]]:
    """Give what is said as JSON, empty things left out."""
    found: dict[str, list[Any]] = {
        "say": [cut(reply.text) for reply in replies],
        "template": [reply.template.ref for reply in replies if reply.template],
        "otherwise": [
            it.otherwise.template.ref for it in replies if it.otherwise and it.otherwise.template
        ],
        "variant": [reply.variant for reply in replies if reply.variant],
        "media": [file.url for reply in replies for file in reply.media],
    }
    return {name: each for name, each in found.items() if each}


def _for_people(decision: Decision) -> dict[str, Any]:
    """Give what waits for a person as JSON."""
    found: dict[str, Any] = {}
    if decision.draft is not None:
        found["draft"] = {"text": cut(decision.draft.text), "because": decision.draft.because}
    if decision.ticket is not None:
        ticket = decision.ticket
        found["ticket"] = {"queue": ticket.queue, "title": cut(ticket.title)}
        found["ticket"]["priority"] = ticket.priority
    if decision.escalation is not None:
        found["escalate"] = {"to": decision.escalation.to, "because": decision.escalation.because}
    return found


# As it is stored ──────────────────────────────────────────────────────────────────────────────


def packed(trace: Mapping[str, Any]) -> bytes:
    """Give a trace as it is stored, a stream of zlib; :func:`unpacked` reads it back."""
    entries = trace.get("triage")
    if not isinstance(entries, Entries) or 2 * len(entries) < len(entries.shared.usual):
        text = _encoded(trace)
        return _HEADER + _last(text) + _checksum(text)
    index = entries.shared
    if index.packed is None:
        ready = b'{"ready":%s,' % _encoded(index.ready)
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        # Ends on a whole byte, so that any other piece can follow.
        start = packer.compress(ready) + packer.flush(zlib.Z_FULL_FLUSH)
        index.packed = zlib.adler32(ready), start
    checksum, start = index.packed
    length, texts = len(entries), index.texts
    changed = [[at, _reworded(entries[at], texts)] for at in entries.changed if at < length]
    asked = [_reworded(entry, texts) for entry in trace["input"]]
    text = _encoded({**trace, "input": asked, "triage": [length, changed]})[1:]
    return _HEADER + start + _last(text) + _checksum(text, checksum)


def unpacked(data: bytes) -> Trace:
    """Read a stored trace.

    :raises ValueError: if it is none.
    """
    try:
        trace: Trace = json.loads(zlib.decompress(data))
    except zlib.error as error:
        raise ValueError(str(error)) from None
    ready: Sequence[Entry] | None = trace.pop("ready", None)
    if ready is not None:
        length, changed = trace["triage"]
        entries = [*ready[:length]]
        texts = {number: entry[2] for number, entry in enumerate(ready) if entry[1:2] == ["-"]}
        for number, entry in changed:
            entries[number] = _reworded(entry, texts)
        trace["triage"] = entries
        trace["input"] = [_reworded(entry, texts) for entry in trace["input"]]
    return trace


def _reworded(entry: Entry, words: Mapping[Any, Any]) -> Entry:
    """Give an entry with other words for the texts of its conditions, where there are any."""
    if entry[1] == "-":
        return [entry[0], "-", words.get(entry[2], entry[2]), *entry[3:]]
    if entry[1] == "+" and len(entry) > 3:
        seen = [[words.get(each[0], each[0]), *each[1:]] for each in entry[3]]
        return [*entry[:3], seen]
    return entry


def _encoded(value: object) -> bytes:
    """Give compact JSON."""
    try:
        return to_json(value, fallback=str)
    except PydanticSerializationError:
        # Half a character, which is no text: the other writer takes it, at twice the time.
        return _encoder.encode(value).encode("utf-8", "replace")


def _last(text: bytes) -> bytes:
    """Give the last piece of a stream."""
    if len(text) <= _SHORT:
        size = len(text)
        return b"\x01" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + text
    # A small window and little memory: setting up the usual 256 kB takes longer than the work.
    packer = zlib.compressobj(1, zlib.DEFLATED, -11, 4)
    return packer.compress(text) + packer.flush()


def _checksum(text: bytes, before: int = 1) -> bytes:
    """Give the checksum of a stream that ends with this text, from that of what came before."""
    return zlib.adler32(text, before).to_bytes(4, "big")
