"""A daemon of which web, intake, store and the simulator channel are real, and the rest a script.

The script answers by what the customer's text begins with, so that a test says what it wants.
"""

import json
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.abc
import anyio.to_thread
from hypercorn.asyncio import serve
from hypercorn.config import Config

from router.clock import SystemClock
from router.domain.conversation import NOBODY, Contact, Conversation
from router.domain.decision import Decision, Outcome
from router.domain.event import DeliveryReported, MessageEchoed, MessageReceived
from router.domain.identity import Address, thread_key
from router.domain.message import Author, Direction, OutboundMessage
from router.domain.outbox import ItemKind, ItemState
from router.ids import new_id
from router.pipeline.intake import Intake
from router.storage.deliveries import apply_report
from router.storage.migrating import ensure
from router.storage.sqlite import SQLiteStore
from router.storage.store import (
    OUT,
    AttemptResult,
    Commit,
    NewItem,
    NewMessage,
    Tx,
    Work,
)
from router.storage.tables import draft, escalation, ticket
from router.web.app import build_app
from router_simulator import Simulator, SimulatorConfig
from tests.unit.web.world import FakeChannel, SilentLog, settings

#: What each first word of a customer leads to.
DECISIONS = {
    "horario": Decision(
        outcome=Outcome.REPLY,
        because="the customer asked for the opening hours",
        rule="horario",
        category="INFO",
        risk="low",
        sources=("horarios#1", "horarios#2"),
    ),
    "reembolso": Decision(
        outcome=Outcome.DRAFT,
        because="money is involved",
        rule="dinero",
        category="BILLING",
        risk="high",
    ),
    "factura": Decision(
        outcome=Outcome.TICKET, because="invoices are a person's work", rule="factura"
    ),
    "abogado": Decision(
        outcome=Outcome.ESCALATE,
        because="legal threat",
        rule="legal",
        category="LEGAL",
        risk="high",
    ),
}
IGNORED = Decision(outcome=Outcome.IGNORE, because="nothing to answer")


@dataclass
class PhoneChannel:
    """A live channel around the simulator plugin."""

    name: str
    tenant: str = "main"
    kind: str = "simulator"
    plugin: Simulator = field(
        default_factory=lambda: Simulator(SimulatorConfig(), cast("Any", None))
    )

    @property
    def capabilities(self) -> Any:
        return self.plugin.capabilities

    @property
    def label(self) -> str:
        return f"channels.{self.name}"


@dataclass
class Daemon:
    """The daemon as the web sees it, and the script."""

    store: SQLiteStore
    channels: dict[tuple[str, str], PhoneChannel]
    settings: Any
    draining: bool = False
    clock: SystemClock = field(default_factory=SystemClock)
    log: SilentLog = field(default_factory=SilentLog)
    port: int = 0

    @property
    def intake(self) -> Any:
        return Intake(self.store, self.log)

    def channel(self, tenant: str, name: str) -> PhoneChannel | None:
        return self.channels.get((tenant, name))

    def readiness(self) -> list[str]:
        return []

    def app(self) -> Any:
        return build_app(cast("Any", self))

    async def work(self) -> None:
        while True:
            for work in await self.store.claim(10):
                await self.store.complete([self._commit(work)])

    async def deliver(self) -> None:
        while True:
            for item in await self.store.claim_items(OUT, 10):
                if not await self.store.start_attempt(item):
                    continue
                channel = self.channels[item.tenant, item.destination].plugin
                to = Address.from_text(json.loads(item.body)["to"])
                receipt = await channel.send(OutboundMessage(id=item.id, recipient=to))
                result = AttemptResult(state=ItemState.DONE, provider_ref=receipt.provider_id)
                await self.store.finish_attempt(item, result)

    def _commit(self, work: Work) -> Commit:
        event = work.event
        if isinstance(event, DeliveryReported):
            return self._report(work, event)
        if not isinstance(event, MessageReceived | MessageEchoed):
            return Commit(work=work, outcome="recorded")
        channel = work.source.split("/")[1]
        echoed = isinstance(event, MessageEchoed)
        thread = work.conversation or Conversation(
            id=new_id(),
            contact=work.contact
            or Contact(
                id=new_id(),
                key=thread_key(event.address),
                name=None if isinstance(event, MessageEchoed) else event.name,
            ),
            channel=channel,
            address=event.address,
        )
        line = NewMessage(
            id=new_id(),
            direction=Direction.OUT if echoed else Direction.IN,
            author=Author.PERSON if echoed else Author.CUSTOMER,
            text=event.text,
            channel=channel,
            address=event.address,
            provider_id=event.id,
            status="sent" if echoed else None,
        )
        if echoed:
            return Commit(work=work, outcome="ignore", conversation=thread, messages=(line,))
        word = event.text.split()[0].lower() if event.text.split() else ""
        if word == "piensa":
            return Commit(
                work=work,
                outcome="asking",
                conversation=replace(thread, turn=replace(thread.turn, pending_ask="ask")),
                messages=(line,),
                decision=replace(IGNORED, because="a model is asked"),
                trace=pack({}),
            )
        decision = DECISIONS.get(word, IGNORED)
        trace = {"rules": "0123456789ab", "facts": {"text": event.text}, "triage": []}
        commit = Commit(
            work=work,
            outcome=decision.outcome.word,
            conversation=thread,
            messages=(line,),
            decision=decision,
            trace=pack({**trace, "decision": {"outcome": decision.outcome.word}}),
            effects=tuple(self._effects(work, thread, decision)),
            owner=NOBODY if decision.outcome is Outcome.ESCALATE else None,
        )
        if decision.outcome is not Outcome.REPLY:
            return commit
        answer = NewItem(
            id=new_id(),
            kind=ItemKind.MESSAGE,
            lane=f"{work.tenant}/{channel}/{event.address}",
            author=Author.BOT,
            destination=channel,
            body=json.dumps({"to": str(event.address)}),
        )
        said = replace(
            line,
            id=answer.id,
            direction=Direction.OUT,
            author=Author.BOT,
            text="Abrimos de lunes a viernes, de 8:00 a 18:00.\nLos sábados hasta las 13:00.",
            provider_id=None,
            status="queued",
        )
        return replace(commit, messages=(line, said), items=(answer,))

    def _report(self, work: Work, event: DeliveryReported) -> Commit:
        channel = work.source.split("/")[1]

        def report(tx: Tx) -> None:
            apply_report(tx.connection, work.tenant, channel, event, tx.now)

        return Commit(
            work=work, outcome="ignore", conversation=work.conversation, effects=(report,)
        )

    def _effects(
        self, work: Work, thread: Conversation, decision: Decision
    ) -> list[Callable[[Tx], None]]:
        common = {
            "tenant": work.tenant,
            "conversation": thread.id,
            "event_lane": work.ref.lane,
            "event_seq": work.ref.seq,
        }
        rows: dict[Outcome, tuple[Any, dict[str, Any]]] = {
            Outcome.DRAFT: (
                draft,
                {
                    "author": "bot",
                    "text": "Le devolvemos el dinero.",
                    "because": "money is involved",
                    "state": "pending",
                },
            ),
            Outcome.TICKET: (
                ticket,
                {
                    "number": 7,
                    "queue": "facturas",
                    "title": "Consulta de factura",
                    "priority": "normal",
                    "state": "NEW",
                },
            ),
            Outcome.ESCALATE: (escalation, {"to": "legal-team", "because": "legal threat"}),
        }
        if decision.outcome not in rows:
            return []
        table, values = rows[decision.outcome]

        def write(tx: Tx) -> None:
            moments = {"created_at": tx.now}
            if "updated_at" in table.c:
                moments["updated_at"] = tx.now
            tx.connection.execute(table.insert().values(id=new_id(), **common, **values, **moments))

        return [write]


def pack(trace: dict[str, Any]) -> bytes:
    """Compress a trace as it is stored."""
    return zlib.compress(json.dumps(trace).encode())


@asynccontextmanager
async def running(
    folder: Path, *, served: bool = False, language: str = "es"
) -> AsyncIterator[Daemon]:
    """Run the daemon on an empty database; ``served`` lets it listen on a port of its own."""
    path = folder / "router.db"
    await anyio.to_thread.run_sync(lambda: ensure(path))
    store = await SQLiteStore.open(path, SystemClock())
    phones = [PhoneChannel("phone"), PhoneChannel("telefono", tenant="clinica")]
    known = [FakeChannel(it.name, tenant=it.tenant, kind=it.kind) for it in phones]
    daemon = Daemon(
        store,
        {(phone.tenant, phone.name): phone for phone in phones},
        settings(known, max_body=1 << 20, language=language),
    )
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.work)
            tasks.start_soon(daemon.deliver)
            stop = anyio.Event()
            async with anyio.create_task_group() as server:
                if served:
                    await server.start(_serve, daemon, stop)
                yield daemon
                daemon.draining = True  # ends the live streams
                stop.set()
            tasks.cancel_scope.cancel()
    finally:
        await store.close()


async def _serve(
    daemon: Daemon, stop: anyio.Event, *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    daemon.port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = None
    config.errorlog = None
    task_status.started()
    await serve(daemon.app(), config, shutdown_trigger=stop.wait)
