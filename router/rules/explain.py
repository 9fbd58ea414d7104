"""A trace in words: what was known, what stopped each rule, what came out and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from router.rules.conditions import shown

_WIDEST = 28
_SEEN = 60
#: Facts that say nothing new where they have these values.
_USUAL = {
    "event.kind": "message",
    "conversation.owner": "bot",
    "conversation.status": "active",
    "contact.opted_out": False,
    "conversation.open_ticket": False,
    "tenant": "main",
}
_DECISION = ("outcome", "because", "rule")
_KNOWN = frozenset(
    {
        "facts",
        "input",
        "triage",
        "unread",
        "near",
        "default",
        "asked",
        "using",
        "redact",
        "conditions",
        "guards",
        "raised",
        "steps",
        "decision",
        "plan",
        "model",
        "queued",
        # For deciding again; what of it rules looked at is among the facts.
        "before",
        "question",
    }
)


def render(trace: Mapping[str, Any]) -> str:
    """Give a trace as plain text, for a terminal.

    What other parts of the router added to the trace is shown, too.
    """
    facts: Mapping[str, Any] = trace.get("facts", {})
    parts = [
        _facts(facts),
        _entries("Input guardrails", trace.get("input", ()), trace, "holds"),
        _triage(trace),
        _asked(trace),
        _entries("Answer guardrails", trace.get("guards", ()), trace, "holds"),
        _raised(trace.get("raised", ())),
        _section("Steps", [f"  {step}" for step in trace.get("steps", ())]),
        _decision(trace.get("decision", {})),
        _plan(trace.get("plan", {})),
        _section("Queued", [f"  {_queued(item)}" for item in trace.get("queued", ())]),
        "\n".join(f"{key} {_short(trace[key])}" for key in sorted(trace.keys() - _KNOWN)),
    ]
    return "\n\n".join(part for part in parts if part)


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *lines]) if lines else ""


def _facts(facts: Mapping[str, Any]) -> str:
    told = {
        path: value
        for path, value in facts.items()
        if _USUAL.get(path) != value
        and value not in ([], "")
        and not (path == "turn.text" and value == facts.get("text"))
    }
    width = max((len(path) for path in told), default=0)
    return _section("Facts", [f"  {path:<{width}}  {_value(told[path])}" for path in told])


def _triage(trace: Mapping[str, Any]) -> str:
    entries = trace.get("triage", ())
    lines = [_entries("Rules", entries, trace, "matched")] if entries else []
    if unread := trace.get("unread"):
        rules = "rule was" if unread == 1 else "rules were"
        lines.append(f"  ({unread} more {rules} not read)")
    if near := trace.get("near"):
        rule, failed, held = near
        conditions = "condition" if held == 1 else "conditions"
        lines.append(f"Nearest miss: {rule}, {held} {conditions} held, but not")
        lines += [f"  {text}" for text in failed]
    if trace.get("default"):
        lines.append("No rule decided: the default did.")
    return "\n".join(lines)


def _entries(
    title: str, entries: Sequence[Sequence[Any]], trace: Mapping[str, Any], word: str
) -> str:
    width = min(_WIDEST, max((len(entry[0]) for entry in entries), default=0))
    lines: list[str] = []
    for entry in entries:
        first, *more = _entry(entry, trace, word)
        lines.append(f"  {entry[0]:<{width}}  {first}")
        lines += [f"  {'':<{width}}    {line}" for line in more]
    return _section(title, lines)


def _entry(entry: Sequence[Any], trace: Mapping[str, Any], word: str) -> list[str]:
    """Say what became of a rule, and below it what its conditions saw."""
    facts: Mapping[str, Any] = trace.get("facts", {})
    lines = [
        f"{'holds' if held else 'fails'}: {text}: saw {_saw(list(seen), seen)}"
        for text, held, seen in trace.get("conditions", {}).get(entry[0], ())
    ]
    if entry[1] == "s":
        return [f"skipped: for another {entry[2]}"]
    if entry[1] == "!":
        return [f"{word}: it could not be asked, which counts as its verdict ({entry[2]})"]
    if entry[1] == "+":
        effects, conditions = entry[2], entry[3] if len(entry) > 3 else ()
        lines = lines or [
            f"holds: {text}: saw {_saw(fields, more[0] if more else facts)}"
            for text, fields, *more in conditions
        ]
        return [f"{word}: {'; '.join(effects)}" if effects else word, *lines]
    _, _, condition, fields, *more = entry
    seen = more[0] if more else facts
    # One condition has been told already.
    return [f"failed on {condition}: saw {_saw(fields, seen)}", *(lines if len(lines) > 1 else ())]


def _saw(fields: Sequence[str], seen: Mapping[str, Any]) -> str:
    saw = [
        f"{path} {_short(seen[path])}" if len(fields) > 1 else _short(seen[path])
        for path in fields
        if seen.get(path) is not None
    ]
    missing = [path for path in fields if seen.get(path) is None]
    if missing or not fields:
        saw.append("nothing" if len(fields) <= 1 else f"no {', '.join(missing)}")
    return ", ".join(saw)


def _raised(raised: Sequence[Sequence[str]]) -> str:
    width = max((len(who) for who, _, _ in raised), default=0)
    lines = [f"  {who:<{width}}  {before} → {after}" for who, before, after in raised]
    return _section("Made more careful", lines)


def _asked(trace: Mapping[str, Any]) -> str:
    lines: list[str] = []
    if asked := trace.get("asked"):
        what, backend = asked
        lines.append(f"Asked {backend} for {'an answer' if what == 'answer' else 'a category'}.")
    using: Mapping[str, Any] = trace.get("using") or {}
    if prompt := using.get("prompt"):
        lines.append(f"It was told the prompt {prompt}.")
    if articles := using.get("knowledge"):
        lines.append(f"It was given these articles only: {', '.join(articles)}.")
    if redact := trace.get("redact"):
        lines.append(f"It was not shown: {', '.join(redact)}.")
    model: Mapping[str, Any] = trace.get("model") or {}
    told = [key for key in model if key != "lookups" and model[key] not in (None, [])]
    lines += [f"  {key}  {_short(model[key])}" for key in told]
    lines += [f"  looked up  {_lookup(each)}" for each in model.get("lookups", ())]
    return "\n".join(lines)


def _lookup(entry: Mapping[str, Any]) -> str:
    """Say what a model had looked up, and what that gave."""
    params = ", ".join(f"{name} {_value(each)}" for name, each in entry["params"].items())
    came = f"failed: {_value(entry['failed'])}" if "failed" in entry else _value(entry["gave"])
    return f"{entry['tool']} ({params}), {entry['seconds']} s: {came}"


def _decision(decision: Mapping[str, Any]) -> str:
    if not decision:
        return ""
    by = f" ({decision['rule']})" if decision.get("rule") else ""
    lines = [f"Decision: {decision['outcome']}, because: {decision['because']}{by}"]
    for key, value in decision.items():
        if key in _DECISION:
            continue
        if key == "say":
            lines += [f"  say  {_value(text)}" for text in value]
        elif isinstance(value, Mapping):
            inner = ", ".join(f"{name} {_value(each)}" for name, each in value.items())
            lines.append(f"  {key}  {inner}")
        elif isinstance(value, list):
            lines.append(f"  {key}  {', '.join(map(str, value))}")
        else:
            lines.append(f"  {key}  {value if isinstance(value, str) else shown(value)}")
    return "\n".join(lines)


def _plan(plan: Mapping[str, Any]) -> str:
    """Say how the customer was to be written to, and why so."""
    if not plan:
        return ""
    at = f", not before {plan['at']}" if plan.get("at") else ""
    cost = f", counted as {plan['cost']}" if plan.get("cost") else ""
    said = {"ticket": "not by message, a ticket", "nothing": "nothing"}
    how = said.get(plan["send"], f"a {plan['send']}")
    files = ", ".join(plan.get("files", ()))
    more = f", and then {files}" if files else ""
    return f"Sent through {plan['channel']}: {how}{at}{cost}{more}\n  {plan['because']}"


def _queued(item: object) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    return " ".join(str(value) for value in item.values() if value is not None)


def _value(value: object) -> str:
    """Give a value on one line, so that a customer's line ends cannot fake one of ours."""
    if isinstance(value, str):
        printable = "".join(c if c.isprintable() else " " for c in value.replace("\n", " / "))
        return f'"{printable}"'
    return shown(value)


def _short(value: object) -> str:
    text = _value(value)
    if len(text) <= _SEEN:
        return text
    end = '…"' if text.endswith('"') else "…"
    return text[: _SEEN - len(end)] + end
