"""What rules lead to besides deciding: prompts, articles, templates, redaction, silence, a stop."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.answer import Completion
from router.domain.decision import AskRequest, Outcome, Reply
from router.domain.message import Template
from router.errors import ConfigError
from router.rules.conditions import hosts
from router.rules.decide import Conclusion, conclude
from router.rules.engine import Reading, read
from router.rules.explain import render
from router.rules.facts import Facts
from router.rules.grounds import Grounds, weigh
from router.rules.loading import load_rules
from router.rules.model import Names, RuleSet
from router.rules.policy import Policy

Rules = Callable[..., RuleSet]

AUTOPILOT = Policy(mode="autopilot")
INFO = '[category.INFO]\nrisk = "low"\n'
RULE = '[[rule]]\nid = "r"\nwhen.text.words = "hola"\n'


def facts(text: str = "hola", **more: object) -> Facts:
    values: dict[str, object] = {
        "event.kind": "message",
        "text": text,
        "turn.text": text,
        "channel": "phone",
        "language": "es",
        "conversation.owner": "bot",
        "contact.opted_out": False,
    }
    return Facts({**values, **{name.replace("__", "."): value for name, value in more.items()}})


# What a model is asked, and with what ─────────────────────────────────────────────────────────


def test_a_rule_chooses_backend_prompt_and_articles(rules_of: Rules) -> None:
    rules = rules_of(
        '[prompt.billing]\ntext = "Be brief."\n'
        f'{RULE}then.use = {{ backend = "cheap", prompt = "billing", knowledge = ["pagos"] }}'
    )

    reading = read(rules, Policy(), facts())

    assert reading.ask == AskRequest(backend="cheap", prompt="billing", knowledge=("pagos",))
    assert reading.trace["using"] == {"prompt": "billing", "knowledge": ["pagos"]}
    assert rules.prompts["billing"].text == "Be brief."
    assert "It was told the prompt billing." in render(reading.trace)
    assert "It was given these articles only: pagos." in render(reading.trace)


def test_a_prompt_lies_in_a_file_beside_the_rules_and_counts_in_their_hash(
    tmp_path: Path, names: Names
) -> None:
    file, prompt = tmp_path / "rules.toml", tmp_path / "billing.md"
    file.write_text('default.answer = "cheap"\n[prompt.billing]\nfile = "billing.md"\n')
    prompt.write_text("Sé breve.", encoding="utf-8")
    first = load_rules([file], names)
    prompt.write_text("Sé amable.", encoding="utf-8")

    second = load_rules([file], names)

    assert first.prompts["billing"].text == "Sé breve."
    assert first.hash != second.hash


def test_a_model_is_not_shown_what_a_guardrail_redacts(rules_of: Rules) -> None:
    rules = rules_of(
        '[[guardrail]]\nid = "a"\nstage = "input"\nwhen.pii.empty = false\nthen.redact = "card"\n'
        '[[guardrail]]\nid = "b"\nstage = "input"\nwhen.pii = "email"\nthen.redact = ["email"]\n'
    )

    shown = read(rules, Policy(), facts("ana@example.com 4111 1111 1111 1111"))
    plain = read(rules, Policy(), facts("hola"))

    assert shown.ask == AskRequest(backend="assistant", redact=frozenset({"card", "email"}))
    assert shown.trace["redact"] == ["card", "email"]
    assert "It was not shown: card, email." in render(shown.trace)
    assert plain.ask == AskRequest(backend="assistant")


def test_true_redacts_everything_for_a_classification_too(rules_of: Rules) -> None:
    rules = rules_of(
        '[[guardrail]]\nid = "a"\nstage = "input"\nwhen.text.words = "hola"\nthen.redact = true\n',
        default='default = { answer = "assistant", classify = "cheap" }',
    )

    ask = read(rules, Policy(), facts()).ask

    assert ask is not None
    assert ask.classify
    assert {"card", "email", "phone"} <= ask.redact


def test_what_is_defined_twice_is_told(rules_of: Rules, names: Names, tmp_path: Path) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    defined = '[prompt.p]\ntext = "x"\n[template.t]\nref = "HX1"\ntext = "x"\n'
    first.write_text(f'default.answer = "cheap"\n{defined}')
    second.write_text(defined)

    with pytest.raises(ConfigError) as caught:
        load_rules([first, second], names)

    assert [str(each).partition(": ")[2] for each in caught.value.problems] == [
        'the prompt "p" is defined twice. Rename one.',
        'the template "t" is defined twice. Rename one.',
    ]


def test_rules_say_for_which_events_they_are_and_what_they_redact(rules_of: Rules) -> None:
    rules = rules_of(
        '[[guardrail]]\nid = "a"\nstage = "input"\nwhen.pii.empty = false\nthen.redact = "card"\n'
        '[[rule]]\nid = "r"\non = "idle"\nthen.ignore = "x"'
    )

    assert rules.redacts == {"card"}
    assert (rules.on("idle"), rules.on("message"), rules.on("echo")) == (True, True, False)


# Stopping and silence ─────────────────────────────────────────────────────────────────────────


def test_a_stop_leaves_the_rest_to_the_default(rules_of: Rules) -> None:
    rules = rules_of(
        f'{RULE}then = {{ tag = "greeted", stop = true }}\n'
        '[[rule]]\nid = "never"\nwhen.text.present = true\nthen.ignore = "x"'
    )

    reading = read(rules, Policy(), facts())

    assert reading.ask == AskRequest(backend="assistant")
    assert reading.added.tags == {"greeted"}
    assert reading.trace["unread"] == 1
    assert reading.trace["default"] is True
    assert [entry[0] for entry in reading.trace["triage"]] == ["r"]


def test_a_stopped_reading_may_classify(rules_of: Rules) -> None:
    rules = rules_of(
        f"{RULE}then.stop = true",
        default='default = { answer = "assistant", classify = "cheap" }',
    )

    ask = read(rules, Policy(), facts()).ask

    assert ask is not None
    assert ask.classify


def test_a_rule_silences_the_bot_for_a_while(rules_of: Rules) -> None:
    rules = rules_of(f'{RULE}then = {{ snooze = "2h", reply.text = "Hasta luego" }}')

    reading = read(rules, Policy(), facts())

    assert reading.decision is not None
    assert reading.decision.snooze == timedelta(hours=2)
    assert reading.decision.replies == (Reply(text="Hasta luego"),)
    assert reading.trace["decision"]["snooze"] == "2h"
    assert reading.trace["triage"][0][2] == [
        "snooze the bot for 2h",
        'reply "Hasta luego"',
    ]


@pytest.mark.parametrize(
    ("while_owned", "outcome", "draft"),
    [("draft", Outcome.DRAFT, "Hola"), ("notify", Outcome.IGNORE, None)],
)
def test_a_silenced_bot_says_nothing(
    rules_of: Rules, while_owned: Any, outcome: Outcome, draft: str | None
) -> None:
    rules = rules_of(f'{RULE}then.reply.text = "Hola"')
    policy = Policy(while_owned=while_owned)

    reading = read(rules, policy, facts(conversation__snoozed=True))

    assert reading.decision is not None
    assert (reading.decision.outcome, reading.decision.replies) == (outcome, ())
    assert (reading.decision.draft and reading.decision.draft.text) == draft
    assert reading.trace["steps"] == ["a rule has silenced the bot for a while: nothing is sent"]


def test_a_bot_that_answers_a_bot_is_silenced_by_a_guardrail(rules_of: Rules) -> None:
    rules = rules_of(
        '[[guardrail]]\nid = "loop"\nstage = "input"\nwhen.text.words = "hola"\n'
        'then = { snooze = "1h", ignore = "another bot" }'
    )

    decision = read(rules, Policy(), facts()).decision

    assert decision is not None
    assert (decision.outcome, decision.snooze) == (Outcome.IGNORE, timedelta(hours=1))


# Templates ────────────────────────────────────────────────────────────────────────────────────

TEMPLATE = """
[template.hello]
ref = { es = "HX1", pt = "HX2" }
text = { es = "Hola {{1}}, soy {{ 2 }}", pt = "Olá {{1}}, sou {{ 2 }}" }
"""
TEMPLATED = (
    f"{TEMPLATE}{RULE}then.reply = "
    '{ template = "hello", variables = { 1 = "{{ contact.name }}", 2 = "Eva" } }'
)


@pytest.mark.parametrize(
    ("language", "ref", "text"),
    [("es", "HX1", "Hola Ana, soy Eva"), ("pt-BR", "HX2", "Olá Ana, sou Eva")],
)
def test_a_reply_by_template_is_in_the_contacts_language(
    rules_of: Rules, language: str, ref: str, text: str
) -> None:
    rules = rules_of(TEMPLATED)

    reading = read(rules, Policy(), facts(language=language, contact__name="Ana"))

    assert reading.decision is not None
    assert reading.decision.replies == (
        Reply(text=text, template=Template(ref, {"1": "Ana", "2": "Eva"})),
    )
    assert reading.trace["decision"]["template"] == [ref]
    assert reading.trace["triage"][0][2] == ["reply with the template hello"]


STAND_INS = (
    TEMPLATED.replace("[template.hello]", '[template.hello]\ninstead = "short"')
    + """
[template.short]
ref = "HX3"
text = "Hola {{1}}"
instead = "bare"

[template.bare]
ref = "HX4"
text = "Hola"
"""
)


def test_a_template_brings_what_stands_in_for_it_filled_in(rules_of: Rules) -> None:
    reading = read(rules_of(STAND_INS), Policy(), facts(contact__name="Ana"))

    assert reading.decision is not None
    bare = Reply(text="Hola", template=Template("HX4"))
    short = Reply(text="Hola Ana", template=Template("HX3", {"1": "Ana"}), instead=bare)
    (reply,) = reading.decision.replies
    assert reply.template == Template("HX1", {"1": "Ana", "2": "Eva"})
    assert reply.instead == short


@pytest.mark.parametrize(
    "instead, problem",
    [
        ("shrot", 'no template "shrot" in the rules files. Did you mean "short"?'),
        ("hello", "this leads back to where it began: hello → hello. Leave it out of one of them."),
        (
            "back",
            "this leads back to where it began: hello → back → hello. Leave it out of one of them.",
        ),
        (
            "more",
            (
                '"more" has variables that "hello" has not: "3". Name a template that takes the '
                "same variables, or fewer."
            ),
        ),
    ],
)
def test_what_cannot_stand_in_for_a_template_is_told(
    rules_of: Rules, instead: str, problem: str
) -> None:
    templates = (
        STAND_INS.replace('"short"', f'"{instead}"')
        + """
[template.back]
ref = "HX5"
text = "Hola {{1}}, soy {{2}}"
instead = "hello"

[template.more]
ref = "HX6"
text = "Hola {{3}}"
"""
    )

    with pytest.raises(ConfigError) as caught:
        rules_of(templates)

    assert [str(each).partition(": ")[2].splitlines()[0] for each in caught.value.problems] == [
        problem
    ]


def test_a_template_that_cannot_be_filled_in_is_a_ticket(rules_of: Rules) -> None:
    reading = read(rules_of(TEMPLATED), Policy(), facts())

    assert reading.decision is not None
    assert reading.decision.outcome is Outcome.TICKET
    assert reading.decision.replies == ()


def test_a_template_that_a_person_reviews_is_a_draft_of_its_text(rules_of: Rules) -> None:
    policy = Policy(review_fixed_texts=True)

    decision = read(rules_of(TEMPLATED), policy, facts(contact__name="Ana")).decision

    assert decision is not None
    assert decision.draft is not None
    assert decision.draft.text == "Hola Ana, soy Eva"
    assert decision.replies == ()


# After the answer ─────────────────────────────────────────────────────────────────────────────


def concluded(
    rules: RuleSet,
    text: str,
    *,
    seen: Facts | None = None,
    sources: tuple[str, ...] | None = (),
    policy: Policy = AUTOPILOT,
) -> Conclusion:
    seen = seen or facts()
    reading = read(rules, policy, seen)
    grounds = None if sources is None else weigh(text, sources)
    completion = Completion(text, 0.9, "INFO", ("envios#1",))
    return conclude(rules, policy, seen, reading, completion, grounds=grounds)


def guard(when: str, then: str = 'draft = "held"') -> str:
    return f'{INFO}[[guardrail]]\nid = "g"\nwhen.{when}\nthen.{then}\n'


@pytest.mark.parametrize(
    ("when", "text", "sources", "held"),
    [
        ("answer.prices.empty = false", "Cuesta $45.000", ("Envíos: 45000 pesos",), False),
        ("answer.prices.empty = false", "Cuesta $45.000", ("Envíos: 54000 pesos",), True),
        ("answer.prices.empty = false", "Son 45 mil pesos.", ("Envíos a $ 45,000",), False),
        ("answer.prices.empty = false", "Son R$ 1.234,50", ("1234.50 reais",), False),
        ("answer.prices.empty = false", "El envío cuesta 45.000", ("Envíos: 45000 pesos",), False),
        ("answer.prices.empty = false", "El envío cuesta 45.000", ("Envíos: 54000 pesos",), True),
        ("answer.prices.empty = false", "El precio es de 90", (), True),
        ("answer.prices.empty = false", "El precio de 3 cajas es menor", (), False),
        ("answer.prices.empty = false", "El precio del envío es 90", (), True),
        ("answer.prices.empty = false", "Precio: 90", (), True),
        ("answer.prices.empty = false", "Sale 45 mil", (), True),
        ("answer.prices.empty = false", "Sale 45 mil", ("Son 45.000",), False),
        ("answer.prices.empty = false", "Vale 45k", (), True),
        ("answer.prices.empty = false", "Te queda en 12.500 con descuento", (), True),
        ("answer.prices.empty = false", "O frete custa 25", (), True),
        ("answer.prices.empty = false", "Fica em 1.250,00", (), True),
        ("answer.prices.empty = false", "It costs 300", (), True),
        ("answer.prices.empty = false", "Tardamos 3 días", (), False),
        ("answer.prices.empty = false", "El bus sale 15 minutos antes", (), False),
        ("answer.prices.empty = false", "Vale, 2 cajas", (), False),
        ("answer.prices.empty = false", "Te queda en 3 días", (), False),
        ("answer.prices.empty = false", "Desde 2020 hay 10 mil clientes", (), False),
        ("answer.dates.empty = false", "Abre el 24 de diciembre", ("Cerrado 24/12",), False),
        ("answer.dates.empty = false", "Abre el 25 de diciembre", ("Cerrado 24/12",), True),
        ("answer.dates.empty = false", "We open on January 3rd", ("2026-01-03",), False),
        ("answer.pii.empty = false", "Escribe a ana@example.com", ("ana@example.com",), False),
        ("answer.pii.empty = false", "Escribe a eva@example.com", ("ana@example.com",), True),
        ("answer.grounding.below = 0.5", "El envío tarda tres días", ("envíos: tres días",), False),
        ("answer.grounding.below = 0.5", "Somos los mejores siempre", ("envíos: 3 días",), True),
        ('answer.links.outside = ["example.com"]', "mira www.example.com/a", (), False),
        ('answer.links.outside = ["example.com"]', "mira https://tienda.example.com", (), False),
        ('answer.links.outside = ["example.com"]', "mira https://bad-example.com", (), True),
        ('answer.links.outside = ["example.com"]', "mira https://example.com@evil.io/x", (), True),
        ('answer.links.any_of = ["bit.ly"]', "mira bit.ly/abc", (), True),
        ('answer.links.none_of = ["bit.ly"]', "sin enlaces", (), True),
        ("answer.foreign = true", "Hello, your order is on its way", (), True),
        ("answer.foreign = true", "Hola, tu pedido ya va en camino", (), False),
        ('answer.language = "en"', "Hello, your order is on its way", (), True),
        ("answer.length.above = 20", "Una respuesta que es muy larga", (), True),
        ("answer.cites.empty = true", "Sí", (), False),
        ('answer.cites.outside = ["envios", "envios#1"]', "Sí", (), False),
        ('answer.backend = "assistant"', "Sí", (), True),
        ("conversation.window_open = false", "Sí", (), True),
    ],
)
def test_an_answer_is_looked_at_before_it_goes_out(
    rules_of: Rules, when: str, text: str, sources: tuple[str, ...], held: bool
) -> None:
    found = concluded(rules_of(guard(when)), text, sources=sources)

    assert (found.decision.outcome is Outcome.DRAFT) is held


def test_a_host_that_is_missing_is_what_a_guardrail_is_for() -> None:
    for operator in ("contains", "outside", "none_of"):
        assert hosts("answer.links", operator, ["a.io"], missing=True)(Facts({}))
        assert not hosts("answer.links", operator, ["a.io"], missing=False)(Facts({}))


def test_every_condition_of_every_guardrail_is_shown_where_that_is_asked_for(
    rules_of: Rules,
) -> None:
    rules = rules_of(guard("answer.length.above = 100"))
    reading = read(rules, AUTOPILOT, facts(), every=True)

    found = conclude(rules, AUTOPILOT, facts(), reading, Completion("Sí", 0.9, "INFO"))

    assert found.trace["conditions"]["g"] == [
        ["answer.length.above = 100", False, {"answer.length": 2}]
    ]


def test_an_answer_that_nobody_compared_with_its_sources_is_held(rules_of: Rules) -> None:
    rules = rules_of(guard("answer.prices.empty = false"))

    assert concluded(rules, "Sí", sources=None).decision.outcome is Outcome.DRAFT


def test_an_answer_goes_out_without_personal_data(rules_of: Rules) -> None:
    rules = rules_of(guard("answer.pii.empty = false", 'redact = ["email"]'))

    found = concluded(rules, "Escribe a eva@example.com")

    assert found.decision.outcome is Outcome.REPLY
    assert [reply.text for reply in found.decision.replies] == ["Escribe a [email]"]
    assert found.decision.because == 'the guardrail "g" leaves personal data out of the answer'


def test_a_draft_has_no_personal_data_either(rules_of: Rules) -> None:
    rules = rules_of(guard("answer.pii.empty = false", 'redact = ["email"]'))

    decision = concluded(rules, "Escribe a eva@example.com", policy=Policy()).decision

    assert decision.draft is not None
    assert decision.draft.text == "Escribe a [email]"


@given(st.text(max_size=150), st.text(max_size=150))
def test_any_answer_can_be_compared_with_anything(answer: str, source: str) -> None:
    grounds = weigh(answer, (source,), "CO")

    assert 0 <= grounds.grounding <= 1
    assert weigh(answer, (answer, source), "CO").prices == frozenset()


def test_grounds_survive_being_stored() -> None:
    grounds = weigh("Cuesta $5, el 3 de mayo: ana@example.com", ())

    assert Grounds.from_json(grounds.as_json()) == grounds
    assert grounds.prices
    assert grounds.dates
    assert grounds.pii == {"email"}


# Who raised the outcome, and what could not be asked ──────────────────────────────────────────


def test_the_trace_says_who_raised_the_outcome_from_what_to_what(rules_of: Rules) -> None:
    rules = rules_of(
        f"{guard('answer.length.above = 3')}"
        '[[guardrail]]\nid = "worse"\nwhen.answer.length.above = 3\nthen.ticket = {}\n'
    )

    found = concluded(rules, "Una respuesta", policy=Policy())

    assert found.trace["raised"] == [
        ["policy.mode", "reply", "draft"],
        ["worse", "draft", "ticket"],
    ]


def test_an_input_guardrail_that_raises_is_told_too(rules_of: Rules) -> None:
    rules = rules_of(
        '[[guardrail]]\nid = "floor"\nstage = "input"\nwhen.text.words = "hola"\nthen.ticket = {}\n'
        f'{RULE}then.reply.text = "Hola"'
    )

    assert read(rules, Policy(), facts()).trace["raised"] == [["floor", "reply", "ticket"]]


@pytest.mark.parametrize("stage", ["input", "answer"])
def test_a_guardrail_that_cannot_be_asked_counts_as_its_verdict(
    rules_of: Rules, stage: str
) -> None:
    rules = rules_of(
        f'{INFO}[[guardrail]]\nid = "g"\nstage = "{stage}"\n'
        "when.turn.messages.above = 3\nthen.ticket = {}\n"
    )
    seen = facts(turn__messages="many")

    outcome: Reading | Conclusion = read(rules, AUTOPILOT, seen)
    if stage == "answer":
        outcome = concluded(rules, "Sí", seen=seen)

    assert outcome.decision is not None
    assert outcome.decision.outcome is Outcome.TICKET
    assert "could not be asked, which counts as its verdict" in render(outcome.trace)
