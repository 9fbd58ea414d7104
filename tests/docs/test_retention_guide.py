"""config/README.md says of every table what becomes of its old rows."""

import re
from collections.abc import Mapping

import pytest
from typer.main import get_group

from router.cli.contacts import app
from router.data import data_path
from router.settings.values import KEPT_AT_LEAST, duration_text
from router.storage.retention.lifetimes import ERASED, LIFETIMES

GUIDE = data_path("config", "README.md").read_text(encoding="utf-8")
ERASURE = GUIDE.split("\n## One person's data\n", 1)[1].split("\n## ", 1)[0]
SECTION = GUIDE.split("\n## What is kept\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize("section, told", [(SECTION, LIFETIMES), (ERASURE, ERASED)])
def test_every_table_has_its_line_in_the_guide(section: str, told: Mapping[str, str]) -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| (.*) \|$", section, flags=re.MULTILINE)
    written = {name: words for names, words in rows for name in re.findall(r"[a-z_]+", names)}

    assert written == told


def test_the_commands_of_the_guide_are_those_that_there_are() -> None:
    told = re.findall(r"^router contacts (\w+)", ERASURE, flags=re.MULTILINE)

    assert told == list(get_group(app).commands)


def test_the_shortest_time_is_the_real_one() -> None:
    assert f'`keep` cannot be shorter than `"{duration_text(KEPT_AT_LEAST)}"`' in SECTION
