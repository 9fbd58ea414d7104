"""Normal forms: what they are anywhere else, of texts that anybody writes."""

import sys
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.unicode import _marks, normalize
from tests.growth import growth

as_ever = unicodedata.normalize  # noqa: TID251
FORMS: list[Literal["NFC", "NFD", "NFKC", "NFKD"]] = ["NFC", "NFD", "NFKC", "NFKD"]


@given(st.text(max_size=30), st.sampled_from(FORMS))
def test_a_short_text_is_normalized_as_ever(
    text: str, form: Literal["NFC", "NFD", "NFKC", "NFKD"]
) -> None:
    assert normalize(form, text) == as_ever(form, text)


@pytest.mark.parametrize(
    "text",
    [
        "¿Cuándo llega mi pedido? Ya pasó una semana y nadie contesta 😀",
        as_ever("NFD", "¿Cuándo llegará mi compañía de Ñuñoa? Él pagó ayer…"),
        "नमस्ते, मेरा ऑर्डर कब आएगा? मैंने इसे सोमवार को खरीदा था।",
        "בְּרֵאשִׁית בָּרָא אֱלֹהִים אֵת הַשָּׁמַיִם וְאֵת הָאָרֶץ",
        "สั่งซื้อเมื่อวันจันทร์ เมื่อไหร่จะถึง",
        "ｶﾞｷﾞｸﾞｹﾞｺﾞ" * 10,
        "a" + "\u0301" * 30,
    ],
)
def test_a_text_of_any_language_is_normalized_as_ever(text: str) -> None:
    for form in FORMS:
        assert normalize(form, text) == as_ever(form, text)


def test_a_letter_keeps_thirty_marks() -> None:
    text = "x" + "\u0315" * 31 + "y" + "\u0315\u0327" * 30_000 + "z"

    expected = "x" + "\u0315" * 30 + "y" + "\u0327" * 15 + "\u0315" * 15 + "z"
    assert normalize("NFKD", text) == expected


@pytest.mark.parametrize("mark", ["\u0344", "\u0f73", "\u0f81", "\uff9e"])
def test_marks_that_become_others_are_cut_too(mark: str) -> None:
    found = normalize("NFKD", f"a{mark * 30_000}")

    assert len(found) <= 1 + 2 * 30


def test_all_characters_that_become_marks_are_known() -> None:
    found = {
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.combining(as_ever("NFKD", character)[0])
    }

    assert found == _marks()


@pytest.mark.parametrize("piece", ["\u0315\u0327", "\u0f73\u0327", "a" + "\u0315\u0327" * 15])
def test_many_marks_take_time_in_proportion(piece: str) -> None:
    assert growth(lambda text: normalize("NFKD", text), piece * 2_000, 4_000) < 10
