"""Reading the rules: input guardrails, triage from top to bottom, the default.

Pure: the same rules, policy and facts always give the same reading, and nothing is remembered
between two. It ends with a decision, or with a question to a model that the host has to put.
"""

from collections.abc import Iterable, Sequence
from dataclasses import field

from router.domain.decision import AskRequest, Decision, DraftRequest, Outcome
from router.domain.message import Author
from router.domain.record import record
from router.rules import signals
from router.rules import trace as tracing
from router.rules.facts import MISSING, Facts
from router.rules.guarding import gate_facts, held
from router.rules.index import Entries, KindIndex
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
    Redact,
    Rule,
    RuleSet,
    SayMessage,
    SayReply,
)
from router.rules.nearest import Nearest
from router.rules.policy import Policy
from router.rules.steps import Added, Plan, Setting, add, as_careful, risk_of, settle
from router.rules.trace import Trace

NOTHING_TO_DO = "nothing to do"


@record(frozen=True, slots=True, kw_only=True)
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


def read(rules: RuleSet, policy: Policy, facts: Facts, *, every: bool = False) -> Reading:
    """Read the rules about one event, or about a whole turn.

    Call it at each message with ``text`` = that message, and again for the whole turn once the
    customer has been quiet; after a classification with ``ai.*`` in the facts. Signals, such as
    ``pii`` and ``clock.open``, are worked out here where the rules look at them.

    :param every: look at each condition of each rule, for people who want to see them all; the
        trace then has ``conditions``. What comes out is the same.
    """
    return _Pass(rules, policy, facts, every=every).read()


def known_category(rules: RuleSet, category: object) -> str | None:
    """Give a category that the rules files declare; any other word is OTHER."""
    if category is MISSING or category is None:
        return None
    return str(category) if category in rules.categories else OTHER


class _Pass:
    """One reading."""

    def __init__(self, rules: RuleSet, policy: Policy, facts: Facts, *, every: bool) -> None:
        self.rules = rules
        self.policy = policy
        self.every = every
        category = known_category(rules, facts.get("ai.category"))
        self.added = Added(category=category, risk=risk_of(rules, category))
        if category is not None:
            changes = {"ai.category": category, "category": category, "risk": self.added.risk}
            facts = facts.with_(changes)
        facts = signals.add(rules.signals, facts)
        self.facts = facts
        self.trace = tracing.begin(rules, facts)
        self.failures: list[str] = []
        self.opt_out: tuple[Guardrail, OptOut] | None = None
        self.no_ai: tuple[Guardrail, NoAI] | None = None
        self.floor: tuple[Guardrail, OpenTicket | CallPerson] | None = None
        self.redact: frozenset[str] = frozenset()

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
            elif isinstance(verdict, Redact):
                self.redact |= verdict.kinds
        if self.every:
            self._examine(self.rules.input_guardrails)
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
        added = add(before, effects, self.rules, self.facts, self.failures)
        self.added = as_careful(before, added) if isinstance(what, Guardrail) else added
        changes: dict[str, object] = {}
        if self.added is not before:
            for name in ("category", "risk", "priority", "language"):
                now = getattr(self.added, name)
                if now != getattr(before, name):
                    changes[name] = now
        if effects.tags or effects.untags:
            tags = self.facts.get("conversation.tag")
            known = frozenset() if tags is MISSING else frozenset(tags)
            changes["conversation.tag"] = (known | effects.tags) - effects.untags
        if changes:
            self.facts = self.facts.with_(changes)

    # Triage ──────────────────────────────────────────────────────────────────────────────────

    def _triage(self, guardrails: Sequence[Guardrail]) -> Reading | None:
        """Read the rules; ``None`` if none of them decided."""
        kind, channel, language = gate_facts(self.facts)
        rules, index = self.rules.rules, self.rules.index.of(kind)
        self.trace["triage"] = entries = Entries(index)
        near = Nearest(rules, index.several)
        for number in self._numbers(index):
            rule = rules[number]
            gate = rule.gate
            if gate.narrow and (stop := gate.stops(kind, channel, language)) is not None:
                entries.note(number, tracing.skipped(rule, stop))
                near.until(number, self.facts)
                continue
            facts = self.facts
            if self.every:
                self._examine((rule,))
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
                if entry is not entries[number]:
                    entries.note(number, entry)
                if rule.conditions[miss].negated:
                    near.excepted(number, facts)
                continue
            near.until(number, facts)
            entries.note(number, tracing.matched(rule, facts))
            self._add(rule)
            if language_ := self.added.language:
                language = language_.casefold().split("-")[0]
            effects = rule.effects
            if effects.classify and kind == "message" and self._may_classify():
                self._read_until(number, near, entries)
                return self._classify(effects.classify, rule.id)
            if rule.decider is not None:
                self._read_until(number, near, entries)
                return self._decide(rule, rule.decider, guardrails)
            if effects.stop:
                self._read_until(number, near, entries)
                break
        else:
            near.until(len(rules), self.facts)
            near.note(self.trace)
        self.trace["default"] = True
        classify = self.rules.default.classify
        if classify and kind == "message" and self._may_classify():
            return self._classify(classify, None)
        return None

    def _numbers(self, index: KindIndex) -> Iterable[int]:
        """Give the rules to look at: those that may match, or all of them."""
        if not self.every:
            return index.candidates(self.facts, self.rules.phrases)
        return (number for number, usual in enumerate(index.usual) if usual[1:2] != ["s"])

    def _examine(self, what: Sequence[Rule | Guardrail]) -> None:
        """Put every condition into the trace, with what it sees now."""
        found = self.trace.setdefault("conditions", {})
        for each in what:
            if each.conditions:
                found[each.id] = tracing.examined(each, self.facts)

    def _read_until(self, number: int, near: Nearest, entries: Entries) -> None:
        """Note that this rule is the last one read."""
        near.note(self.trace)
        self.trace["unread"] = len(self.rules.rules) - number - 1
        entries.until(number + 1)

    def _may_ask(self) -> bool:
        """Say whether a model's answer could be of any use."""
        setting = self.setting
        silent = setting.owned and not self.policy.drafts_while_owned
        stopped = self.no_ai or self.floor or self.opt_out
        return not (stopped or silent or setting.opted_out or self._wordless())

    def _wordless(self) -> bool:
        """Say whether the customer sent neither words nor files, and nothing before that is open.

        Channels bring what they cannot read so. A model would only guess what it was.
        """
        said = [self.facts.get(path) for path in ("turn.text", "text")]
        return (
            all(isinstance(text, str) and not text.strip() for text in said)
            and self.facts.get("attachments") == 0
            and self.facts.get("turn.messages") in (MISSING, 1)
        )

    def _may_classify(self) -> bool:
        return self.facts.get("ai.category") is MISSING and self._may_ask()

    def _classify(self, backend: str, rule: str | None) -> Reading:
        self.trace["asked"] = ["category", backend]
        self._note_redaction()
        return Reading(
            ask=AskRequest(backend=backend, classify=True, redact=self.redact),
            added=self.added,
            rule=rule,
            trace=self.trace,
        )

    def _note_redaction(self) -> None:
        if self.redact:
            self.trace["redact"] = sorted(self.redact)
        using = {"prompt": self.added.prompt, "knowledge": list(self.added.knowledge or ())}
        if any(using.values()):
            self.trace["using"] = {key: value for key, value in using.items() if value}

    def _default(self) -> Decider:
        if gate_facts(self.facts)[0] != "message":
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
            self._note_redaction()
            return Reading(
                ask=AskRequest(
                    backend=decider.backend,
                    prompt=self.added.prompt,
                    knowledge=self.added.knowledge,
                    redact=self.redact,
                ),
                added=self.added,
                rule=id_,
                keep_draft=decider.draft,
                trace=self.trace,
            )
        plan = self._plan(decider, id_)
        if self.floor is not None and CARE[type(self.floor[1])] >= plan.outcome:
            before = plan.outcome
            plan = self._stopped(*self.floor, plan)
            plan.note_raise(self.floor[0].id, before)
        if self.opt_out is not None:
            self._leave_alone(*self.opt_out, plan)
        return self._settled(plan)

    def _plan(self, decider: Decider, rule: str | None) -> Plan:
        setting = self.setting
        who = f'the rule "{rule}"' if rule else "the default"
        plan = Plan(outcome=CARE[type(decider)], because=f"{who} decided", rule=rule)
        if isinstance(decider, SayReply):
            plan.because = f"{who} states the answer"
            setting.reply(plan, decider)
        elif isinstance(decider, SayMessage):
            plan.because = f'{who} writes to the customer through "{decider.channel}"'
            setting.message(plan, decider)
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
            if self._wordless():
                self._unsaid(plan)
            return
        guardrail, verdict = self.no_ai
        before, plan.outcome, plan.rule = plan.outcome, Outcome.TICKET, guardrail.id
        plan.note_raise(guardrail.id, before)
        plan.because = f'the guardrail "{guardrail.id}" lets no model answer'
        self.setting.ticket(plan, OpenTicket(say=verdict.say))

    def _unsaid(self, plan: Plan) -> None:
        """Let a person see once that something came which says nothing; nothing is answered."""
        plan.because = "the customer sent neither words nor files"
        plan.outcome = Outcome.IGNORE
        if not (self.setting.owned or self.facts.get("conversation.open_ticket") is True):
            plan.outcome = Outcome.TICKET
            self.setting.ticket(plan, OpenTicket())

    def _stopped(
        self, guardrail: Guardrail, verdict: OpenTicket | CallPerson, stopped: Plan
    ) -> Plan:
        """Give what an input guardrail makes of it; what would have been said is a draft."""
        because = f'the guardrail "{guardrail.id}" opens a ticket'
        if isinstance(verdict, CallPerson):
            because = verdict.because
        plan = Plan(outcome=CARE[type(verdict)], because=because, rule=guardrail.id)
        plan.steps, plan.raised = stopped.steps, stopped.raised
        plan.draft = stopped.draft
        if stopped.say:
            plan.draft = DraftRequest(text=stopped.said, because=because, author=Author.RULE)
        if isinstance(verdict, CallPerson):
            self.setting.escalation(plan, verdict)
        else:
            self.setting.ticket(plan, verdict)
        return plan

    def _leave_alone(self, guardrail: Guardrail, verdict: OptOut, plan: Plan) -> None:
        """Take the customer at their word: one confirmation at most, and nothing else."""
        plan.opted_out = True
        plan.say, plan.draft, plan.template, plan.media = [], None, None, ()
        plan.channel = plan.otherwise = plan.instead = plan.variant = None
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
        if plan.raised:
            self.trace["raised"] = plan.raised
        self.trace["decision"] = tracing.decision_values(decision)
        return Reading(decision=decision, added=self.added, rule=plan.rule, trace=self.trace)
