"""Mistakes in suites: one file for each, and the whole message that it gives."""

from collections.abc import Callable
from pathlib import Path

import pytest

from router.errors import ConfigError
from router.rules.suites.model import Subject
from router.rules.suites.reading import load_suites
from router.rules.suites.subjects import Subjects
from router.toml import Problem

BROKEN = Path(__file__).parent / "broken"
RULES = """
[category.LEGAL]
risk = "high"

[[rule]]
id = "legal"
when.text.words = "juicio"
then.set.category = "LEGAL"
then.escalate = { to = "pager", because = "a legal threat" }
"""


def rendered(path: Path, subject: Subject) -> str:
    with pytest.raises(ConfigError) as caught:
        load_suites([path], Subjects({"main": subject}))
    problems = [each for each in caught.value.problems if isinstance(each, Problem)]
    return "\n".join(each.render() for each in problems).replace(str(path), path.name) + "\n"


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.toml")), ids=lambda path: path.stem)
def test_a_mistake_is_told_whole_and_alone(path: Path, subject_of: Callable[..., Subject]) -> None:
    expected = path.with_suffix(".txt").read_text(encoding="utf-8")

    assert rendered(path, subject_of(RULES)) == expected


def test_every_message_has_its_file() -> None:
    messages = {path.stem for path in BROKEN.glob("*.txt")}

    assert messages == {path.stem for path in BROKEN.glob("*.toml")}


def test_all_mistakes_of_all_suites_are_told_at_once_each_once(
    tmp_path: Path, subject_of: Callable[..., Subject]
) -> None:
    subject = subject_of(RULES)
    (tmp_path / "broken.toml").write_text('default.answer = "nobody"\n', encoding="utf-8")
    case = '[[case]]\nsay = "hola"\nexpect = { decision = "answer" }\n'
    first, second, third = (tmp_path / f"{name}.test.toml" for name in "abc")
    first.write_text(f'rules = "broken.toml"\n{case}', encoding="utf-8")
    second.write_text(f'rules = "broken.toml"\n{case}', encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_suites([first, second, third], Subjects({"main": subject}))

    assert [str(each).replace(f"{tmp_path}/", "") for each in caught.value.problems] == [
        'broken.toml:1:18: no backend "nobody" in router.toml. Configured: assistant, cheap',
        "c.test.toml: there is no such file. Check the path.",
    ]
