"""Reading the rules: input guardrails, triage from top to bottom, the default.

Pure: the same rules, policy and facts always give the same reading, and nothing is remembered
between two. It ends with a decision, or with a question to a model that the host has to put.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from router.domain.decision import AskRequest, Decision, DraftRequest, Outcome
from router.domain.message import Author
from router.rules import trace as tracing
from router.rules.facts import MISSING, Facts
from router.rules.model import (
    CARE,
    OTHER,
    AskAnswer,
    CallPerson,
    Decider,
    Guardrail,
    Ignore,
    KeepDraft,
    NoAI,
    OpenTicket,
    OptOut,
    Rule,
    RuleSet,
    SayReply,
)
from router.rules.policy import Policy
from router.rules.steps import Added, Plan, Setting, add, risk_of, settle
from router.rules.trace import Trace

NOTHING_TO_DO = "nothing to do"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of reading the rules. Exactly one of ``decision`` and ``ask`` is set.

    :param decision: final; mode, ownership and opt-out are in it.
    :param ask: the backend to ask, for an answer or for a category.
    :param added: what matching rules added so far.
    :param rule: what asked: the id of a rule, ``None`` for the default.
    :param keep_draft: why the answer waits for a person's word whatever the mode is.
    :param trace: JSON values; ``explain.render`` shows them.
    """

    decision: Decision | None = None
    ask: AskRequest | None = None
    added: Added = field(default_factory=Added)
    rule: str | None = None
    keep_draft: str | None = None
    trace: Trace

    @property
    def category(self) -> str | None:
        return self.added.category

    @property
    def risk(self) -> str | None:
        return self.added.risk

    @property
    def priority(self) -> str | None:
        return self.added.priority

    @property
    def language(self) -> str | None:
        return self.added.language


def read(rules: RuleSet, policy: Policy, facts: Facts) -> Reading:
    """Read the rules about one event, or about a whole turn.

    Call it at each message with ``text`` = that message, and again for the whole turn once the
    customer has been quiet; after a classification with ``ai.*`` in the facts.
    """
    return _Pass(rules, policy, facts).read()


def known_category(rules: RuleSet, category: object) -> str | None:
    """Give a category that the rules files declare; any other word is OTHER."""
    if category is MISSING or category is None:
        return None
    return str(category) if category in rules.categories else OTHER


def held(
    guardrails: Sequence[Guardrail], facts: Facts, entries: list[tracing.Entry]
) -> list[Guardrail]:
    """Ask every guardrail, and give those that hold, the most careful last.

    The order of the files never matters: among equals the alphabet decides.
    """
    kind, channel, language = _gate(facts)
    found: list[Guardrail] = []
    for guardrail in guardrails:
        stop = guardrail.gate.stops(kind, channel, language)
        if stop is not None:
            entries.append(tracing.skipped(guardrail, stop))
            continue
        miss = next((each for each in guardrail.conditions if not each.test(facts)), None)
        if miss is not None:
            entries.append(tracing.failed(guardrail, miss, facts))
            continue
        entries.append(tracing.matched(guardrail))
        found.append(guardrail)
    return sorted(found, key=_care)


def _care(guardrail: Guardrail) -> tuple[int, str]:
    return CARE.get(type(guardrail.verdict), Outcome.IGNORE), guardrail.id


def _gate(facts: Facts) -> tuple[str, str, str]:
    kind, channel, language = (
        str(value) if value is not MISSING else ""
        for value in map(facts.get, ("event.kind", "channel", "language"))
    )
    return kind or "message", channel, language.casefold().split("-")[0]


class _Nearest:
    """The rule with the fewest failed conditions, of those of which something held."""

    __slots__ = ("failed", "rule")

    def __init__(self) -> None:
        self.rule: Rule | None = None
        self.failed: list[str] = []

    def consider(self, rule: Rule, facts: Facts) -> None:
        """Look at a rule of several conditions that failed.

        That an exception does not apply is no news: of ``unless`` only what failed counts.
        """
        failed: list[str] = []
        held = False
        for condition in rule.conditions:
            if not condition.test(facts):
                failed.append(condition.text)
            elif not condition.negated:
                held = True
        if held and (self.rule is None or len(failed) < len(self.failed)):
            self.rule, self.failed = rule, failed

    def note(self, trace: Trace) -> None:
        """Put it into the trace, if there is one."""
        if self.rule is not None:
            trace["near"] = [
                self.rule.id,
                self.failed,
                len(self.rule.conditions) - len(self.failed),
            ]


class _Pass:
    """One reading."""

    def __init__(self, rules: RuleSet, policy: Policy, facts: Facts) -> None:
        self.rules = rules
        self.policy = policy
        category = known_category(rules, facts.get("ai.category"))
        self.added = Added(category=category, risk=risk_of(rules, category))
        if category is not None:
            changes = {"ai.category": category, "category": category, "risk": self.added.risk}
            facts = facts.with_(changes)
        self.facts = facts
        self.trace = tracing.begin(rules, facts)
        self.failures: list[str] = []
        self.opt_out: tuple[Guardrail, OptOut] | None = None
        self.no_ai: tuple[Guardrail, NoAI] | None = None
        self.floor: tuple[Guardrail, OpenTicket | CallPerson] | None = None

    @property
    def setting(self) -> Setting:
        return Setting(rules=self.rules, policy=self.policy, facts=self.facts)

    def read(self) -> Reading:
        entries = self.trace["input"] = []
        guardrails = held(self.rules.input_guardrails, self.facts, entries)
        for guardrail in guardrails:
            verdict = guardrail.verdict
            if isinstance(verdict, OptOut):
                self.opt_out = guardrail, verdict
            elif isinstance(verdict, NoAI):
                self.no_ai = guardrail, verdict
            elif isinstance(verdict, OpenTicket | CallPerson):
                self.floor = guardrail, verdict
        ignoring = [(g.id, g.verdict) for g in guardrails if isinstance(g.verdict, Ignore)]
        if ignoring:
            self._add_guardrails(guardrails)
            return self._ignored(*ignoring[-1])
        reading = self._triage(guardrails)
        if reading is not None:
            return reading
        return self._decide(None, self._default(), guardrails)

    def _ignored(self, rule: str, verdict: Ignore) -> Reading:
        plan = Plan(outcome=Outcome.IGNORE, because=verdict.because, rule=rule)
        # Whoever asks to be left alone is, even where the message itself is ignored.
        plan.opted_out = True if self.opt_out else None
        return self._settled(plan)

    def _add_guardrails(self, guardrails: Sequence[Guardrail]) -> None:
        """Add what guardrails set; they come after the rules, so that theirs stays."""
        for guardrail in guardrails:
            self._add(guardrail)

    def _add(self, what: Rule | Guardrail) -> None:
        effects = what.effects
        before = self.added
        self.added = add(before, effects, self.rules, self.facts, self.failures)
        changes: dict[str, object] = {
            name: getattr(self.added, name)
            for name in ("category", "risk", "priority", "language")
            if getattr(self.added, name) != getattr(before, name)
        }
        if effects.tags or effects.untags:
            tags = self.facts.get("conversation.tag")
            known = frozenset() if tags is MISSING else frozenset(tags)
            changes["conversation.tag"] = (known | effects.tags) - effects.untags
        if changes:
            self.facts = self.facts.with_(changes)

    # Triage ──────────────────────────────────────────────────────────────────────────────────

    def _triage(self, guardrails: Sequence[Guardrail]) -> Reading | None:
        """Read the rules; ``None`` if none of them decided."""
        entries: list[tracing.Entry] = []
        self.trace["triage"] = entries
        near = _Nearest()
        kind, channel, language = _gate(self.facts)
        rules = self.rules.rules
        for number, rule in enumerate(rules):
            gate = rule.gate
            # Most rules are for every channel and fail: this much of the loop is hot.
            if (kind not in gate.kinds or gate.narrow) and (
                stop := gate.stops(kind, channel, language)
            ) is not None:
                entries.append(tracing.skipped(rule, stop))
                continue
            facts = self.facts
            miss = -1
            for test in rule.tests:
                miss += 1
                if not test(facts):
                    break
            else:
                miss = -1
            if miss >= 0:
                entry = rule.missed[miss]
                if entry is None:
                    entry = tracing.failed(rule, rule.conditions[miss], facts)
                entries.append(entry)
                if len(rule.tests) > 1:
                    near.consider(rule, facts)
                continue
            entries.append(tracing.matched(rule))
            self._add(rule)
            if language_ := self.added.language:
                language = language_.casefold().split("-")[0]
            effects = rule.effects
            if effects.classify and kind == "message" and self._may_classify():
                near.note(self.trace)
                self.trace["unread"] = len(rules) - number - 1
                return self._classify(effects.classify, rule.id)
            if rule.decider is not None:
                near.note(self.trace)
                self.trace["unread"] = len(rules) - number - 1
                return self._decide(rule, rule.decider, guardrails)
        near.note(self.trace)
        self.trace["default"] = True
        classify = self.rules.default.classify
        if classify and kind == "message" and self._may_classify():
            return self._classify(classify, None)
        return None

    def _may_ask(self) -> bool:
        """Say whether a model's answer could be of any use."""
        setting = self.setting
        silent = setting.owned and self.policy.while_owned == "notify"
        stopped = self.no_ai or self.floor or self.opt_out
        return not (stopped or silent or setting.opted_out)

    def _may_classify(self) -> bool:
        return self.facts.get("ai.category") is MISSING and self._may_ask()

    def _classify(self, backend: str, rule: str | None) -> Reading:
        self.trace["asked"] = ["category", backend]
        return Reading(
            ask=AskRequest(backend=backend, classify=True),
            added=self.added,
            rule=rule,
            trace=self.trace,
        )

    def _default(self) -> Decider:
        if _gate(self.facts)[0] != "message":
            return Ignore(because=NOTHING_TO_DO)
        decider = self.rules.default.decider
        if isinstance(decider, AskAnswer) and self.added.use:
            return AskAnswer(backend=self.added.use, draft=decider.draft)
        return decider

    # Deciding ────────────────────────────────────────────────────────────────────────────────

    def _decide(
        self, rule: Rule | None, decider: Decider, guardrails: Sequence[Guardrail]
    ) -> Reading:
        self._add_guardrails(guardrails)
        id_ = rule.id if rule else None
        if isinstance(decider, AskAnswer) and self._may_ask():
            self.trace["asked"] = ["answer", decider.backend]
            return Reading(
                ask=AskRequest(backend=decider.backend),
                added=self.added,
                rule=id_,
                keep_draft=decider.draft,
                trace=self.trace,
            )
        plan = self._plan(decider, id_)
        if self.floor is not None and CARE[type(self.floor[1])] >= plan.outcome:
            plan = self._stopped(*self.floor, plan)
        if self.opt_out is not None:
            self._leave_alone(*self.opt_out, plan)
        return self._settled(plan)

    def _plan(self, decider: Decider, rule: str | None) -> Plan:
        setting = self.setting
        who = f'the rule "{rule}"' if rule else "the default"
        plan = Plan(outcome=CARE[type(decider)], because=f"{who} decided", rule=rule)
        if isinstance(decider, SayReply):
            plan.because = f"{who} states the answer"
            setting.tell(plan, decider.text)
        elif isinstance(decider, AskAnswer):
            self._unasked(plan)
        elif isinstance(decider, KeepDraft):
            plan.because = decider.because
            if text := setting.text(plan, decider.text):
                plan.draft = DraftRequest(text=text, because=decider.because, author=Author.RULE)
        elif isinstance(decider, OpenTicket):
            plan.because = f"{who} opens a ticket"
            setting.ticket(plan, decider)
        elif isinstance(decider, CallPerson):
            plan.because = decider.because
            setting.escalation(plan, decider)
        else:
            plan.because = decider.because
        return plan

    def _unasked(self, plan: Plan) -> None:
        """Decide where a model would have been asked, but may not or need not be."""
        if self.no_ai is None:
            # The last steps say why nothing is sent: opted out, or a person owns it.
            plan.because = "no model was asked"
            return
        guardrail, verdict = self.no_ai
        plan.outcome, plan.rule = Outcome.TICKET, guardrail.id
        plan.because = f'the guardrail "{guardrail.id}" lets no model answer'
        self.setting.ticket(plan, OpenTicket(say=verdict.say))

    def _stopped(
        self, guardrail: Guardrail, verdict: OpenTicket | CallPerson, stopped: Plan
    ) -> Plan:
        """Give what an input guardrail makes of it; what would have been said is a draft."""
        because = f'the guardrail "{guardrail.id}" opens a ticket'
        if isinstance(verdict, CallPerson):
            because = verdict.because
        plan = Plan(outcome=CARE[type(verdict)], because=because, rule=guardrail.id)
        plan.steps = stopped.steps
        plan.draft = stopped.draft
        if stopped.say:
            text = "\n\n".join(stopped.say)
            plan.draft = DraftRequest(text=text, because=because, author=Author.RULE)
        if isinstance(verdict, CallPerson):
            self.setting.escalation(plan, verdict)
        else:
            self.setting.ticket(plan, verdict)
        return plan

    def _leave_alone(self, guardrail: Guardrail, verdict: OptOut, plan: Plan) -> None:
        """Take the customer at their word: one confirmation at most, and nothing else."""
        plan.opted_out = True
        plan.say, plan.draft = [], None
        # Once is enough: two machines could confirm to each other for ever.
        known = self.setting.facts.get("contact.opted_out") is True
        said = "" if known else self.setting.text(plan, verdict.say)
        if said:
            plan.say = [said]
        if plan.outcome < Outcome.TICKET:
            plan.outcome = Outcome.REPLY if said else Outcome.IGNORE
            plan.because, plan.rule = "the customer opted out", guardrail.id

    def _settled(self, plan: Plan) -> Reading:
        for failure in self.failures:
            plan.steps.append(failure)
        decision = settle(self.setting, self.added, plan)
        if plan.steps:
            self.trace["steps"] = plan.steps
        self.trace["decision"] = tracing.decision_values(decision)
        return Reading(decision=decision, added=self.added, rule=plan.rule, trace=self.trace)
