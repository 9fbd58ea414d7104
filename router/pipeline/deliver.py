"""Delivery: what was decided to leave leaves, one attempt at a time, with a known outcome."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import anyio

from router.clock import Clock
from router.domain.message import Author
from router.domain.outbox import Backoff, ItemKind, ItemState
from router.errors import (
    OutcomeUnknown,
    ProviderError,
    Refused,
    StorageUnavailable,
    Unavailable,
    place_of,
)
from router.failpoints import reach
from router.ids import Ids
from router.metrics import Metrics
from router.pipeline import reconcile, refused, repeats, undelivered
from router.pipeline.approvals import Approvals, Objection
from router.pipeline.ask import Asker
from router.pipeline.attempts import ALWAYS, Patience, finish, judge
from router.pipeline.busy import Busy
from router.pipeline.configuration import Configuration
from router.pipeline.elsewhere import Elsewhere, missing
from router.pipeline.flights import CalledOff
from router.pipeline.guard import Guard
from router.pipeline.instances import Live, LiveChannel
from router.pipeline.media import Media
from router.pipeline.outgoing import outbound_message
from router.pipeline.recurring import Recurring
from router.pipeline.room import Room
from router.pipeline.rush import Rush
from router.pipeline.terms import CLOSED, objection_to, terms_of
from router.plugin.action import Action, ActionCall, NoticeParams
from router.plugin.context import Log
from router.plugin.http import classify
from router.storage.store import (
    AttemptResult,
    Item,
    LaneKind,
    Start,
    Store,
    Terms,
)

_BATCH = 64
_ABOUT_FILES = frozenset({ItemKind.FETCH, ItemKind.TRANSCRIBE})
#: Items taken and not ended, of one kind of lane. A slow model's questions must not fill it, for
#: actions come the same way, and one of them may be calling a person.
_TAKEN = 2000
_STORAGE_PAUSE = 1.0

_OVERTAKEN = "the conversation was taken over, and an earlier attempt may have reached the customer"
_INTERRUPTED = OutcomeUnknown("the router stopped between starting and hearing back")
_ELSEWHERE = OutcomeUnknown(
    "an earlier attempt may have been taken, and it is another account that it would be repeated at"
)


class Deliverer:
    """Does what the outbox holds, until cancelled.

    :param configuration: gives the configuration in force; asked for each item.
    :param rush: what work gives way to.
    :param approvals: what providers say of their templates; ``None``: nothing is known.
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
        rush: Rush,
        media: Media,
        ids: Ids,
        approvals: Approvals | None = None,
    ) -> None:
        self._store = store
        self._approvals = approvals
        self._configuration = configuration
        self._asker = asker
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._rush = rush
        self._ids = ids
        self._guard = Guard(store, configuration, clock, log, metrics, ids=ids)
        self._reconciler = reconcile.Reconciler(
            store, configuration, self._guard, asker.flights, clock, log, ids=ids
        )
        self._media = media
        self._flights = asker.flights
        self._elsewhere = Elsewhere(store, clock, log)
        self._busy = Busy()
        self._recurring = Recurring(clock)
        self._room = Room()
        self._paused = False

    def trouble(self) -> list[str]:
        """Say what breaks again and again by a mistake of ours, for ``router status``."""
        return self._recurring.trouble()

    def pause(self) -> None:
        """Begin nothing more: what waits for its place goes back with the node's other leases."""
        self._paused = True

    async def idle(self) -> None:
        """Wait until no attempt is under way."""
        await self._busy.idle()

    async def call_off(self) -> None:
        """Call off what is under way whenever this node was taken for dead, until cancelled.

        Others have its work. What came of a call that had ended by then is stored all the same.
        """
        while True:
            await self._store.wait_lost()
            number = self._flights.call_off()
            self._log.warning("this node was taken for dead", called_off=number)

    async def run(self, kind: LaneKind) -> None:
        """Take items of one kind of lane and do them, many at once, one lane's in order."""
        taken = anyio.Semaphore(_TAKEN, fast_acquire=True)
        async with asyncio.TaskGroup() as tasks:  # a task costs a third of one of anyio's
            while True:
                await taken.acquire()
                taken.release()
                try:
                    limit = await self._rush.give_way(_BATCH)
                    items = await self._store.claim_items(kind, limit)
                except StorageUnavailable as error:
                    self._log.error("the database is away", error=str(error))
                    await anyio.sleep(_STORAGE_PAUSE)
                    continue
                for item in items:
                    await taken.acquire()
                    tasks.create_task(self._one(item, taken))

    async def _one(self, item: Item, taken: anyio.Semaphore) -> None:
        try:
            async with self._room.share(item), self._room.all(item):
                if self._paused:
                    return
                with self._busy.one():
                    await self._do(item)
            self._recurring.ended(item.id)
        except StorageUnavailable as error:
            # The lease stays with us; the item is looked at again when the database is back.
            self._log.error("attempt not stored", item=item.id, error=str(error))
            await self._give_back(item)
        except Exception as error:  # noqa: BLE001 - a worker turn: our mistake stops one item
            await self._broke(item, error)
        finally:
            taken.release()

    async def _broke(self, item: Item, error: Exception) -> None:
        """Let an item rest, longer each time: what recurs would fill the log, and call providers.

        For a call that may be repeated is made again whenever its end could not be written.
        """
        broken = self._recurring.broke(item.id, error)
        self._log.error(
            "attempt broke",
            item=item.id,
            error=broken.error,
            where=place_of(error),
            times=broken.times,
            again_at=broken.again_at.isoformat(),
        )
        try:
            await self._store.postpone(item, broken.again_at)
        except StorageUnavailable:
            await self._give_back(item)

    async def _do(self, item: Item) -> None:
        if await self._elsewhere.takes(item, missing(self._configuration(), item)):
            return
        if item.kind is ItemKind.MESSAGE:
            await self._message(item)
        elif item.kind is ItemKind.ACTION:
            await self._action(item)
        elif item.kind is ItemKind.RECONCILE:
            await self._reconciler.look(item)
        elif item.kind in _ABOUT_FILES:
            await self._media.do(item)
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
        with nullcontext() if live is None else live.busy.one():
            await self._message_by(item, live)

    async def _message_by(self, item: Item, live: LiveChannel | None) -> None:
        again = live is not None and live.capabilities.idempotent_send
        patience = Patience(repeat_unknown=ALWAYS if again else 0)
        late = self._store.ages.now() - item.ready_since > patience.age
        if late and item.state is ItemState.WAITING and item.author is not Author.PERSON:
            # An answer of days ago says the wrong thing today.
            error = f"it waited longer than {patience.age.total_seconds() / 3600:g} h"
            await self._end(item, AttemptResult(state=ItemState.DEAD, error=error))
            return
        objection = self._objection(item)
        terms = None if live is None else terms_of(item, live, barred=objection is not None)
        start = await self._attempt(item, live, patience, lambda: self._send(item, live), terms)
        if start is Start.CLOSED:
            await self._end(item, AttemptResult(state=ItemState.DEAD, error=CLOSED))
        elif start is Start.OVERTAKEN:
            await self._end(item, AttemptResult(state=ItemState.UNKNOWN, error=_OVERTAKEN))
        elif start is Start.BARRED and objection is not None:
            result = AttemptResult(state=ItemState.DEAD, error=objection.words("en"))
            await self._end(item, result, objection=objection)

    def _objection(self, item: Item) -> Objection | None:
        """Look once more at what its provider says of a template: much may have passed since."""
        if self._approvals is None:
            return None
        listing = self._approvals.get(item.tenant, item.destination, self._clock.now())
        return None if listing is None else objection_to(item, listing)

    async def _send(self, item: Item, live: LiveChannel | None) -> AttemptResult:
        if live is None:
            raise Refused(f'there is no channel "{item.destination}" any more')
        if not live.up:
            raise Unavailable(f"{live.label} is down: {live.error}")
        message = outbound_message(item.id, item.body)
        async with asyncio.timeout(live.settings.timeout):
            receipt = await live.plugin.send(message)
        return AttemptResult(state=ItemState.DONE, provider_ref=receipt.provider_id)

    # --- actions

    async def _action(self, item: Item) -> None:
        live = self._configuration().instances.actions.get(item.destination)
        with nullcontext() if live is None else live.busy.one():
            await self._action_by(item, live)

    async def _action_by(self, item: Item, live: Live[Action[Any]] | None) -> None:
        repeats = 0
        if live is not None:
            action = live.plugin
            repeats = ALWAYS if action.idempotent else 2 if action.repeat_is_harmless else 0
        # A notice that may be lost is repeated only after an outage of minutes may be over.
        backoff = Backoff() if live is None or live.plugin.idempotent else Backoff(base=30.0)
        patience = Patience(attempts=12, repeat_unknown=repeats, backoff=backoff)
        terms = None if live is None else Terms(account=live.account)
        await self._attempt(item, live, patience, lambda: self._run(item, live), terms)

    async def _run(self, item: Item, live: Live[Action[Any]] | None) -> AttemptResult:
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
        unknown = values.get("unknown", 0) + (item.state is ItemState.STARTED)
        call = ActionCall(
            id=item.id,
            action=item.destination,
            tenant=item.tenant,
            params=params,
            conversation=values.get("conversation"),
            contact=values.get("contact", {}),
            because=values.get("because", ""),
            attempt=item.attempt + 1,
            unsure=bool(unknown),
        )
        async with asyncio.timeout(live.settings.timeout):
            done = await live.plugin.run(call)
        return AttemptResult(
            state=ItemState.DONE,
            provider_ref=None if done is None else done.ref,
            error=repeats.words(unknown, live.plugin),
        )

    # --- common

    async def _attempt(
        self,
        item: Item,
        live: Live[Any] | None,
        patience: Patience,
        call: Callable[[], Awaitable[AttemptResult]],
        terms: Terms | None = None,
    ) -> Start:
        """Make an attempt, if it may be made, and write how it ended.

        :return: whether it was; where the item is still leased, it is to be ended.
        """
        if lost := _lost(item, patience, terms):
            result = judge(item, lost, Patience(), self._clock.now())
            await self._end(item, result, began=item.started_at)
            self._report(item, result, lost)
            self._measure(item, result, None)
            return Start.NOT
        if not await self._guard.admits(live, item):
            return Start.NOT
        reach("deliver.claimed")
        with self._guard.trial(live) as told:
            if item.state is ItemState.STARTED:
                await self._store.write(partial(repeats.interrupted, item=item))
            began = self._clock.now()
            start = await self._store.start_attempt(item, terms)
            if not start:
                return start
            reach("deliver.started")
            clock, error = self._clock.monotonic(), None
            try:
                with self._flights.one():
                    result = await call()
                reach("deliver.sent")
            except Exception as broken:  # noqa: BLE001 - a plugin's call; anything else is unknown
                error = classify(broken) if live is None else live.meaning(broken)
                result = judge(item, error, patience, self._clock.now(), self._store.ages.now())
                self._report(item, result, error)
            self._measure(item, result, self._clock.monotonic() - clock)
            try:
                await self._end(item, result, error, began=began)
            finally:
                if not isinstance(error, CalledOff):
                    await told(error)
        reach("deliver.finished")
        return start

    async def _end(
        self,
        item: Item,
        result: AttemptResult,
        error: ProviderError | None = None,
        *,
        began: datetime | None = None,
        objection: Objection | None = None,
    ) -> None:
        """Store how it ended, and what follows from it.

        What may have left is looked for. What did not reach the customer is a ticket: somebody
        has to know. What the provider said of the customer is taken up.

        :param began: when the attempt began; ``None`` if there was none.
        :param objection: why it was not sent, for the ticket to say it.
        """
        if result.state is ItemState.DONE:
            await finish(self._store, item, result, self._log)
            return
        effects = list(result.effects)
        # Of an attempt that was interrupted before this one nobody knows either.
        unsure = isinstance(error, OutcomeUnknown) or item.state is ItemState.STARTED
        if unsure and result.state in (ItemState.WAITING, ItemState.DEAD):
            effects.append(partial(repeats.count, item=item))
        live = self._configuration().instances.channels.get((item.tenant, item.destination))
        lost = result.state is ItemState.UNKNOWN and item.kind is ItemKind.MESSAGE
        if lost and reconcile.helps(live):
            # One that was tried before may turn up by that attempt, too.
            since = item.created_at if item.attempt else began or item.created_at
            effects.append(reconcile.reconciliation_of(item, since, self._ids))
        elif reported := refused.report_of(item, error, self._clock.now()):
            result = replace(result, events=(*result.events, reported))
        elif result.state in undelivered.STATES:
            configuration = self._configuration()
            effects.append(
                undelivered.ticket_of(item, result, configuration, self._ids, objection=objection)
            )
        why = error.why if isinstance(error, Refused) else None
        if why is not None and item.conversation is not None:
            effects.append(partial(refused.take_up, item=item, why=why, sent_at=began))
        await finish(self._store, item, replace(result, effects=tuple(effects)), self._log)

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


def _lost(item: Item, patience: Patience, terms: Terms | None) -> OutcomeUnknown | None:
    """Say why an item that may have left must not leave again; ``None``: it may."""
    interruptions = repeats.interruptions(item)
    if interruptions >= repeats.INTERRUPTIONS or (
        interruptions and item.attempt > patience.repeat_unknown
    ):
        # A process died between the start and the result, and this may have been why.
        return _INTERRUPTED
    account = None if terms is None else terms.account
    # Who knows a repeat for one knows those of its own account. A harmless one is so everywhere.
    known = patience.repeat_unknown != ALWAYS or item.account in (None, account)
    return _ELSEWHERE if item.may_have_left and not known else None
