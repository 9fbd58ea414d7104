"""Cutting texts: nothing is lost, and nobody reads half a word."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.pipeline.outbound.splitting import split_text
from router.plugin.channel import TextUnit

FAMILY = "👨‍👩‍👧‍👦"
WALES = "🏴󠁧󠁢󠁷󠁬󠁳󠁿"


@pytest.mark.parametrize(
    "text, limit, parts",
    [
        pytest.param("hola", 4, ("hola",), id="what fits stays"),
        pytest.param(" hola ", 6, (" hola ",), id="what fits stays, with its spaces"),
        pytest.param("", 5, ("",), id="an empty text is one part"),
        pytest.param("   ", 2, ("  ",), id="nothing but spaces is one part"),
        pytest.param(" hola ", 4, ("hola",), id="spaces around are dropped if they do not fit"),
        pytest.param("Uno dos. Tres cuatro.", 14, ("Uno dos.", "Tres cuatro."), id="sentence"),
        pytest.param(
            "¿Va bien? ¡Sí! Hasta luego.", 14, ("¿Va bien? ¡Sí!", "Hasta luego."), id="?!"
        ),
        pytest.param('Dijo "ya voy." Y fue.', 16, ('Dijo "ya voy."', "Y fue."), id="closing quote"),
        pytest.param(
            "Uno dos tres.\nCuatro. Cinco", 22, ("Uno dos tres.", "Cuatro. Cinco"), id="line"
        ),
        pytest.param("Uno. Dos\n\nTres. Cuatro", 15, ("Uno. Dos", "Tres. Cuatro"), id="paragraph"),
        pytest.param(
            "A.\n\nuno dos tres cuatro", 15, ("A.\n\nuno dos", "tres cuatro"), id="no heading"
        ),
        pytest.param("Cuesta 1.000 pesos hoy", 12, ("Cuesta 1.000", "pesos hoy"), id="a number"),
        pytest.param(
            "son 10\N{NO-BREAK SPACE}km ya", 8, ("son", "10\N{NO-BREAK SPACE}km ya"), id="glued"
        ),
        pytest.param("abcdefghij", 4, ("abcd", "efgh", "ij"), id="a word too long"),
        pytest.param("ab" + FAMILY, 8, ("ab", FAMILY), id="a family stays together"),
        pytest.param("🇨🇴🇲🇽🇦🇷", 3, ("🇨🇴", "🇲🇽", "🇦🇷"), id="flags stay whole"),
        pytest.param("a" + WALES, 7, ("a", WALES), id="a flag of tags stays whole"),
        pytest.param("👍🏽👍🏽", 3, ("👍🏽", "👍🏽"), id="a skin tone stays with its hand"),
        pytest.param("cafe\u0301s", 4, ("caf", "e\u0301s"), id="an accent stays with its letter"),
        pytest.param(
            FAMILY, 3, (FAMILY[:3], FAMILY[3:6], FAMILY[6:]), id="unless it alone is too long"
        ),
    ],
)
def test_a_text_is_cut_where_a_reader_would_pause(
    text: str, limit: int, parts: tuple[str, ...]
) -> None:
    assert split_text(text, limit) == parts


@pytest.mark.parametrize(
    "text, limit, unit, parts",
    [
        pytest.param("mañana", 6, "characters", ("mañana",), id="characters"),
        pytest.param("mañana", 7, "bytes", ("mañana",), id="bytes that fit"),
        pytest.param("mañana sí", 9, "bytes", ("mañana", "sí"), id="bytes that do not"),
        pytest.param("• uno\n• dos", 8, "bytes", ("• uno", "• dos"), id="a list, in bytes"),
        pytest.param("aé", 2, "bytes", ("a", "é"), id="never half a character"),
        pytest.param("😀", 3, "bytes", ("😀",), id="one that alone is too long"),
        pytest.param("😀😀", 1, "bytes", ("😀", "😀"), id="several that alone are too long"),
        pytest.param("  😀", 1, "bytes", ("😀",), id="and spaces before one"),
        pytest.param("\ud83da", 3, "bytes", ("\ud83d", "a"), id="half a character has its bytes"),
        pytest.param("ñ😀", 3, "utf16", ("ñ😀",), id="units of UTF-16 that fit"),
        pytest.param("😀😀", 3, "utf16", ("😀", "😀"), id="units of UTF-16 that do not"),
        pytest.param("🇨🇴🇲🇽", 7, "utf16", ("🇨🇴", "🇲🇽"), id="flags stay whole in units"),
        pytest.param("a" + FAMILY, 11, "utf16", ("a", FAMILY), id="a family stays together"),
    ],
)
def test_a_text_is_measured_in_what_the_provider_counts(
    text: str, limit: int, unit: TextUnit, parts: tuple[str, ...]
) -> None:
    assert split_text(text, limit, unit) == parts


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError) as caught:
        split_text("hola", 0)

    assert str(caught.value) == "a part must hold at least 1, not 0"


texts = st.text(alphabet=st.one_of(st.sampled_from(" .\n,aé👍🏽‍🇨🇴\u0301"), st.characters()))


SIZES: dict[TextUnit, Callable[[str], int]] = {
    "characters": len,
    "utf16": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
}


@given(texts, st.integers(1, 40), st.sampled_from(sorted(SIZES)))
def test_nothing_but_white_space_is_lost_and_every_part_fits(
    text: str, limit: int, unit: TextUnit
) -> None:
    parts = split_text(text, limit, unit)

    assert all(SIZES[unit](part) <= limit or len(part) == 1 for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
    if len(parts) > 1:
        assert all(part and part == part.strip() for part in parts)


@given(texts, st.integers(1, 40), st.sampled_from(sorted(SIZES)))
def test_parts_are_pieces_of_the_text_in_its_order(text: str, limit: int, unit: TextUnit) -> None:
    place = 0
    for part in split_text(text, limit, unit):
        found = text.find(part, place)
        assert found >= 0
        assert not text[place:found].strip()
        place = found + len(part)
    assert not text[place:].strip()


@given(st.lists(st.text("abcdefghij", min_size=1, max_size=10), min_size=1), st.integers(10, 60))
def test_words_that_fit_are_never_cut(words: list[str], limit: int) -> None:
    parts = split_text(" ".join(words), limit)

    assert [word for part in parts for word in part.split()] == words
