"""Personal data: pieces that meet, and texts of nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rules import pii
from router.rules.fields import PII
from tests.growth import growth

PIECES = st.sampled_from(
    [
        "ana@example.com",
        "4111 1111 1111 1111",
        "4111111111111111",
        "ES9121000418450200051332",
        "111.444.777-35",
        "20-26756539-3",
        "12.531.909-2",
        "12345678Z",
        "X1234567L",
        "+57 300 123 4567",
        "3001234567",
        "213.123.432-1",
        "hola",
    ]
)


@given(st.lists(st.tuples(PIECES, st.sampled_from(["", " ", "-", ".", "@", "+", "\n", "ñ"]))))
def test_what_several_kinds_could_be_is_the_first_of_them(pieces: list[tuple[str, str]]) -> None:
    text = "".join(map("".join, pieces))
    expected: list[pii.Found] = []
    for kind in PII:
        for start, end in pii._spans(kind, text, "CO"):
            if all(end <= other.start or start >= other.end for other in expected):
                expected.append(pii.Found(kind, start, end))

    assert pii.find(text, "CO") == tuple(sorted(expected, key=lambda each: each.start))


@pytest.mark.parametrize("piece", ["a@b.co ", "3001234567 ", "12345678Z "])
def test_many_pieces_take_time_in_proportion(piece: str) -> None:
    assert growth(lambda text: pii.find(text, "CO"), piece, 16_000) < 10


CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    ("country", "text", "redacted"),
    [
        ("CO", f"{CARD} 12/27 123", "[card] 12/27 123"),
        ("CO", f"{CARD} 123", "[card] 123"),
        ("CO", f"2 {CARD}", "2 [card]"),
        ("CO", f"1234567890 {CARD}", "1234567890 [card]"),
        ("CO", "4111  1111  1111  1111 cvv 123", "[card] cvv 123"),
        ("CO", "4111 - 1111 - 1111 - 1111", "[card]"),
        ("CO", "4111\u00a01111\u20071111\u202f1111", "[card]"),
        ("CO", "4111\u20131111\u20131111\u20131111", "[card]"),
        ("CO", "\uff14\uff11\uff11\uff11 1111 1111 1111 ya", "[card] ya"),
        ("MX", "\u0664\u0661\u0661\u0661 1111 1111 1111", "[card]"),
        ("ES", "IBAN ES91 2100 0418 4502 0005 1332 hoy mismo", "IBAN [iban] hoy mismo"),
        ("ES", "IBAN ES91 2100 0418 4502 0005 1332 gracias", "IBAN [iban] gracias"),
        ("ES", "IBAN ES91  2100  0418  4502  0005  1332", "IBAN [iban]"),
        ("ES", "ES91-2100-0418-4502-0005-1332 de Ana", "[iban] de Ana"),
        ("BR", "meu CPF 529 982 247 25", "meu CPF [cpf]"),
        ("AR", "CUIT 20 12345678 6", "CUIT [cuit]"),
        ("CO", "mi cel 3001234567 2 unidades", "mi cel [phone] 2 unidades"),
        ("CO", "2 3001234567", "2 [phone]"),
        ("CO", "300 1234567 10 am", "[phone] 10 am"),
        ("CO", "300  123  4567", "[phone]"),
        ("CO", "+57 300 123 4567 8 pm", "[phone] 8 pm"),
        ("MX", "cel 55 1234 5678 12 piezas", "cel [phone] 12 piezas"),
        ("BR", "(11) 91234-5678 2 caixas", "[phone] 2 caixas"),
        ("US", "call (212) 555-2368 2 pm", "call [phone] 2 pm"),
    ],
)
def test_what_stands_beside_personal_data_does_not_hide_it(
    country: str, text: str, redacted: str
) -> None:
    assert pii.redact(text, PII, country) == redacted


@pytest.mark.parametrize(
    ("country", "text"),
    [
        ("CO", "pedido 4111 1111 1111 1112 del 12"),
        ("CO", "guía 9400 1000 0000 0000 0000 00"),
        ("CO", "entre 100 y 200 unidades, 3 cajas de 12"),
        ("ES", "ES91 2100 0418 4502 0005 1333 gracias"),
        ("MX", "son 3 de 15 x 20 x 30"),
        ("BR", "pedido 529 982 247 26"),
    ],
)
def test_numbers_of_nobody_stay(country: str, text: str) -> None:
    assert pii.redact(text, PII, country) == text


def test_the_same_number_in_other_digits_is_the_same() -> None:
    assert pii.values("\uff14\uff11\uff11\uff11 1111 1111 1111") == pii.values(CARD)


@pytest.mark.parametrize("piece", ["4 ", "4111 ", "ES91 ", "300 "])
def test_many_groups_take_time_in_proportion(piece: str) -> None:
    assert growth(lambda text: pii.find(text, "CO"), piece, 2_000) < 10
