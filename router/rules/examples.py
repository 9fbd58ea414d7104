"""``[[example]]``: what comes in and what is expected of it, read and run.

An example goes through exactly what a customer's message goes through.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from router.domain.answer import Completion
from router.domain.decision import Decision, Outcome, TicketRequest
from router.domain.record import changed
from router.rules import signals
from router.rules.decide import conclude
from router.rules.engine import Reading, read
from router.rules.facts import MISSING, Facts
from router.rules.grounds import FIELDS as GROUNDS
from router.rules.grounds import weigh
from router.rules.inputs import INPUTS, example_facts, read_inputs
from router.rules.model import DEFAULT_QUEUE, Example, RuleSet
from router.rules.policy import Policy
from router.rules.source import Source
from router.rules.steps import Added
from router.rules.text import fold, squeeze
from router.rules.trace import Trace, cut, decision_values
from router.toml import KeyPath, Problem

__all__ = [
    "DECISIONS",
    "INPUTS",
    "Seen",
    "check_example",
    "example_facts",
    "read_example",
    "read_inputs",
    "run_example",
    "run_examples",
    "see",
]

_EXPECT = ("rule", "decision", "category", "tag", "reply")
#: ``answer`` and ``classify``: a model is asked, and the example does not say what it answers.
DECISIONS = ("ignore", "reply", "draft", "ticket", "escalate", "answer", "classify")
#: How many messages a turn has that is read once.
_ALONE = (MISSING, 1)
_SHUT = "the channel takes no free text any more, and there is no template"


# Reading ──────────────────────────────────────────────────────────────────────────────────────


def read_example(source: Source, path: KeyPath, table: dict[str, Any]) -> Example | None:
    """Read one example; ``None`` after noting what keeps it from being run."""
    before = len(source.problems)
    source.table(path, table, (*INPUTS, "expect"), "an example")
    if ("say" in table) is ("event" in table):
        source.problem(
            path, "an example has either say or event", 'Write say = "…" for what a customer says.'
        )
    if table.get("expect", {}) == {}:
        source.problem(path, "this example expects nothing", "Add expect = { decision = … }.")
    facts, answer = read_inputs(source, path, table)
    expect = _expect(source, (*path, "expect"), table.get("expect", {}))
    if len(source.problems) > before:
        return None
    return Example(facts=facts, answer=answer, expect=expect, place=source.place(path))


def _expect(source: Source, path: KeyPath, value: object) -> Mapping[str, Any]:
    table = source.table(path, value, _EXPECT, "expect") or {}
    found: dict[str, Any] = {}
    if "rule" in table:
        found["rule"] = source.string((*path, "rule"), table["rule"])
    if "decision" in table:
        found["decision"] = source.choice(
            (*path, "decision"), table["decision"], DECISIONS, "decision"
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
    :param made: the decision; ``None`` while a model is asked.
    :param asked: the backend that is asked, where there is no decision.
    :param added: what rules added, where there is no decision.
    :param by: the id of what decided or asked; ``None`` for the default.
    """

    rules: tuple[str, ...]
    decision: str
    category: str | None
    tags: frozenset[str]
    texts: tuple[str, ...]
    trace: Trace
    made: Decision | None = None
    asked: str | None = None
    added: Added = field(default_factory=Added)
    by: str | None = None


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
    return see(rules, policy, example_facts(example.facts, policy), example.answer)


def see(rules: RuleSet, policy: Policy, facts: Facts, answer: Mapping[str, Any] | None) -> Seen:
    """Read the rules about an event, and decide about a backend's answer if there is one.

    As the host does: what would ask a model waits until the customer has been quiet, and is then
    read once more over the whole turn.
    """
    reading = read(rules, policy, facts)
    if reading.ask is not None and policy.debounce and facts.get("turn.messages") not in _ALONE:
        facts = facts.with_({"text": facts.get("turn.text")})
        reading = read(rules, policy, facts)
    if reading.ask is not None and reading.ask.classify and answer and answer.get("category"):
        facts = facts.with_(
            {"ai.category": answer["category"], "ai.confidence": answer.get("confidence")}
        )
        reading = read(rules, policy, facts)
    if reading.ask is not None and not reading.ask.classify and answer is not None:
        given = {key: value for key, value in answer.items() if key != "sources"}
        grounds = None
        if not set(GROUNDS).isdisjoint(rules.fields):
            texts = (str(facts.values.get("turn.text", "")), *answer.get("sources", ()))
            grounds = weigh(answer["text"], texts, signals.country(facts))
        completion = Completion(**given)
        conclusion = conclude(rules, policy, facts, reading, completion, grounds=grounds)
        return _seen(conclusion.trace, conclusion.decision, None, facts)
    return _seen(reading.trace, reading.decision, reading, facts)


def _sayable(decision: Decision, facts: Facts) -> Decision:
    """Give a decision that says what the channel takes: outside of its window a text is a ticket.

    What leaves through another channel is let be: nobody knows the window of that one here.
    """
    shut = facts.get("conversation.window_open") is False and decision.channel is None
    if not shut or all(reply.template is not None for reply in decision.replies):
        return decision
    return changed(
        decision,
        outcome=max(decision.outcome, Outcome.TICKET),
        because=_SHUT,
        replies=(),
        ticket=decision.ticket
        or TicketRequest(queue=DEFAULT_QUEUE, title=_SHUT, priority=decision.priority or "normal"),
    )


def _seen(trace: Trace, decision: Decision | None, reading: Reading | None, facts: Facts) -> Seen:
    if decision is not None:
        said, decision = decision, _sayable(decision, facts)
        if decision is not said:
            trace = {**trace, "decision": decision_values(decision)}
    matched = [
        entry[0]
        for part in ("input", "triage", "guards")
        for entry in trace.get(part, ())
        if entry[1] in {"+", "!"}
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
            asked=reading.ask.backend,
            added=reading.added,
            by=reading.rule,
        )
    draft = (decision.draft.text,) if decision.draft else ()
    return Seen(
        rules=tuple(matched),
        decision=decision.outcome.word,
        category=decision.category,
        tags=decision.tags,
        texts=(*(reply.text for reply in decision.replies), *draft),
        trace=trace,
        made=decision,
        by=decision.rule,
    )
