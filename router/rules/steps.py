"""The last steps of a decision: mode, ownership, opt-out. They only ever hold back."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from router.domain.conversation import BOT, NOBODY
from router.domain.decision import (
    ActionRequest,
    Decision,
    DraftRequest,
    EscalationRequest,
    Outcome,
    Reply,
    TicketRequest,
)
from router.domain.identity import Address, thread_key
from router.domain.message import Attachment, Author, Template
from router.domain.record import changed, record
from router.rules.facts import MISSING, Facts
from router.rules.fields import RISKS
from router.rules.model import (
    OTHER,
    CallPerson,
    Effects,
    OpenTicket,
    RuleSet,
    SayMessage,
    SayReply,
    Wording,
)
from router.rules.policy import Policy
from router.rules.texts import Text, TextError, is_template, render

_TITLE = 80
#: What a rule states in place of what rules before it stated.
_STATED = ("category", "risk", "priority", "language", "use", "prompt", "knowledge", "snooze")
_ATTRIBUTES = ("contact_attributes", "conversation_attributes")


@record(frozen=True, slots=True, kw_only=True)
class Added:
    """What matching rules added to the decision, without deciding."""

    category: str | None = None
    risk: str | None = None
    priority: str | None = None
    language: str | None = None
    tags: frozenset[str] = frozenset()
    untags: frozenset[str] = frozenset()
    contact_attributes: Mapping[str, str] = field(default_factory=dict)
    conversation_attributes: Mapping[str, str] = field(default_factory=dict)
    actions: tuple[ActionRequest, ...] = ()
    use: str | None = None
    prompt: str | None = None
    knowledge: tuple[str, ...] | None = None
    snooze: timedelta | None = None
    #: True once a rule stated the risk itself; the category's default no longer counts.
    risk_stated: bool = False


@dataclass(slots=True, kw_only=True)
class Plan:
    """A decision in the making.

    :param say: fixed texts for the customer.
    :param template: what is sent in place of the first text.
    :param draft: what waits for a person's word.
    :param raised: who made the outcome more careful, from what, to what.
    :param channel: where it is said; ``None`` for where the customer last wrote.
    :param otherwise: what is sent in place of the first text where no free text may be.
    :param instead: what is sent in place of the template where the provider would refuse it.
    :param variant: which wording the first text is.
    :param media: files that leave after the first text.
    """

    outcome: Outcome
    because: str
    rule: str | None = None
    say: list[str] = field(default_factory=list)
    author: Author = Author.RULE
    template: Template | None = None
    channel: str | None = None
    otherwise: Reply | None = None
    instead: Reply | None = None
    variant: str | None = None
    media: tuple[Attachment, ...] = ()
    draft: DraftRequest | None = None
    ticket: TicketRequest | None = None
    escalation: EscalationRequest | None = None
    opted_out: bool | None = None
    notify: bool = False
    sources: tuple[str, ...] = ()
    steps: list[str] = field(default_factory=list)
    raised: list[list[str]] = field(default_factory=list)

    @property
    def said(self) -> str:
        """Everything that is said, in one text: files are named by their addresses."""
        links = "\n".join(file.url for file in self.media if file.url)
        return "\n\n".join(filter(None, (*self.say, links)))

    def raise_to(self, outcome: Outcome, because: str, *, who: str) -> None:
        """Make it more careful, if it is not already."""
        if outcome > self.outcome:
            before, self.outcome, self.because = self.outcome, outcome, because
            self.note_raise(who, before)

    def note_raise(self, who: str, before: Outcome) -> None:
        """Note who made the outcome more careful than it was before."""
        if self.outcome > before:
            self.raised.append([who, before.word, self.outcome.word])


@record(frozen=True, slots=True, kw_only=True)
class Setting:
    """What every step looks at: the rules, the policy, and what is known."""

    rules: RuleSet
    policy: Policy
    facts: Facts

    @property
    def owned(self) -> bool:
        """Whether somebody else than the bot answers, or nobody for a while."""
        return self.facts.get("conversation.owner") not in (MISSING, BOT) or self.snoozed

    @property
    def snoozed(self) -> bool:
        """Whether a rule has silenced the bot."""
        return self.facts.get("conversation.snoozed") is True

    @property
    def opted_out(self) -> bool:
        """Whether nothing may be sent: the customer wants no messages that they did not ask for.

        Who writes again is answered.
        """
        asked = self.facts.get("event.kind") in (MISSING, "message")
        return self.facts.get("contact.opted_out") is True and not asked

    @property
    def languages(self) -> tuple[str | None, ...]:
        """The turn's language, the contact's, the tenant's."""
        known = (self.facts.get(path) for path in ("language", "contact.language"))
        return (*(str(v) if v is not MISSING else None for v in known), self.policy.language)

    def text(self, plan: Plan, text: Text | None, *, gaps: bool = False) -> str:
        """Fill in a text; one that cannot be is a ticket, never a broken sentence.

        :param gaps: whether it may lack a value, because no customer reads it.
        """
        if text is None:
            return ""
        return self.filled(plan, text.pick(*self.languages), gaps=gaps)

    def filled(self, plan: Plan, text: str, *, gaps: bool = False) -> str:
        try:
            return _some(text, self.facts, gaps=gaps)
        except TextError as error:
            because = f"a text of the rules cannot be filled in: {error}"
            plan.steps.append(because)
            if plan.ticket is None:
                plan.ticket = TicketRequest(queue="default", title=self.title())
            plan.raise_to(Outcome.TICKET, because, who="a broken text")
            return ""

    def title(self) -> str:
        """Give the beginning of what the customer wrote, for a ticket without a title."""
        for path in ("turn.text", "text", "call.summary", "category", "event.kind"):
            value = self.facts.get(path)
            if value is not MISSING and (lines := str(value).strip().splitlines()):
                first = lines[0]
                return first if len(first) <= _TITLE else f"{first[: _TITLE - 1]}…"
        return "message"

    def ticket(self, plan: Plan, ticket: OpenTicket) -> None:
        """Make it a ticket."""
        priority = self.facts.get("priority")
        stated = ticket.priority or ("normal" if priority is MISSING else str(priority))
        title = self.text(plan, ticket.title, gaps=True).strip() or self.title()
        plan.ticket = TicketRequest(queue=ticket.queue, title=title, priority=stated)
        self.tell(plan, ticket.say)

    def escalation(self, plan: Plan, call: CallPerson) -> None:
        """Make it an escalation."""
        plan.escalation = EscalationRequest(to=call.to, because=call.because)
        self.tell(plan, call.say)

    def reply(self, plan: Plan, reply: SayReply) -> None:
        """Make it a reply."""
        self.tell(plan, reply.text)
        if plan.say:
            plan.media = reply.media
        if reply.template is not None and plan.say:
            plan.template = self._template(plan, reply)
            plan.instead = self._instead(plan, reply)
            if plan.template is None:
                plan.say = []

    def _template(self, plan: Plan, reply: SayReply) -> Template | None:
        """Fill in a template; ``None`` where that cannot be done, which is a ticket."""
        if reply.template is None:  # pragma: no cover - only asked about templates
            return None
        ref = reply.template.ref.pick(*self.languages)
        variables = {
            name: _on_one_line(self.filled(plan, text))
            for name, text in reply.template.variables.items()
        }
        return Template(ref, variables) if plan.ticket is None else None

    def _instead(self, plan: Plan, reply: SayReply) -> Reply | None:
        """Fill in the template that stands in for another; ``None`` where there is none."""
        other = reply.instead
        if other is None:
            return None
        template = self._template(plan, other)
        if template is None:
            return None
        return Reply(
            text=self.text(plan, other.text),
            author=plan.author,
            template=template,
            instead=self._instead(plan, other),
            variant=plan.variant,
        )

    def message(self, plan: Plan, message: SayMessage) -> None:
        """Make it a message through a named channel: a text, a template, or either."""
        wording = self._wording(plan.rule or "default", message.wordings)
        plan.channel, plan.variant = message.channel, wording.name or None
        if wording.text is None and wording.template is not None:
            self.reply(plan, wording.template)
            return
        self.tell(plan, wording.text)
        if wording.template is not None and plan.say:
            said = self.text(plan, wording.template.text)
            template = self._template(plan, wording.template)
            if template is None:
                plan.say = []
            else:
                plan.otherwise = Reply(
                    text=said,
                    template=template,
                    instead=self._instead(plan, wording.template),
                    variant=plan.variant,
                )

    def _wording(self, rule: str, wordings: tuple[Wording, ...]) -> Wording:
        """Choose a wording: by the customer alone, so that they always get the same one."""
        if len(wordings) == 1:
            return wordings[0]
        address = self.facts.get("contact.address")
        who = "" if address is MISSING else thread_key(Address.from_text(str(address)))
        digest = hashlib.sha256(f"{rule}/{who}".encode("utf-8", "replace")).digest()
        return wordings[int.from_bytes(digest[:8], "big") % len(wordings)]

    def tell(self, plan: Plan, text: Text | None) -> None:
        """Say something to the customer."""
        if said := self.text(plan, text):
            plan.say.append(said)


def _on_one_line(text: str) -> str:
    # What stands in a template's place must be one line, or WhatsApp refuses all of it.
    return " ".join(text.split())


def _some(text: str, facts: Facts, *, gaps: bool) -> str:
    filled = render(text, facts, gaps=gaps)
    if is_template(text) and not filled.strip():
        raise TextError("nothing is left of it")
    return filled


def risk_of(rules: RuleSet, category: str | None) -> str | None:
    """Give the risk of a category; an undeclared one has OTHER's."""
    if category is None:
        return None
    return rules.categories.get(category, rules.categories[OTHER])


def add(added: Added, effects: Effects, rules: RuleSet, facts: Facts, failures: list[str]) -> Added:
    """Add what one matching rule adds; what is stated later wins."""
    changes: dict[str, Any] = {
        name: stated for name in _STATED if (stated := getattr(effects, name)) is not None
    }
    if effects.risk is not None:
        changes["risk_stated"] = True
    elif effects.category and not added.risk_stated:
        changes["risk"] = risk_of(rules, effects.category)
    if effects.tags or effects.untags:
        changes["tags"] = (added.tags | effects.tags) - effects.untags
        changes["untags"] = (added.untags | effects.untags) - effects.tags
    if effects.actions:
        actions = (
            ActionRequest(action=each.action, params=_filled(each.params, facts, failures))
            for each in effects.actions
        )
        changes["actions"] = (*added.actions, *actions)
    for name in _ATTRIBUTES:
        if attributes := getattr(effects, name):
            changes[name] = {**getattr(added, name), **_filled(attributes, facts, failures)}
    return changed(added, **changes) if changes else added


def as_careful(before: Added, after: Added) -> Added:
    """Give what a guardrail added without what would lower the risk."""
    if before.risk is None or after.risk is None:
        return after
    risk = max(before.risk, after.risk, key=RISKS.index)
    return after if risk == after.risk else changed(after, risk=risk)


def _filled(value: Mapping[str, Any], facts: Facts, failures: list[str]) -> dict[str, Any]:
    return {key: _fill(each, facts, failures) for key, each in value.items()}


def _fill(value: Any, facts: Facts, failures: list[str]) -> Any:
    if isinstance(value, str) and is_template(value):
        try:
            return render(value, facts, gaps=True)
        except TextError as error:
            failures.append(f"a text of the rules cannot be filled in: {error}")
            return ""
    if isinstance(value, dict):
        return {key: _fill(each, facts, failures) for key, each in value.items()}
    if isinstance(value, list):
        return [_fill(each, facts, failures) for each in value]
    return value


def apply_mode(setting: Setting, category: str, risk: str) -> str | None:
    """Say why a model's text may not go out by itself, or ``None`` if it may."""
    policy = setting.policy
    if policy.mode == "assisted":
        return "assisted: a person approves what a model wrote"
    if category not in policy.autopilot_categories:
        return f"autopilot does not answer {category} by itself"
    if risk != "low":
        return f"autopilot answers low risk only, and {category} is of {risk} risk here"
    return None


def settle(setting: Setting, added: Added, plan: Plan) -> Decision:
    """Hold back what policy, ownership and opt-out hold back, and make the decision."""
    _review(setting, plan)
    if setting.owned:
        _owned(setting, plan)
    if setting.opted_out:
        _opted_out(plan)
    return Decision(
        outcome=plan.outcome,
        because=plan.because,
        rule=plan.rule,
        category=added.category,
        risk=added.risk,
        priority=added.priority,
        language=added.language,
        replies=tuple(
            Reply(
                text=text,
                author=plan.author,
                template=None if number else plan.template,
                otherwise=None if number else plan.otherwise,
                instead=None if number else plan.instead,
                variant=None if number else plan.variant,
                media=() if number else plan.media,
            )
            for number, text in enumerate(plan.say)
        ),
        channel=plan.channel,
        draft=plan.draft,
        ticket=plan.ticket if plan.outcome >= Outcome.TICKET else None,
        escalation=plan.escalation if plan.outcome is Outcome.ESCALATE else None,
        actions=added.actions,
        tags=added.tags,
        untags=added.untags,
        contact_attributes=added.contact_attributes,
        conversation_attributes=added.conversation_attributes,
        opted_out=plan.opted_out,
        notify=plan.notify,
        sources=plan.sources,
        snooze=added.snooze,
    )


def _hold(plan: Plan, because: str) -> None:
    """Keep for a person what would have been said."""
    text = plan.said if plan.say else ""
    plan.say, plan.template, plan.otherwise, plan.instead = [], None, None, None
    plan.media = ()
    if text and plan.draft is None:
        plan.draft = DraftRequest(
            text=text, because=because, author=plan.author, sources=plan.sources
        )


def _review(setting: Setting, plan: Plan) -> None:
    if setting.policy.review_fixed_texts and plan.say and plan.author is Author.RULE:
        because = "policy.review_fixed_texts: a person approves fixed texts, too"
        plan.steps.append(because)
        _hold(plan, because)
        plan.raise_to(Outcome.DRAFT, because, who="policy.review_fixed_texts")


def _owned(setting: Setting, plan: Plan) -> None:
    owner = setting.facts.get("conversation.owner")
    because = "a person owns the conversation"
    if owner == NOBODY:
        because = "the conversation waits for a person"
    elif owner in (MISSING, BOT):
        because = "a rule has silenced the bot for a while"
    if not setting.policy.drafts_while_owned:
        if plan.say or plan.outcome in {Outcome.REPLY, Outcome.DRAFT}:
            plan.steps.append(f"{because}: nothing is sent")
        plan.say = []
        if plan.outcome in {Outcome.REPLY, Outcome.DRAFT}:
            plan.outcome, plan.because, plan.draft = Outcome.IGNORE, because, None
            plan.notify = True
        return
    if plan.say:
        plan.steps.append(f"{because}: nothing is sent")
        _hold(plan, because)
        plan.raise_to(Outcome.DRAFT, because, who="ownership")


def _opted_out(plan: Plan) -> None:
    because = "the contact opted out"
    if plan.say or plan.draft or plan.outcome in {Outcome.REPLY, Outcome.DRAFT}:
        plan.steps.append(f"{because}: nothing is sent")
    plan.say, plan.draft = [], None
    if plan.outcome in {Outcome.REPLY, Outcome.DRAFT}:
        plan.outcome, plan.because = Outcome.IGNORE, because
