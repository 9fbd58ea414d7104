"""Links to conversations in the database: how long each opens, and what."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from router.domain.decision import EscalationRequest, TicketRequest
from router.domain.ticket import TicketState
from router.ids import new_secret
from router.storage.escalations import acknowledge
from router.storage.links import Link, find_link, open_link
from router.storage.store import Tx
from router.storage.tables import link
from router.storage.tickets import add_note, change_state, open_escalation, open_ticket
from tests.integration.engine.harness import DATABASES, Engine, opened, ref

HOUR = 3600.0


@pytest.fixture(params=list(DATABASES))
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    async with opened(request.param, tmp_path) as engine:
        yield engine


async def called(engine: Engine) -> str:
    """Call a person about a conversation; give the conversation's id."""
    await engine.answer()
    thread: str = (await engine.conversation()).id

    def write(tx: Tx) -> None:
        open_escalation(
            tx.connection,
            id="escalation-1",
            tenant="main",
            conversation=thread,
            event=ref(1),
            request=EscalationRequest(to="pager", because="legal threat"),
            now=tx.now,
        )
        open_link(
            tx.connection,
            secret="call",
            tenant="main",
            conversation=thread,
            escalation="escalation-1",
            now=tx.now,
        )

    await engine.store.write(write)
    return thread


async def ticketed(engine: Engine, secret: str = "ticket") -> str:
    """Tell a queue of a ticket; give the conversation's id."""
    if not await engine.rows(link):
        await engine.answer()
    thread: str = (await engine.conversation()).id

    def write(tx: Tx) -> None:
        number = open_ticket(
            tx.connection,
            id=f"ticket-{secret}",
            tenant="main",
            conversation=thread,
            event=ref(1),
            request=TicketRequest(queue="billing", title="Factura"),
            author="rule billing",
            now=tx.now,
        )
        open_link(
            tx.connection,
            secret=secret,
            tenant="main",
            conversation=thread,
            ticket_number=number,
            now=tx.now,
        )

    await engine.store.write(write)
    return thread


async def found(engine: Engine, secret: str) -> Link | None:
    now = engine.clock.now()
    return await engine.store.read(lambda it: find_link(it, secret, now))


@pytest.mark.parametrize(
    "heard_after, hours, opens",
    [
        (None, 0, True),
        (None, 71.9, True),
        (None, 72, False),
        (None, 1000, False),
        (1, 24.9, True),
        (1, 25, False),
        (60, 71.9, True),
        (60, 72, False),
    ],
)
async def test_link_to_a_call_opens_for_three_days_and_a_day_once_it_is_heard(
    engine: Engine, heard_after: float | None, hours: float, opens: bool
) -> None:
    thread = await called(engine)
    passed = 0.0
    if heard_after is not None:
        passed = heard_after
        engine.clock.advance(heard_after * HOUR)
        await engine.store.write(
            lambda tx: acknowledge(tx.connection, "main", "escalation-1", by="ana", now=tx.now)
        )
    engine.clock.advance((hours - passed) * HOUR)

    link = await found(engine, "call")
    assert (link is not None) is opens
    if link is not None:
        assert (link.tenant, link.conversation, link.escalation, link.ticket) == (
            "main",
            thread,
            "escalation-1",
            None,
        )
        assert link.expires_at > engine.clock.now()


@pytest.mark.parametrize(
    "state, hours, opens",
    [
        (TicketState.IN_PROGRESS, 71.9, True),
        (TicketState.RESOLVED, 71.9, True),
        (TicketState.CLOSED, 23.9, True),
        (TicketState.CLOSED, 24, False),
        (TicketState.IN_PROGRESS, 72, False),
    ],
)
async def test_link_to_a_ticket_opens_for_a_day_once_it_is_closed(
    engine: Engine, state: TicketState, hours: float, opens: bool
) -> None:
    await ticketed(engine)
    await engine.store.write(
        lambda tx: change_state(tx.connection, "main", "1", state=state, by="ana", now=tx.now)
    )
    engine.clock.advance(hours * HOUR)

    assert (await found(engine, "ticket") is not None) is opens


async def test_note_on_a_closed_ticket_never_makes_its_link_last_longer_than_three_days(
    engine: Engine,
) -> None:
    await ticketed(engine)
    await engine.store.write(
        lambda tx: change_state(
            tx.connection, "main", "1", state=TicketState.CLOSED, by="ana", now=tx.now
        )
    )
    engine.clock.advance(71 * HOUR)
    await engine.store.write(
        lambda tx: add_note(tx.connection, "main", "1", text="Llamó.", by="ana", now=tx.now)
    )
    engine.clock.advance(HOUR)

    assert await found(engine, "ticket") is None


async def test_each_notice_of_one_ticket_has_a_link_of_its_own(engine: Engine) -> None:
    await ticketed(engine)
    engine.clock.advance(48 * HOUR)
    await ticketed(engine, "again")

    first, second = await found(engine, "ticket"), await found(engine, "again")
    assert first is not None
    assert second is not None
    assert first.ticket == second.ticket == "ticket-ticket"
    assert second.expires_at - first.expires_at == timedelta(hours=48)


async def test_link_of_another_tenant_finds_no_word_of_this_ones_acts(engine: Engine) -> None:
    await called(engine)
    await engine.store.write(
        lambda tx: tx.connection.execute(sa.update(link).values(tenant="clinica")).rowcount
    )
    await engine.store.write(
        lambda tx: acknowledge(tx.connection, "main", "escalation-1", by="ana", now=tx.now)
    )
    engine.clock.advance(30 * HOUR)

    # Still the whole three days: the other tenant's escalation is not looked at.
    assert await found(engine, "call") is not None


@pytest.mark.parametrize("secret", ["", "calls", "CALL", "%", "call' OR '1'='1"])
async def test_what_is_not_exactly_a_link_opens_nothing(engine: Engine, secret: str) -> None:
    await called(engine)

    assert await found(engine, secret) is None


def test_secrets_are_long_never_the_same_and_safe_in_any_text() -> None:
    made = {new_secret() for _ in range(1000)}

    assert len(made) == 1000
    assert {len(secret) for secret in made} == {32}
    assert set("".join(made)) == set("0123456789abcdefghjkmnpqrstvwxyz")
