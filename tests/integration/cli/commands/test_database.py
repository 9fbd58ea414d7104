"""The commands and the database itself: none yet, one that is sound, one that is damaged."""

from pathlib import Path

import pytest

from tests.integration.cli.commands.shell import Run, closed_later, shown
from tests.integration.engine.harness import ref


@pytest.mark.parametrize(
    "words",
    [
        ["drafts", "list"],
        ["drafts", "approve", "x"],
        ["status"],
        ["explain", "x"],
        ["conversations", "take", "x"],
    ],
)
def test_without_a_database_it_says_how_to_get_one(run: Run, desk: Path, words: list[str]) -> None:
    ran = run(*words)

    assert ran.status == 1
    assert ran.err == (
        f"the database {desk / 'router.db'} is not there yet. `router run` makes it, and so does "
        "`router db migrate`\n"
    )


def test_a_database_is_made_once_and_is_sound(run: Run, desk: Path) -> None:
    first, second, looked = run("db", "migrate"), run("db", "migrate"), run("db", "check")

    database = desk / "router.db"
    assert first.out == f"{database} has schema 0001 now; before: none.\n"
    assert second.out == f"{database} is up to date: schema 0001.\n"
    assert (looked.status, looked.out) == (0, f"{database} is sound: schema 0001.\n")


async def test_damage_is_named(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        await engine.answer("hola", "¡Hola!")
        await engine.store.write(
            lambda tx: (
                tx.connection.exec_driver_sql("UPDATE lane SET done_seq = last_seq + 1").rowcount
            )
        )

    ran = await shown(run, "db", "check")

    assert ran.status == 1
    assert f"the cursor of lane in {ref(1).lane} is beyond its end\n" in ran.out
    assert "will never leave: it is behind its lane's cursor\n" in ran.out
    assert ran.out.endswith("is damaged. Restore a backup, and keep this one for a look.\n")
