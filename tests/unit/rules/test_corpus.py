"""The corpus is fit to measure with, and the shipped rules understand it as well as they did."""

from collections import Counter

import pytest

from tests.bench import triage
from tests.bench.triage import CATEGORIES, HALVES, KINDS, Harmless, Utterance

UTTERANCES = triage.utterances()
HARMLESS = triage.harmless()
#: A little below what the shipped rules reach.
FLOOR = {"tune": 0.97, "held": 0.91}
LANGUAGES = {"BR": "pt", "PT": "pt", "US": "en", "GB": "en"}


def of(half: str) -> list[Utterance]:
    return [each for each in UTTERANCES if each.half == half]


def test_there_is_enough_to_measure_with() -> None:
    assert len(UTTERANCES) >= 600
    assert len(HARMLESS) >= 400


@pytest.mark.parametrize("rows", [UTTERANCES, HARMLESS], ids=["triage", "harmless"])
def test_no_text_is_there_twice(rows: list[Utterance] | list[Harmless]) -> None:
    twice = [text for text, times in Counter(each.text for each in rows).items() if times > 1]

    assert twice == []


def test_every_utterance_is_labelled_with_what_there_is() -> None:
    wrong = [
        each
        for each in UTTERANCES
        if each.category not in CATEGORIES
        or each.kind not in KINDS
        or each.language != LANGUAGES.get(each.country, "es")
        or each.text != each.text.strip()
        or not each.text
    ]

    assert wrong == []


def test_every_harmless_text_says_whose_it_is() -> None:
    assert {each.side for each in HARMLESS} == {"message", "answer"}
    assert {each.language for each in HARMLESS} == {"es", "pt", "en"}


def test_no_category_and_no_market_is_left_out() -> None:
    by_category = Counter(each.category for each in UTTERANCES)
    by_country = Counter(each.country for each in UTTERANCES)
    by_kind = Counter(each.kind for each in UTTERANCES)

    assert set(by_category) == set(CATEGORIES)
    assert min(by_category.values()) >= 60
    assert min(by_country[each] for each in ("MX", "CO", "AR", "CL", "PE", "ES")) >= 60
    assert min(by_country[each] for each in ("BR", "US")) >= 60
    assert set(by_kind) == set(KINDS)


def test_the_halves_are_as_big_as_each_other() -> None:
    tune, held = len(of("tune")), len(of("held"))

    assert abs(tune - held) <= 0.1 * len(UTTERANCES)
    assert all(
        {each.category for each in of(half)} == set(CATEGORIES)
        and {each.language for each in of(half)} == {"es", "pt", "en"}
        for half in HALVES
    )


def test_a_text_stays_in_its_half() -> None:
    assert [triage.half(text) for text in ("hola", "¿dónde está mi pedido?", "STOP")] == [
        "held",
        "tune",
        "tune",
    ]


@pytest.mark.parametrize("half", HALVES)
def test_the_shipped_rules_understand_the_corpus(half: str) -> None:
    rules = triage.shipped()

    reached = triage.macro_f1(
        (each.category, found) for each, found in triage.judged(rules, of(half))
    )

    assert reached >= FLOOR[half]


def test_no_guardrail_stops_what_is_harmless() -> None:
    rules = triage.shipped()

    stopped = [each for each in HARMLESS if triage.stopped(rules, each)]

    assert len(stopped) < 0.01 * len(HARMLESS)


def test_scores_are_what_they_are_called() -> None:
    pairs = [("INFO", "INFO"), ("INFO", "SALES"), ("SALES", "SALES"), ("SALES", "SALES")]

    found = triage.scores(pairs)

    assert (found["INFO"].precision, found["INFO"].recall) == (1.0, 0.5)
    assert (found["SALES"].precision, found["SALES"].recall) == (2 / 3, 1.0)
    assert triage.macro_f1(pairs) == pytest.approx((2 / 3 + 0.8) / 2)


def test_the_table_names_every_number_that_there_is() -> None:
    found = triage.measure()
    table = triage.table(found)

    assert all(each in table for each in (*HALVES, *CATEGORIES, "MX", "voseo", "false alarms"))
    assert found["held"]["messages"] == len(of("held"))
