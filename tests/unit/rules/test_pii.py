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
