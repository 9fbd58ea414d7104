"""Folding, words, phrases and patterns."""

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from router.rules.text import (
    Pattern,
    PhraseSet,
    clean,
    fold,
    fold_pattern,
    phrase_words,
    squeeze,
    words,
)
from tests.growth import growth

LATIN = st.text(st.characters(max_codepoint=0xFF))
ANY = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HOLA", "hola"),
        ("Compensación", "compensacion"),
        ("mañana", "manana"),
        ("man\u0303ana", "manana"),
        ("Straße", "strasse"),
        ("İstanbul", "istanbul"),
        ("ABOGADO", "abogado"),
        ("a\u200bb\u00adc", "abc"),
        ("❤️", "❤"),
        ("x\ud800", "x\ufffd"),
        ("Привет", "привет"),
    ],
)
def test_a_text_is_folded(text: str, expected: str) -> None:
    assert fold(text) == expected


@given(LATIN)
def test_latin_letters_become_the_same_alone_and_beside_others(text: str) -> None:
    assert fold(f"{text} Я") == f"{fold(text)} я"
    assert words(f"{text} Я").split() == [*words(text).split(), "Я"]


def test_many_marks_on_a_letter_take_time_in_proportion() -> None:
    assert growth(fold, "\u0315\u0327" * 4_000, 4_000) < 10


@given(ANY)
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(ANY)
def test_a_folded_text_can_be_encoded(text: str) -> None:
    fold(text).encode()
    clean(text).encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hola, ¿qué tal?", " hola qué tal "),
        ("a 24/7 b", " a 24 7 b "),
        ("ok👍🙏", " ok 👍 🙏 "),
        ("don't_stop", " don t_stop "),
        ("¡!", "  "),
    ],
)
def test_a_text_has_words(text: str, expected: str) -> None:
    assert words(text) == expected


def test_a_phrase_without_words_is_none() -> None:
    assert phrase_words("¡!") is None
    assert phrase_words("Señor") == " senor "
    assert phrase_words("Señor", exact=True) == " Señor "


def test_phrases_are_found_whole_and_together() -> None:
    phrases = PhraseSet()
    numbers = [phrases.add(each) for each in ("Factura", "nota de crédito", "factura", "¿?")]

    assert numbers == [0, 1, 0, None]
    assert len(phrases) == 2
    assert phrases.hits(words(fold("Una NOTA  de\nCREDITO, y la factura."))) == {0, 1}
    assert phrases.hits(words("facturas")) == frozenset()


def test_no_phrases_are_never_found() -> None:
    phrases = PhraseSet()

    assert phrases.hits(" x ") == frozenset()


def test_phrases_mean_what_they_say_and_are_no_patterns() -> None:
    phrases = PhraseSet()
    phrases.add("a_c")

    assert phrases.hits(words("abc")) == frozenset()


def test_overlapping_phrases_are_all_found() -> None:
    phrases = PhraseSet()
    numbers = [phrases.add(each) for each in ("a b", "b c", "b", "a ... c", "a b c d")]

    assert phrases.hits(words("a b c")) == set(numbers[:4])


def test_a_text_of_nothing_but_gaps_takes_no_longer_than_others() -> None:
    phrases = PhraseSet()
    number = phrases.add(" ... ".join(["no"] * 12) + " ... si")

    assert phrases.hits(words("no " * 2_000)) == frozenset()
    assert phrases.hits(words("no " * 2_000 + "si")) == {number}


@given(st.lists(st.sampled_from(["a", "b", "ab", "b ... a"]), min_size=1, max_size=6), st.data())
def test_a_phrase_is_found_wherever_its_words_stand(pieces: list[str], data: st.DataObject) -> None:
    phrases = PhraseSet()
    number = phrases.add(" ".join(pieces))
    filler = st.lists(st.sampled_from(["a", "b", "x"]), max_size=4)
    spoken = [
        each
        for piece in " ".join(pieces).split()
        for each in (data.draw(filler) if piece == "..." else [piece])
    ]

    assert number in phrases.hits(words(" ".join(["x", *spoken, "x"])))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ABOGADO|Señor", "abogado|senor"),
        (r"\S+\W\B\D", r"\S+\W\B\D"),
        (r"\pN\p{Lu}\P{Lu}\x{00D1}É", r"\pN\p{Lu}\P{Lu}\x{00D1}e"),
        (r"\QA.É\EÉ", r"\QA.É\Ee"),
        (r"\QA", r"\QA"),
        ("[A-ZÁ]Á", "[A-ZÁa]a"),
        ("[]Á]Á", "[]Áa]a"),
        ("[^]Á]Á", "[^]Áa]a"),
        (r"[\]Á]Á", r"[\]Áa]a"),
        ("[[:ALPHA:]Á]Á", "[[:ALPHA:]Áa]a"),
        ("[ñ-]", "[ñn-]"),
        ("[-ñ]", "[-ñn]"),
        ("[^-ñ]", "[^-ñn]"),
        ("[À-Å_]", "[À-Åa_]"),
        (r"[À-\x{C5}]", r"[À-\x{C5}]"),
        ("[一-龥]", "[一-龥]"),
        ("[＾ß]", r"[＾\^ß]"),
        ("(?P<Name>Á)(?i)Á(?:Á)", "(?P<Name>a)(?i)a(?:a)"),
        ("ß+", "(?:ss)+"),
        ("（", r"\("),
    ],
)
def test_only_literals_of_a_pattern_are_folded(pattern: str, expected: str) -> None:
    assert fold_pattern(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "exact", "text", "expected"),
    [
        ("pedido n[ºo]? *([0-9]{4})", False, "PEDIDO N 1234", True),
        ("[A-Z]{2}[0-9]", False, "ab1", True),
        ("[A-Z]{2}[0-9]", True, "ab1", False),
        ("Niño", False, "el NIÑO", True),
        ("ni[ñ]o", False, "el niño", True),
        ("ni[ñ]o", True, "el niño", True),
        ("^[A-ZÁÉÍÓÚÑ ]+$", False, "SEÑOR PÉREZ", True),
        ("qu[áéí]$", False, "qué", True),
        ("^[Á-Ú]$", False, "é", True),
        ("^[^áé]$", False, "Á", False),
        ("^[а-я]+$", False, "Йод", True),
        ("Niño", True, "el Niño", True),
        ("Niño", True, "el nino", False),
        (r"^\s*hola\s*$", False, " Hola \n", True),
    ],
)
def test_a_pattern_is_found(pattern: str, exact: bool, text: str, expected: bool) -> None:
    seen = text if exact else fold(text)

    assert Pattern(pattern, exact=exact).found(seen) is expected


@pytest.mark.parametrize("pattern", ["(", "a{2000}", "(?=x)", "[z-a]", "*", r"\p{Nope}", r"\1"])
def test_no_pattern_is_a_value_error(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Pattern(pattern)


@given(ANY)
def test_any_pattern_compiles_or_is_a_value_error(pattern: str) -> None:
    try:
        compiled = Pattern(pattern)
    except ValueError:
        return
    compiled.found("hola")


@given(st.text(st.characters(max_codepoint=0x24F)))
def test_a_folded_literal_is_found_in_its_folded_text(literal: str) -> None:
    assert Pattern(str(re2.escape(literal))).found(fold(f"¡{literal}!"))


@given(ANY)
def test_squeezing_leaves_no_double_spaces(text: str) -> None:
    assert "  " not in squeeze(text)


@pytest.mark.parametrize(
    ("phrase", "found"),
    [
        ("demand*", " demand* "),
        ("lleg* ... Rot*", " lleg* ... rot* "),
        ("no...más", " no ... mas "),
        ("... a ... ... b ...", " a ... b "),
        ("no * sirve", " no sirve "),
        ("*", None),
        ("...", None),
    ],
)
def test_a_phrase_may_leave_endings_and_words_open(phrase: str, found: str | None) -> None:
    assert phrase_words(phrase) == found


def test_an_exact_phrase_leaves_nothing_open() -> None:
    assert phrase_words("demand* ... ya", exact=True) == " demand ya "


@pytest.mark.parametrize(
    ("phrase", "text", "is_found"),
    [
        ("demand*", "Los voy a demandar.", True),
        ("demand*", "demand", True),
        ("demand*", "la contrademanda", False),
        ("lleg* ... rot*", "me llegó todo rotísimo", True),
        ("lleg* ... rot*", "llegó rota", True),
        ("lleg* ... rot*", "llegó uno dos tres cuatro roto", True),
        ("lleg* ... rot*", "llegó uno dos tres cuatro cinco roto", False),
        ("lleg* ... rot*", "roto llegó", False),
        ("c.d", "c d", True),
        ("c.d", "cxd", False),
        ("hola", "holaaaa", True),
        ("pilas AAA", "pilas aaa", True),
        ("1000", "1000", True),
        ("10", "1000", False),
    ],
)
def test_what_is_left_open_is_found(phrase: str, text: str, is_found: bool) -> None:
    phrases = PhraseSet()
    phrases.add(phrase)

    assert bool(phrases.hits(words(fold(text)))) is is_found


def test_a_letter_that_is_drawn_out_is_written_once() -> None:
    assert words("holaaa perrro lleva 1000") == " hola pero lleva 1000 "
