"""Delivery: what was decided to leave leaves, one attempt at a time, with a known outcome."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import anyio.abc

from router.clock import Clock
from router.domain.message import Author
from router.domain.outbox import Backoff, ItemKind, ItemState
from router.errors import OutcomeUnknown, ProviderError, Refused, StorageUnavailable, Unavailable
from router.failpoints import reach
from router.ids import Ids
from router.metrics import Metrics
from router.pipeline import undelivered
from router.pipeline.ask import Asker
from router.pipeline.attempts import ALWAYS, Patience, finish, judge
from router.pipeline.busy import Busy
from router.pipeline.configuration import Configuration
from router.pipeline.instances import LiveChannel
from router.pipeline.outgoing import outbound_message
from router.plugin.action import ActionCall, NoticeParams
from router.plugin.context import Log
from router.storage.store import AttemptResult, Item, LaneKind, Store

_BATCH = 64
#: Attempts under way at once on this node, of each of: messages, actions, questions to models.
_CONCURRENCY = 128
#: Items taken and not ended, of one kind of lane. A slow model's questions must not fill it, for
#: actions come the same way, and one of them may be calling a person.
_TAKEN = 2000
_STORAGE_PAUSE = 1.0

_INTERRUPTED = OutcomeUnknown("the router stopped between starting and hearing back")


class Deliverer:
    """Does what the outbox holds, until cancelled.

    :param configuration: gives the configuration in force; asked for each item.
    """

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        asker: Asker,
        clock: Clock,
        log: Log,
        metrics: Metrics,
        *,
        ids: Ids,
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._asker = asker
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._ids = ids
        self._busy = Busy()
        asks = anyio.Semaphore(_CONCURRENCY)
        self._room = {kind: anyio.Semaphore(_CONCURRENCY) for kind in ItemKind}
        self._room |= {ItemKind.ASK: asks, ItemKind.CLASSIFY: asks}

    async def idle(self) -> None:
        """Wait until no attempt is under way."""
        await self._busy.idle()

    async def run(self, kind: LaneKind) -> None:
        """Take items of one kind of lane and do them, many at once, one lane's in order."""
        taken = anyio.Semaphore(_TAKEN)
        async with anyio.create_task_group() as tasks:
            while True:
                await taken.acquire()
                taken.release()
                try:
                    items = await self._store.claim_items(kind, _BATCH)
                except StorageUnavailable as error:
                    self._log.error("the database is away", error=str(error))
                    await anyio.sleep(_STORAGE_PAUSE)
                    continue
                for item in items:
                    await taken.acquire()
                    tasks.start_soon(self._one, item, taken)

    async def _one(self, item: Item, taken: anyio.Semaphore) -> None:
        try:
            async with self._room[item.kind]:
                with self._busy.one():
                    await self._do(item)
        except StorageUnavailable as error:
            # The lease stays with us; the item is looked at again when the database is back.
            self._log.error("attempt not stored", item=item.id, error=str(error))
            await self._give_back(item)
        except Exception as error:  # noqa: BLE001 - a worker turn: our mistake stops one item
            self._log.error("attempt broke", item=item.id, error=repr(error))
            await self._give_back(item)
        finally:
            taken.release()

    async def _do(self, item: Item) -> None:
        if item.kind is ItemKind.MESSAGE:
            await self._message(item)
        elif item.kind is ItemKind.ACTION:
            await self._action(item)
        else:
            await self._asker.ask(item)

    async def _give_back(self, item: Item) -> None:
        while True:
            await anyio.sleep(_STORAGE_PAUSE)
            try:
                await self._store.release([item])
            except StorageUnavailable:
                continue
            return

    # --- messages

    async def _message(self, item: Item) -> None:
        live = self._configuration().instances.channels.get((item.tenant, item.destination))
        repeats = 0
        if live is not None:
            resend = live.settings.on_unknown == "resend"
            repeats = ALWAYS if live.capabilities.idempotent_send else 3 if resend else 0
        patience = Patience(repeat_unknown=repeats)
        late = self._clock.now() - item.created_at > patience.age
        if late and item.state is ItemState.WAITING and item.author is not Author.PERSON:
            # An answer of days ago says the wrong thing today.
            error = f"it waited longer than {patience.age.total_seconds() / 3600:g} h"
            await self._end(item, AttemptResult(state=ItemState.DEAD, error=error))
            return
        await self._attempt(item, patience, lambda: self._send(item, live))

    async def _send(self, item: Item, live: LiveChannel | None) -> AttemptResult:
        if live is None:
            raise Refused(f'there is no channel "{item.destination}" any more')
        if not live.up:
            raise Unavailable(f"{live.label} is down: {live.error}")
        message = outbound_message(item.id, item.body)
        with anyio.fail_after(live.settings.timeout):
            receipt = await live.plugin.send(message)
        return AttemptResult(state=ItemState.DONE, provider_ref=receipt.provider_id)

    # --- actions

    async def _action(self, item: Item) -> None:
        live = self._configuration().instances.actions.get(item.destination)
        repeats = 0
        if live is not None:
            action = live.plugin
            repeats = ALWAYS if action.idempotent else 2 if action.repeat_is_harmless else 0
        # A notice that may be lost is repeated only after an outage of minutes may be over.
        backoff = Backoff() if live is None or live.plugin.idempotent else Backoff(base=30.0)
        patience = Patience(attempts=12, repeat_unknown=repeats, backoff=backoff)
        await self._attempt(item, patience, lambda: self._run(item))

    async def _run(self, item: Item) -> AttemptResult:
        live = self._configuration().instances.actions.get(item.destination)
        if live is None:
            raise Refused(f'there is no action "{item.destination}" any more')
        if not live.up:
            raise Unavailable(f"{live.label} is down: {live.error}")
        values = json.loads(item.body)
        model = live.settings.registration.params or NoticeParams
        try:
            params = model.model_validate(values["params"])
        except ValueError as error:
            raise Refused(f"its parameters no longer fit: {error}") from error
        call = ActionCall(
            id=item.id,
            action=item.destination,
            tenant=item.tenant,
            params=params,
            conversation=values.get("conversation"),
            contact=values.get("contact", {}),
            because=values.get("because", ""),
            attempt=item.attempt + 1,
        )
        with anyio.fail_after(live.settings.timeout):
            await live.plugin.run(call)
        return AttemptResult(state=ItemState.DONE)

    # --- common

    async def _attempt(
        self, item: Item, patience: Patience, call: Callable[[], Awaitable[AttemptResult]]
    ) -> None:
        if item.state is ItemState.STARTED and item.attempt > patience.repeat_unknown:
            # A process died between the start and the result: it may have left.
            result = judge(item, _INTERRUPTED, Patience(), self._clock.now())
            await self._end(item, result)
            self._report(item, result, _INTERRUPTED)
            self._measure(item, result, None)
            return
        reach("deliver.claimed")
        if not await self._store.start_attempt(item):
            return
        reach("deliver.started")
        began = self._clock.monotonic()
        try:
            result = await call()
            reach("deliver.sent")
        except Exception as error:  # noqa: BLE001 - a plugin's call; anything else is unknown
            result = judge(item, error, patience, self._clock.now())
            self._report(item, result, error)
        self._measure(item, result, self._clock.monotonic() - began)
        await self._end(item, result)
        reach("deliver.finished")

    async def _end(self, item: Item, result: AttemptResult) -> None:
        """Store how it ended. What did not reach the customer is a ticket: somebody has to know."""
        if result.state in undelivered.STATES:
            ticket = undelivered.ticket_of(item, result, self._configuration(), self._ids)
            result = replace(result, effects=(*result.effects, ticket))
        await finish(self._store, item, result, self._log)

    def _measure(self, item: Item, result: AttemptResult, seconds: float | None) -> None:
        metrics, to = self._metrics, (item.tenant, item.kind.value, item.destination)
        metrics.attempts.count(*to, result.state.value)
        if seconds is not None:
            metrics.attempt_seconds.observe(seconds, *to)
        if result.state is not ItemState.DONE:
            metrics.provider_errors.count(*to, result.code or "none")
        elif item.kind is ItemKind.MESSAGE and item.decided is not None:
            began = metrics.turns.end(item.decided)
            if began is not None:
                waited = (self._clock.now() - began).total_seconds()
                metrics.sent_seconds.observe(waited, item.tenant, item.destination)

    def _report(self, item: Item, result: AttemptResult, error: Exception) -> None:
        reason = error.reason if isinstance(error, ProviderError) else result.error
        self._log.warning(
            "attempt failed",
            item=item.id,
            kind=str(item.kind),
            to=item.destination,
            state=str(result.state),
            attempt=item.attempt + 1,
            code=result.code,
            reason=reason,
        )
