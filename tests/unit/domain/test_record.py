"""Records: equal, hashed and changed as frozen dataclasses are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pytest

from router.domain.record import changed, record


@record(frozen=True, slots=True, kw_only=True)
class Kept:
    name: str
    count: int = 0
    more: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    name: str
    count: int = 0
    more: Mapping[str, str] = field(default_factory=dict, hash=False)


def test_a_record_is_a_dataclass_like_a_frozen_one() -> None:
    assert [each.name for each in fields(Kept)] == [each.name for each in fields(Frozen)]
    assert repr(Kept(name="a")) == repr(Frozen(name="a")).replace("Frozen", "Kept")
    assert hash(Kept(name="a", count=2)) == hash(Frozen(name="a", count=2))
    assert Kept(name="a") == Kept(name="a") != Kept(name="b")


@pytest.mark.parametrize(
    "changes", [{}, {"count": 3}, {"name": "b", "more": {"x": "y"}}], ids=["none", "one", "two"]
)
def test_a_changed_record_is_the_one_that_replace_gives(changes: Mapping[str, Any]) -> None:
    before = Kept(name="a", count=1)

    after = changed(before, **changes)

    assert after == replace(before, **changes)
    assert before == Kept(name="a", count=1)


def test_what_is_no_field_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="nmae"):
        changed(Kept(name="a"), nmae="b")  # type: ignore[call-arg]


def test_a_class_that_checks_itself_is_no_record() -> None:
    class Checked:
        name: str

        def __post_init__(self) -> None:
            raise AssertionError

    with pytest.raises(TypeError, match="Checked cannot be a record: it has a __post_init__"):
        record(frozen=True, slots=True)(Checked)
