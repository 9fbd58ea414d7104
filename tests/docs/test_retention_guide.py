"""config/README.md says of every table what becomes of its old rows."""

import re

from router.data import data_path
from router.settings.values import KEPT_AT_LEAST, duration_text
from router.storage.lifetimes import LIFETIMES

GUIDE = data_path("config", "README.md").read_text(encoding="utf-8")
SECTION = GUIDE.split("\n## What is kept\n", 1)[1].split("\n## ", 1)[0]


def test_every_table_has_its_line_in_the_guide() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| (.*) \|$", SECTION, flags=re.MULTILINE)
    written = {name: words for names, words in rows for name in re.findall(r"[a-z_]+", names)}

    assert written == LIFETIMES


def test_the_shortest_time_is_the_real_one() -> None:
    assert f'`keep` cannot be shorter than `"{duration_text(KEPT_AT_LEAST)}"`' in SECTION
