"""What recorded traffic has against a configuration that is to take the place of another."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
import pytest

from router.pipeline.instances.configuration import Configuration
from router.pipeline.replay.trial import Trial
from router.settings.model import ReloadReplay, Settings
from tests.integration.engine.harness import DATABASES, SQLiteDatabase
from tests.integration.engine.pipeline import RULES, Pipeline
from tests.integration.replay.traffic import MORE, another, day

ALL = RULES + MORE
WEEK = 7 * 86400.0
#: The day that is looked at has so many decisions within a week of its end.
DECISIONS = 23


@pytest.fixture(params=list(DATABASES))
async def lived(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with day(request.param, tmp_path) as pipeline:
        yield pipeline


@pytest.fixture
async def lived_here(tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with day("sqlite", tmp_path) as pipeline:
        yield pipeline


def there(
    pipeline: Pipeline, folder: Path, *changes: tuple[str, str], allowed: ReloadReplay | None = None
) -> Configuration:
    """Give a configuration on the database of the day, with changes in its rules.

    :param allowed: what it says of recorded traffic.
    """
    rules = ALL
    for old, new in changes:
        assert old in rules
        rules = rules.replace(old, new)
    configuration = another(pipeline, folder, rules=rules)
    database = pipeline.engine.database
    url = (
        f"sqlite+aiosqlite:///{database.path}"
        if isinstance(database, SQLiteDatabase)
        else database.url
    )
    settings: Settings = configuration.settings
    router = replace(settings.router, database=url, reload_replay=allowed)
    return replace(configuration, settings=replace(settings, router=router))


def at_most(percent: float, **values: float) -> ReloadReplay:
    return ReloadReplay(
        since=values.get("since", WEEK),
        max_changed=percent,
        limit=int(values.get("limit", 1000)),
    )


async def objections(
    pipeline: Pipeline, before: Configuration, after: Configuration, longest: float = 60.0
) -> list[str]:
    trial = Trial(pipeline.engine.clock, longest=longest)
    return await anyio.to_thread.run_sync(trial.objections, before, after)


OTHER_HOURS = ("De 8 a 18.", "De 9 a 18.")
NO_LAWYER = (
    (
        'then.escalate = { to = "legal", because = "amenaza legal", say = '
        '"Ya le escribe una persona." }'
    ),
    'then.reply = { text = "Lo sentimos." }',
)


async def test_what_changes_more_than_is_allowed_is_told_by_rule(
    lived: Pipeline, tmp_path: Path
) -> None:
    before = there(lived, tmp_path)
    after = there(lived, tmp_path, OTHER_HOURS, NO_LAWYER, allowed=at_most(2))

    told = await objections(lived, before, after)

    assert told == [
        (
            f"3 of {DECISIONS} decisions of the last 7d would come out differently (13.04%), and "
            "[router] reload_replay allows 2 %. `router replay --since 7d` shows them; to take it "
            "up all the same, raise max_changed in the same files"
        ),
        "1 x less careful: escalate by legal → reply by legal",
        "2 x different: reply by hours → reply by hours",
    ]


async def test_what_changes_less_than_is_allowed_goes_through(
    lived_here: Pipeline, tmp_path: Path
) -> None:
    before = there(lived_here, tmp_path)

    assert (
        await objections(
            lived_here, before, there(lived_here, tmp_path, OTHER_HOURS, allowed=at_most(12))
        )
        == []
    )
    assert (
        await objections(lived_here, before, there(lived_here, tmp_path, OTHER_HOURS, allowed=None))
        == []
    )


async def test_what_was_recorded_under_other_rules_is_no_change_of_this_one(
    lived_here: Pipeline, tmp_path: Path
) -> None:
    # The hours are others since the day that was recorded, and stay so.
    before = there(lived_here, tmp_path, OTHER_HOURS)
    after = there(lived_here, tmp_path, OTHER_HOURS, NO_LAWYER, allowed=at_most(0))

    told = await objections(lived_here, before, after)

    assert told[1:] == ["1 x less careful: escalate by legal → reply by legal"]


async def test_a_mistake_can_be_taken_back(lived_here: Pipeline, tmp_path: Path) -> None:
    before = there(lived_here, tmp_path, OTHER_HOURS, NO_LAWYER)
    after = there(lived_here, tmp_path, allowed=at_most(0))

    assert await objections(lived_here, before, after) == []


async def test_the_same_prompt_that_nobody_has_an_answer_to_is_no_change(
    lived_here: Pipeline, tmp_path: Path
) -> None:
    category = (
        '[category.INFO]\nrisk = "low"',
        '[category.INFO]\nrisk = "low"\n[category.NEW]\nrisk = "low"',
    )
    newer = ("[category.NEW]", "[category.NEWER]")
    before = there(lived_here, tmp_path, category)

    same = there(lived_here, tmp_path, category, OTHER_HOURS, allowed=at_most(0))
    other = there(lived_here, tmp_path, category, newer, allowed=at_most(0))

    assert (await objections(lived_here, before, same))[1:] == [
        "2 x different: reply by hours → reply by hours"
    ]
    assert "stale" in " ".join(await objections(lived_here, before, other))


async def test_only_the_newest_are_looked_at(lived_here: Pipeline, tmp_path: Path) -> None:
    before = there(lived_here, tmp_path)
    after = there(lived_here, tmp_path, OTHER_HOURS, allowed=at_most(0, limit=3))
    lately = there(lived_here, tmp_path, OTHER_HOURS, allowed=at_most(0, since=60))

    assert await objections(lived_here, before, after) == []
    assert await objections(lived_here, before, lately) == []


async def test_a_trial_that_takes_too_long_is_an_objection(
    lived_here: Pipeline, tmp_path: Path
) -> None:
    before = there(lived_here, tmp_path)
    after = there(lived_here, tmp_path, OTHER_HOURS, allowed=at_most(50))

    told = await objections(lived_here, before, after, longest=-1)

    assert told == [
        (
            f"[router] reload_replay: deciding {DECISIONS} recorded turns again takes longer than "
            "-1 s. Lower its limit"
        )
    ]


async def test_a_trial_that_nobody_waits_for_any_more_ends(
    lived_here: Pipeline, tmp_path: Path
) -> None:
    before = there(lived_here, tmp_path)
    after = there(lived_here, tmp_path, OTHER_HOURS, allowed=at_most(0))
    trial = Trial(lived_here.engine.clock)

    assert await anyio.to_thread.run_sync(trial.objections, before, after, lambda: False) == []


async def test_a_database_that_cannot_be_read_is_an_objection(
    lived_here: Pipeline, tmp_path: Path
) -> None:
    before = there(lived_here, tmp_path)
    router = replace(before.settings.router, database=f"sqlite+aiosqlite:///{tmp_path}/none.db")
    before = replace(before, settings=replace(before.settings, router=router))
    after = there(lived_here, tmp_path, OTHER_HOURS, allowed=at_most(0))

    [told] = await objections(lived_here, before, after)

    assert told.startswith("[router] reload_replay wants recorded traffic to be looked at, and it")
    assert "unable to open database file" in told


async def test_no_more_changes_are_named_than_people_read(
    lived_here: Pipeline, tmp_path: Path
) -> None:
    before = there(lived_here, tmp_path)
    after = replace(
        there(lived_here, tmp_path),
        settings=replace(before.settings, tenants={}, hash="other"),
    )
    router = replace(before.settings.router, reload_replay=at_most(0))
    after = replace(after, settings=replace(after.settings, router=router))

    told = await objections(lived_here, before, after)

    assert told[0].startswith(f"{DECISIONS} of {DECISIONS} decisions")
    assert 'the configuration has no tenant "main"' in told[1]
    assert len(told) == 14
    assert told[-1].endswith("more kinds of change")
