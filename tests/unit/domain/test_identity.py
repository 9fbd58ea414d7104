"""Numbers as people write them."""

import pytest

from router.domain.identity import Address


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("+44(0)7911123456", "+447911123456"),
        ("+44 (0) 7911 123456", "+447911123456"),
        ("44(0)7911.123.456", "+447911123456"),
        ("tel:+44 (0)7911-123456", "+447911123456"),
        ("+351(0)912345678", "+351912345678"),
        # There the zero is a part of the number.
        ("+39 (0)6 1234 5678", "+390612345678"),
        ("+378 (0)549 123456", "+3780549123456"),
    ],
)
def test_a_zero_that_is_dialled_inside_the_country_alone_is_dropped(typed: str, value: str) -> None:
    assert Address.as_typed(typed) == Address("tel", value)


def test_what_is_no_number_keeps_what_looks_like_such_a_zero() -> None:
    assert Address.as_typed("telegram:44(0)7") == Address("telegram", "44(0)7")
