"""Facts: values, missing ones, and what is kept between questions."""

from router.rules.facts import MISSING, Facts
from router.rules.text import PhraseSet


def test_a_value_of_none_is_missing() -> None:
    facts = Facts({"contact.name": None, "contact.attribute": {"city": "Cali", "zip": None}})

    assert facts.get("contact.name") is MISSING
    assert facts.get("contact.attribute.city") == "Cali"
    assert facts.folded("contact.name") is None
    assert facts.words("contact.name") is None
    assert facts.hits("contact.name", PhraseSet()) is None


def test_changed_facts_leave_the_old_ones_alone() -> None:
    phrases = PhraseSet()
    phrases.add("hola")
    phrases.add("adiós")
    before = Facts({"text": "Hola", "channel": "phone", "category": "INFO"})
    assert before.hits("text", phrases) == frozenset({0})

    after = before.with_({"text": "Adiós", "category": None}, risk="low")

    assert after.hits("text", phrases) == frozenset({1})
    assert after.get("category") is MISSING
    assert after.get("risk") == "low"
    assert before.hits("text", phrases) == frozenset({0})
    assert before.get("category") == "INFO"
    assert before.with_(risk="low").hits("text", phrases) == frozenset({0})


def test_two_rule_sets_do_not_see_each_others_phrases() -> None:
    first, second = PhraseSet(), PhraseSet()
    first.add("hola")
    second.add("nada")
    second.add("hola")
    facts = Facts({"text": "hola"})

    assert (facts.hits("text", first), facts.hits("text", second)) == (
        frozenset({0}),
        frozenset({1}),
    )
