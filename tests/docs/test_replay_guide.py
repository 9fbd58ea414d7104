"""The guide to replay: its tables are what there is."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from router.cli.replay import app
from router.pipeline.replay.comparing import Verdict
from router.rules.decide import GROUNDS

TEXT = (Path(__file__).parents[2] / "rules" / "REPLAY.md").read_text(encoding="utf-8")


def listed(header: str) -> list[str]:
    """Give what stands in the first column of the table with this header."""
    _, _, table = TEXT.partition(f"| {header} |")
    rows = [row for row in table.split("\n\n")[0].splitlines()[2:] if row.startswith("| ")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_every_option_is_told_and_no_other() -> None:
    options = {word for param in get_command(app).params for word in param.opts}

    assert set(listed("option")) == {it for it in options if it.startswith("--")} - {"--help"}


def test_every_result_is_told_and_no_other() -> None:
    assert listed("result") == [str(verdict) for verdict in Verdict]


@pytest.mark.parametrize("name", GROUNDS)
def test_what_is_weighed_when_an_answer_comes_is_told(name: str) -> None:
    assert f"`answer.{name}`" in TEXT
