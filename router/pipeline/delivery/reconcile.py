"""Reconciliation: asking the provider what became of a message of which nobody knows.

An item of its own does it, in a lane of its own: nobody waits for it but the message. A delivery
report, an echo or a person may settle the message at any time; then there is nothing left to ask.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from router.clock import Clock, from_micros, to_micros
from router.domain.limits import CLOCKS_APART
from router.domain.message import SentMessage
from router.domain.outbox import ItemState
from router.domain.storable import storable_id
from router.errors import ProviderError, Refused
from router.failpoints import reach
from router.ids import Ids
from router.pipeline.attempts.guard import Guard
from router.pipeline.attempts.judging import ALWAYS, Patience, finish, judge
from router.pipeline.delivery import lookups
from router.pipeline.delivery.lookups import PATIENCE, Progress
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.flights import CalledOff, Flights
from router.pipeline.instances.instances import LiveChannel
from router.pipeline.notices import undelivered
from router.pipeline.outbound.messages import outbound_message
from router.plugin.context import Log
from router.storage.store import AttemptResult, Item, Store, Tx

#: The first look, for what the provider has is there at once as a rule.
SOON: Final = timedelta(seconds=5)
#: Attempts of a message whose channel says ``on_unknown = "resend"``.
ATTEMPTS: Final = 3

#: Asking changes nothing, so it may be repeated; when to stop is decided here.
_FOR_EVER: Final = Patience(repeat_unknown=ALWAYS, age=timedelta(days=3650))


class Reconciler:
    """Looks for messages at their providers."""

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        guard: Guard,
        flights: Flights,
        clock: Clock,
        log: Log,
        *,
        ids: Ids,
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._guard = guard
        self._flights = flights
        self._clock = clock
        self._log = log
        self._ids = ids

    async def look(self, item: Item) -> None:
        """Look once, if it is time; the message is settled, or looked for again."""
        from router.storage.reconciliation import unknown_item  # it brings SQLAlchemy

        progress = Progress(**json.loads(item.body))
        about = await self._store.read(lambda it: unknown_item(it, item.tenant, progress.item))
        if about is None:
            await self._end(item, "it was settled without asking")
            return
        if not progress.is_about(about):
            # What is missing says nothing of an attempt that began since. That one has a look-up
            # of its own, or a ticket where asking could not help.
            await self._end(item, "it was tried again meanwhile")
            return
        now = self._clock.now()
        if progress.ended_at > now + CLOCKS_APART:
            progress = progress.set_back(now)
            body = progress.as_body()
            await self._store.write(
                partial(lookups.keep, tenant=item.tenant, id=item.id, body=body)
            )
        live = self._configuration().instances.channels.get((item.tenant, item.destination))
        asks = live is not None and live.capabilities.find_sent
        settle, _ = _lag(live)
        due = progress.ended_at + (min(SOON, settle) if asks else settle)
        if now < due:
            await self._store.postpone(item, due)
        elif live is None or not asks:
            await self._cannot_tell(item, about, live, "its channel cannot be asked what it sent")
        else:
            with live.busy.one():
                await self._ask(item, progress, about, live)

    async def _ask(self, item: Item, progress: Progress, about: Item, live: LiveChannel) -> None:
        give_up = progress.ended_at + PATIENCE
        late = self._clock.now() >= give_up
        if late and live.breaker.is_open:
            await self._cannot_tell(item, about, live, live.breaker.error)
            return
        if not await self._guard.admits(live, item, by=give_up):
            return
        told = False
        try:
            if not await self._store.start_attempt(item):
                return
            reach("reconcile.started")
            asked_at = self._clock.now()
            message = outbound_message(about.id, about.body)
            try:
                with self._flights.one():
                    async with asyncio.timeout(live.settings.timeout):
                        found = await live.plugin.find_sent(message, from_micros(progress.since))
                names = _names(found, asked_at)
            except Exception as error:  # noqa: BLE001 - a plugin's call
                meaning = live.meaning(error)
                if not isinstance(error, CalledOff):
                    told = True
                    await self._guard.told(live, meaning)
                await self._failed(item, about, live, meaning, None if late else give_up)
                return
            reach("reconcile.asked")
            told = True
            await self._guard.told(live, None)
        finally:
            if not told:
                self._guard.spared(live)
        await self._found(item, progress, about, live, names, asked_at)

    async def _failed(
        self,
        item: Item,
        about: Item,
        live: LiveChannel,
        error: ProviderError,
        give_up: datetime | None,
    ) -> None:
        """Ask again, at ``give_up`` at the latest; ``None``: that was the last time."""
        self._log.warning("look-up failed", item=about.id, to=item.destination, reason=error.reason)
        if give_up is None or isinstance(error, Refused):
            await self._cannot_tell(item, about, live, error.reason)
        else:
            # A question does no harm, and until it is answered the message waits: the distances
            # grow no longer than the time that a provider has to list what it took.
            cap = max(_lag(live)[0], SOON).total_seconds()
            patience = replace(_FOR_EVER, backoff=replace(_FOR_EVER.backoff, cap=cap))
            result = judge(item, error, patience, self._clock.now())
            again = min(result.retry_at or give_up, give_up)
            await finish(self._store, item, replace(result, retry_at=again), self._log)

    async def _found(
        self,
        item: Item,
        progress: Progress,
        about: Item,
        live: LiveChannel,
        names: list[str],
        asked_at: datetime,
    ) -> None:
        from router.storage.reconciliation import held_by_others

        settle, again = _lag(live)
        if names:
            held = await self._store.read(lambda it: held_by_others(it, about, names))
            names = [name for name in names if name not in held]
        if names:
            effect = partial(
                lookups.settle, about=about, names=names, name=self._ids(), progress=progress
            )
            await self._end(item, "the provider has it", effect)
        elif asked_at < progress.ended_at + settle:
            await self._wait(item, progress, progress.ended_at + settle)
        elif about.account != live.account:
            # That the one does not have it says nothing of the other.
            why = "its channel is another account's by now, which does not list it"
            await self._cannot_tell(item, about, live, why)
        elif progress.absent is None or asked_at < from_micros(progress.absent) + again:
            first = progress.absent or to_micros(asked_at)
            await self._wait(item, replace(progress, absent=first), from_micros(first) + again)
        elif live.capabilities.complete_listing and not progress.unsure:
            why = "the provider does not have it: it was not sent, and is sent now"
            await self._end(item, why, partial(lookups.again, about=about, why=why, proved=True))
        else:
            why = "the provider does not list it, and its listing need not be complete"
            await self._cannot_tell(item, about, live, why)

    async def _wait(self, item: Item, progress: Progress, until: datetime) -> None:
        effect = partial(lookups.keep, tenant=item.tenant, id=item.id, body=progress.as_body())
        result = AttemptResult(
            state=ItemState.WAITING,
            retry_at=until,
            error="the provider does not list it yet",
            effects=(effect,),
        )
        await finish(self._store, item, result, self._log)

    async def _cannot_tell(
        self, item: Item, about: Item, live: LiveChannel | None, why: str
    ) -> None:
        """Send a message again where the channel is told to; else let people decide."""
        from router.storage.reconciliation import overtaken

        words = f"nobody knows whether it was sent: {why}"
        result = AttemptResult(state=ItemState.UNKNOWN, error=words)
        ticket = undelivered.ticket_of(about, result, self._configuration(), self._ids)
        effect = partial(lookups.if_unknown, about=about, effect=ticket)
        resend = live is not None and live.settings.on_unknown == "resend"
        resend = resend and about.attempt < ATTEMPTS
        if resend and not await self._store.read(lambda it: overtaken(it, about)):
            words = f"nobody knows whether it was sent, and it is sent again (on_unknown): {why}"
            effect = partial(lookups.again, about=about, why=words, proved=False, otherwise=effect)
        await self._end(item, words, effect)

    async def _end(self, item: Item, words: str, *effects: Callable[[Tx], None]) -> None:
        self._log.info("looked for a message", item=item.id, to=item.destination, found=words)
        result = AttemptResult(state=ItemState.DONE, error=words, effects=effects)
        await finish(self._store, item, result, self._log)


def _names(found: Sequence[SentMessage], asked_at: datetime) -> list[str]:
    """Give what the provider calls the messages that it found, the oldest first."""
    oldest = sorted(found, key=lambda it: it.sent_at or asked_at)
    return [storable_id(it.provider_id) for it in oldest]


def _lag(live: LiveChannel | None) -> tuple[timedelta, timedelta]:
    """Say how long after the attempt what is not listed counts, and how long later again."""
    settle = timedelta(seconds=60.0 if live is None else live.settings.settle)
    return settle, settle / 2
