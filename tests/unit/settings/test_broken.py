"""One mistake a folder, and the whole of what is said about it."""

from pathlib import Path

import pytest

from router.errors import ConfigError
from router.settings.loading import load_settings
from router.toml import Problem
from tests.unit.settings.kinds import kinds

BROKEN = Path(__file__).parent / "broken"
ENVIRONMENT = {"TOKEN": "hunter22", "SPACED": "hunter 22"}


@pytest.mark.parametrize("name", sorted(path.name for path in BROKEN.iterdir() if path.is_dir()))
def test_a_mistake_is_told_once_with_its_place_and_what_to_do(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BROKEN / name)

    with pytest.raises(ConfigError) as caught:
        load_settings(Path("router.toml"), kinds(lost=True), run=True, environ=ENVIRONMENT)

    problems = [problem for problem in caught.value.problems if isinstance(problem, Problem)]
    assert (BROKEN / f"{name}.txt").read_text(encoding="utf-8") == "".join(
        f"{problem.render()}\n" for problem in problems
    )
    assert len(problems) == 1
    assert "hunter" not in problems[0].render() + repr(problems[0])


def test_every_explanation_belongs_to_a_mistake() -> None:
    explained = {path.stem for path in BROKEN.glob("*.txt")}

    assert {path.name for path in BROKEN.iterdir() if path.is_dir()} == explained
