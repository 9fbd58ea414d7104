"""Reading: guardrails, triage, the default, and what is asked of a model."""

from collections.abc import Callable
from typing import Any

import pytest

from router.domain.decision import AskRequest, Outcome
from router.domain.message import Author
from router.rules.engine import Reading, read
from router.rules.facts import Facts
from router.rules.model import RuleSet
from router.rules.policy import Policy

Rules = Callable[..., RuleSet]

ASSISTED = Policy()
NOTIFY = Policy(while_owned="notify")
REVIEW = Policy(review_fixed_texts=True)

GREETING = '[[rule]]\nid = "hello"\nwhen.text.words = "hola"\nthen.reply.text = "¡Hola!"\n'
TICKET = (
    '[[rule]]\nid = "t"\nwhen.text.words = "roto"\nthen.ticket = { queue = "q", say = "Ya." }\n'
)
BROCHURE = """
[[rule]]
id = "brochure"
when.text.words = "folleto"
then.reply.text = "Aquí está."
then.reply.media = ["https://shop.example/a.pdf", "https://shop.example/b"]
"""
LINKS = "Aquí está.\n\nhttps://shop.example/a.pdf\nhttps://shop.example/b"
LEGAL = """
[[rule]]
id = "legal"
when.text.words = "juicio"
then.escalate = { to = "legal", because = "a threat", say = { es = "Ya.", pt = "Já." } }
"""


def facts(text: str = "hola", **more: object) -> Facts:
    values: dict[str, object] = {
        "event.kind": "message",
        "text": text,
        "turn.text": text,
        "channel": "phone",
        "language": "es",
        "conversation.owner": "bot",
        "contact.opted_out": False,
        "conversation.tag": frozenset({"old"}),
    }
    return Facts({**values, **{name.replace("__", "."): value for name, value in more.items()}})


def decided(reading: Reading) -> dict[str, Any]:
    assert reading.decision is not None
    assert reading.ask is None
    return dict(reading.trace["decision"])


def test_a_fixed_text_is_sent_in_assisted_mode_too(rules_of: Rules) -> None:
    reading = read(rules_of(GREETING), ASSISTED, facts())

    assert decided(reading) == {
        "outcome": "reply",
        "because": 'the rule "hello" states the answer',
        "rule": "hello",
        "say": ["¡Hola!"],
    }
    assert reading.decision is not None
    assert reading.decision.replies[0].author is Author.RULE


def test_a_reply_may_carry_files(rules_of: Rules) -> None:
    reading = read(rules_of(BROCHURE), ASSISTED, facts("el folleto"))

    assert reading.decision is not None
    (reply,) = reading.decision.replies
    assert reply.text == "Aquí está."
    assert [file.url for file in reply.media] == [
        "https://shop.example/a.pdf",
        "https://shop.example/b",
    ]
    assert decided(reading)["media"] == ["https://shop.example/a.pdf", "https://shop.example/b"]


@pytest.mark.parametrize(
    "more, policy, changes",
    [
        ("", Policy(while_owned="draft"), {"conversation__owner": "person"}),
        ("", REVIEW, {}),
        ('[[guardrail]]\nid = "g"\nstage = "input"\nthen.ticket = {}\n', ASSISTED, {}),
    ],
)
def test_a_reply_that_waits_for_a_person_names_its_files_by_their_addresses(
    rules_of: Rules, more: str, policy: Policy, changes: dict[str, object]
) -> None:
    reading = read(rules_of(BROCHURE + more), policy, facts("el folleto", **changes))

    decision = decided(reading)
    assert decision["draft"]["text"] == LINKS
    assert "media" not in decision
    assert decision.get("say", []) == []


def test_no_file_goes_to_who_wants_no_more_messages(rules_of: Rules) -> None:
    stop = '[[guardrail]]\nid = "g"\nstage = "input"\nthen.opt_out = { say = "Chau." }\n'

    decision = decided(read(rules_of(BROCHURE + stop), ASSISTED, facts("el folleto")))

    assert decision["say"] == ["Chau."]
    assert "media" not in decision


def test_a_message_through_a_channel_is_not_sent_to_who_wants_none(rules_of: Rules) -> None:
    offer = (
        '[template.offer]\nref = "HX1"\ntext = "20 % menos"\n'
        '[[rule]]\nid = "promo"\nwhen.text.words = "promo"\n'
        'then.message = { channel = "whatsapp", text = "Va la promo.", template = "offer" }\n'
    )
    stop = '[[guardrail]]\nid = "g"\nstage = "input"\nthen.opt_out = { say = "Chau." }\n'

    reading = read(rules_of(offer + stop), ASSISTED, facts("ni una promo más"))

    assert reading.decision is not None
    (reply,) = reading.decision.replies
    assert (reply.text, reply.template, reply.otherwise) == ("Chau.", None, None)
    assert reading.decision.channel is None


def test_a_category_of_a_guardrail_does_not_lower_the_risk(rules_of: Rules) -> None:
    categories = '[category.INFO]\nrisk = "low"\n[category.COMPLAINT]\nrisk = "high"\n'
    rule = '[[rule]]\nid = "r"\nwhen.text.words = "roto"\nthen.set.category = "COMPLAINT"\n'
    guardrail = (
        '[[guardrail]]\nid = "g"\nstage = "input"\nwhen.text.words = "tarjeta"\n'
        'then = { redact = ["card"], set.category = "INFO" }\n'
    )

    reading = read(rules_of(categories + rule + guardrail), ASSISTED, facts("roto, con tarjeta"))

    assert (reading.added.category, reading.added.risk) == ("INFO", "high")


def test_nothing_decided_asks_the_default(rules_of: Rules) -> None:
    reading = read(rules_of(GREETING), ASSISTED, facts("¿precio?"))

    assert reading.ask == AskRequest(backend="assistant")
    assert reading.decision is None
    assert reading.trace["default"] is True
    assert reading.trace["asked"] == ["answer", "assistant"]


def test_the_first_rule_that_decides_is_the_last_one_read(rules_of: Rules) -> None:
    rules = rules_of(
        '[[rule]]\nid = "a"\nthen.tag = "one"\n'
        '[[rule]]\nid = "b"\nwhen.conversation.tag = "one"\nthen.untag = ["one", "old"]\n'
        f"{GREETING}{GREETING.replace('hello', 'again')}"
    )

    reading = read(rules, ASSISTED, facts())

    assert [entry[:2] for entry in reading.trace["triage"]] == [
        ["a", "+"],
        ["b", "+"],
        ["hello", "+"],
    ]
    assert reading.trace["unread"] == 1
    assert reading.decision is not None
    assert reading.decision.tags == frozenset()
    assert reading.decision.untags == {"one", "old"}


def test_what_rules_set_is_seen_by_later_rules(rules_of: Rules) -> None:
    rules = rules_of(
        """
        [category.BILLING]
        risk = "medium"
        [[rule]]
        id = "a"
        then.set = { category = "BILLING", priority = "high", language = "pt" }
        [[rule]]
        id = "b"
        when = { category = "BILLING", risk = "medium", priority = "high", language = "pt" }
        then.set = { risk = "high", contact.attribute.city = "{{ channel }}" }
        [[rule]]
        id = "c"
        languages = "pt"
        when.risk = "high"
        then.set = { category = "OTHER", conversation.attribute.plan = "gold" }
        [[rule]]
        id = "d"
        when.risk = "high"
        then.reply.text = { es = "Hola", pt = "Olá" }
        """
    )

    assert decided(read(rules, ASSISTED, facts())) == {
        "outcome": "reply",
        "because": 'the rule "d" states the answer',
        "rule": "d",
        "category": "OTHER",
        "risk": "high",
        "priority": "high",
        "language": "pt",
        "say": ["Olá"],
        "set": {"contact.attribute.city": "phone", "conversation.attribute.plan": "gold"},
    }


def test_rules_for_other_events_are_skipped(rules_of: Rules) -> None:
    rules = rules_of(
        '[[rule]]\nid = "k"\non = ["delivery", "echo"]\nthen.ignore = "x"\n'
        '[[rule]]\nid = "c"\nchannels = ["whatsapp"]\nthen.ignore = "x"\n'
        '[[rule]]\nid = "l"\nlanguages = ["pt", "en"]\nthen.ignore = "x"\n'
        '[[rule]]\nid = "in"\nchannels = "phone"\nlanguages = ["es"]\nthen.ignore = "in"\n'
    )

    reading = read(rules, ASSISTED, facts(language="es-CO"))

    assert reading.trace["triage"] == [
        ["k", "s", "kind"],
        ["c", "s", "channel"],
        ["l", "s", "language"],
        ["in", "+", ["ignore: in"]],
    ]


@pytest.mark.parametrize("kind", ["echo", "delivery"])
def test_other_events_never_ask_a_model(rules_of: Rules, kind: str) -> None:
    reading = read(
        rules_of("", default='default = { answer = "assistant", classify = "assistant" }'),
        ASSISTED,
        facts(event__kind=kind),
    )

    assert decided(reading) == {"outcome": "ignore", "because": "nothing to do"}


def test_a_failed_delivery_can_open_a_ticket(rules_of: Rules) -> None:
    rules = rules_of(
        '[[rule]]\nid = "f"\non = "delivery"\nwhen.delivery.status = "failed"\n'
        'then.ticket = { title = "Failed: {{ delivery.code }}", priority = "low" }'
    )
    reading = read(
        rules,
        ASSISTED,
        Facts({"event.kind": "delivery", "delivery.status": "failed", "delivery.code": "63016"}),
    )

    assert decided(reading)["ticket"] == {
        "queue": "default",
        "title": "Failed: 63016",
        "priority": "low",
    }


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("  primera\nsegunda", "primera"),
        ("x" * 90, f"{'x' * 79}…"),
        ("", "message"),
    ],
)
def test_a_ticket_without_a_title_has_what_was_written(
    rules_of: Rules, text: str, title: str
) -> None:
    rules = rules_of("", default="default.ticket = {}")

    assert decided(read(rules, ASSISTED, facts(text)))["ticket"] == {
        "queue": "default",
        "title": title,
        "priority": "normal",
    }
    assert decided(read(rules, ASSISTED, Facts({})))["ticket"]["title"] == "message"


def test_classification_comes_first_and_reading_starts_again(rules_of: Rules) -> None:
    rules = rules_of(
        """
        [category.LEGAL]
        risk = "high"
        [[rule]]
        id = "known"
        when.ai.category = "LEGAL"
        then.escalate = { to = "legal", because = "the model says so" }
        [[rule]]
        id = "ask"
        then.classify = "cheap"
        [[rule]]
        id = "never"
        when.text.words = "hola"
        then.ignore = "too early"
        """
    )

    first = read(rules, ASSISTED, facts())
    assert first.ask == AskRequest(backend="cheap", classify=True)
    assert first.rule == "ask"
    assert first.trace["asked"] == ["category", "cheap"]
    assert first.trace["unread"] == 1

    legal = read(rules, ASSISTED, facts(ai__category="LEGAL"))
    assert decided(legal)["outcome"] == "escalate"
    assert (legal.category, legal.risk, legal.priority, legal.language) == (
        "LEGAL",
        "high",
        None,
        None,
    )

    other = read(rules, ASSISTED, facts(ai__category="NONSENSE"))
    assert decided(other)["category"] == "OTHER"
    assert decided(other)["rule"] == "never"


def test_the_default_may_classify_first(rules_of: Rules) -> None:
    default = 'default = { answer = "assistant", classify = "cheap" }'
    rules = rules_of('[[rule]]\nid = "u"\nthen.use.backend = "cheap"', default=default)

    assert read(rules, ASSISTED, facts()).ask == AskRequest(backend="cheap", classify=True)
    again = read(rules, ASSISTED, facts(ai__category="OTHER"))
    assert again.ask == AskRequest(backend="cheap")


def test_a_rule_may_ask_for_a_draft(rules_of: Rules) -> None:
    rules = rules_of(
        '[[rule]]\nid = "d"\nwhen.text.words = "hola"\n'
        'then.draft = { answer = "cheap", because = "look first" }\n'
        '[[rule]]\nid = "f"\nthen.draft = { text = "Hola {{ text }}" }'
    )

    asking = read(rules, ASSISTED, facts())
    assert (asking.ask, asking.keep_draft, asking.rule) == (
        AskRequest(backend="cheap"),
        "look first",
        "d",
    )
    assert decided(read(rules, ASSISTED, facts("x")))["draft"] == {
        "text": "Hola x",
        "because": "a rule wants a person's word",
    }


def test_actions_are_run_with_filled_parameters(rules_of: Rules) -> None:
    rules = rules_of(
        """
        [[rule]]
        id = "r"
        then.run = [
          { action = "pager", title = "{{ channel }}", text = "x" },
          { action = "anything", list = ["{{ text }}", { deep = "{{ text }}" }, 3] },
        ]
        """
    )

    reading = read(rules, ASSISTED, facts())

    assert [(each.action, each.params) for each in reading.added.actions] == [
        ("pager", {"title": "phone", "text": "x"}),
        ("anything", {"list": ["hola", {"deep": "hola"}, 3]}),
    ]


BROKEN_LATER = "{{ 10 // attachments }}"


def test_a_text_that_cannot_be_filled_in_is_a_ticket(rules_of: Rules) -> None:
    rules = rules_of(f'[[rule]]\nid = "r"\nthen.reply.text = "{BROKEN_LATER}"')

    decision = decided(read(rules, ASSISTED, facts(attachments=0)))

    assert decision["outcome"] == "ticket"
    assert decision["ticket"]["queue"] == "default"
    assert "cannot be filled in" in decision["because"]
    assert "say" not in decision


def test_a_text_of_which_nothing_is_left_is_a_ticket(rules_of: Rules) -> None:
    rules = rules_of('[[rule]]\nid = "r"\nthen.reply.text = "{{ contact.name }}"')

    assert decided(read(rules, ASSISTED, facts()))["outcome"] == "ticket"


def test_a_text_that_lacks_a_value_is_a_ticket_and_no_broken_sentence(rules_of: Rules) -> None:
    rules = rules_of(
        '[[rule]]\nid = "r"\nthen.reply.text = "Hola {{ contact.name }}, su pedido está listo."'
    )

    named = decided(read(rules, ASSISTED, facts(contact__name="Ana")))
    unnamed = decided(read(rules, ASSISTED, facts()))

    assert named["say"] == ["Hola Ana, su pedido está listo."]
    assert "say" not in unnamed
    assert unnamed["outcome"] == "ticket"
    assert 'there is no value for "name"' in unnamed["because"]


def test_what_no_customer_reads_may_lack_a_value(rules_of: Rules) -> None:
    rules = rules_of(
        '[[rule]]\nid = "r"\n'
        'then.set.contact.attribute.who = "name: {{ contact.name }}"\n'
        'then.ticket = { title = "Pedido de {{ contact.name }}" }'
    )

    reading = read(rules, ASSISTED, facts())

    assert decided(reading)["ticket"]["title"] == "Pedido de"
    assert reading.decision is not None
    assert reading.decision.contact_attributes == {"who": "name: "}
    assert "steps" not in reading.trace


def test_a_ticket_stays_one_where_its_text_cannot_be_filled_in(rules_of: Rules) -> None:
    rules = rules_of(
        f'[[rule]]\nid = "r"\nthen.set.contact.attribute.x = "{BROKEN_LATER}"\n'
        f'[[rule]]\nid = "s"\nthen.ticket.say = "{BROKEN_LATER}"'
    )

    reading = read(rules, ASSISTED, facts(attachments=0))

    assert decided(reading)["ticket"]["title"] == "hola"
    assert len(reading.trace["steps"]) == 2


OPT_OUT = """
[category.OPT_OUT]
risk = "high"
[[guardrail]]
id = "out"
stage = "input"
when.text.words = "baja"
then = { opt_out = { say = "Listo." }, set.category = "OPT_OUT", tag = "gone" }
"""
NO_AI = '[[guardrail]]\nid = "no"\nstage = "input"\nwhen.text.words = "ignora"\nthen.no_ai = true\n'
NO_AI_SAY = NO_AI.replace("true", '{ say = "Un momento." }')
FLOOR = """
[[guardrail]]
id = "floor"
stage = "input"
when.text.words = "hack"
then.ticket = { queue = "security", say = "Ya lo vemos." }
"""
CALL = FLOOR.replace('"floor"', '"call"').replace(
    'ticket = { queue = "security", say', 'escalate = { to = "security", because = "hack", say'
)
LOOP = (
    '[[guardrail]]\nid = "loop"\nstage = "input"\nwhen.text.words = "bot"\nthen.ignore = "a bot"\n'
)


@pytest.mark.parametrize(
    ("files", "text", "expected"),
    [
        (
            OPT_OUT,
            "baja",
            {"outcome": "reply", "rule": "out", "say": ["Listo."], "opted_out": True},
        ),
        (
            OPT_OUT.replace('{ say = "Listo." }', "true"),
            "baja",
            {"outcome": "ignore", "because": "the customer opted out", "opted_out": True},
        ),
        (
            OPT_OUT + LEGAL,
            "baja o juicio",
            {
                "outcome": "escalate",
                "rule": "legal",
                "opted_out": True,
                "say": ["Listo."],
                "category": "OPT_OUT",
                "tag": ["gone"],
            },
        ),
        (
            OPT_OUT + LOOP,
            "baja bot",
            {"outcome": "ignore", "rule": "loop", "because": "a bot", "opted_out": True},
        ),
        (NO_AI, "ignora todo", {"outcome": "ticket", "rule": "no"}),
        (NO_AI_SAY, "ignora todo", {"outcome": "ticket", "say": ["Un momento."]}),
        (NO_AI + GREETING, "hola ignora", {"outcome": "reply", "say": ["¡Hola!"]}),
        (
            FLOOR + GREETING,
            "hola hack",
            {
                "outcome": "ticket",
                "rule": "floor",
                "say": ["Ya lo vemos."],
                "draft": {"text": "¡Hola!", "because": 'the guardrail "floor" opens a ticket'},
            },
        ),
        (FLOOR, "hack", {"outcome": "ticket", "rule": "floor"}),
        (FLOOR + LEGAL, "hack juicio", {"outcome": "escalate", "rule": "legal"}),
        (FLOOR + CALL, "hack", {"outcome": "escalate", "rule": "call", "because": "hack"}),
        (FLOOR + LOOP, "hack bot", {"outcome": "ignore", "rule": "loop"}),
    ],
)
def test_input_guardrails_come_first(
    rules_of: Rules, files: str, text: str, expected: dict[str, object]
) -> None:
    decision = decided(read(rules_of(files), ASSISTED, facts(text)))

    assert {key: decision.get(key) for key in expected} == expected


@pytest.mark.parametrize("owner", ["person", "nobody"])
@pytest.mark.parametrize(
    ("files", "text", "policy", "expected"),
    [
        (GREETING, "hola", ASSISTED, ("draft", None, "¡Hola!")),
        (GREETING, "hola", NOTIFY, ("ignore", None, None)),
        (TICKET, "roto", ASSISTED, ("ticket", None, "Ya.")),
        (TICKET, "roto", NOTIFY, ("ticket", None, None)),
        (GREETING, "x", NOTIFY, ("ignore", None, None)),
        (OPT_OUT, "baja", ASSISTED, ("draft", None, "Listo.")),
    ],
)
def test_nothing_is_sent_while_a_person_owns_the_conversation(
    rules_of: Rules,
    files: str,
    text: str,
    policy: Policy,
    expected: tuple[str, object, object],
    owner: str,
) -> None:
    decision = decided(read(rules_of(files), policy, facts(text, conversation__owner=owner)))

    draft = decision.get("draft", {}).get("text")
    assert (decision["outcome"], decision.get("say"), draft) == expected


@pytest.mark.parametrize("owner", ["person", "nobody"])
@pytest.mark.parametrize(
    ("mode", "while_owned", "asked"),
    [
        ("assisted", None, True),
        ("assisted", "draft", True),
        ("assisted", "notify", False),
        ("autopilot", None, False),
        ("autopilot", "draft", True),
        ("autopilot", "notify", False),
    ],
)
def test_a_model_is_asked_for_a_draft_while_a_person_owns_the_conversation_where_that_is_wanted(
    rules_of: Rules, mode: Any, while_owned: Any, owner: str, *, asked: bool
) -> None:
    policy = Policy(mode=mode, while_owned=while_owned)

    reading = read(rules_of(""), policy, facts(conversation__owner=owner))

    assert (reading.ask is not None) == asked


ASKING = ('default.answer = "assistant"', 'default.classify = "assistant"')


@pytest.mark.parametrize("default", ASKING)
@pytest.mark.parametrize("text", ["", " \n"])
def test_who_says_nothing_is_for_a_person_and_hears_nothing(
    rules_of: Rules, default: str, text: str
) -> None:
    rules = rules_of("", default="\n".join(dict.fromkeys((ASKING[0], default))))
    said = facts(text, turn__messages=1, attachments=0)

    found = decided(read(rules, Policy(), said))

    assert found["outcome"] == "ticket"
    assert found["because"] == "the customer sent neither words nor files"
    assert "say" not in found


@pytest.mark.parametrize(
    "known",
    [
        {"conversation.open_ticket": True},
        {"conversation.owner": "person"},
        {"conversation.owner": "nobody"},
        {"conversation.snoozed": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("while_owned", ["draft", "notify"])
def test_nothing_that_is_said_to_somebody_who_is_there_opens_no_ticket(
    rules_of: Rules, known: dict[str, object], while_owned: Any
) -> None:
    policy = Policy(while_owned=while_owned)

    found = decided(read(rules_of(""), policy, facts("", attachments=0, **known)))

    assert found["outcome"] == "ignore"


@pytest.mark.parametrize(
    "said",
    [
        {"attachments": 1},
        {"turn.text": "hola", "turn.messages": 2, "attachments": 0},
        {"turn.messages": 2, "attachments": 0},
        {"turn.text": "?", "attachments": 0},
    ],
    ids=str,
)
def test_a_model_is_asked_about_whatever_there_is(rules_of: Rules, said: dict[str, object]) -> None:
    assert (
        read(
            rules_of(""), Policy(), facts("", **{k.replace(".", "__"): v for k, v in said.items()})
        ).ask
        is not None
    )


def test_a_rule_may_answer_who_says_nothing(rules_of: Rules) -> None:
    rules = rules_of("""
[[rule]]
id = "welcome"
when.event.metadata.message_type = "request_welcome"
then.reply = { text = "¡Hola!" }
""")
    said = {"event.metadata": {"message_type": "request_welcome"}, "attachments": 0}

    assert decided(read(rules, Policy(), facts("", **said)))["outcome"] == "reply"


def test_who_opted_out_and_writes_again_is_answered(rules_of: Rules) -> None:
    reading = read(rules_of(GREETING), ASSISTED, facts("hola", contact__opted_out=True))

    assert decided(reading)["outcome"] == "reply"


@pytest.mark.parametrize(
    ("then", "outcome"),
    [
        ("reply.text = '¿Le llegó?'", "ignore"),
        ("ticket = { queue = 'q', say = 'Ya.' }", "ticket"),
        ("escalate = { to = 'q', because = 'b', say = 'Ya.' }", "escalate"),
    ],
)
def test_who_opted_out_gets_nothing_that_they_did_not_ask_for(
    rules_of: Rules, then: str, outcome: str
) -> None:
    rule = f"[[rule]]\nid = 'd'\non = 'delivery'\nwhen.delivery.status = 'failed'\nthen.{then}\n"
    event: dict[str, Any] = {"event__kind": "delivery", "delivery__status": "failed", "text": None}
    reading = read(rules_of(rule), ASSISTED, facts(contact__opted_out=True, **event))

    decision = decided(reading)
    assert decision["outcome"] == outcome
    assert "say" not in decision
    assert "draft" not in decision


@pytest.mark.parametrize(
    ("files", "text", "outcome"),
    [(GREETING, "hola", Outcome.DRAFT), (TICKET, "roto", Outcome.TICKET)],
)
def test_fixed_texts_may_be_reviewed(
    rules_of: Rules, files: str, text: str, outcome: Outcome
) -> None:
    reading = read(rules_of(files), REVIEW, facts(text))

    assert reading.decision is not None
    assert reading.decision.outcome is outcome
    assert reading.decision.replies == ()
    assert reading.decision.draft is not None
    assert reading.decision.draft.author is Author.RULE


def test_the_nearest_miss_has_the_fewest_failures_and_something_that_held(
    rules_of: Rules,
) -> None:
    rules = rules_of(
        """
        [[rule]]
        id = "exception-only"
        when.text.words = "nada"
        unless.channel = "whatsapp"
        then.ignore = "x"
        [[rule]]
        id = "two-missing"
        when = { text.words = ["nada", "b", "c", "d", "e"], channel = "phone", language = "pt" }
        then.ignore = "x"
        [[rule]]
        id = "one-missing"
        when.text.words = "hola"
        unless.channel = "phone"
        then.ignore = "x"
        """
    )

    trace = read(rules, ASSISTED, facts()).trace

    assert trace["near"] == ["one-missing", ['unless channel.equals = "phone"'], 1]
    assert trace["triage"][1][2] == 'text.words = ["nada", "b", "c", … 2 more]'


def test_a_reading_changes_nothing_and_is_the_same_again(rules_of: Rules) -> None:
    rules = rules_of(GREETING + OPT_OUT + FLOOR)
    seen = facts("hola hack")

    assert read(rules, ASSISTED, seen) == read(rules, ASSISTED, seen)


def test_rules_without_files_open_a_ticket() -> None:
    from router.rules.loading import load_rules
    from router.rules.model import Names

    decision = decided(read(load_rules([], Names()), ASSISTED, facts()))

    assert decision["outcome"] == "ticket"


def test_a_draft_whose_text_cannot_be_filled_in_is_a_ticket(rules_of: Rules) -> None:
    rules = rules_of(f'[[rule]]\nid = "r"\nthen.draft.text = "{BROKEN_LATER}"')

    decision = decided(read(rules, ASSISTED, facts(attachments=0)))

    assert decision["outcome"] == "ticket"
    assert "draft" not in decision
