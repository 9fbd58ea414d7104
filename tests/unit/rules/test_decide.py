"""From a model's answer to a decision."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.answer import Completion
from router.domain.decision import Outcome
from router.domain.message import Author
from router.rules.decide import conclude, failed
from router.rules.engine import Reading, read
from router.rules.facts import Facts
from router.rules.loading import build_rules
from router.rules.model import Names, RuleSet
from router.rules.policy import Policy
from router.toml import loads

Rules = Callable[..., RuleSet]

ASSISTED = Policy()
AUTO = Policy(mode="autopilot", autopilot_categories=frozenset({"INFO", "OTHER"}))
CATEGORIES = '[category.INFO]\nrisk = "low"\n[category.LEGAL]\nrisk = "high"\n'
KNOWS = Completion("Abrimos a las 9.", 0.9, "INFO", ("horarios#1",))


def facts(**more: object) -> Facts:
    values: dict[str, object] = {
        "event.kind": "message",
        "text": "¿horario?",
        "turn.text": "¿horario?",
        "channel": "phone",
        "language": "es",
        "conversation.owner": "bot",
        "contact.opted_out": False,
    }
    return Facts({**values, **{name.replace("__", "."): value for name, value in more.items()}})


def concluded(
    rules: RuleSet,
    completion: Completion = KNOWS,
    policy: Policy = AUTO,
    seen: Facts | None = None,
) -> dict[str, Any]:
    seen = seen or facts()
    reading = read(rules, policy, seen)
    assert reading.ask is not None
    return dict(conclude(rules, policy, seen, reading, completion).trace["decision"])


@pytest.mark.parametrize(
    ("policy", "completion", "more", "expected"),
    [
        (AUTO, KNOWS, {}, ("reply", "INFO", "low")),
        (ASSISTED, KNOWS, {}, ("draft", "INFO", "low")),
        (AUTO, Completion("x", category="LEGAL"), {}, ("draft", "LEGAL", "high")),
        (AUTO, Completion("x", category="WEATHER"), {}, ("reply", "OTHER", "low")),
        (AUTO, Completion("x"), {}, ("reply", "OTHER", "low")),
        (AUTO, KNOWS, {"conversation__category": "LEGAL"}, ("reply", "INFO", "low")),
        (AUTO, Completion("x"), {"conversation__category": "LEGAL"}, ("draft", "LEGAL", "high")),
        (AUTO, Completion("x"), {"conversation__category": "GONE"}, ("reply", "OTHER", "low")),
        (AUTO, KNOWS, {"ai__category": "LEGAL"}, ("draft", "LEGAL", "high")),
    ],
)
def test_the_mode_decides_by_category_and_risk(
    rules_of: Rules,
    policy: Policy,
    completion: Completion,
    more: dict[str, object],
    expected: tuple[str, str, str],
) -> None:
    decision = concluded(rules_of(CATEGORIES), completion, policy, facts(**more))

    assert (decision["outcome"], decision["category"], decision["risk"]) == expected


def test_a_category_of_high_risk_is_never_answered_by_itself(rules_of: Rules) -> None:
    rules = rules_of(
        f'{CATEGORIES}[[rule]]\nid = "r"\nthen.set = {{ category = "INFO", risk = "high" }}'
    )

    decision = concluded(rules)

    assert decision["outcome"] == "draft"
    assert decision["because"] == ("autopilot answers low risk only, and INFO is of high risk here")


def test_an_answer_that_goes_out_says_where_it_comes_from(rules_of: Rules) -> None:
    rules = rules_of(CATEGORIES)
    reading = read(rules, AUTO, facts())

    conclusion = conclude(rules, AUTO, facts(), reading, KNOWS)

    (reply,) = conclusion.decision.replies
    assert (reply.text, reply.author) == ("Abrimos a las 9.", Author.BOT)
    assert conclusion.decision.sources == ("horarios#1",)
    assert conclusion.decision.draft is None
    assert conclusion.trace["steps"] == ["autopilot answers INFO by itself"]
    assert conclusion.trace["facts"]["answer.cites"] == ["horarios", "horarios#1"]
    assert "guards" not in reading.trace


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_answer_is_never_sent(rules_of: Rules, text: str) -> None:
    decision = concluded(rules_of(""), Completion(text, 0.99))

    assert decision["outcome"] == "ticket"
    assert decision["because"] == "the backend does not know"
    assert "say" not in decision
    assert "draft" not in decision


@pytest.mark.parametrize(
    ("confidence", "outcome"), [(None, "ticket"), (0.49, "ticket"), (0.5, "reply")]
)
def test_answers_below_the_threshold_become_tickets(
    rules_of: Rules, confidence: float | None, outcome: str
) -> None:
    policy = Policy(
        mode="autopilot",
        autopilot_categories=frozenset({"OTHER"}),
        confidence_threshold=0.5,
    )

    decision = concluded(rules_of(""), Completion("x", confidence), policy)

    assert decision["outcome"] == outcome
    assert ("draft" in decision) is (outcome == "ticket")


GUARDS = {
    "draft": 'then.draft = "look"',
    "ticket": 'then.ticket = { queue = "q", say = "Ya." }',
    "escalate": 'then.escalate = { to = "pager", because = "now" }',
    "replace": 'then.replace.text = "Fijo."',
}


def guard(verdict: str, when: str = "when.answer.text.present = true", id_: str = "") -> str:
    return f'[[guardrail]]\nid = "{id_ or verdict}"\n{when}\n{GUARDS[verdict]}\n'


@pytest.mark.parametrize(
    ("verdict", "policy", "expected"),
    [
        ("draft", AUTO, {"outcome": "draft", "because": "look", "rule": "draft"}),
        (
            "ticket",
            AUTO,
            {
                "outcome": "ticket",
                "say": ["Ya."],
                "draft": {
                    "text": "Abrimos a las 9.",
                    "because": 'the guardrail "ticket" opens a ticket',
                },
                "ticket": {"queue": "q", "title": "¿horario?", "priority": "normal"},
            },
        ),
        (
            "escalate",
            ASSISTED,
            {"outcome": "escalate", "escalate": {"to": "pager", "because": "now"}},
        ),
        (
            "replace",
            AUTO,
            {
                "outcome": "reply",
                "say": ["Fijo."],
                "draft": {
                    "text": "Abrimos a las 9.",
                    "because": 'the guardrail "replace" replaces the answer',
                },
            },
        ),
        (
            "replace",
            ASSISTED,
            {
                "outcome": "draft",
                "draft": {
                    "text": "Fijo.",
                    "because": "assisted: a person approves what a model wrote",
                },
            },
        ),
    ],
)
def test_a_guardrail_has_its_way(
    rules_of: Rules, verdict: str, policy: Policy, expected: dict[str, object]
) -> None:
    decision = concluded(rules_of(CATEGORIES + guard(verdict)), policy=policy)

    assert {key: decision.get(key) for key in expected} == expected


def test_the_most_careful_verdict_wins_whatever_the_order(rules_of: Rules) -> None:
    seen = [
        concluded(rules_of("".join(guard(each) for each in order)))
        for order in permutations(GUARDS)
    ]

    assert {decision["rule"] for decision in seen} == {"escalate"}
    assert all(decision == seen[0] for decision in seen)


def test_a_guardrail_that_does_not_hold_says_why(rules_of: Rules) -> None:
    rules = rules_of(guard("draft", "when.answer.confidence.below = 0.5\nlanguages = 'es'"))
    reading = read(rules, AUTO, facts())

    trace = conclude(rules, AUTO, facts(), reading, KNOWS).trace

    assert trace["guards"] == [
        ["draft", "-", "answer.confidence.below = 0.5", ["answer.confidence"]]
    ]


def test_a_rule_that_asked_for_a_draft_gets_one(rules_of: Rules) -> None:
    rules = rules_of('[[rule]]\nid = "d"\nthen.draft = { answer = "cheap", because = "look" }')

    decision = concluded(rules)

    assert (decision["outcome"], decision["because"], decision["rule"]) == ("draft", "look", "d")


@pytest.mark.parametrize(
    ("while_owned", "verdict", "outcome"),
    [
        ("draft", None, "draft"),
        (None, None, "ignore"),
        ("notify", None, "ignore"),
        ("notify", "draft", "ignore"),
        ("notify", "ticket", "ticket"),
        ("draft", "ticket", "ticket"),
    ],
)
def test_an_answer_that_comes_after_a_takeover_is_held(
    rules_of: Rules, while_owned: Any, verdict: str | None, outcome: str
) -> None:
    rules = rules_of(guard(verdict) if verdict else "")
    policy = Policy(
        mode="autopilot", autopilot_categories=frozenset({"OTHER"}), while_owned=while_owned
    )
    reading = read(rules, policy, facts())
    taken = facts(conversation__owner="person")

    decision = conclude(rules, policy, taken, reading, Completion("x", 1.0)).decision

    assert decision.outcome.word == outcome
    assert decision.replies == ()


def test_a_fixed_text_that_cannot_be_filled_in_keeps_the_answer_back(rules_of: Rules) -> None:
    rules = rules_of(
        '[[guardrail]]\nid = "g"\nwhen.answer.length.above = 0\n'
        'then.replace.text = "{{ 10 // attachments }}"'
    )

    decision = concluded(rules, Completion("x"), seen=facts(attachments=0))

    assert decision["outcome"] == "ticket"
    assert "say" not in decision
    assert decision["draft"]["text"] == "x"


@pytest.mark.parametrize(
    ("apology", "more", "say"),
    [
        ("Lo siento.", {}, ["Lo siento."]),
        ({"es": "Lo siento.", "pt": "Desculpe."}, {"language": "pt"}, ["Desculpe."]),
        ("", {}, []),
        ("Lo siento.", {"conversation__owner": "person"}, []),
    ],
)
def test_a_failure_for_good_is_an_apology_and_a_ticket(
    rules_of: Rules, apology: Any, more: dict[str, object], say: list[str]
) -> None:
    rules = rules_of("")
    seen = facts(**more)

    conclusion = failed(rules, Policy(apology=apology), seen, None, "the model is away")

    assert conclusion.decision.outcome is Outcome.TICKET
    assert conclusion.decision.because == "the model is away"
    assert [reply.text for reply in conclusion.decision.replies] == say
    assert conclusion.decision.ticket is not None
    assert conclusion.decision.ticket.queue == "default"


def test_a_failure_keeps_what_the_rules_added(rules_of: Rules) -> None:
    rules = rules_of('[[rule]]\nid = "t"\nthen.tag = "vip"')
    reading = read(rules, AUTO, facts())

    decision = failed(rules, AUTO, facts(), reading, "gone").decision

    assert decision.tags == {"vip"}


# Properties ───────────────────────────────────────────────────────────────────────────────────

NAMES = Names(backends=frozenset({"assistant"}), actions={"pager": None})
CONDITIONS = (
    "when.answer.confidence.below = 0.5",
    "when.answer.text.words = 'hola'",
    "when.answer.cites.empty = true",
    "when.category = 'INFO'",
    "unless.answer.cites = 'horarios'",
    "when.answer.empty = true",
    "",
)
INPUT = {
    "ticket": GUARDS["ticket"],
    "escalate": GUARDS["escalate"],
    "no_ai": "then.no_ai = true",
}
RULES = (
    "",
    '[[rule]]\nid = "r"\nthen.set.category = "INFO"\n',
    '[[rule]]\nid = "r"\nwhen.text.words = "hola"\nthen.reply.text = "Hola"\n',
    '[[rule]]\nid = "r"\nwhen.text.words = "hola"\nthen.draft.answer = "assistant"\n',
    '[[rule]]\nid = "r"\nwhen.text.words = "hola"\nthen.escalate = { to = "q", because = "b" }\n',
    '[[rule]]\nid = "r"\nwhen.text.words = "hola"\nthen.ignore = "b"\n',
)

answer_guards = st.tuples(st.sampled_from(sorted(GUARDS)), st.sampled_from(CONDITIONS)).map(
    lambda pair: f"{pair[1]}\n{GUARDS[pair[0]]}\n"
)
input_guards = st.tuples(
    st.sampled_from(sorted(INPUT)), st.sampled_from(("", "when.text.words = 'hola'"))
).map(lambda pair: f'stage = "input"\n{pair[1]}\n{INPUT[pair[0]]}\n')
policies = st.builds(
    Policy,
    mode=st.sampled_from(["assisted", "autopilot"]),
    autopilot_categories=st.sampled_from([frozenset({"INFO", "OTHER"}), frozenset()]),
    confidence_threshold=st.sampled_from([None, 0.6]),
    review_fixed_texts=st.booleans(),
    while_owned=st.sampled_from([None, "draft", "notify"]),
    apology=st.sampled_from(["", "Lo siento"]),
)
completions = st.builds(
    Completion,
    st.sampled_from(["", "hola", "otra cosa"]),
    st.sampled_from([None, 0.1, 0.55, 0.9]),
    st.sampled_from([None, "INFO", "LEGAL", "X"]),
    st.sampled_from([(), ("horarios#1",)]),
)
situations = st.fixed_dictionaries(
    {
        "text": st.sampled_from(["hola", "x"]),
        "conversation__owner": st.sampled_from(["bot", "bot", "person", "nobody"]),
        "contact__opted_out": st.sampled_from([False, False, True]),
        "conversation__category": st.sampled_from([None, "INFO", "LEGAL"]),
    }
)


def outcome(
    files: str, policy: Policy, seen: Facts, completion: Completion
) -> tuple[Outcome, bool]:
    """Give what comes out, and whether a model was asked."""
    text = f'default.answer = "assistant"\n{CATEGORIES}{files}'
    rules = build_rules([loads(text, "x")], NAMES)
    reading: Reading = read(rules, policy, seen)
    if reading.decision is not None:
        return reading.decision.outcome, False
    return conclude(rules, policy, seen, reading, completion).decision.outcome, True


@given(
    rule=st.sampled_from(RULES),
    guards=st.lists(st.one_of(answer_guards, input_guards), max_size=3),
    extra=st.one_of(answer_guards, input_guards),
    policy=policies,
    completion=completions,
    situation=situations,
)
def test_a_guardrail_never_makes_an_outcome_less_careful(
    rule: str,
    guards: list[str],
    extra: str,
    policy: Policy,
    completion: Completion,
    situation: dict[str, object],
) -> None:
    seen = facts(**situation)
    before = rule + "".join(
        f'[[guardrail]]\nid = "g{number}"\n{each}' for number, each in enumerate(guards)
    )
    after = f'{before}[[guardrail]]\nid = "extra"\n{extra}'

    without, asked_without = outcome(before, policy, seen, completion)
    guarded, asked = outcome(after, policy, seen, completion)
    if asked_without and not asked:
        # No model is asked any more, so there is no answer to judge: a person gets the turn.
        assert guarded >= Outcome.TICKET
    else:
        assert guarded >= without


@given(
    rule=st.sampled_from(RULES),
    guards=st.lists(st.one_of(answer_guards, input_guards), max_size=4),
    policy=policies,
    completion=completions,
    situation=situations,
)
def test_the_order_of_guardrails_never_matters(
    rule: str,
    guards: list[str],
    policy: Policy,
    completion: Completion,
    situation: dict[str, object],
) -> None:
    seen = facts(**situation)
    tables = [f'[[guardrail]]\nid = "g{n}"\n{each}' for n, each in enumerate(guards)]

    forward = outcome(rule + "".join(tables), policy, seen, completion)
    backward = outcome(rule + "".join(reversed(tables)), policy, seen, completion)

    assert forward == backward


@given(
    rule=st.sampled_from(RULES),
    policy=policies,
    completion=completions,
    situation=situations,
)
def test_a_model_never_speaks_where_a_person_owns_the_conversation(
    rule: str, policy: Policy, completion: Completion, situation: dict[str, object]
) -> None:
    seen = facts(**situation)
    text = f'default.answer = "assistant"\n{CATEGORIES}{rule}'
    rules = build_rules([loads(text, "x")], NAMES)
    reading = read(rules, policy, seen)
    decision = reading.decision or conclude(rules, policy, seen, reading, completion).decision

    held = situation["conversation__owner"] != "bot"
    assert not (held and decision.replies)
    if policy.mode == "assisted":
        assert all(reply.author is not Author.BOT for reply in decision.replies)
    assert all(reply.text.strip() for reply in decision.replies)
