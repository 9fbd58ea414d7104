"""Reading rules files: mistakes that need no file of their own, and what several files make."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from router.errors import ConfigError
from router.rules.engine import read
from router.rules.facts import Facts
from router.rules.loading import build_rules, load_rules
from router.rules.model import Names, RuleSet
from router.rules.policy import Policy
from router.toml import loads

Rules = Callable[..., RuleSet]

W = 'when.text.words = "hola"'


def mistakes(build: Callable[[], object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build()
    return [str(each) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("when = 3", '"when" takes a table of conditions, not a number'),
        ("when = {}", '"when" states no condition. Add one, or leave it out.'),
        ("unless = {}", '"unless" states no condition. Add one, or leave it out.'),
        ("when.any = 3", '"any" takes a list of tables, not a number'),
        ("when.any = [3]", '"any" takes a list of tables, not a number'),
        ("when.any = [{}]", '"any" states no condition.'),
        ("when.contact = 3", 'unknown field "contact"'),
        ("when.contact.tag = {}", '"contact.tag" states no condition. Add an operator.'),
        ("when.text = { exact = true }", '"text" states no condition. Add an operator.'),
        (
            "when.text = { exact = 1, words = 'x' }",
            '"exact" takes true or false, not a number',
        ),
        ("when.contact.name.wrods = 'x'", 'unknown operator "wrods" for contact.name.'),
        ("when.text.present = 'x'", '"text.present" takes true or false, not a text'),
        ("when.contact.opted_out = 'x'", '"contact.opted_out.equals" takes true or false'),
        ("when.contact.tag = 3", '"contact.tag.contains" takes a text, not a number'),
        ("when.contact.tag.any_of = 'x'", '"contact.tag.any_of" takes a list of texts'),
        ("when.contact.tag.any_of = []", 'the list of "contact.tag.any_of" is empty.'),
        ("when.contact.tag.any_of = ['x', 3]", '"contact.tag.any_of" takes a text, not a number'),
        ("when.channel = 'phnoe'", 'no channel "phnoe" in router.toml. Did you mean "phone"?'),
        ("when.language = 'french'", '"french" is no tag of a language. Write it as in "es"'),
        ("when.turn.age.between = '5m'", '"turn.age.between" takes a list of two values'),
        ("when.turn.age.between = ['5m', 3]", '"turn.age.between" takes a duration such as'),
        ("when.turn.age.above = 3", '"turn.age.above" takes a duration such as'),
        ("when.attachments = true", '"attachments.equals" takes a number, not true or false'),
        ("when.attachments.above = nan", '"attachments.above" takes a number'),
        ("when.clock.time.at_most = 3", '"clock.time.at_most" takes a time such as'),
        ("when.clock.date = 'christmas'", '"clock.date.equals" takes a date such as'),
        ("when.clock.date = 2026-12-24T10:00:00", '"clock.date.equals" takes a date such as'),
        ("when.clock.date.any_of = 2026-12-24", '"clock.date.any_of" takes a list'),
        ("when.clock.date.any_of = [3]", '"clock.date.any_of" takes a date such as'),
        ("when.delivery.code = 'x'", '"delivery.code" exists for delivery events only.'),
        ("when.text.contains = ' '", '"text.contains" has nothing but spaces in it.'),
        ("when.text.contains = ['x', '´']", 'nothing of "´" is compared: accents and what'),
        ("when.text.starts_with = '\u200b'", "is compared: accents and what cannot be seen are"),
        ("when.frustration.above = 60", '"frustration.above" takes a number from 0 to 1, not 60'),
        ("when.frustration.between = [0, 2]", '"frustration.between" takes a number from 0 to 1'),
        ("when.ai.confidence.below = -1", '"ai.confidence.below" takes a number from 0 to 1'),
        ("when.ai.confidence.below = nan", '"ai.confidence.below" takes a number from 0 to 1'),
        ("when.contact.country = 'co'", '"co" is no code of a country. Write the code of a'),
        ("when.contact.country.any_of = ['Chile']", '"Chile" is no code of a country.'),
        (
            "when.event.kind = 'idle'",
            'this is read for message events only. Add on = "idle" in place of the condition.',
        ),
        ("when.any = [{ event.kind.any_of = ['idle', 'echo'] }]", "is read for message events"),
        ("when.event.kind.any_of = []", 'the list of "event.kind.any_of" is empty.'),
        ("when.event.kind = 'mesage'", '"event.kind" is never "mesage". Did you mean "message"?'),
        (
            "when.clock.time.between = ['22:00', '22:00']",
            '"clock.time.between" never holds: it ends where it begins. For the whole day, leave',
        ),
        ("channels = 3", '"channels" takes a text or a list of texts, not a number'),
        ("channels = 'x'", 'no channel "x" in router.toml. Known: phone, whatsapp'),
        ("languages = 'french'", '"french" is no tag of a language.'),
        ("languages = ['es', 'es_MX']", '"es_MX" is no tag of a language.'),
        ("on = ['message', 'call']", 'unknown kind of event "call". It is one of: message'),
        ("on = 3", '"on" takes a text or a list of texts, not a number'),
        ("id = 3", '"id" takes a text, not a number'),
    ],
)
def test_a_mistake_in_a_condition_is_told(rules_of: Rules, when: str, message: str) -> None:
    id_ = "" if when.startswith("id") else 'id = "r"\n'

    (told,) = mistakes(lambda: rules_of(f'[[rule]]\n{id_}{when}\nthen.tag = "t"'))

    assert message in told


@pytest.mark.parametrize(
    "when",
    [
        "when.text = { contains = '´', exact = true }",
        "when.frustration.between = [0, 1]",
        "when.contact.country.any_of = ['CO', '001']",
        "unless.event.kind = 'idle'",
        "when.event.kind.none_of = ['idle']",
        "on = ['idle', 'message']\nwhen.event.kind = 'idle'",
    ],
)
def test_what_can_hold_is_no_mistake(rules_of: Rules, when: str) -> None:
    assert rules_of(f'[[rule]]\nid = "r"\n{when}\nthen.tag = "t"').rules


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("reply.text = '{{ call.summary }}'", '"call.summary" exists for call.ended events only'),
        ("reply.text.pt = '{{ answer.text }}'", '"answer.text" is known only once a backend'),
        ("run = [{ action = 'anything', x = ['{{ delivery.code }}'] }]", '"delivery.code" exists'),
        ("ticket.title = '{{ contact.name }}{{ ai.reason }}'", None),
        ("ignore = 'asks for {{ what'", None),
    ],
)
def test_a_text_shows_only_what_its_rule_can_know(
    rules_of: Rules, then: str, message: str | None
) -> None:
    text = f'[[rule]]\nid = "r"\nthen.{then}'
    if message is None:
        assert rules_of(text).rules
        return

    (told,) = mistakes(lambda: rules_of(text))

    assert message in told


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("then = 3", '"then" takes a table, not a number'),
        ("then.tag = 3", '"tag" takes a text or a list of texts, not a number'),
        ("then.ignore = ''", '"ignore" is empty. Say something.'),
        ("then.reply = {}", '"reply" has no text. Add text = "…".'),
        ("then.reply = 3", '"reply" takes a table, not a number'),
        ("then.reply.text = 3", '"text" takes a text, not a number'),
        ("then.reply.text = {}", '"text" states no text. Add one, such as es = "…".'),
        ("then.reply.text = { es = 3 }", '"es" takes a text, not a number'),
        ("then.reply.text = { es = '{{ x }}' }", 'the text looks at "x", which is no field.'),
        ("then.draft = 'x'", '"draft" takes a table, not a text'),
        ("then.draft = { answer = 'x' }", 'no backend "x" in router.toml.'),
        ("then.draft = { text = 'x', answer = 'assistant' }", '"draft" takes either'),
        ("then.draft = { text = 'x', because = 3 }", '"because" takes a text, not a number'),
        ("then.draft = { text = 3 }", '"text" takes a text, not a number'),
        ("then.ticket = 'x'", '"ticket" takes a table, not a text'),
        ("then.ticket.title = 3", '"title" takes a text, not a number'),
        ("then.ticket.queue = 3", '"queue" takes a text, not a number'),
        ("then.ticket.priority = 'soon'", 'unknown priority "soon". It is one of: low'),
        ("then.escalate = 'x'", '"escalate" takes a table, not a text'),
        ("then.escalate = { to = 3, because = 'x' }", '"to" takes a text, not a number'),
        ("then.escalate = { to = 'x', because = 3 }", '"because" takes a text, not a number'),
        ("then.classify = 'x'", 'no backend "x" in router.toml.'),
        ("then.use = 'cheap'", '"use" takes a table, not a text'),
        ("then.use = {}", '"use" is empty. Add one of: backend, prompt, knowledge'),
        ("then.use.backend = 'x'", 'no backend "x" in router.toml.'),
        ("then.set = 3", '"set" takes a table, not a number'),
        ("then.set = {}", '"set" is empty. Add one of: category'),
        ("then.set.category = 3", '"category" takes a text, not a number'),
        ("then.set.risk = 'x'", 'unknown risk "x". It is one of: low, medium, high'),
        ("then.set.language = 'french'", '"french" is no tag of a language.'),
        ("then.set.language = 3", '"language" takes a text, not a number'),
        ("then.set.contact = 3", '"contact" takes a table, not a number'),
        ("then.set.contact.name = 'x'", 'unknown key "name" in "set.contact"'),
        ("then.set.contact.attribute = 3", '"attribute" takes a table, not a number'),
        ("then.set.contact.attribute.x = 3", '"x" takes a text, not a number'),
        ("then.set.contact.attribute.x = '{{ y }}'", 'the text looks at "y", which is no field.'),
        ("then.run = 3", '"run" takes a list of tables, not a number'),
        ("then.run = [{ text = 'x' }]", 'this run names no action. Add action = "…".'),
        ("then.run = [{ action = 3 }]", '"action" takes a text, not a number'),
        ("then.run = [{ action = 'anything', x = '{{ y }}' }]", 'the text looks at "y"'),
        (
            "then.run = [{ action = 'crm', customer = 3 }]",
            'the parameter "customer" of the action "crm" is wrong.',
        ),
        (
            "then.run = [{ action = 'crm', customer = 'x', zzz = 'x' }]",
            'the action "crm" has no parameter "zzz". The action takes: customer, stage',
        ),
    ],
)
def test_a_mistake_in_what_follows_is_told(rules_of: Rules, then: str, message: str) -> None:
    (told,) = mistakes(lambda: rules_of(f'[[rule]]\nid = "r"\n{W}\n{then}'))

    assert message in told


@pytest.mark.parametrize(
    ("guardrail", "message"),
    [
        (
            "stage = 'input'\nthen.opt_out = 3",
            '"opt_out" takes true or { say = "…" }, not a number',
        ),
        ("stage = 'input'\nthen.no_ai = { sya = 'x' }", 'unknown key "sya" in "no_ai".'),
        ("stage = 'input'\nthen.ignore = 3", '"ignore" takes a text, not a number'),
        ("stage = 'input'\nthen.tag = 'x'", "a guardrail needs a verdict. It is one of: ignore"),
        ("stage = 'input'\nthen.classify = 'cheap'", 'a guardrail cannot "classify"'),
        ("stage = 'inptu'\nthen.draft = 'x'", 'unknown stage "inptu". Did you mean "input"?'),
        ("then.replace = 'x'", '"replace" takes a table. Write replace = { text = "…" }.'),
        ("then.draft = 3", '"draft" takes a text, not a number'),
        ("then.darft = 'x'", 'unknown key "darft" in "then" of a guardrail at stage "answer".'),
        ("then.opt_out = true", 'a guardrail at stage "answer" cannot "opt_out".'),
        ("then = {}", '"then" is empty. Add one of: draft, ticket, escalate, replace'),
        ("then = 3", '"then" takes a table, not a number'),
        ("channels = ['phone']", 'this guardrail has no verdict. Add a "then".'),
        ("then = { draft = 'x', escalate = { to = 'q', because = 'b' } }", "both decide"),
    ],
)
def test_a_mistake_in_a_guardrail_is_told(rules_of: Rules, guardrail: str, message: str) -> None:
    (told,) = mistakes(lambda: rules_of(f'[[guardrail]]\nid = "g"\n{guardrail}'))

    assert message in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lexicon = 3", '"lexicon" needs a name. Write [lexicon.NAME].'),
        ("lexicon.x = 3", '"x" takes a table, not a number'),
        ("lexicon.x.any = 3", '"any" takes a text or a list of texts, not a number'),
        ("lexicon.x.any = ['¡!']", '"¡!" has no word in it. Leave it out.'),
        ("category.x = 3", '"x" takes a table, not a number'),
        ("rule = 3", '"rule" takes a list of tables, not a number'),
        ("[[guardrail]]\nid = 'default'\nthen.draft = 'x'", 'the id "default" is taken.'),
    ],
)
def test_a_mistake_in_a_table_is_told(rules_of: Rules, text: str, message: str) -> None:
    (told,) = mistakes(lambda: rules_of(text))

    assert message in told


@pytest.mark.parametrize(
    ("default", "message"),
    [
        ("default = 3", '"default" takes a table, not a number'),
        ("default.draft = 'x'", 'unknown key "draft" in "[default]"'),
        ("default = { answer = 'assistant', ignore = 'x' }", '"answer" and "ignore" both decide.'),
        ("default = { answer = 'assistant', classify = 'x' }", 'no backend "x" in router.toml.'),
    ],
)
def test_a_mistake_in_the_default_is_told(rules_of: Rules, default: str, message: str) -> None:
    assert message in mistakes(lambda: rules_of("", default=default))[0]


def test_queues_are_checked_where_they_are_declared(names: Names) -> None:
    declared = replace(names, queues=frozenset({"support", "default"}))

    def build(then: str) -> RuleSet:
        text = f'default.answer = "assistant"\n[[rule]]\nid = "r"\n{W}\n{then}'
        return build_rules([loads(text, "x")], declared)

    for then in (
        'then.ticket.queue = "support"',
        'then.escalate = { to = "support", because = "b" }',
        'then.escalate = { to = "pager", because = "b" }',
        'then.escalate = { to = "anything", because = "b" }',
    ):
        assert len(build(then).rules) == 1
    for then, message in (
        (
            'then.ticket.queue = "suport"',
            'no queue "suport" in router.toml. Did you mean "support"?',
        ),
        (
            'then.escalate = { to = "zzz", because = "b" }',
            (
                'no queue or action "zzz" in router.toml. '
                "Configured: anything, crm, default, pager, support"
            ),
        ),
    ):
        (told,) = mistakes(partial(build, then))
        assert message in told


def test_any_language_that_has_a_tag_is_taken(names: Names) -> None:
    text = 'default.reply.text = { fr = "Salut", zh-Hant-TW = "你好" }\n'
    rule = '[[rule]]\nid = "r"\nlanguages = ["fr", "gsw"]\nthen.tag = "t"'

    rules = build_rules([loads(text + rule, "x")], names)

    assert rules.rules[0].gate.languages == frozenset({"fr", "gsw"})


def test_a_later_file_wins_over_an_earlier_one(tmp_path: Path, names: Names) -> None:
    shared, own = tmp_path / "shared.toml", tmp_path / "own.toml"
    shared.write_text(
        'default.answer = "assistant"\ncategory.INFO.risk = "low"\nlexicon.greet.any = ["hola"]\n'
        '[[rule]]\nid = "a"\nwhen.text.lexicon = "own"\nthen.tag = "t"\n'
    )
    own.write_text(
        'default.ignore = "not now"\ncategory.INFO.risk = "high"\nlexicon.own.any = ["buenas"]\n'
        '[[rule]]\nid = "b"\nwhen.text.lexicon = "greet"\nthen.tag = "t"\n'
    )

    rules = load_rules([shared, own], names)

    assert [rule.id for rule in rules.rules] == ["a", "b"]
    assert rules.default.decider.summary == "ignore: not now"
    assert rules.categories == {"OTHER": "low", "INFO": "high"}
    assert rules.files == (str(shared), str(own))
    own.write_text("lexicon.greet.any = ['x']")
    (unknown, twice) = mistakes(lambda: load_rules([shared, own], names))
    assert 'no lexicon "own" in the rules files' in unknown
    assert twice.endswith(
        f'the lexicon "greet" is defined in {shared}:3:9, too. Write add in place of any to add to '
        "its words, or rename one."
    )


def test_a_broken_file_does_not_make_others_look_broken(tmp_path: Path, names: Names) -> None:
    good, broken = tmp_path / "good.toml", tmp_path / "broken.toml"
    good.write_text('[[rule]]\nid = "a"\nthen.tag = "t"\n')
    broken.write_text("default.answer =")

    (told,) = mistakes(lambda: load_rules([broken, good], names))

    assert "broken.toml:1:" in told


@pytest.mark.parametrize(
    ("earlier", "later", "reachable"),
    [
        ("", "", False),
        ("", "when.text.words = 'x'", False),
        ("when.text.words = 'x'", "", True),
        ("channels = 'phone'", "", True),
        ("channels = 'phone'", "channels = 'phone'", False),
        ("channels = ['phone', 'whatsapp']", "channels = 'phone'", False),
        ("channels = 'phone'", "channels = ['phone', 'whatsapp']", True),
        ("languages = 'es'", "languages = 'pt'", True),
        ("languages = ['es', 'pt']", "languages = 'pt-BR'", False),
        ("on = 'echo'", "", True),
        ("on = ['echo', 'message']", "on = 'echo'", False),
        ("on = 'echo'", "on = ['echo', 'message']", True),
    ],
)
def test_a_rule_is_unreachable_if_all_it_is_for_is_decided_before(
    rules_of: Rules, earlier: str, later: str, reachable: bool
) -> None:
    text = (
        f'[[rule]]\nid = "earlier"\n{earlier}\nthen.ignore = "x"\n'
        f'[[rule]]\nid = "later"\n{later}\nthen.tag = "t"\n'
    )

    if reachable:
        assert len(rules_of(text).rules) == 2
    else:
        (told,) = mistakes(lambda: rules_of(text))
        assert 'the rule "later" is never read: "earlier" always decides before it' in told


def test_the_hash_is_of_the_meaning(rules_of: Rules) -> None:
    rule = '[[rule]]\nid = "r"\nwhen.text.words = "a"\nthen.ignore = "x"\n'
    same = '# a comment\n[[rule]]\nthen = { ignore = "x" }\nwhen = { text.words = "a" }\nid = "r"\n'
    example = '[[example]]\nsay = "a"\nexpect.rule = "r"\n'

    assert rules_of(rule).hash == rules_of(same + example).hash
    assert rules_of(rule).hash != rules_of(rule.replace('"a"', '"b"')).hash


def test_the_rules_say_which_fields_they_look_at(rules_of: Rules) -> None:
    rules = rules_of(
        '[[rule]]\nid = "r"\nwhen = { contact.attribute.city = "x", text = "y" }\nthen.tag = "t"\n'
        '[[guardrail]]\nid = "g"\nwhen.answer.length.above = 5\nthen.draft = "long"'
    )

    assert rules.fields == ("text", "contact.attribute.city", "answer.length")
    assert [guardrail.id for guardrail in rules.guardrails] == ["g"]


def test_what_rules_lead_to_is_told_in_words(rules_of: Rules) -> None:
    rules = rules_of(
        f"""
        [[rule]]
        id = "all"
        then.tag = ["b", "a"]
        then.untag = "c"
        then.set = {{ risk = "low", contact.attribute.x = "1", conversation.attribute.y = "2" }}
        then.run = [{{ action = "anything" }}]
        then.classify = "cheap"
        then.use.backend = "cheap"
        [[rule]]
        id = "draft"
        then.draft = {{ answer = "cheap", because = "look" }}
        [[guardrail]]
        id = "g"
        then.replace.text = "{"x" * 70}"
        [[guardrail]]
        id = "h"
        stage = "input"
        then.opt_out = true
        [[guardrail]]
        id = "i"
        stage = "input"
        then.no_ai = true
        """
    )

    assert rules.rules[0].summary == (
        "tag a",
        "tag b",
        "untag c",
        "set risk low",
        "set contact.attribute.x 1",
        "set conversation.attribute.y 2",
        "run anything",
        "classify by cheap",
        "use cheap",
    )
    assert rules.rules[1].summary == ("draft, answer by cheap: look",)
    assert [each.summary for each in rules.guardrails] == [
        ("opt out",),
        ("ask no model",),
        (f'replace by "{"x" * 60}…"',),
    ]


def test_a_rule_that_lost_its_condition_hides_no_other(rules_of: Rules) -> None:
    text = (
        '[[rule]]\nid = "earlier"\nwhen.text.worsd = "x"\nthen.ignore = "x"\n'
        '[[rule]]\nid = "later"\nthen.tag = "t"\n'
    )

    (told,) = mistakes(lambda: rules_of(text))

    assert '"worsd"' in told


def test_a_file_adds_words_to_the_lexicon_of_another(tmp_path: Path, names: Names) -> None:
    added, shared = tmp_path / "added.toml", tmp_path / "shared.toml"
    added.write_text('lexicon.greet.add = ["oi", "hola"]\n')
    shared.write_text(
        'default.ignore = "x"\nlexicon.greet.any = ["hola"]\n'
        '[[rule]]\nid = "a"\nwhen.text.lexicon = "greet"\nthen.tag = "t"\n'
    )

    rules = load_rules([added, shared], names)

    assert rules.lexicons["greet"] == ("hola", "oi", "hola")
    assert read(rules, Policy(), Facts({"text": "Oi!"})).added.tags == {"t"}


def test_mistakes_of_what_is_added_are_told(tmp_path: Path, names: Names) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        'default.ignore = "x"\nlexicon.greet.any = ["hola"]\n'
        'lexicon.gret.add = ["oi"]\n'
        '[lexicon.both]\nany = ["a"]\nadd = ["¡!"]\n'
    )

    unknown, both, empty = mistakes(lambda: load_rules([file], names))

    assert 'there is no lexicon "gret" to add to. Did you mean "greet"?' in unknown
    assert "a lexicon has either any or add. Join the two." in both
    assert '"¡!" has no word in it. Leave it out.' in empty


def test_what_a_broken_file_may_have_is_not_missed(tmp_path: Path, names: Names) -> None:
    good, broken = tmp_path / "good.toml", tmp_path / "broken.toml"
    good.write_text('lexicon.greet.add = ["oi"]\n')
    broken.write_text("lexicon.greet.any = [")

    (told,) = mistakes(lambda: load_rules([good, broken], names))

    assert str(broken) in told
