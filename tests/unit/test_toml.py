"""Places in TOML files, and how problems are printed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ConfigError
from router.toml import KeyPath, Part, Position, Problem, load, loads, suggest

TEXT = """\
default.answer = "assistant"   # ñ
[a."b c".d]
x.y = { k = [1, { z.q = 2 }], "ñ" = 'v', w = "a" }
[[rule]]
id = "1"
[rule.sub]
k = 1
[[rule.part]]
n = 1
[[rule]]
when.any = [{ text.words = "factura" },
  # a comment counts as no element
  { attachments.at_least = 1 }]
long = \"\"\"
two lines\"\"\"
"""


@pytest.mark.parametrize(
    ("path", "part", "expected"),
    [
        (("default",), "key", Position(1, 1, 7)),
        (("default", "answer"), "key", Position(1, 9, 6)),
        (("default", "answer"), "value", Position(1, 18, 11)),
        (("a",), "key", Position(2, 2, 1)),
        (("a", "b c", "d"), "key", Position(2, 10, 1)),
        (("a", "b c", "d"), "value", Position(2, 10, 1)),
        (("a", "b c", "d", "x", "y", "k", 1, "z", "q"), "value", Position(3, 25, 1)),
        (("a", "b c", "d", "x", "y", "ñ"), "key", Position(3, 31, 3)),
        (("a", "b c", "d", "x", "y", "w"), "value", Position(3, 46, 3)),
        (("rule", 0), "key", Position(4, 3, 4)),
        (("rule", 0, "id"), "value", Position(5, 6, 3)),
        (("rule", 0, "sub", "k"), "key", Position(7, 1, 1)),
        (("rule", 0, "part", 0, "n"), "key", Position(9, 1, 1)),
        (("rule", 1), "key", Position(10, 3, 4)),
        (("rule", 1, "when", "any", 1, "attachments", "at_least"), "key", Position(13, 17, 8)),
        (("rule", 1, "long"), "value", Position(14, 8, 3)),
        # What is not there has the place of the nearest thing around it.
        (("rule", 1, "when", "any", 1, "missing"), "key", Position(13, 3, 28)),
        (("rule", 0, "missing"), "value", Position(4, 3, 4)),
        (("missing",), "key", Position(1, 1, 1)),
        ((), "key", Position(1, 1, 1)),
    ],
)
def test_a_key_path_has_a_place(path: KeyPath, part: Part, expected: Position) -> None:
    document = loads(TEXT, "x.toml")

    assert document.locate(path, part) == expected


def test_line_ends_of_windows_do_not_move_places() -> None:
    document = loads("a = 1\r\nb = 2\r\n", "x.toml")

    assert document.values == {"a": 1, "b": 2}
    assert document.problem(("b",), "wrong").render() == (
        "x.toml:2:1: wrong\n    2 | b = 2\n        ^"
    )


def test_a_problem_shows_the_line_the_place_and_its_notes() -> None:
    document = loads('"títulos" = ["ñandú", "b"]\n', "rules/x.toml")

    problem = document.problem(
        ("títulos", 1),
        "wrong",
        "Do better.",
        part="value",
        notes=["one", "two"],
    )

    assert str(problem) == "rules/x.toml:1:23: wrong. Do better."
    assert problem.render() == (
        "rules/x.toml:1:23: wrong. Do better.\n"
        '    1 | "títulos" = ["ñandú", "b"]\n'
        "                              ^^^\n"
        "      one\n"
        "      two"
    )


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Problem(path="x", message="it is gone"), "x: it is gone"),
        (Problem(path="x", message="it is gone", remedy=" Look."), "x: it is gone. Look."),
        (Problem(path="x", line=2, column=3, message="why?", remedy="So."), "x:2:3: why? So."),
        (Problem(path=Path("d/x"), message="m", notes=("n",)), "d/x: m\n      n"),
        (
            Problem(path="x", line=1, column=2, message="m", source_line="\t日本\x07z", length=2),
            "x:1:2: m\n    1 | \t日本 z\n        \t^^^^",
        ),
        (
            Problem(path="x", line=1, column=9, message="m", source_line="e\u0301"),
            "x:1:9: m\n    1 | e\u0301\n         ^",
        ),
    ],
)
def test_a_problem_prints_itself(problem: Problem, expected: str) -> None:
    assert problem.render() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\na = 2", "x:2:1: this key is set a second time. Keep one of the two."),
        ("a.b = 1\na = 2", "x:2:1: this key is set a second time. Keep one of the two."),
        ("[a]\n[a]", "x:2:1: this table is declared a second time. Keep one of the two."),
        ("a = foo\n", "x:1:5: this is not a TOML value. Put texts between quotation marks."),
        ('a = "x\nb = 1', "x:1:7: a string is not closed. Close it with a quotation mark."),
        ('a = "x', "x:1:7: a string is not closed. Close it with a quotation mark."),
        ("x = [1", "x:1:7: not valid TOML: Unclosed array"),
        ("= 1", "x:1:1: not valid TOML: Invalid statement"),
    ],
)
def test_a_syntax_error_has_a_place_and_words(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text, "x")

    assert [str(each) for each in caught.value.problems] == [expected]


def test_what_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes("a = 'n'\nb = 'ñ'".encode("latin-1"))

    for path, reason in (
        (tmp_path / "none.toml", "there is no such file. Check the path."),
        (tmp_path, "the file cannot be read: Is a directory"),
        (f"{latin}:2:6", "the file is not UTF-8. Save it as UTF-8."),
    ):
        with pytest.raises(ConfigError) as caught:
            load(str(path).removesuffix(":2:6"))
        assert str(caught.value) == f"{path}: {reason}"


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("a = 1\n")

    document = load(path)

    assert (document.values, document.path) == ({"a": 1}, path)


def test_deep_nesting_is_a_problem_and_no_crash() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        loads(f"a = {'[' * 5000}", "x")


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("wrods", ["words", "matches"], ' Did you mean "words"?'),
        ("LEGAL", ["legal"], ' Did you mean "legal"?'),
        ("xyz", ["words"], ""),
        ("words", [], ""),
    ],
)
def test_the_nearest_word_is_suggested(word: str, known: list[str], expected: str) -> None:
    assert suggest(word, known) == expected


@given(st.text(max_size=40))
def test_any_text_is_read_or_has_one_problem_that_prints(text: str) -> None:
    try:
        document = loads(text, "x")
    except ConfigError as error:
        (problem,) = error.problems
        assert isinstance(problem, Problem)
        assert problem.render().startswith("x:")
    else:
        for key in document.values:
            assert document.locate((key,)).line >= 1


def test_a_mark_of_the_byte_order_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes("a = 1\r\nb = 2\r\n".encode("utf-8-sig"))

    document = load(path)

    assert document.values == {"a": 1, "b": 2}
    assert document.locate(("a",)) == Position(1, 1)
