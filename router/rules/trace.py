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
``guards``  answer guardrails, each an entry
``steps``   what mode, ownership and the like made of it, in words
``decision``  what came out
==========  ======================================================================================

An entry is ``[id, "+", [effects]]`` for what matched, ``[id, "-", condition, [fields], {values}]``
for what failed (the values only where they are not those of ``facts``), ``[id, "s", what]`` for
what was skipped, ``what`` being ``kind``, ``channel`` or ``language``.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias

from router.domain.decision import Decision
from router.rules.conditions import Condition, duration_text
from router.rules.facts import MISSING, Facts
from router.rules.model import CHANGING, Guardrail, Rule, RuleSet

Trace: TypeAlias = dict[str, Any]
Entry: TypeAlias = list[Any]

#: Longest text that a trace keeps whole, in characters.
LONGEST = 300

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
    paths = dict.fromkeys((*_ALWAYS, *rules.fields))
    return {"rules": rules.hash[:12], "facts": values(paths, facts)}


def add_answer(trace: Trace, rules: RuleSet, facts: Facts) -> None:
    """Add what the rules could look at once an answer was there."""
    paths = dict.fromkeys((*_ANSWER, *(p for p in rules.fields if p.startswith("answer."))))
    trace["facts"] = {**trace["facts"], **values(paths, facts)}


def values(paths: Iterable[str], facts: Facts) -> dict[str, Any]:
    """Give the values that are there."""
    return {path: plain(v) for path in paths if (v := facts.get(path)) is not MISSING}


def matched(what: Rule | Guardrail) -> Entry:
    """Give the entry of what matched."""
    return [what.id, "+", [cut(each) for each in what.summary]]


def skipped(what: Rule | Guardrail, reason: str) -> Entry:
    """Give the entry of what was not for this event."""
    return [what.id, "s", reason]


def failed(what: Rule | Guardrail, condition: Condition, facts: Facts) -> Entry:
    """Give the entry of what a condition stopped."""
    entry: Entry = [what.id, "-", condition.text, list(condition.fields)]
    if not CHANGING.isdisjoint(condition.fields):
        entry.append(values(CHANGING.intersection(condition.fields), facts))
    return entry


def decision_values(decision: Decision) -> Mapping[str, Any]:
    """Give what came out as JSON, empty things left out."""
    found: dict[str, Any] = {
        "outcome": decision.outcome.word,
        "because": decision.because,
        "rule": decision.rule,
        "category": decision.category,
        "risk": decision.risk,
        "priority": decision.priority,
        "language": decision.language,
        "say": [cut(reply.text) for reply in decision.replies],
        "tag": sorted(decision.tags),
        "untag": sorted(decision.untags),
        "run": [action.action for action in decision.actions],
        "opted_out": decision.opted_out,
        "sources": list(decision.sources),
    }
    if decision.draft is not None:
        found["draft"] = {"text": cut(decision.draft.text), "because": decision.draft.because}
    if decision.ticket is not None:
        ticket = decision.ticket
        found["ticket"] = {"queue": ticket.queue, "title": cut(ticket.title)}
        found["ticket"]["priority"] = ticket.priority
    if decision.escalation is not None:
        found["escalate"] = {"to": decision.escalation.to, "because": decision.escalation.because}
    attributes = {
        **{f"contact.attribute.{k}": v for k, v in decision.contact_attributes.items()},
        **{f"conversation.attribute.{k}": v for k, v in decision.conversation_attributes.items()},
    }
    if attributes:
        found["set"] = {name: cut(value) for name, value in attributes.items()}
    return {key: value for key, value in found.items() if value not in (None, [], {})}
