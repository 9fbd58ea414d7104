"""Telephone numbers as other systems and people write them."""

import pytest

from router.pipeline.people.reporting import telephone


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+573001234567", "+573001234567"),
        (" 57 300 123-45.67 ", "+573001234567"),
        ("+44(0)7911123456", "+447911123456"),
        ("+44 (0) 7911 123456", "+447911123456"),
        ("+39(0)612345678", "+390612345678"),
    ],
)
def test_a_number_is_as_it_is_dialled_from_abroad(written: str, number: str) -> None:
    assert telephone(written) == number


@pytest.mark.parametrize(
    "written", ["", "0044 7911 123456", "+44(0)1234", "+447911(0)123456", "+44(0)(0)7911123456"]
)
def test_what_is_no_number_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="with its country code"):
        telephone(written)
