"""From a backend's answer to a decision: answer guardrails, threshold, mode, ownership."""

from dataclasses import dataclass, replace

from router.domain.answer import Completion
from router.domain.decision import Decision, DraftRequest, Outcome
from router.domain.message import Author
from router.domain.record import changed
from router.rules import pii, signals
from router.rules import trace as tracing
from router.rules.engine import Reading, known_category
from router.rules.facts import Facts
from router.rules.grounds import Grounds
from router.rules.guarding import held
from router.rules.language import base, guess
from router.rules.links import links
from router.rules.model import (
    CARE,
    DEFAULT_QUEUE,
    OTHER,
    CallPerson,
    Guardrail,
    KeepDraft,
    OpenTicket,
    Redact,
    Replace,
    RuleSet,
)
from router.rules.policy import Policy
from router.rules.steps import Added, Plan, Setting, apply_mode, risk_of, settle
from router.rules.texts import Text
from router.rules.trace import Trace

#: What :class:`~router.rules.grounds.Grounds` brings.
GROUNDS = ("prices", "dates", "pii", "grounding")
DOES_NOT_KNOW = "the backend does not know"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """The decision about an answer, and the whole trace of the turn."""

    decision: Decision
    trace: Trace


def answer_facts(
    completion: Completion,
    rules: RuleSet,
    *,
    backend: str | None = None,
    language: str | None = None,
    grounds: Grounds | None = None,
) -> dict[str, object]:
    """Give the ``answer.*`` facts of a completion.

    An empty answer has confidence 0; a missing confidence stays missing. A citation of a passage
    cites its article, too.

    :param backend: who answered.
    :param language: the turn's.
    :param grounds: what the answer rests on; ``None`` where nobody looked.
    """
    empty = not completion.text.strip()
    cites = {part for each in completion.citations for part in (each, each.partition("#")[0])}
    spoken = guess(completion.text)
    foreign = spoken is not None and spoken.sure and base(language or "") != spoken.language
    found: dict[str, object] = {
        "answer.text": completion.text,
        "answer.confidence": 0.0 if empty else completion.confidence,
        "answer.category": known_category(rules, completion.category),
        "answer.cites": frozenset(cites),
        "answer.length": len(completion.text),
        "answer.empty": empty,
        "answer.backend": backend,
        "answer.language": spoken.language if spoken else None,
        "answer.foreign": foreign if language else None,
        "answer.links": links(completion.text),
    }
    if grounds is not None:
        found |= {f"answer.{name}": getattr(grounds, name) for name in GROUNDS}
    return found


def conclude(
    rules: RuleSet,
    policy: Policy,
    facts: Facts,
    reading: Reading,
    completion: Completion,
    *,
    grounds: Grounds | None = None,
) -> Conclusion:
    """Decide about a backend's answer.

    Every answer guardrail is asked, and the most careful verdict wins; then the mode may hold the
    answer back, never let it go. An empty answer is never sent: it is a ticket.

    :param facts: those of the turn; ``answer.*`` is taken from the completion.
    :param reading: the one whose ``ask`` this answers.
    :param grounds: what the answer rests on, as :func:`router.rules.grounds.weigh` finds it.
        Without it a guardrail that looks at prices, dates and the like holds: nobody knows.
    """
    facts = signals.add(rules.signals, facts)
    added = _categorised(rules, facts, reading.added, completion)
    facts = facts.with_(
        {
            "category": added.category,
            "risk": added.risk,
            **({"priority": added.priority} if added.priority else {}),
            **({"language": added.language} if added.language else {}),
            **answer_facts(
                completion,
                rules,
                backend=reading.ask.backend if reading.ask else None,
                language=str(added.language or facts.values.get("language", policy.language)),
                grounds=grounds,
            ),
        }
    )
    setting = Setting(rules=rules, policy=policy, facts=facts)
    trace = dict(reading.trace)
    tracing.add_answer(trace, rules, facts)
    plan = _base(setting, added, reading, completion)
    entries: list[tracing.Entry] = []
    trace["guards"] = entries
    guardrails = held(rules.answer_guardrails, facts, entries)
    if "conditions" in trace:
        seen = {each.id: tracing.examined(each, facts) for each in rules.answer_guardrails}
        trace["conditions"] = {**trace["conditions"], **seen}
    kinds = [g.verdict.kinds for g in guardrails if isinstance(g.verdict, Redact)]
    if kinds:
        wanted = frozenset[str]().union(*kinds)
        text = pii.redact(completion.text, wanted, signals.country(facts))
        completion = replace(completion, text=text)
    _guarded(setting, plan, guardrails, completion)
    return _concluded(setting, added, plan, trace)


def failed(
    rules: RuleSet, policy: Policy, facts: Facts, reading: Reading | None, reason: str
) -> Conclusion:
    """Decide about a turn whose backend, or whose handling, failed for good.

    The customer is told ``policy.apology``, and a ticket is opened in the queue ``default``.

    :param reading: the one whose ``ask`` failed; ``None`` if reading itself did.
    :param reason: a sentence for people.
    """
    added = reading.added if reading else Added()
    setting = Setting(rules=rules, policy=policy, facts=facts)
    trace = dict(reading.trace) if reading else tracing.begin(rules, facts)
    plan = Plan(outcome=Outcome.TICKET, because=reason, rule=reading.rule if reading else None)
    plan.steps.append(f"failed for good: {reason}")
    setting.ticket(plan, OpenTicket(queue=DEFAULT_QUEUE, say=Text.of(policy.apology)))
    return _concluded(setting, added, plan, trace)


def _concluded(setting: Setting, added: Added, plan: Plan, trace: Trace) -> Conclusion:
    decision = settle(setting, added, plan)
    trace["steps"] = [*trace.get("steps", ()), *plan.steps]
    if raised := [*trace.get("raised", ()), *plan.raised]:
        trace["raised"] = raised
    trace["decision"] = tracing.decision_values(decision)
    return Conclusion(decision=decision, trace=trace)


def _categorised(rules: RuleSet, facts: Facts, added: Added, completion: Completion) -> Added:
    """Give the turn a category: the rules', else the answer's, else the conversation's.

    Each message has a category of its own, so what the thread was about before comes last.
    """
    category = (
        added.category
        or known_category(rules, completion.category)
        or known_category(rules, facts.get("conversation.category"))
        or OTHER
    )
    return changed(added, category=category, risk=added.risk or risk_of(rules, category))


def _base(setting: Setting, added: Added, reading: Reading, completion: Completion) -> Plan:
    """Give what the answer comes to before any guardrail."""
    backend = reading.ask.backend if reading.ask else "a backend"
    plan = Plan(
        outcome=Outcome.REPLY,
        because=f'answered by "{backend}"',
        rule=reading.rule,
        author=Author.BOT,
        sources=completion.citations,
    )
    if not completion.text.strip():
        plan.steps.append(f"{DOES_NOT_KNOW}: an empty answer is never sent")
        plan.raise_to(Outcome.TICKET, DOES_NOT_KNOW, who="an empty answer")
        return plan
    threshold, confidence = setting.policy.confidence_threshold, completion.confidence
    if threshold is not None and (confidence is None or confidence < threshold):
        seen = "unknown" if confidence is None else f"{confidence:g}"
        because = f"confidence {seen} is below the threshold {threshold:g}"
        plan.steps.append(because)
        plan.raise_to(Outcome.TICKET, because, who="policy.confidence_threshold")
    if reading.keep_draft is not None:
        plan.steps.append(reading.keep_draft)
        plan.raise_to(Outcome.DRAFT, reading.keep_draft, who=reading.rule or "default")
    because_of_mode = apply_mode(setting, added.category or OTHER, added.risk or "low")
    if because_of_mode is not None:
        plan.steps.append(because_of_mode)
        plan.raise_to(Outcome.DRAFT, because_of_mode, who="policy.mode")
    else:
        plan.steps.append(f"autopilot answers {added.category} by itself")
    return plan


def _guarded(
    setting: Setting, plan: Plan, guardrails: list[Guardrail], completion: Completion
) -> None:
    """Make the plan as careful as the most careful guardrail wants it."""
    text = completion.text.strip()
    worst = guardrails[-1] if guardrails else None
    replaced = next((g.verdict for g in guardrails if isinstance(g.verdict, Replace)), None)
    if worst is not None and CARE[type(worst.verdict)] >= plan.outcome:
        verdict, before = worst.verdict, plan.outcome
        plan.outcome, plan.rule = CARE[type(verdict)], worst.id
        plan.note_raise(worst.id, before)
        plan.because = f'the guardrail "{worst.id}" opens a ticket'
        if isinstance(verdict, OpenTicket):
            setting.ticket(plan, verdict)
        elif isinstance(verdict, CallPerson):
            plan.because = verdict.because
            setting.escalation(plan, verdict)
        elif isinstance(verdict, KeepDraft):
            plan.because = verdict.because
        else:
            plan.because = f'the guardrail "{worst.id}" replaces the answer'
            if isinstance(verdict, Redact):
                plan.because = f'the guardrail "{worst.id}" leaves personal data out of the answer'
    if replaced is not None and plan.outcome <= Outcome.DRAFT:
        _replace(setting, plan, replaced, text)
        return
    if plan.outcome is Outcome.TICKET and plan.ticket is None:
        setting.ticket(plan, OpenTicket(queue=DEFAULT_QUEUE))
    if plan.outcome is Outcome.REPLY:
        plan.say = [completion.text]
        return
    said = plan.say
    if said:
        plan.author = Author.RULE
    if text:
        plan.draft = DraftRequest(
            text=completion.text,
            because=plan.because,
            author=Author.BOT,
            sources=completion.citations,
        )


def _replace(setting: Setting, plan: Plan, verdict: Replace, text: str) -> None:
    """Say the fixed text, and keep the answer; where a person decides anyway, propose it."""
    stated = setting.text(plan, verdict.text)
    plan.author = Author.RULE
    if stated and plan.outcome is not Outcome.REPLY:
        plan.draft = DraftRequest(text=stated, because=plan.because, author=Author.RULE)
        return
    plan.say = [stated] if stated else []
    plan.draft = DraftRequest(text=text, because=plan.because, sources=plan.sources)
