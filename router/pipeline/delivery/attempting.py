"""One attempt at a message or an action: begun if it may be, its end stored with what follows."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from router.clock import Clock
from router.domain.outbox import ItemKind, ItemState
from router.errors import OutcomeUnknown, ProviderError, Refused
from router.failpoints import reach
from router.ids import Ids
from router.metrics import Metrics
from router.pipeline.attempts import repeats
from router.pipeline.attempts.guard import Guard
from router.pipeline.attempts.judging import ALWAYS, Patience, finish, judge
from router.pipeline.delivery import lookups, refused
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.flights import CalledOff, Flights
from router.pipeline.instances.instances import Live
from router.pipeline.notices import undelivered
from router.pipeline.outbound.approvals import Objection
from router.plugin.context import Log
from router.plugin.http import classify
from router.storage.store import AttemptResult, Item, Start, Store, Terms

_INTERRUPTED = OutcomeUnknown("the router stopped between starting and hearing back")
_ELSEWHERE = OutcomeUnknown(
    "an earlier attempt may have been taken, and it is another account that it would be repeated at"
)


class Attempts:
    """Makes attempts, and stores how they ended.

    :param configuration: gives the configuration in force.
    :param flights: what of this node is under way and may be called off.
    """

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        guard: Guard,
        flights: Flights,
        clock: Clock,
        log: Log,
        *,
        metrics: Metrics,
        ids: Ids,
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._guard = guard
        self._flights = flights
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._ids = ids

    async def make(
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
            await self.end(item, result, began=item.started_at)
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
                await self.end(item, result, error, began=began)
            finally:
                if not isinstance(error, CalledOff):
                    await told(error)
        reach("deliver.finished")
        return start

    async def end(
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
        if lost and lookups.helps(live):
            # One that was tried before may turn up by that attempt, too.
            since = item.created_at if item.attempt else began or item.created_at
            effects.append(lookups.reconciliation_of(item, since, self._ids))
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
