"""Polling: what channels ask their providers for, on one node at a time, never twice stored."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio
import anyio.lowlevel

from router.clock import Clock
from router.domain.outbox import Backoff
from router.errors import ProviderError, Refused, StorageUnavailable, Unavailable
from router.failpoints import reach
from router.ids import Ids, new_id
from router.metrics import Metrics
from router.pipeline.busy import Busy
from router.pipeline.configuration import Configuration
from router.pipeline.instances import Live, LiveChannel
from router.pipeline.intake import Intake, told
from router.pipeline.storable import storable
from router.plugin.context import Log
from router.plugin.http import classify
from router.plugin.polling import Polled, Poller, check_pollers
from router.schedule.finds import keyed, sound
from router.schedule.listing import Listings, TemplatePoller
from router.schedule.standing import Standing
from router.storage.store import Store

#: Seconds to wait while the database is away.
_STORAGE_PAUSE: Final = 1.0
#: The longest sleep, in seconds: the clock may have been set since.
_GLANCE: Final = 1.0
#: Seconds between two looks whether an instance is in force by now.
_LOOK: Final = 0.2
#: What committing may take on top of a poll's own time, in seconds.
_SPARE: Final = 15.0
#: Seconds in which a poll that was cut short is given back.
_GIVE_BACK: Final = 2.0
#: The longest that a failing provider is left alone, in seconds, unless it asks for longer.
_CAP: Final = 300.0
#: How often a poller that is switched off is looked at.
_OFF: Final = timedelta(hours=1)
#: The first pause after a failure, in seconds, unless the interval is shorter.
_BASE: Final = 5.0


class Pollers:
    """Runs the pollers of channels that are inside their lifespans, until :meth:`stop`.

    What a poll found is stored in one transaction with its cursor. Of several nodes on one
    database one polls at a time; see ``router.storage.pollers``.

    :param configuration: gives the configuration in force. An instance that is not in it yet, or
        not any more, polls nothing.
    """

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        intake: Intake,
        clock: Clock,
        log: Log,
        metrics: Metrics,
        *,
        listings: Listings,
        ids: Ids = new_id,
    ) -> None:
        self._store = store
        self._listings = listings
        self._configuration = configuration
        self._intake = intake
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._me = ids()
        self._stopped = anyio.Event()
        #: Set, and replaced, when other rules are in force.
        self._renewed = anyio.Event()
        self._busy = Busy()
        self._polls: set[anyio.CancelScope] = set()
        #: One poll of a name at a time: on a reload two instances have the same.
        self._locks: dict[tuple[str, str, str], anyio.Lock] = {}
        self._standing: dict[int, list[Standing]] = {}

    def standing(self) -> list[Standing]:
        """Say how the pollers of this process are doing."""
        found = [each for several in self._standing.values() for each in several]
        return sorted(found, key=lambda it: (it.channel, it.name))

    def trouble(self) -> list[str]:
        """Name the pollers that fail again and again, or that are held, with the reason."""
        return [it.trouble for it in self.standing() if it.trouble is not None]

    def stop(self) -> None:
        """Begin no poll any more, and cut short the ones under way. They are repeated later."""
        self._stopped.set()
        for scope in tuple(self._polls):
            scope.cancel()

    def renew(self) -> None:
        """Look again at once at what is due: another configuration is in force."""
        self._listings.renewed()
        self._renewed.set()
        self._renewed = anyio.Event()

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        await self._busy.idle()

    async def run(self, live: Live[Any]) -> None:
        """Run what a channel polls, for as long as it is inside its lifespan. To be cancelled."""
        if not isinstance(live, LiveChannel):
            return
        try:
            pollers: tuple[Poller, ...] = tuple(live.plugin.pollers())
            check_pollers(pollers)
        except Exception as error:  # noqa: BLE001 - a plugin's call
            words = " ".join(f"{type(error).__name__}: {error}".split())
            live.error = f"its pollers cannot run: {words}"
            self._log.error("pollers not started", channel=live.label, error=words)
            return
        lists = self._listings.poller(live)
        if lists is not None:
            pollers = (*pollers, lists)
        if not pollers:
            return
        standing = [Standing(live.tenant, live.label, it.name, live.name) for it in pollers]
        self._standing[id(live)] = standing
        try:
            async with anyio.create_task_group() as tasks:
                for poller, each in zip(pollers, standing, strict=True):
                    tasks.start_soon(self._keep_polling, live, poller, each)
        finally:
            self._standing.pop(id(live), None)

    async def _keep_polling(self, live: LiveChannel, poller: Poller, standing: Standing) -> None:
        from router.storage.pollers import PollerKey, prepare  # here: it brings SQLAlchemy

        if not await self._comes_into_force(live):
            return
        key = PollerKey(live.tenant, live.name, poller.name)
        lock = self._locks.setdefault(key, anyio.Lock())
        prepared = False
        while self._in_force(live) and not self._stopped.is_set():
            renewed = self._renewed
            if isinstance(poller, TemplatePoller) and not poller.wanted:
                standing.every = None
                await self._sleep_until(self._clock.now() + _OFF, renewed)
                continue
            standing.every = poller.every.total_seconds()
            try:
                if not prepared:
                    now = self._clock.now()
                    write = partial(_prepare, prepare, key, now, now + poller.every)
                    await self._store.write(write)
                    prepared = True
                async with lock:
                    standing.due_at = await self._turn(live, poller, key, standing)
            except StorageUnavailable as error:
                self._log.error("the database is away", error=str(error))
                await self._sleep(_STORAGE_PAUSE)
            except Exception as error:  # noqa: BLE001 - a worker's turn; the channel serves on
                standing.error = f"{type(error).__name__}: {error}"
                self._log.error("polling broke", poller=standing.label, error=repr(error))
                await self._sleep(_BASE)
            else:
                await self._sleep_until(standing.due_at, renewed)

    async def _turn(
        self, live: LiveChannel, poller: Poller, key: Any, standing: Standing
    ) -> datetime:
        """Poll once if it is due and nobody else does; give when to look again."""
        from router.storage.pollers import Wait, give_back, hasten, take

        now = self._clock.now()
        if not self._in_force(live) or self._stopped.is_set():
            return now
        hurries = isinstance(poller, TemplatePoller) and poller.hurries
        until = now + timedelta(seconds=live.settings.timeout + _SPARE)

        def taking(tx: Any) -> Any:
            if hurries:
                hasten(tx.connection, key, now)
            return take(
                tx.connection, key, holder=self._me, now=now, until=until, every=poller.every
            )

        taken = await self._store.write(taking)
        if isinstance(poller, TemplatePoller):
            poller.hurried()
        if isinstance(taken, Wait):
            standing.held = taken.held
            return taken.until
        standing.held = None
        ended = False
        standing.polling = True
        try:
            with self._busy.one(), live.busy.one():
                reach("poll.taken")
                due = await self._poll(live, poller, key, taken, standing)
                ended = due is not None
                return due or self._clock.now()
        finally:
            standing.polling = False
            if not ended:
                with anyio.move_on_after(_GIVE_BACK, shield=True), suppress(StorageUnavailable):
                    await self._store.write(lambda tx: give_back(tx.connection, key, taken))

    async def _poll(
        self, live: LiveChannel, poller: Poller, key: Any, taken: Any, standing: Standing
    ) -> datetime | None:
        """Poll, and store what came of it; ``None`` if it was cut short."""
        limit = live.settings.timeout
        deadline = anyio.CancelScope(deadline=anyio.current_time() + limit)
        cut = anyio.CancelScope()
        self._polls.add(cut)
        began = self._clock.monotonic()
        polled: Polled | None = None
        failure: ProviderError | None = None
        try:
            with cut, deadline:
                polled = sound(await poller.poll(taken.cursor))
        except Exception as error:  # noqa: BLE001 - a plugin's call
            failure = classify(error)
        finally:
            self._polls.discard(cut)
        if cut.cancel_called and polled is None:
            return None
        if polled is None and failure is None:
            failure = Unavailable(f"it took longer than {limit:g} s")
        self._metrics.poll_seconds.observe(
            self._clock.monotonic() - began, live.tenant, live.name, poller.name
        )
        reach("poll.answered")
        if polled is not None:
            try:
                return await self._keep(live, poller, key, taken, polled, standing)
            except StorageUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - a plugin's values, of any kind
                failure = Refused(f"what it found cannot be stored: {told(error)}")
        return await self._keep_failure(live, poller, key, taken, failure, standing)

    async def _keep(
        self,
        live: LiveChannel,
        poller: Poller,
        key: Any,
        taken: Any,
        polled: Polled,
        standing: Standing,
    ) -> datetime:
        from router.storage.pollers import keep

        now = self._clock.now()
        events = keyed(self._intake, live, poller, polled.events, now, self._log)
        # Who says "again" and has got nowhere would ask without an end.
        again = polled.again and (bool(events) or polled.cursor != taken.cursor)
        lists = poller if isinstance(poller, TemplatePoller) else None
        pause = poller.every if lists is None else lists.pause(polled)
        due_at = now if again else now + pause
        accepted = await self._store.write(
            partial(
                keep,
                key=key,
                taken=taken,
                cursor=polled.cursor,
                events=events,
                due_at=due_at,
                also=None if lists is None else partial(lists.keep, polled=polled),
            )
        )
        reach("poll.stored")
        if accepted is None:
            self._count(live, poller, "dropped")
            self._log.warning(
                "poll dropped: it took so long that another node went on in its place",
                channel=live.label,
                poller=poller.name,
            )
            return due_at
        self._count(live, poller, "found" if events or lists else "nothing")
        if lists is not None:
            lists.learn(polled)
        for each in accepted:
            if not each.new:
                self._metrics.duplicates.count(live.tenant, live.name)
        if taken.failures:
            self._log.info(
                "poll works again",
                channel=live.label,
                poller=poller.name,
                failures=taken.failures,
            )
        standing.polled_at, standing.failures, standing.error = now, 0, None
        if again:
            await anyio.lowlevel.checkpoint()
        return due_at

    async def _keep_failure(
        self,
        live: LiveChannel,
        poller: Poller,
        key: Any,
        taken: Any,
        failure: ProviderError | None,
        standing: Standing,
    ) -> datetime:
        from router.storage.pollers import keep_failure

        reason = storable("" if failure is None else failure.reason)
        backoff = Backoff(base=min(_BASE, poller.every.total_seconds()), cap=_CAP)
        pause = backoff.delay(taken.failures, random.random())
        asked = getattr(failure, "retry_after", None)
        if asked is not None:
            pause = max(pause, asked)
        due_at = self._clock.now() + timedelta(seconds=pause)
        self._count(live, poller, "failed")
        kept = await self._store.write(
            partial(keep_failure, key=key, taken=taken, error=reason, due_at=due_at)
        )
        if kept:
            standing.failures, standing.error = taken.failures + 1, reason
        self._log.warning(
            "poll failed",
            channel=live.label,
            poller=poller.name,
            failures=taken.failures + 1,
            reason=reason,
            again_at=due_at.isoformat(),
        )
        return due_at

    async def _comes_into_force(self, live: LiveChannel) -> bool:
        """Wait while a reload tries an instance; ``False`` if it is not put in force."""
        while not self._stopped.is_set():
            if self._in_force(live):
                return True
            await self._sleep(_LOOK)
        return False

    def _in_force(self, live: LiveChannel) -> bool:
        channels = self._configuration().instances.channels
        return channels.get((live.tenant, live.name)) is live

    def _count(self, live: LiveChannel, poller: Poller, outcome: str) -> None:
        self._metrics.polls.count(live.tenant, live.name, poller.name, outcome)

    async def _sleep_until(self, moment: datetime, renewed: anyio.Event) -> None:
        while not (self._stopped.is_set() or renewed.is_set()):
            left = (moment - self._clock.now()).total_seconds()
            if left <= 0:
                return
            await self._sleep(min(left, _GLANCE))

    async def _sleep(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._stopped.wait()


def _prepare(prepare: Any, key: Any, now: datetime, latest: datetime, tx: Any) -> None:
    prepare(tx.connection, key, now, latest)
