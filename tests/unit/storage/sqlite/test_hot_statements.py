"""The writer's own statements on SQLite take no time that grows with what is stored."""

import importlib
import pkgutil
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.storage import sqlite
from router.storage.database.migrating import ensure
from router.storage.sqlite.bulk import Bulk
from tests.unit.storage.test_plans import BIG, SHORT

_SQL = re.compile(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\b")
#: Through all lanes of a kind, of which there are as many as customers.
_KIND = "SEARCH lane USING PRIMARY KEY (kind=?)"


def _statements() -> Iterator[tuple[str, str]]:
    for module in pkgutil.iter_modules(sqlite.__path__):
        held = vars(importlib.import_module(f"{sqlite.__name__}.{module.name}"))
        for name, value in held.items():
            text = value.text if isinstance(value, Bulk) else value
            if isinstance(text, str) and _SQL.match(text):
                yield f"{module.name}.{name}", text


STATEMENTS = dict(_statements())


def test_the_statements_are_found() -> None:
    assert {
        "lanes._CLAIM",
        "lanes._FINISH",
        "work._DUE",
    } <= set(STATEMENTS)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = Path(tmp_path_factory.mktemp("plans"), "router.db")
    ensure(path)
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_a_big_table_to_its_end(raw: sqlite3.Connection, name: str) -> None:
    statement = STATEMENTS[name].replace("{rows}", "(NULL)")
    names = set(re.findall(r":(\w+)", statement))
    values = dict.fromkeys(names) if names else [None] * statement.count("?")

    plan = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", values)]

    scans = [re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", line) for line in plan]
    assert [it[0] for it in scans if it and it[1] in BIG and it[2] not in SHORT] == []
    assert _KIND not in plan


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_looks_up_pairs_among_many(name: str) -> None:
    # SQLite looks every combination of their parts up: 64 rows are 4,096 times in a table.
    assert not re.search(r"\(\w+(, \w+)+\) IN \(VALUES", STATEMENTS[name])
