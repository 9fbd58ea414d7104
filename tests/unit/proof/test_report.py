"""The reports of shards become one page."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.proof import report
from tests.proof.kills import STORES, Death, Kill, Store, names_of, plan
from tests.proof.report import ALL, Result


def result(store: Store, number: int, kills: list[Kill]) -> Result:
    return Result(
        episode=f"{store}-{number:03}",
        plan=f"1/{ALL}/25",
        seed=f"1/{store}/{number}",
        store=store,
        nodes=1 if store == "sqlite" else 3,
        code="0123456789ab",
        left_alone=True,
        machine={"system": "Linux", "cores": "2"},
        kills=kills,
        boots=[0.6],
        restarts=[0.25] if store == "sqlite" else [],
        survivals=[1.25] if store == "postgres" else [],
        troubles={"disk full": 1},
        counts={"messages acknowledged": 1000},
        whims={"429": 3},
    )


def killed(death: Death) -> Kill:
    """Give a kill that came as it was planned."""
    at = death.failpoint
    return Kill(reached=at, asked=at, moment=str(death), trouble=death.trouble)


@pytest.fixture
def whole() -> list[Result]:
    """Give the results of a full run in which everything came as it was planned."""
    return [
        result(
            one.store,
            one.number,
            [killed(death) for death in one.deaths],
        )
        for store in STORES
        for one in plan(store, 1, ALL)
    ]


def test_a_result_is_read_as_it_was_written(whole: list[Result], tmp_path: Path) -> None:
    whole[0].write(tmp_path / "result.json")

    assert report.read(tmp_path / "result.json") == whole[0]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"episode": "x", "kills": []}'])
def test_what_is_no_result_counts_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(text)

    assert report.read(tmp_path / "result.json") is None
    assert report.read(tmp_path / "other.json") is None


def test_a_full_run_has_missed_nothing(whole: list[Result]) -> None:
    assert report.missed(whole) == []


def test_what_a_run_lacks_is_named(whole: list[Result]) -> None:
    never = names_of("sqlite")[0]
    for one in whole:
        if one.store == "sqlite":
            one.kills = [kill for kill in one.kills if kill.reached != never]
        else:
            one.survivals = [2.5]
    whole[-1] = replace(whole[-1], code="another")

    missed = report.missed(whole)

    assert f"sqlite: 0 kills at {never} of 10" in missed
    assert any(one.startswith("sqlite: 4") and one.endswith(" kills of 500") for one in missed)
    assert "postgres: survivals take 2.50 s, more than 1.5 s" in missed
    assert "the episodes were not all run on the same version" in missed


def test_the_page_tells_how_it_went_and_how_to_repeat_it(whole: list[Result]) -> None:
    page = report.page(whole)

    assert "**Every promise was kept.**" in page
    assert "longer than the goal" not in page
    assert "| kills | 500 | 500 |" in page
    assert "| `node.buried` | – | " in page
    assert "| messages acknowledged | 20,000 | 20,000 |" in page
    assert "| start, sqlite | 20 | 0.60 | 0.60 |  |  |  |" in page
    assert "| restart, sqlite | 20 | 0.25 | 0.25 | 1 | yes | yes |" in page
    assert "- `--seed 1 --kills 500 --per-episode 25`" in page
    assert "Missed" not in page


def test_the_page_names_what_was_broken(whole: list[Result]) -> None:
    whole[3].broken.append("lost: main/safe message:SM1")

    page = report.page(whole)

    assert "**Promises were broken.**" in page
    assert f"- {whole[3].episode}: lost: main/safe message:SM1" in page


SLOW = {
    "a few": (
        ([0.2, 0.3, 1.0], [0.4, 0.9, 1.6]),
        "1 of 3 survivors took longer than the goal of 1.5 s",
        ("3 | 0.30 | 1.00 | 1 | yes | yes", "3 | 0.90 | 1.60 | 1.5 | yes | no"),
    ),
    "of both sorts": (
        ([0.2, 1.2, 1.3], [0.4, 1.6]),
        (
            "2 of 3 restarts took longer than the goal of 1 s, and "
            "1 of 2 survivors took longer than the goal of 1.5 s"
        ),
        ("3 | 1.20 | 1.30 | 1 | no | no", "2 | 1.00 | 1.60 | 1.5 | yes | no"),
    ),
}


@pytest.mark.parametrize("name", SLOW)
def test_the_page_says_which_recoveries_took_longer_than_their_goal(
    whole: list[Result], name: str
) -> None:
    (restarts, survivals), slow, (restart, survivor) = SLOW[name]
    for one in whole:
        one.restarts, one.survivals = [], []
    whole[0].restarts, whole[-1].survivals = restarts, survivals

    page = report.page(whole)

    assert f"**Every promise was kept; {slow}.**" in page
    assert f"| restart, sqlite | {restart} |" in page
    assert f"| survivor, postgres | {survivor} |" in page


def test_a_broken_promise_and_a_slow_recovery_are_both_said_at_the_top(whole: list[Result]) -> None:
    whole[0].restarts = [2.0]
    whole[3].broken.append("lost: main/safe message:SM1")

    assert (
        "**Promises were broken; 1 of 20 restarts took longer than the goal of 1 s.**"
        in report.page(whole)
    )
