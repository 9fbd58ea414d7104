"""Polling: what channels ask their providers for, on one node at a time, never twice stored."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio
import anyio.lowlevel

from router.clock import Clock
from router.domain.outbox import Backoff
from router.domain.storable import storable
from router.errors import ProviderError, Refused, StorageUnavailable, Unavailable, words_of
from router.failpoints import reach
from router.ids import Ids, new_id
from router.metrics import Metrics
from router.pipeline.instances.busy import Busy
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.flights import Contained
from router.pipeline.instances.instances import Live, LiveChannel
from router.pipeline.intake.intake import Intake
from router.pipeline.intake.unparsed import told
from router.plugin.context import Log
from router.plugin.polling import Polled, check_pollers
from router.schedule.finds import keyed, sound
from router.schedule.scheduled import PluginPoller, ScheduledPoller
from router.schedule.standing import Standing
from router.storage.store import Store

#: Seconds to wait while the database is away.
_STORAGE_PAUSE: Final = 1.0
#: The longest sleep, in seconds: there may have been a reload since.
_GLANCE: Final = 1.0
#: How often it is asked at least whether a poller is due by now.
_ASKS_AGAIN: Final = timedelta(minutes=1)
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
    :param own: gives what the host itself asks a channel's provider for.
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
        own: Callable[[LiveChannel], Sequence[ScheduledPoller[Any]]],
        ids: Ids = new_id,
    ) -> None:
        self._store = store
        self._own = own
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
            brought = tuple(live.plugin.pollers())
            check_pollers(brought)
        except Exception as error:  # noqa: BLE001 - a plugin's call
            words = " ".join(words_of(error).split())
            live.error = f"its pollers cannot run: {words}"
            self._log.error("pollers not started", channel=live.label, error=words)
            return
        pollers = [*(PluginPoller(live, it) for it in brought), *self._own(live)]
        if not pollers:
            return
        self._standing[id(live)] = [it.standing for it in pollers]
        try:
            async with anyio.create_task_group() as tasks:
                for poller in pollers:
                    tasks.start_soon(self._keep_polling, poller)
        finally:
            self._standing.pop(id(live), None)

    async def _keep_polling(self, poller: ScheduledPoller[Any]) -> None:
        from router.storage.pollers import prepare  # here: it brings SQLAlchemy

        live, key, standing = poller.live, poller.key, poller.standing
        if not await self._comes_into_force(live):
            return
        lock = self._locks.setdefault(key, anyio.Lock())
        prepared = False
        while self._in_force(live) and not self._stopped.is_set():
            renewed = self._renewed
            if not poller.wanted:
                standing.every = None
                await self._sleep_for(_OFF, renewed)
                continue
            standing.every = poller.every.total_seconds()
            try:
                if not prepared:
                    now = self._clock.now()
                    write = partial(_prepare, prepare, key, now, now + poller.every)
                    await self._store.write(write)
                    prepared = True
                async with lock:
                    # From before it is taken until it is given back: a stop waits for all of it.
                    with self._busy.one(), live.busy.one():
                        standing.due_at = await self._turn(poller)
            except StorageUnavailable as error:
                self._log.error("the database is away", error=str(error))
                await self._sleep(_STORAGE_PAUSE)
            except Exception as error:  # noqa: BLE001 - a worker's turn; the channel serves on
                standing.error = words_of(error)
                self._log.error("polling broke", poller=standing.label, error=standing.error)
                await self._sleep(_BASE)
            else:
                # No longer: it is due earlier where the clock was set back.
                left = standing.due_at - self._clock.now()
                await self._sleep_for(min(left, max(poller.every, _ASKS_AGAIN)), renewed)

    async def _turn(self, poller: ScheduledPoller[Any]) -> datetime:
        """Poll once if it is due and nobody else does; give when to look again."""
        from router.storage.pollers import Wait, give_back, hasten, take

        live, key, standing = poller.live, poller.key, poller.standing
        now = self._clock.now()
        if not self._in_force(live) or self._stopped.is_set():
            return now
        hurries = poller.hurries
        until = now + timedelta(seconds=live.settings.timeout + _SPARE)

        def taking(tx: Any) -> Any:
            if hurries:
                hasten(tx.connection, key, now)
            return take(
                tx.connection, key, holder=self._me, now=now, until=until, every=poller.every
            )

        taken = await self._store.write(taking)
        poller.hurried()
        if isinstance(taken, Wait):
            standing.held = taken.held
            return taken.until
        standing.held = None
        ended = False
        standing.polling = True
        try:
            reach("poll.taken")
            due = None if self._stopped.is_set() else await self._poll(poller, taken)
            ended = due is not None
            return due or self._clock.now()
        finally:
            standing.polling = False
            if not ended:
                with anyio.move_on_after(_GIVE_BACK, shield=True), suppress(StorageUnavailable):
                    await self._store.write(lambda tx: give_back(tx.connection, key, taken))

    async def _poll(self, poller: ScheduledPoller[Any], taken: Any) -> datetime | None:
        """Poll, and store what came of it; ``None`` if it was cut short."""
        limit = poller.live.settings.timeout
        deadline = asyncio.timeout(limit)
        cut = anyio.CancelScope()
        self._polls.add(cut)
        began = self._clock.monotonic()
        polled: Polled | None = None
        failure: ProviderError | None = None
        try:
            with cut, Contained():
                async with deadline:
                    polled = sound(await poller.poll(taken.cursor))
        except Exception as error:  # noqa: BLE001 - a plugin's call
            late = Unavailable(f"it took longer than {limit:g} s")
            failure = late if deadline.expired() else poller.live.meaning(error)
        finally:
            self._polls.discard(cut)
        if cut.cancel_called and polled is None:
            return None
        self._metrics.poll_seconds.observe(self._clock.monotonic() - began, *poller.key)
        reach("poll.answered")
        if polled is not None:
            try:
                return await self._keep(poller, taken, polled)
            except StorageUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - a mistake of ours stops no other poller
                failure = Refused(f"what it found cannot be stored: {told(error)}")
        return await self._keep_failure(poller, taken, failure)

    async def _keep(self, poller: ScheduledPoller[Any], taken: Any, polled: Polled) -> datetime:
        from router.storage.pollers import keep

        live, standing = poller.live, poller.standing
        now = self._clock.now()
        events = keyed(self._intake, poller, polled.events, now, self._log)
        # Who says "again" and has got nowhere would ask without an end.
        again = polled.again and (bool(events) or polled.cursor != taken.cursor)
        due_at = now if again else now + poller.pause(polled)
        accepted = await self._store.write(
            partial(
                keep,
                key=poller.key,
                taken=taken,
                cursor=polled.cursor,
                events=events,
                due_at=due_at,
                also=partial(poller.keep, polled=polled),
            )
        )
        reach("poll.stored")
        if accepted is None:
            self._count(poller, "dropped")
            self._log.warning(
                "poll dropped: it took so long that another node went on in its place",
                channel=live.label,
                poller=poller.name,
            )
            return due_at
        self._count(poller, "found" if events or poller.always_finds else "nothing")
        poller.learn(polled)
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
        self, poller: ScheduledPoller[Any], taken: Any, failure: ProviderError | None
    ) -> datetime:
        from router.storage.pollers import keep_failure

        reason = storable("" if failure is None else failure.reason)
        backoff = Backoff(base=min(_BASE, poller.every.total_seconds()), cap=_CAP)
        pause = backoff.delay(taken.failures, random.random())
        asked = getattr(failure, "retry_after", None)
        if asked is not None:
            pause = max(pause, asked)
        due_at = self._clock.now() + timedelta(seconds=pause)
        self._count(poller, "failed")
        kept = await self._store.write(
            partial(keep_failure, key=poller.key, taken=taken, error=reason, due_at=due_at)
        )
        if kept:
            poller.standing.failures, poller.standing.error = taken.failures + 1, reason
        self._log.warning(
            "poll failed",
            channel=poller.live.label,
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

    def _count(self, poller: ScheduledPoller[Any], outcome: str) -> None:
        self._metrics.polls.count(*poller.key, outcome)

    async def _sleep_for(self, time: timedelta, renewed: anyio.Event) -> None:
        end = self._clock.monotonic() + time.total_seconds()
        while not (self._stopped.is_set() or renewed.is_set()):
            left = end - self._clock.monotonic()
            if left <= 0:
                return
            await self._sleep(min(left, _GLANCE))

    async def _sleep(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._stopped.wait()


def _prepare(prepare: Any, key: Any, now: datetime, latest: datetime, tx: Any) -> None:
    prepare(tx.connection, key, now, latest)
