"""Tools: a model has something looked up while it answers, and only what it may, so often."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from router import plugin
from router.rules.explain import render
from router.rules.trace import unpacked
from router.storage.tables import decision, outbox, usage
from tests.blocking import blocking
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

TABLES = """
[ai.agent]
type = "caller"
timeout = "30s"
tools = ["orders", "orders", "slow"]
tool_rounds = 2

[ai.hurried]
type = "caller"
timeout = "1s"
tools = ["orders"]

[ai.plain]
type = "script"

[actions.orders]
type = "look"
description = "The state of an order, by its number."
breaker_after = 2

[actions.slow]
type = "look"
description = "What takes long."
timeout = "1s"
"""

TENANT = """
[tenants.clinica.channels.phone]
type = "ledger"
"""

RULES = """
[[rule]]
id = "order"
when.text.words = "pedido"
then.answer = "agent"

[[rule]]
id = "urgent"
when.text.words = "urgente"
then.answer = "hurried"

[[rule]]
id = "look"
when.text.words = "busca"
then.run = [{ action = "slow", query = "A-17" }]

[[rule]]
id = "category"
when.text.words = "tema"
then.classify = "agent"

[[guardrail]]
id = "cards"
stage = "input"
when.text.words = "tarjeta"
then.redact = ["card"]
"""

ASKS = plugin.ProposedAction("orders", {"query": "A-17"})
FOUND = plugin.ActionResult(data={"state": "on its way"})
TOLD = plugin.ToolResult("orders", {"query": "A-17"}, '{"state": "on its way"}')
ARRIVES = plugin.Completion(
    "Llega mañana.",
    confidence=0.9,
    category="INFO",
    usage=plugin.Usage(model="small", input_tokens=30, output_tokens=4),
)


def calling(*calls: plugin.ProposedAction) -> plugin.Completion:
    used = plugin.Usage(model="small", input_tokens=10, output_tokens=2)
    return plugin.Completion("Un momento.", proposals=calls, usage=used)


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    opened = running(request.param, tmp_path, debounce="0s", tables=TABLES, rules=RULES)
    async with opened as pipeline:
        pipeline.provider.found = FOUND
        yield pipeline


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Pipeline]:
    """Give a pipeline on SQLite, for what no database has a part in."""
    opened = running("sqlite", tmp_path, debounce="0s", tables=TABLES, rules=RULES)
    async with opened as pipeline:
        pipeline.provider.found = FOUND
        yield pipeline


async def say(pipeline: Pipeline, text: str = "¿Y mi pedido A-17?") -> None:
    await pipeline.engine.accept(pipeline.engine.said(text))
    await pipeline.settle()


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - what is waited for knows no event
        await anyio.sleep(0.01)


async def trace(pipeline: Pipeline) -> dict[str, Any]:
    rows = await pipeline.engine.rows(decision)
    return unpacked(max(rows, key=lambda row: row.seq).trace)


async def test_what_a_model_calls_is_looked_up_and_it_answers_from_that(
    pipeline: Pipeline,
) -> None:
    pipeline.provider.answers = [calling(ASKS), ARRIVES]

    await say(pipeline)

    assert pipeline.texts() == ["Llega mañana."]
    (call,) = pipeline.provider.done
    assert (call.action, call.params.model_dump()) == ("orders", {"query": "A-17"})
    assert call.contact == {"name": "", "address": "tel:+573001234567", "channel": "phone"}
    first, second = pipeline.provider.asked
    assert [tool.name for tool in first.tools] == ["orders", "slow"]
    assert first.tools[0].description == "The state of an order, by its number."
    assert first.tools[0].parameters["required"] == ["query"]
    assert (first.results, first.last) == ((), False)
    assert second == replace(first, results=(TOLD,))


async def test_whoever_calls_an_action_tells_it_the_same_of_the_customer(
    pipeline: Pipeline,
) -> None:
    engine = pipeline.engine
    pipeline.provider.answers = [calling(ASKS), ARRIVES]
    for number, text in enumerate(["¿Y mi pedido A-17?", "Hablaré con mi abogado."]):
        said = plugin.MessageReceived(f"named-{number}", ANA, text, name="Ana Gómez")
        await engine.accept(engine.event(said))
        await pipeline.settle()

    by_a_model, by_a_rule = pipeline.provider.done
    assert (by_a_model.action, by_a_rule.action) == ("orders", "pager")
    assert by_a_model.contact == by_a_rule.contact
    assert by_a_rule.contact == {"name": "Ana Gómez", "address": str(ANA), "channel": "phone"}


async def test_every_round_is_billed_and_every_call_is_in_the_trace(pipeline: Pipeline) -> None:
    pipeline.provider.answers = [calling(ASKS), ARRIVES]

    await say(pipeline)

    (bill,) = await pipeline.engine.rows(usage)
    assert (bill.instance, bill.input_tokens, bill.output_tokens) == ("agent", 40, 6)
    model = (await trace(pipeline))["model"]
    (lookup,) = model["lookups"]
    assert lookup.pop("seconds") >= 0
    assert lookup == {
        "tool": "orders",
        "params": {"query": "A-17"},
        "gave": '{"state": "on its way"}',
    }
    assert model["tokens"] == [40, 6]
    told = render(await trace(pipeline))
    assert '  looked up  orders (query "A-17"), ' in told
    assert 's: "{"state": "on its way"}"' in told


async def test_after_the_last_round_the_answer_is_due(one: Pipeline) -> None:
    others = [plugin.ProposedAction("orders", {"query": f"A-{number}"}) for number in range(3)]
    one.provider.answers = [calling(it) for it in others]

    await say(one)

    assert [it.params.model_dump()["query"] for it in one.provider.done] == ["A-0", "A-1"]
    assert [it.last for it in one.provider.asked] == [False, False, True]
    assert [len(it.results) for it in one.provider.asked] == [0, 1, 2]
    # What it said instead of an answer is none.
    assert one.texts() == []
    assert (await trace(one))["decision"]["outcome"] == "ticket"


@pytest.mark.parametrize("database", list(DATABASES))
async def test_a_tool_is_told_whose_customer_asks_and_nothing_of_another_tenants(
    tmp_path: Path, database: str
) -> None:
    who = plugin.Address.from_text("bsuid:1")
    opened = running(database, tmp_path, debounce="0s", tables=TABLES + TENANT, rules=RULES)
    async with opened as pipeline:
        for tenant, name in (("main", "Ana"), ("clinica", "Beto")):
            pipeline.provider.found = plugin.ActionResult(f"para {name}")
            pipeline.provider.answers = [calling(ASKS), ARRIVES]
            event = plugin.MessageReceived(f"in-{tenant}", who, "¿Y mi pedido A-17?", name=name)
            await pipeline.engine.accept(pipeline.engine.event(event, tenant=tenant))
            await pipeline.settle()

        told = [(it.tenant, it.contact["name"]) for it in pipeline.provider.done]
        assert told == [("main", "Ana"), ("clinica", "Beto")]
        results = [it.results[0].text for it in pipeline.provider.asked if it.results]
        assert results == ["para Ana", "para Beto"]
        # Not even the ids of equal calls are equal.
        assert len({it.id for it in pipeline.provider.done}) == 2


async def test_the_same_call_is_made_once(one: Pipeline) -> None:
    one.provider.answers = [calling(ASKS, ASKS), calling(ASKS), ARRIVES]

    await say(one)

    assert len(one.provider.done) == 1
    assert one.provider.asked[-1].results == (TOLD, TOLD, TOLD)


@pytest.mark.parametrize(
    "call, text",
    [
        (plugin.ProposedAction("pager", {"title": "x"}), "There is no such tool."),
        (plugin.ProposedAction("refund", {}), "There is no such tool."),
        (
            plugin.ProposedAction("orders", {}),
            "Not run: the parameters do not fit. query: Field required",
        ),
        (
            plugin.ProposedAction("orders", {"query": "A-17", "all": True}),
            "Not run: the parameters do not fit. all: Extra inputs are not permitted",
        ),
    ],
)
async def test_what_cannot_be_run_is_told_to_the_model_alone(
    one: Pipeline, call: plugin.ProposedAction, text: str
) -> None:
    one.provider.answers = [calling(call), ARRIVES]

    await say(one)

    assert one.provider.done == []
    assert one.provider.asked[1].results == (
        plugin.ToolResult(call.name, call.params, text, failed=True),
    )
    assert one.texts() == ["Llega mañana."]
    (lookup,) = (await trace(one))["model"]["lookups"]
    assert (lookup["tool"], lookup["failed"]) == (call.name, text)


async def test_no_more_than_some_calls_are_run_at_once(one: Pipeline) -> None:
    calls = [plugin.ProposedAction("orders", {"query": f"A-{number}"}) for number in range(7)]
    one.provider.answers = [calling(*calls), ARRIVES]

    await say(one)

    results = one.provider.asked[1].results
    assert len(one.provider.done) == 5
    assert [it.failed for it in results] == [False] * 5 + [True] * 2
    assert results[6].text == "Not run: at most 5 calls at once."
    lookups = (await trace(one))["model"]["lookups"]
    assert ["failed" in it for it in lookups] == [False] * 5 + [True] * 2


async def test_a_model_gone_wild_fills_neither_the_prompt_nor_the_trace(one: Pipeline) -> None:
    wild = {"x" * 5000: "y" * 5000} | {f"p{number}": [number] * 5000 for number in range(50)}
    one.provider.answers = [calling(*[plugin.ProposedAction("orders", wild)] * 100), ARRIVES]

    await say(one)

    assert len(one.provider.asked[1].results) == 10
    assert one.texts() == ["Llega mañana."]
    assert len(json.dumps((await trace(one))["model"])) < 50_000


async def test_what_a_model_and_a_tool_make_up_is_stored_and_shown_on_every_database(
    pipeline: Pipeline,
) -> None:
    odd: dict[str, Any] = {"query": "A\x00\ud83d", "more": [1.5, None]}
    pipeline.provider.found = plugin.ActionResult("en\x00 camino \ud83d")
    pipeline.provider.answers = [
        calling(plugin.ProposedAction("orders", odd)),
        calling(plugin.ProposedAction("orders", {"query": odd["query"]})),
        ARRIVES,
    ]

    await say(pipeline)

    assert pipeline.texts() == ["Llega mañana."]
    refused, found = pipeline.provider.asked[-1].results
    assert refused.failed
    assert found.text == "en\\x00 camino \\ud83d"
    model = (await trace(pipeline))["model"]
    assert model["lookups"][0]["params"] == {"query": "A\\x00\\ud83d", "more": "[1.5, null]"}


@pytest.mark.parametrize(
    "error",
    [plugin.Unavailable("busy"), plugin.Refused("not there"), plugin.OutcomeUnknown("lost")],
)
async def test_a_tool_that_fails_says_so_and_the_reason_is_the_operators(
    one: Pipeline, error: plugin.ProviderError
) -> None:
    one.provider.answers = [calling(ASKS), ARRIVES]
    one.provider.scripts["orders"] = [error]

    await say(one)

    (result,) = one.provider.asked[1].results
    assert (result.text, result.failed) == ("This cannot be looked up at the moment.", True)
    assert one.texts() == ["Llega mañana."]
    (lookup,) = (await trace(one))["model"]["lookups"]
    assert lookup["failed"] == error.reason
    assert "looked up  orders" in render(await trace(one))


async def test_a_tool_that_its_plugin_cancels_has_failed_and_the_answer_comes(
    one: Pipeline,
) -> None:
    one.provider.answers = [calling(ASKS), ARRIVES]
    one.provider.scripts["orders"] = [asyncio.CancelledError()]

    await say(one)

    assert one.texts() == ["Llega mañana."]
    (failed,) = (it for it in one.log.entries if it.event == "tool failed")
    assert failed.values["reason"] == "its plugin cancelled the call"


async def test_a_tool_that_takes_too_long_is_given_up_and_the_answer_comes_without_it(
    one: Pipeline,
) -> None:
    one.provider.slow = anyio.Event()
    one.provider.answers = [calling(plugin.ProposedAction("slow", {"query": "A-17"})), ARRIVES]

    await say(one)

    (result,) = one.provider.asked[1].results
    assert (result.text, result.failed) == ("This cannot be looked up at the moment.", True)
    assert one.texts() == ["Llega mañana."]
    assert one.configuration.instances.actions["slow"].breaker.failures == 1


async def test_the_time_of_an_answer_is_that_of_all_its_rounds(pipeline: Pipeline) -> None:
    pipeline.provider.slow = anyio.Event()
    pipeline.provider.answers = [calling(ASKS), ARRIVES]

    await say(pipeline, "Es urgente")

    (item,) = await pipeline.engine.rows(outbox)
    assert (item.state, item.attempt) == ("waiting", 1)
    assert len(pipeline.provider.done) == len(pipeline.provider.asked) == 1
    # The tool was in its own time: nothing is held against it.
    assert pipeline.configuration.instances.actions["orders"].breaker.failures == 0
    (bill,) = await pipeline.engine.rows(usage)
    assert (bill.instance, bill.input_tokens) == ("hurried", 10)


async def test_a_person_who_takes_over_while_something_is_looked_up_is_not_talked_over(
    pipeline: Pipeline,
) -> None:
    pipeline.provider.slow = anyio.Event()
    pipeline.provider.answers = [calling(ASKS), ARRIVES]
    await pipeline.engine.accept(pipeline.engine.said("¿Y mi pedido A-17?"))
    await pipeline.think()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.act, "job")
            await until(lambda: bool(pipeline.provider.done))
            await pipeline.engine.accept(pipeline.engine.echoed("Hola, le escribe Eva"))
            pipeline.provider.slow.set()
    await pipeline.settle()

    assert pipeline.texts() == []
    told = render(await trace(pipeline))
    assert "superseded: the conversation has moved on" in told
    assert '  looked up  orders (query "A-17"), ' in told
    (bill,) = await pipeline.engine.rows(usage)
    assert bill.input_tokens == 40


async def test_a_node_that_is_taken_for_dead_calls_off_what_it_looks_up(one: Pipeline) -> None:
    one.provider.slow = anyio.Event()
    one.provider.answers = [calling(ASKS), ARRIVES]
    await one.engine.accept(one.engine.said("¿Y mi pedido A-17?"))
    await one.think()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.act, "job")
            await until(lambda: bool(one.provider.done))
            assert one.asker.flights.call_off() == 1

    assert one.texts() == []
    assert one.configuration.instances.actions["orders"].breaker.failures == 0
    assert one.configuration.instances.backends["agent"].breaker.failures == 0


async def test_no_reload_closes_a_tool_while_a_model_may_call_it(one: Pipeline) -> None:
    one.provider.pause = anyio.Event()
    live = one.configuration.instances.actions["orders"]
    await one.engine.accept(one.engine.said("¿Y mi pedido A-17?"))
    await one.think()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.act, "job")
            await until(lambda: bool(one.provider.asked))
            with anyio.move_on_after(0.05) as glance:
                await live.busy.idle()
            assert glance.cancelled_caught
            one.provider.pause.set()
        await live.busy.idle()


async def test_an_action_that_says_of_itself_that_it_changes_something_is_not_offered(
    one: Pipeline,
) -> None:
    one.configuration.instances.actions["slow"].plugin.reads_only = False

    await say(one)

    assert [tool.name for tool in one.provider.asked[0].tools] == ["orders"]


async def test_a_tool_that_is_down_is_not_asked(one: Pipeline) -> None:
    live = one.configuration.instances.actions["orders"]
    live.up, live.error = False, "no route"
    one.provider.answers = [calling(ASKS), ARRIVES]

    await say(one)

    assert one.provider.done == []
    (lookup,) = (await trace(one))["model"]["lookups"]
    assert lookup["failed"] == "actions.orders is down: no route"


async def test_a_tool_that_goes_on_failing_is_left_alone_for_a_while(one: Pipeline) -> None:
    calls = [plugin.ProposedAction("orders", {"query": f"A-{number}"}) for number in range(4)]
    one.provider.answers = [calling(*calls), ARRIVES]
    one.provider.scripts["orders"] = [plugin.Unavailable("busy")] * 4

    await say(one)

    assert len(one.provider.done) == 2
    assert one.configuration.instances.actions["orders"].breaker.is_open
    lookups = (await trace(one))["model"]["lookups"]
    assert [it["failed"] for it in lookups[2:]] == ["actions.orders has been failing: busy"] * 2

    one.provider.scripts["orders"] = []
    one.provider.answers = [calling(ASKS), ARRIVES]
    await one.pass_time(60)
    await say(one, "¿Y el pedido A-17?")

    assert one.provider.asked[-1].results == (TOLD,)
    assert not one.configuration.instances.actions["orders"].breaker.is_open


async def test_only_a_backend_that_calls_tools_and_names_some_is_given_any(one: Pipeline) -> None:
    await say(one, "¿cuánto cuesta?")

    (prompt,) = one.provider.asked
    assert prompt.tools == ()


async def test_nothing_is_looked_up_for_a_category(one: Pipeline) -> None:
    one.provider.answers = [calling(ASKS)]

    await say(one, "tema")

    assert one.provider.asked[0].task == "classify"
    assert one.provider.asked[0].tools == ()
    assert one.provider.done == []


async def test_a_question_that_fails_after_a_round_is_billed_for_it_and_asked_again(
    pipeline: Pipeline,
) -> None:
    pipeline.provider.answers = [calling(ASKS)]
    pipeline.provider.scripts["agent"] = [None, plugin.Unavailable("busy")]

    await say(pipeline)
    (bill,) = await pipeline.engine.rows(usage)
    assert (bill.input_tokens, bill.output_tokens) == (10, 2)

    pipeline.provider.answers = [calling(ASKS), ARRIVES]
    await pipeline.pass_time(60)

    assert pipeline.texts() == ["Llega mañana."]
    bills = await pipeline.engine.rows(usage)
    assert sorted(row.input_tokens for row in bills) == [10, 40]
    first, second = pipeline.provider.done
    assert first.id == second.id


async def test_a_model_is_shown_no_more_of_people_in_results_than_elsewhere(
    one: Pipeline,
) -> None:
    one.provider.found = plugin.ActionResult("Pagado con 4111 1111 1111 1111")
    one.provider.answers = [calling(ASKS), ARRIVES]

    await say(one)

    (result,) = one.provider.asked[1].results
    assert "4111" not in result.text
    assert "4111" not in json.dumps((await trace(one))["model"])


@pytest.mark.parametrize(
    "found, text",
    [
        (None, "Nothing was found."),
        (plugin.ActionResult(), "Nothing was found."),
        (plugin.ActionResult("En camino"), "En camino"),
        (plugin.ActionResult("En camino", {"days": 2}), 'En camino\n{"days": 2}'),
        (plugin.ActionResult("x" * 9000), "x" * 8000 + "… (cut off)"),
    ],
)
async def test_what_is_found_is_put_into_words(
    one: Pipeline, found: plugin.ActionResult | None, text: str
) -> None:
    one.provider.found = found
    one.provider.answers = [calling(ASKS), ARRIVES]

    await say(one)

    assert one.provider.asked[1].results == (plugin.ToolResult("orders", {"query": "A-17"}, text),)


@pytest.mark.parametrize(
    "text, waits",
    [("¿Y mi pedido A-17?", "slow"), ("Busca A-17", "slow"), ("Es urgente", "pause")],
    ids=["tool", "action", "model"],
)
async def test_a_limit_holds_where_a_library_blocks_a_thread(
    one: Pipeline, text: str, waits: str
) -> None:
    calls = calling(plugin.ProposedAction("slow", {"query": "A-17"}))
    one.provider.answers = [calls, ARRIVES]
    with blocking() as library:
        setattr(one.provider, waits, library)
        await say(one, text)

        assert (library.called, library.came_back) == (1, 0)
    assert {row.state for row in await one.engine.rows(outbox)}.isdisjoint({"started"})
