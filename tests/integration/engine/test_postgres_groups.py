"""What many callers write together on PostgreSQL: how it is sent, planned, and who stands back."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import anyio
import asyncpg
import pytest

from router.domain.identity import Address
from router.storage.postgres.engine import Transaction
from router.storage.store import IN
from tests.integration.engine.harness import ANA, LUIS, Engine
from tests.integration.engine.nodes import STATEMENTS, place_dsn, store_of

_LONG = 30.0
_MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param([], id="nothing"),
        pytest.param([""], id="an empty text"),
        pytest.param([None], id="nothing known"),
        pytest.param(["", None, "", "a"], id="empty and unknown"),
        pytest.param(["NULL", "null", None], id="the word"),
        pytest.param(['"', '","', 'a","b', '""'], id="quotes"),
        pytest.param(["\\", '\\"', "\\\\", "C:\\n"], id="backslashes"),
        pytest.param(["{}", "{a,b}", ",", " a ", "\t\n\r"], id="what else an array is made of"),
        pytest.param(["¿Está?", "日本", "👋🏽", "\u2028"], id="any script"),
    ],
)
async def test_an_array_of_texts_arrives_as_it_was_sent(
    one: Engine, texts: list[str | None]
) -> None:
    def echo(tx: Transaction) -> list[Any]:
        statement = "SELECT * FROM unnest($1::text[], $2::bigint[])"
        return [tuple(row) for row in tx.rows(statement, texts, list(range(len(texts))))]

    arrived = await store_of(one)._flusher.run(echo)

    assert arrived == [(text, number) for number, text in enumerate(texts)]


_LANES, _ONES = ["main/tel:+571", "main/tel:+572"], [1, 1]
_LANE = {
    "LOCK_LANES": (["in", "in"], _LANES),
    "ADVANCE": (["in", "in"], _LANES, _ONES, _ONES),
    "REST": (
        ["in", "in"],
        *(_LANES, _ONES, _ONES, [_MOMENT] * 2, _ONES, [None, None], [False, False], _ONES),
    ),
    "RELEASE": (["in", "in"], _LANES, _ONES, _ONES, _ONES),
    "POSTPONE": (
        ["in", "in"],
        *(_LANES, _ONES, _ONES, [_MOMENT] * 2, [None, "main/phone"], [None, _MOMENT]),
    ),
    "LEAVE_QUEUE": (["in", "in"], _LANES),
    "MOVE": (["in", "in"], _LANES, _ONES),
    "STANDS": (["in", "in"], _LANES),
}


@pytest.mark.parametrize("name", _LANE)
async def test_a_lane_is_found_by_its_key_whatever_the_planner_knows(
    one: Engine, name: str
) -> None:
    strangers = [Address("tel", f"+57{number:03}") for number in range(300)]
    await one.accept(*(one.said(who=stranger) for stranger in strangers))

    def explain(tx: Transaction) -> str:
        statement = f"EXPLAIN {STATEMENTS[name]}"
        return "\n".join(row[0] for row in tx.rows(statement, *_LANE[name]))

    plan = await store_of(one)._flusher.run(explain)

    assert "pk_lane" in plan
    cond = next(line for line in plan.splitlines() if "Index Cond" in line and "kind" in line)
    assert ".kind)" in cond
    assert ".key)" in cond


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("FIRST_QUEUED", ("main", "main/phone"), "lane_queue"),
        ("CALL_NEXT", (_LANES[0], _MOMENT), "pk_lane"),
    ],
)
async def test_the_first_of_a_queue_is_found_by_an_index(
    one: Engine, name: str, values: tuple[Any, ...], index: str
) -> None:
    strangers = [Address("tel", f"+57{number:03}") for number in range(300)]
    await one.accept(*(one.said(who=stranger) for stranger in strangers))

    def explain(tx: Transaction) -> str:
        statement = f"EXPLAIN {STATEMENTS[name]}"
        return "\n".join(row[0] for row in tx.rows(statement, *values))

    plan = await store_of(one)._flusher.run(explain)

    assert index in plan
    assert "Seq Scan" not in plan


async def test_who_needs_a_lane_that_is_being_written_stands_back_and_the_rest_goes_on(
    one: Engine,
) -> None:
    store = store_of(one)
    busy, free = one.said(who=ANA), one.said(who=LUIS)
    raw = await asyncpg.connect(place_dsn(one))
    await raw.execute("SELECT pg_advisory_lock(77)")
    under_way = asyncio.Event()
    loop = asyncio.get_running_loop()

    def write(tx: Transaction) -> None:
        loop.call_soon(under_way.set)
        tx.rows("SELECT pg_advisory_xact_lock(77)")

    writing = asyncio.create_task(store._flusher.run(write, [(IN, busy.lane)]))
    with anyio.fail_after(_LONG):
        await under_way.wait()
        behind = asyncio.create_task(one.accept(busy))
        await asyncio.sleep(0)
        (accepted,) = await one.accept(free)

        assert accepted.new
        assert not behind.done()

        await raw.execute("SELECT pg_advisory_unlock(77)")
        await writing
        (accepted,) = await behind
        assert accepted.new
    await raw.close()
