"""What pydantic finds wrong is said in plain words, with the value as it was written."""

from collections.abc import Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    ValidationError,
    field_validator,
)

from router.settings.sentences import problems_of
from router.settings.sources import Place, Table
from router.toml import loads


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = "abc"
    code: str = Field("abc", min_length=2, max_length=4, pattern="^[a-z]+$")
    letter: str = Field("a", min_length=1, max_length=1)
    number: int = 1
    positive: float = Field(1.0, gt=0, lt=10)
    even: int = Field(2, multiple_of=2)
    flag: bool = True
    texts: list[str] = Field(default_factory=list, min_length=0, max_length=2)
    some: list[str] = Field(["a"], min_length=1)
    table: dict[str, int] = Field(default_factory=dict)
    inner: Inner | None = None
    inners: list[Inner] = Field(default_factory=list)
    by_name: Mapping[str, Inner] = Field(default_factory=dict)
    size: Size = Size.SMALL
    day: date | None = None
    url: AnyHttpUrl | None = None
    either: int | list[str] = 1
    spelt: Annotated[str, Field(alias="spelling")] = ""
    address: IPvAnyAddress | None = None
    picky: str = ""
    checked: str = ""

    @field_validator("picky")
    @classmethod
    def _must(cls, value: str) -> str:
        message = f"must not be like {value}."
        raise ValueError(message)

    @field_validator("checked")
    @classmethod
    def _assert(cls, value: str) -> str:
        assert not value, "nothing may stand here"
        return value


def said(text: str, hidden: tuple[Any, ...] = ()) -> list[str]:
    document = loads(f"[it]\n{text}\n", Path("f.toml"))
    table = Table(Place(document, ("it",)), document.values["it"])
    with pytest.raises(ValidationError) as caught:
        Everything.model_validate(table.values)
    found = problems_of(caught.value, table, Everything, also=("type",), hidden=hidden)
    return [str(problem) for problem in found]


@pytest.mark.parametrize(
    "written, message",
    [
        ("text = 3", "2:8: text must be a text, not 3"),
        ("text = true", "2:8: text must be a text, not true"),
        ("text = 1979-05-27", "2:8: text must be a text"),
        ("text = {}", "2:8: text must be a text, not a table"),
        ('code = "a"', '2:8: code must be at least 2 characters long, not "a"'),
        ('code = "abcde"', '2:8: code must be at most 4 characters long, not "abcde"'),
        ('code = "ABC"', '2:8: code must be in the form ^[a-z]+$, not "ABC"'),
        ('letter = ""', '2:10: letter must be at least 1 character long, not ""'),
        ('number = "x"', '2:10: number must be a whole number, not "x"'),
        ("number = 1.5", "2:10: number must be a whole number, not 1.5"),
        ("positive = 0", "2:12: positive must be above 0, not 0"),
        ("positive = 10", "2:12: positive must be below 10, not 10"),
        ('positive = "x"', '2:12: positive must be a number, not "x"'),
        ("even = 3", "2:8: even must be a multiple of 2, not 3"),
        ('flag = "x"', '2:8: flag must be true or false, not "x"'),
        ('texts = "x"', '2:9: texts must be a list, not "x". Write texts = ["x"].'),
        ('texts = ["a", 3]', "2:15: texts[1] must be a text, not 3"),
        ('texts = ["a", "b", "c"]', "2:9: texts must be a list of at most 2 entries, not a list"),
        ("some = []", "2:8: some must be a list of at least 1 entry, not an empty list"),
        ("table = 3", "2:9: table must be a table, not 3"),
        ('table = { a = "x" }', '2:15: table.a must be a whole number, not "x"'),
        ("inner = 3", "2:9: inner must be a table, not 3"),
        ("inner = {}", "2:1: inner lacks name. Add name = …."),
        (
            'inners = [{ name = "", nam = 1 }]',
            '2:24: inners[0] has no key "nam". Did you mean "name"?',
        ),
        (
            'by_name.a = { name = "", nam = 1 }',
            '2:26: by_name.a has no key "nam". Did you mean "name"?',
        ),
        ('size = "tiny"', '2:8: size must be "small" or "large", not "tiny"'),
        ('day = "x"', '2:7: day must be a date, not "x"'),
        ('url = "x"', '2:7: url must be an address such as https://example.org, not "x"'),
        ('either = "x"', '2:10: either must be a whole number or a list, not "x"'),
        ('speling = "x"', '2:1: [it] has no key "speling". Did you mean "spelling"?'),
        ("unlike = 1", '2:1: [it] has no key "unlike". Remove it, or look up its name.'),
        ('address = "x"', "2:11: address: value is not a valid IPv4 or IPv6 address"),
        ("tipe = 1", '2:1: [it] has no key "tipe". Did you mean "type"?'),
        ('picky = "x"', "2:9: picky must not be like x"),
        ('checked = "x"', "2:11: checked: nothing may stand here"),
        (f'number = "{"x" * 80}"', f'2:10: number must be a whole number, not "{"x" * 56}…'),
    ],
)
def test_a_finding_is_said_in_plain_words(written: str, message: str) -> None:
    assert said(written) == [f"f.toml:{message}"]


@pytest.mark.parametrize(
    "written, hidden",
    [
        ('text = ["hunter22"]', ("text",)),
        ('number = "hunter22"', ("number",)),
        ('table = { a = "hunter22" }', ("table", "a")),
        ('table = { a = "hunter22" }', ("table",)),
    ],
)
def test_what_is_hidden_is_not_quoted(written: str, hidden: tuple[str, ...]) -> None:
    (message,) = said(written, (hidden,))

    assert "hunter22" not in message
