"""Media: files are fetched from their channels and kept, and voice notes are written down.

Nothing here decides anything. However it ends, the thread is told: a turn may be waiting for it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from router.clock import Clock
from router.domain.content import agrees, content_type_of
from router.domain.host_event import FileFetched, HostEvent, VoiceTranscribed
from router.domain.message import Attachment, File
from router.domain.outbox import Backoff, ItemKind, ItemState
from router.errors import NotFound, Refused, StorageUnavailable, Unavailable
from router.failpoints import reach
from router.metrics import Metrics
from router.pipeline.attempts.guard import STARTING
from router.pipeline.attempts.judging import ALWAYS, Patience, finish, judge
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.flights import Flights
from router.pipeline.instances.instances import Live, LiveChannel
from router.pipeline.media.shelf import Shelf
from router.plugin.ai import AIBackend
from router.plugin.context import Log
from router.plugin.http import classify
from router.settings.model import MediaSettings
from router.storage.objects import digest_of
from router.storage.store import AttemptResult, Item, NewEvent, Store, Tx

#: Seconds that one file may take, whatever the channel's timeout for a message.
_FETCHING: Final = 60.0
_FETCH = Patience(
    attempts=8,
    repeat_unknown=ALWAYS,
    backoff=Backoff(base=2.0, cap=120.0),
    age=timedelta(hours=1),
)
_TRANSCRIBE = Patience(
    attempts=3, repeat_unknown=ALWAYS, backoff=Backoff(base=1.0, cap=10.0), age=timedelta(hours=1)
)
#: Times a process may die while a file is worked on.
_INTERRUPTIONS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What an item is about."""

    lane_key: str
    message_seq: int
    index: int
    attachment: Attachment
    language: str | None = None

    @classmethod
    def of(cls, item: Item) -> "_Task":
        values = json.loads(item.body)
        return cls(
            lane_key=values["lane_key"],
            message_seq=values["message_seq"],
            index=values["index"],
            attachment=Attachment(**values["attachment"]),
            language=values.get("language"),
        )


class Media:
    """Does the outbox items that are about files.

    :param configuration: gives the configuration in force.
    :param flights: what of this node is under way and may be called off.
    """

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        shelf: Shelf,
        clock: Clock,
        log: Log,
        metrics: Metrics,
        *,
        flights: Flights,
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._shelf = shelf
        self._flights = flights
        self._clock = clock
        self._log = log
        self._metrics = metrics

    @property
    def _settings(self) -> MediaSettings:
        return self._configuration().settings.media

    async def do(self, item: Item) -> None:
        """Make one attempt to fetch a file, or to write down what is said in it."""
        task = _Task.of(item)
        instances = self._configuration().instances
        if item.kind is ItemKind.FETCH:
            channel = instances.channels.get((item.tenant, item.destination))
            await self._attempt(item, task, _FETCH, channel, partial(self._fetched, live=channel))
        else:
            backend = instances.backends.get(item.destination)
            call = partial(self._transcribed, live=backend)
            await self._attempt(item, task, _TRANSCRIBE, backend, call)

    async def _attempt(
        self,
        item: Item,
        task: _Task,
        patience: Patience,
        live: Live[Any] | None,
        call: Callable[[Item, _Task], Awaitable[HostEvent]],
    ) -> None:
        if item.attempt >= _INTERRUPTIONS:
            why = f"the router stopped {item.attempt} times while it worked on the file"
            await self._end(item, ItemState.DEAD, self._failed(item, task, why), error=why)
            return
        if live is not None and live.starting:
            await self._store.postpone(item, self._clock.now() + STARTING)
            return
        if not await self._store.start_attempt(item):
            return
        reach("media.started")
        began = self._clock.monotonic()
        try:
            with self._flights.one():
                event = await call(item, task)
            reach("media.done")
        except Exception as broken:  # noqa: BLE001 - a plugin's call
            meaning = classify(broken) if live is None else live.meaning(broken)
            result = judge(item, meaning, patience, self._clock.now(), self._store.ages.now())
            self._log.warning(
                "file failed",
                item=item.id,
                kind=str(item.kind),
                of=item.destination,
                attempt=item.attempt + 1,
                state=str(result.state),
                reason=meaning.reason,
            )
            self._measure(item, result.state, began)
            if result.state is ItemState.WAITING:
                await finish(self._store, item, result, self._log)
                return
            state = ItemState.DEAD if result.state is ItemState.UNKNOWN else result.state
            failed = self._failed(item, task, meaning.reason)
            await self._end(item, state, failed, code=result.code, error=meaning.reason)
            return
        self._measure(item, ItemState.DONE, began)
        await self._end(item, ItemState.DONE, event)

    def _measure(self, item: Item, state: ItemState, began: float) -> None:
        to = (item.tenant, item.kind.value, item.destination)
        self._metrics.attempts.count(*to, state.value)
        self._metrics.attempt_seconds.observe(self._clock.monotonic() - began, *to)

    # --- files

    async def _fetched(self, item: Item, task: _Task, *, live: LiveChannel | None) -> HostEvent:
        if live is None or not live.capabilities.fetch:
            raise Refused(f'"{item.destination}" fetches no files any more')
        if not live.up:
            raise Unavailable(f"{live.label} is down: {live.error}")
        settings = self._settings
        with live.busy.one():
            async with asyncio.timeout(_FETCHING):
                file = await live.plugin.fetch(task.attachment, settings.max_size)
        content_type = judged(file, task.attachment, settings)
        digest = digest_of(file.data)
        await self._store.write(
            partial(
                _use,
                tenant=item.tenant,
                digest=digest,
                content_type=content_type,
                size=len(file.data),
            )
        )
        try:
            await self._shelf.objects.put(item.tenant, file.data)
        except StorageUnavailable as error:
            # It is the place for files that is away, and not the database.
            raise Unavailable(str(error)) from error
        return FileFetched(
            item=item.id,
            message_seq=task.message_seq,
            index=task.index,
            attached=task.attachment.kind,
            content_type=content_type,
            digest=digest,
            size=len(file.data),
        )

    # --- voice notes

    async def _transcribed(
        self, item: Item, task: _Task, *, live: Live[AIBackend[Any]] | None
    ) -> HostEvent:
        if live is None or not live.plugin.transcribes:
            raise Refused(f'the AI backend "{item.destination}" transcribes nothing')
        if not live.up:
            raise Unavailable(f"{live.label} is down: {live.error}")
        attachment = task.attachment
        try:
            data = await self._shelf.objects.get(item.tenant, attachment.digest or "")
        except NotFound as error:
            raise Refused(str(error)) from error
        except StorageUnavailable as error:
            raise Unavailable(str(error)) from error
        voice = File(attachment.content_type or "", data)
        with live.busy.one():
            async with asyncio.timeout(live.settings.timeout):
                transcript = await live.plugin.transcribe(voice, task.language)
        return VoiceTranscribed(
            item=item.id,
            message_seq=task.message_seq,
            index=task.index,
            text=transcript.text,
            language=transcript.language,
        )

    # --- how it ends

    def _failed(self, item: Item, task: _Task, why: str) -> HostEvent:
        about: dict[str, Any] = {
            "item": item.id,
            "message_seq": task.message_seq,
            "index": task.index,
        }
        if item.kind is ItemKind.TRANSCRIBE:
            return VoiceTranscribed(**about, problem=why)
        return FileFetched(**about, attached=task.attachment.kind, problem=why)

    async def _end(
        self,
        item: Item,
        state: ItemState,
        event: HostEvent,
        *,
        code: str | None = None,
        error: str | None = None,
    ) -> None:
        told = NewEvent(
            lane=f"{item.tenant}/{_Task.of(item).lane_key}",
            tenant=item.tenant,
            source=f"{item.tenant}/media",
            external_id=f"{event.kind}:{item.id}",
            event=event,
            received_at=self._clock.now(),
        )
        result = AttemptResult(state=state, code=code, error=error, events=(told,))
        await finish(self._store, item, result, self._log)
        reach("media.finished")


def judged(file: File, attachment: Attachment, settings: MediaSettings) -> str:
    """Give what a file is by its bytes, if it may be kept.

    :raises Refused: if it is too large, of a type that is not kept, or not what it is called.
    """
    if len(file.data) > settings.max_size:
        raise Refused(f"the file has more than {settings.max_size:,} bytes")
    if not file.data:
        raise Refused("the file is empty")
    found = content_type_of(file.data)
    for called in (file.content_type, attachment.content_type or ""):
        if not agrees(called, found):
            raise Refused(f"the file is called {called[:80]!r}, and its bytes say {found!r}")
    if not settings.takes(found):
        raise Refused(f"files of the type {found!r} are not kept: [media] types does not name it")
    return found


def _use(tx: Tx, **values: Any) -> None:
    from router.storage.media import use  # here, because it brings SQLAlchemy

    use(tx.connection, now=tx.now, **values)
