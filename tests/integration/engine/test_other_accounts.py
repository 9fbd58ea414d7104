"""The settings name another account while nobody knows what became of an attempt by the old one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router import plugin
from router.pipeline.people import acts
from router.pipeline.people.surroundings import Configured
from router.storage.tables import outbox, ticket
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import Pipeline, Provider, running

LOST = plugin.OutcomeUnknown("it timed out")

#: What is written of the channel, and of the action, and the same at another account.
PHONE = '[channels.phone]\ntype = "ledger"\n'
OTHER_PHONE = PHONE + 'account = "other"\n'
PAGER = '[actions.pager]\ntype = "note"\n'
OTHER_PAGER = PAGER + 'account = "other"\n'

TABLES = """
[queues.default]
title = "Todos"
"""


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A pipeline whose channel can be asked what it sent, and lists everything."""
    async with running(request.param, tmp_path, tables=TABLES) as pipeline:
        pipeline.can("phone", find_sent=True, complete_listing=True)
        yield pipeline


async def lose(pipeline: Pipeline) -> None:
    """Let an answer reach the customer without our knowing it."""
    pipeline.provider.script = [LOST]
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()
    assert pipeline.texts() == ["De 8 a 18."]


async def state(pipeline: Pipeline, kind: str = "message") -> tuple[str, int]:
    (row,) = await pipeline.engine.rows(outbox, kind=kind)
    return row.state, row.attempt


async def pass_minutes(pipeline: Pipeline, minutes: int) -> None:
    for _ in range(2 * minutes):
        await pipeline.pass_time(30)


async def test_what_another_account_does_not_list_is_not_sent_again(pipeline: Pipeline) -> None:
    await lose(pipeline)

    other = Provider()
    pipeline.reload(PHONE, OTHER_PHONE, other, find_sent=True, complete_listing=True)
    await pass_minutes(pipeline, 5)

    assert other.looked
    assert other.sent == []
    assert await state(pipeline) == ("unknown", 1)
    assert len(await pipeline.engine.rows(ticket)) == 1


async def test_what_the_same_account_does_not_list_is_sent(pipeline: Pipeline) -> None:
    await lose(pipeline)

    after = PHONE + 'timeout = "7s"\n'
    pipeline.reload(PHONE, after, find_sent=True, complete_listing=True)
    await pass_minutes(pipeline, 5)

    assert await state(pipeline) == ("done", 2)


async def test_another_secret_counts_as_another_account(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = PHONE + 'token = { env = "PHONE_TOKEN" }\n'
    monkeypatch.setenv("PHONE_TOKEN", "of-the-first-account")
    pipeline.reload(PHONE, written, find_sent=True, complete_listing=True)
    await lose(pipeline)

    monkeypatch.setenv("PHONE_TOKEN", "of-the-second-account")
    other = Provider()
    pipeline.reload(written, written, other, find_sent=True, complete_listing=True)
    await pass_minutes(pipeline, 5)

    assert (other.sent, await state(pipeline)) == ([], ("unknown", 1))
    assert "of-the" not in repr(await pipeline.engine.rows(outbox))


@pytest.mark.parametrize("idempotent", [False, True])
async def test_an_attempt_that_a_crash_interrupted_is_one_of_its_account(
    pipeline: Pipeline, *, idempotent: bool
) -> None:
    pipeline.can("phone", idempotent_send=idempotent)
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.think()
    item = await pipeline.engine.claim_item()
    pipeline.provider.script = [SystemExit()]
    with pytest.raises(SystemExit):
        await pipeline.do(item)
    await pipeline.crash()

    other = Provider()
    can = {"find_sent": True, "complete_listing": True, "idempotent_send": idempotent}
    pipeline.reload(PHONE, OTHER_PHONE, other, **can)
    await pass_minutes(pipeline, 5)

    assert (other.sent, await state(pipeline)) == ([], ("unknown", 1))


async def test_a_channel_that_ignores_repeats_repeats_nothing_at_another_account(
    pipeline: Pipeline,
) -> None:
    pipeline.can("phone", find_sent=False, idempotent_send=True)
    await lose(pipeline)
    assert await state(pipeline) == ("waiting", 1)

    other = Provider()
    pipeline.reload(PHONE, OTHER_PHONE, other, idempotent_send=True)
    await pass_minutes(pipeline, 5)

    assert (other.sent, await state(pipeline)) == ([], ("unknown", 1))
    assert len(await pipeline.engine.rows(ticket)) == 1


async def test_a_person_may_have_it_sent_by_another_account(pipeline: Pipeline) -> None:
    pipeline.can("phone", find_sent=False, idempotent_send=True)
    await lose(pipeline)
    other = Provider()
    pipeline.reload(PHONE, OTHER_PHONE, other, idempotent_send=True)
    await pass_minutes(pipeline, 1)
    (row,) = await pipeline.engine.rows(outbox, kind="message")

    around = Configured(lambda: pipeline.configuration)
    given = {"id": row.id, "verdict": "resend", "by": "eva"}
    await acts.perform(pipeline.engine.store, "outbox.resolve", given, around)
    await pipeline.settle()

    assert ([it for it, _, _ in other.sent], await state(pipeline)) == ([row.id], ("done", 2))


async def test_what_certainly_did_not_leave_leaves_by_another_account(pipeline: Pipeline) -> None:
    pipeline.provider.script = [plugin.Unavailable("away")]
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()

    other = Provider()
    pipeline.reload(PHONE, OTHER_PHONE, other)
    await pass_minutes(pipeline, 1)

    assert (len(other.sent), await state(pipeline)) == (1, ("done", 2))


@pytest.mark.parametrize("harmless", [False, True])
async def test_an_action_is_run_again_elsewhere_only_where_a_repeat_is_harmless(
    pipeline: Pipeline, *, harmless: bool
) -> None:
    def declare() -> None:
        action = pipeline.configuration.instances.actions["pager"].plugin
        action.idempotent, action.repeat_is_harmless = not harmless, harmless

    declare()
    pipeline.provider.scripts["pager"] = [LOST]
    await pipeline.engine.accept(pipeline.engine.said("abogado"))
    await pipeline.think()
    await pipeline.act("job")
    assert await state(pipeline, "action") == ("waiting", 1)

    other = Provider()
    pipeline.reload(PAGER, OTHER_PAGER, other)
    declare()
    await pass_minutes(pipeline, 5)

    expected = ("done", 2) if harmless else ("unknown", 1)
    assert (len(other.done), await state(pipeline, "action")) == (int(harmless), expected)
