"""What retention would delete is counted before anybody asks for it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from router.cli.main import main
from router.storage.tables import contact, conversation
from tests.databases import Database, empty_sqlite

CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"

[channels.phone]
type = "simulator"

[tenants.clinica.policy]
{policy}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A database with a closed conversation of each tenant, 40 days old."""
    empty_sqlite(tmp_path / "router.db")
    then = datetime.now(UTC) - timedelta(days=40)
    with Database(f"sqlite+aiosqlite:///{tmp_path / 'router.db'}") as database:
        for tenant in ("main", "clinica"):
            person = {"id": f"p-{tenant}", "tenant": tenant, "key": "tel:+571"}
            thread: dict[str, Any] = {
                "id": f"c-{tenant}",
                "tenant": tenant,
                "contact": person["id"],
            }
            thread |= {"channel": "phone", "address": "tel:+571", "status": "closed"}
            thread |= {"source": "inbound", "owner": "bot", "last_activity_at": then}
            database.insert(contact, person | {"created_at": then})
            database.insert(conversation, thread | {"created_at": then})
    return tmp_path


def run(folder: Path, *words: str, policy: str = "") -> int:
    (folder / "router.toml").write_text(CONFIG.format(policy=policy), encoding="utf-8")
    return main(["--config", str(folder / "router.toml"), "db", "due", *words])


def test_nothing_is_due_where_everything_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder) == 0

    assert capsys.readouterr().out.startswith("Everything is kept for ever: ")


@pytest.mark.parametrize(
    "words, policy, expected",
    [
        ((), 'keep = "30d"', {"clinica": 1}),
        ((), 'keep = "50d"', {"clinica": 0}),
        (("--keep", "30d"), "", {"main": 1, "clinica": 1}),
        (("--keep", "50d"), 'keep = "30d"', {"main": 0, "clinica": 0}),
        (("--keep", "30d", "--tenant", "main"), "", {"main": 1}),
    ],
)
def test_what_is_due_is_counted_and_left(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    policy: str,
    expected: dict[str, int],
) -> None:
    assert run(folder, *words, "--json", policy=policy) == 0

    found = json.loads(capsys.readouterr().out)["tenants"]
    assert {it["tenant"]: it["goes"]["conversation"] for it in found} == expected
    with Database(f"sqlite+aiosqlite:///{folder / 'router.db'}") as database:
        assert database.run(lambda it: it.scalar(sa.select(sa.func.count(conversation.c.id)))) == 2


def test_it_is_a_table_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--keep", "30d", "-t", "main") == 0

    head, row = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "TENANT"
    assert row.split()[0] == "main"
    assert row.split()[-4:] == ["1", "0", "0", "0"]


@pytest.mark.parametrize("keep", ["3d", "never", "soon"])
def test_what_no_policy_may_say_is_a_mistake_here_too(
    folder: Path, capsys: pytest.CaptureFixture[str], keep: str
) -> None:
    assert run(folder, "--keep", keep) == 2

    assert capsys.readouterr().err.startswith("--keep must be ")
