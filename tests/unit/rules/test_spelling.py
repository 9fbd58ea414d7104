"""What a mistyped word may have been meant to be."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rules.spelling import Spelling, sound
from router.rules.text import PhraseSet, fold, words

WORDS = frozenset(
    {
        "quiero", "recibo", "envio", "llego", "pedido", "cancelado", "factura", "zapatos", "hola",
        "perro", "exceso", "cambio", "gracias", "caja", "baja", "entregan", "problema", "horario",
    }
)  # fmt: skip
STEMS = frozenset({"reclam", "devolu", "abogad"})
LETTERS = st.text(string.ascii_lowercase, min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("kiero", "quiero"),
        ("qiero", "quiero"),
        ("resibo", "recibo"),
        ("enbio", "envio"),
        ("yego", "llego"),
        ("sapatos", "zapatos"),
        ("ola", "hola"),
        ("eseso", "exceso"),
        ("canbio", "cambio"),
        ("grasias", "gracias"),
        ("p3dido", "pedido"),
        ("ped1d0s", "pedidos"),
    ],
)
def test_words_that_sound_the_same_have_the_same_sound(typed: str, meant: str) -> None:
    assert sound(typed) == sound(meant)


@pytest.mark.parametrize(
    ("one", "other"),
    [("perro", "pero"), ("chico", "cico"), ("caja", "baja"), ("gato", "jato"), ("papa", "papel")],
)
def test_words_that_sound_otherwise_do_not(one: str, other: str) -> None:
    assert sound(one) != sound(other)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("kiero", ["quiero"]),
        ("pedido", []),
        ("peddio", ["pedido"]),
        ("pdido", []),
        ("facura", []),
        ("factra", ["factura"]),
        ("facttura", ["factura"]),
        ("facrura", ["factura"]),
        ("facmura", []),
        ("cancleado", ["cancelado"]),
        ("cnacelado", ["cancelado"]),
        ("roblema", []),
        ("problem", []),
        ("entregas", []),
        ("caha", []),
        ("horarrio", ["horario"]),
        ("mipedido", ["mi pedido"]),
        ("dipedido", []),
        ("xfa", ["por favor"]),
        ("xq", ["porque"]),
        ("avogado", ["abogad"]),
        ("deboluzion", ["devolu"]),
        ("reclamazion", []),
        ("12345678", []),
        ("🙏", []),
        ("a" * 25, []),
    ],
)
def test_a_mistyped_word_may_be_one_that_is_looked_for(typed: str, meant: list[str]) -> None:
    spelling = Spelling(WORDS, STEMS)

    assert [" ".join(each) for each in spelling.meant(typed)] == meant
    assert spelling.meant(typed) is spelling.meant(typed)


@given(st.frozensets(LETTERS, max_size=8), st.frozensets(LETTERS, max_size=4), LETTERS)
def test_a_word_that_is_looked_for_is_never_taken_for_another(
    known: frozenset[str], stems: frozenset[str], word: str
) -> None:
    chat = Spelling(frozenset(), frozenset()).meant(word)

    assert Spelling(known | {word}, stems).meant(word) == chat


@given(st.text(max_size=40))
def test_any_word_has_a_sound_and_a_meaning(word: str) -> None:
    spelling = Spelling(WORDS, STEMS)

    for each in words(fold(word)).split():
        assert len(sound(each)) <= len(each)
        assert all(several for several in spelling.meant(each))


@given(st.sampled_from(sorted(each for each in WORDS if len(each) > 5)), st.data())
def test_two_letters_swapped_within_a_long_word_are_forgiven(
    meant: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(1, len(meant) - 3))
    typed = meant[:at] + meant[at + 1] + meant[at] + meant[at + 2 :]

    assert typed == meant or (meant,) in Spelling(WORDS, STEMS).meant(typed)


def hits(phrases: list[str], text: str, *, forgiving: bool = True) -> set[str]:
    looked_for = PhraseSet(forgiving=forgiving)
    numbers = {looked_for.add(each): each for each in phrases}
    return {numbers[number] for number in looked_for.hits(words(fold(text)))}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Dnd esta mi peddio xfa", {"donde esta ... pedido", "por favor"}),
        ("kiero una deboluzion", {"quiero una devolu*"}),
        ("porfavor", {"por favor"}),
        ("por fabor", {"por favor"}),
        ("pedidos", set()),
    ],
)
def test_phrases_are_found_in_mistyped_texts(text: str, found: set[str]) -> None:
    phrases = ["donde esta ... pedido", "por favor", "quiero una devolu*"]

    assert hits(phrases, text) == found
    assert hits(phrases, text, forgiving=False) == set()


@given(st.lists(st.sampled_from(["donde", "dnd", "esta", "pedido", "peddio", "x"]), max_size=12))
def test_forgiving_only_ever_adds(spoken: list[str]) -> None:
    phrases = ["donde esta", "donde ... pedido", "ped*", "esta pedido", "x"]
    text = " ".join(spoken)

    assert hits(phrases, text, forgiving=False) <= hits(phrases, text)


def test_a_phrase_that_is_added_later_is_forgiven_too() -> None:
    phrases = PhraseSet(forgiving=True)
    phrases.add("pedido")

    assert phrases.hits(words("facutra peddio")) == {0}
    assert phrases.add("factura") == 1
    assert phrases.hits(words("facutra peddio")) == {0, 1}
