"""A person at work, and what may lie on the desk."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from router.domain.decision import DraftRequest, EscalationRequest, TicketRequest
from router.domain.event import InboundEvent
from router.domain.host_event import Unparsed
from router.domain.outbox import ItemState
from router.errors import ActRefused
from router.pipeline.people.acts import perform
from router.plugin.channel import Capabilities, TextUnit
from router.storage.drafts import open_draft
from router.storage.store import Commit, NewEvent, Tx
from router.storage.tickets import open_escalation, open_ticket
from tests.integration.engine.harness import Engine, ref


class Channels:
    """Channels of which the longest text, the window and the parser are the test's."""

    def __init__(self) -> None:
        self.longest = 1000
        self.unit: TextUnit = "characters"
        self.window: timedelta | None = None
        self.there = True
        self.media = False
        self.events: Sequence[InboundEvent] | None = None

    def capabilities(self, tenant: str, channel: str) -> Capabilities | None:
        can = Capabilities(
            max_text=self.longest, text_unit=self.unit, window=self.window, media=self.media
        )
        return can if self.there else None

    def dialers(self) -> Mapping[str, type[BaseModel]]:
        return {}

    def files_released(self) -> None:
        pass

    def parse(self, tenant: str, event: Unparsed, received_at: datetime) -> Sequence[InboundEvent]:
        if self.events is None:
            raise ActRefused("it still cannot be read: ValueError: no")
        return self.events


class Desk:
    """A person at work."""

    def __init__(self, engine: Engine, channels: Channels) -> None:
        self.engine = engine
        self.channels = channels

    async def do(self, name: str, id: str, **arguments: Any) -> dict[str, Any]:
        if name != "conversations.release":
            arguments = {"by": "ana", **arguments}
        given = {"id": id, **arguments}
        return await perform(self.engine.store, name, given, self.channels, patience=0.2)

    async def refused(self, name: str, id: str, **arguments: Any) -> str:
        with pytest.raises(ActRefused) as caught:
            await self.do(name, id, **arguments)
        return str(caught.value)


async def drafted(engine: Engine, text: str = "Abrimos a las 9.") -> str:
    """Let a customer ask, and keep the answer as a draft; give the conversation's id."""

    await engine.accept(engine.said("¿A qué hora abren?"))
    work = await engine.claim_one()
    commit = engine.commit(work, outcome="draft")
    assert commit.conversation is not None
    thread = commit.conversation.id
    request = DraftRequest(text=text, because="low confidence", sources=("horarios#1",))

    def keep(tx: Tx) -> None:
        open_draft(
            tx.connection,
            id="draft-1",
            tenant="main",
            conversation=thread,
            event=work.ref,
            request=request,
            now=tx.now,
        )

    await engine.complete(
        engine.commit(work, outcome="draft", effects=(keep,), conversation=commit.conversation)
    )
    return thread


async def stuck(engine: Engine, state: ItemState, *more: str) -> str:
    """Let an answer's attempt end badly; give the item's id. ``more`` waits behind it."""
    await engine.answer("hola", "¡Hola!", *more)
    item = await engine.claim_item()
    await engine.attempt(item, state, "the connection was lost")
    return item.id


async def unparsed(engine: Engine, *, worked: bool = True) -> str:
    """Let a request come that cannot be read; give its event's name."""
    body = base64.b64encode(b"<xml/>").decode()
    event = Unparsed(channel="phone", endpoint="", body=body, headers={}, error="ValueError: no")
    new = NewEvent(
        lane="main/raw:phone",
        tenant="main",
        source="main/phone",
        external_id="raw:1",
        event=event,
        received_at=engine.clock.now(),
    )
    await engine.accept(new)
    if worked:
        await engine.complete(Commit(work=await engine.claim_one(), outcome="unparsed"))
    return "main/raw:phone#1"


async def ticketed(engine: Engine) -> None:
    await engine.answer()
    thread = (await engine.conversation()).id
    request = TicketRequest(queue="billing", title="Factura")

    def write(tx: Tx) -> None:
        open_ticket(
            tx.connection,
            id="ticket-1",
            tenant="main",
            conversation=thread,
            event=ref(1),
            request=request,
            author="rule billing",
            now=tx.now,
        )
        open_escalation(
            tx.connection,
            id="escalation-1",
            tenant="main",
            conversation=thread,
            event=ref(1),
            request=EscalationRequest(to="pager", because="legal threat"),
            now=tx.now,
        )

    await engine.store.write(write)


async def left(engine: Engine) -> None:
    """Send the first message that may leave."""
    while not await engine.send(await engine.claim_item()):
        pass
