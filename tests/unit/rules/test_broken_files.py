"""Mistakes in rules files: one file for each, and the whole message that it gives."""

from pathlib import Path

import pytest

from router.errors import ConfigError
from router.rules.loading import load_rules
from router.rules.model import Names
from router.toml import Problem

BROKEN = Path(__file__).parent / "broken"


def rendered(path: Path, names: Names) -> str:
    with pytest.raises(ConfigError) as caught:
        load_rules([path], names)
    problems = [each for each in caught.value.problems if isinstance(each, Problem)]
    return "\n".join(each.render() for each in problems).replace(str(path), path.name) + "\n"


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.toml")), ids=lambda path: path.stem)
def test_a_mistake_is_told_whole_and_alone(path: Path, names: Names) -> None:
    assert rendered(path, names) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_message_has_its_file() -> None:
    messages = {path.stem for path in BROKEN.glob("*.txt")}

    assert messages == {path.stem for path in BROKEN.glob("*.toml")}


def test_all_mistakes_of_all_files_are_told_at_once_in_order(tmp_path: Path, names: Names) -> None:
    first, second, third = (tmp_path / f"{name}.toml" for name in ("b", "a", "c"))
    first.write_text('default.answer = "nobody"\n[[rule]]\nid = "r"\nthen.tga = 1\n')
    second.write_text('[category.X]\nrisk = "huge"\n')

    with pytest.raises(ConfigError) as caught:
        load_rules([first, second, third], names)

    assert [str(each).replace(f"{tmp_path}/", "") for each in caught.value.problems] == [
        'b.toml:1:18: no backend "nobody" in router.toml. Configured: assistant, cheap',
        'b.toml:4:6: unknown key "tga" in "then" of a rule. Did you mean "tag"?',
        'a.toml:2:8: unknown risk "huge". It is one of: low, medium, high',
        "c.toml: there is no such file. Check the path.",
    ]
