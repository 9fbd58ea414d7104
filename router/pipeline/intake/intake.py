"""Intake: verify, parse, store once, acknowledge. Nothing else happens before the answer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from inspect import iscoroutine

from router.domain.event import InboundEvent
from router.domain.identity import thread_key
from router.domain.storable import storable_event, storable_id
from router.errors import InvalidSignature, NotSigned, StorageUnavailable, place_of, words_of
from router.failpoints import reach
from router.metrics import Metrics
from router.pipeline.instances.instances import LiveChannel
from router.pipeline.intake.rush import Rush
from router.pipeline.intake.unfit import check, is_about_events
from router.pipeline.intake.unparsed import told, unparsed
from router.plugin.channel import WebhookAnswer, WebhookRequest
from router.plugin.context import Log
from router.storage.store import Accepted, NewEvent, Store
from router.storage.unstorable import is_about_values, is_writable

#: Seconds after which a provider should try again while the database is away.
_STORAGE_PATIENCE = 5


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """What the sender of a webhook gets.

    :param retry_after: seconds.
    """

    status: int
    answer: WebhookAnswer | None = None
    retry_after: int | None = None


class Intake:
    """Takes webhooks in.

    A signed request is stored before it is acknowledged, even if it cannot be parsed. One request
    is one transaction: all its events are stored, or none. What cannot be stored for any other
    reason than its values is not acknowledged, so that its provider sends it again.

    :param rush: is told of what is being stored.
    :param respond: answers for the endpoints that a channel declares in ``capabilities.responds``;
        ``None``: they are endpoints like any other.
    """

    def __init__(
        self,
        store: Store,
        log: Log,
        metrics: Metrics,
        rush: Rush,
        respond: Callable[[LiveChannel, WebhookRequest], Awaitable[WebhookAnswer]] | None = None,
    ) -> None:
        self._store = store
        self._log = log
        self._metrics = metrics
        self._rush = rush
        self._respond = respond

    async def receive(self, channel: LiveChannel, request: WebhookRequest) -> IntakeResult:
        """Take a request in. Raises for nothing that a provider may send."""
        with channel.busy.one():
            return await self._receive(channel, request)

    async def _receive(self, channel: LiveChannel, request: WebhookRequest) -> IntakeResult:
        plugin = channel.plugin
        if not self._is_verified(channel, request):
            return IntakeResult(403)
        if (
            request.endpoint
            and self._respond is not None
            and request.endpoint in plugin.capabilities.responds
        ):
            answer = await self._respond(channel, request)
            return IntakeResult(answer.status, answer)
        if request.method == "POST":
            try:
                events = self._events(channel, request)
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not hide in a 200
                return self._mistaken(channel, error)
            reach("intake.parsed")
            if events:
                self._rush.knock()
                try:
                    accepted = await self._keep(channel, request, events)
                except StorageUnavailable as error:
                    self._log.error("webhook not stored", channel=channel.label, error=str(error))
                    return IntakeResult(503, retry_after=_STORAGE_PATIENCE)
                except Exception as error:  # noqa: BLE001 - a mistake of ours must not hide in a 200
                    return self._mistaken(channel, error)
                reach("intake.stored")
                for each in accepted:
                    if not each.new:
                        self._metrics.duplicates.count(channel.tenant, channel.name)
        return self._acknowledge(channel, request)

    def _is_verified(self, channel: LiveChannel, request: WebhookRequest) -> bool:
        """Say whether a channel let a request in. Whatever else it does fails closed."""
        verify: Callable[[WebhookRequest], object] = channel.plugin.verify
        try:
            given = verify(request)
        except InvalidSignature as error:
            self._log.warning("webhook refused", channel=channel.label, reason=str(error))
            if isinstance(error, NotSigned):
                self._metrics.unsigned.count(channel.tenant, channel.name)
            return False
        except Exception as error:  # noqa: BLE001 - a plugin's call
            self._log.error("verify broke", channel=channel.label, error=words_of(error))
            return False
        if given is None:
            return True
        if iscoroutine(given):
            given.close()  # nobody will await it, and Python would say so
        words = (
            f"verify gave {type(given).__name__}: it has to give None, or to raise InvalidSignature"
        )
        self._log.error("verify broke", channel=channel.label, error=words)
        return False

    async def _keep(
        self, channel: LiveChannel, request: WebhookRequest, events: Sequence[NewEvent]
    ) -> list[Accepted]:
        """Store events, or the request as it came where one of them can never be stored.

        Nothing but the values counts for that: what goes wrong around them may have been a
        person's word that was to silence the bot, and only a provider that sends it again mends it.
        """
        try:
            return await self._store.enqueue(events)
        except StorageUnavailable:
            raise
        except Exception as error:
            if not is_about_values(error) and all(is_writable(item.event) for item in events):
                raise
            return await self._store.enqueue([self._unread(channel, request, error)])

    def _events(self, channel: LiveChannel, request: WebhookRequest) -> list[NewEvent]:
        """Give what is in a request, or the request as it came where its channel cannot read it.

        What else goes wrong is ours, and is raised.
        """
        try:
            parsed = tuple(channel.plugin.parse(request))  # who yields events breaks in here
        except Exception as error:  # noqa: BLE001 - a plugin's call; the request is kept
            return [self._unread(channel, request, error)]
        try:
            return self.keyed(channel, _source(channel, request), parsed, request.received_at)
        except Exception as error:
            if not is_about_events(error, parsed):
                raise
            return [self._unread(channel, request, error)]

    def _mistaken(self, channel: LiveChannel, error: Exception) -> IntakeResult:
        """Let a provider send again what we failed at."""
        self._log.error(
            "webhook not stored",
            channel=channel.label,
            error=type(error).__name__,  # its words may quote the customer's
            where=place_of(error),
        )
        return IntakeResult(500)

    def _unread(self, channel: LiveChannel, request: WebhookRequest, error: Exception) -> NewEvent:
        reason = told(error)
        self._log.warning("webhook kept unparsed", channel=channel.label, reason=reason)
        return unparsed(channel, _source(channel, request), request, reason)

    def keyed(
        self,
        channel: LiveChannel,
        source: str,
        parsed: Sequence[InboundEvent],
        received_at: datetime,
    ) -> list[NewEvent]:
        """Give events the lane they are worked in: the one of the person they are about.

        :raises UnfitEvent: if one of them is none. Of what else it raises ``is_about_events``
            says whether the events are to blame.
        """
        aliases, tenant = self._store.aliases, channel.tenant
        events = []
        for received in parsed:
            event = storable_event(received)
            check(event)
            key = thread_key(event.address)
            key = aliases.get((tenant, key), key) if aliases else key
            events.append(
                NewEvent(
                    lane=f"{tenant}/{key}",
                    tenant=tenant,
                    source=source,
                    external_id=storable_id(event.dedupe_key),
                    event=event,
                    received_at=received_at,
                )
            )
        return events

    def _acknowledge(self, channel: LiveChannel, request: WebhookRequest) -> IntakeResult:
        try:
            answer: object = channel.plugin.acknowledge(request)
        except Exception as error:  # noqa: BLE001 - a plugin's call; the events are stored
            return self._plain(channel, words_of(error))
        if answer is None:
            return IntakeResult(405)
        if not isinstance(answer, WebhookAnswer):
            words = f"acknowledge gave {type(answer).__name__}, not a WebhookAnswer"
            return self._plain(channel, words)
        return IntakeResult(answer.status, answer)

    def _plain(self, channel: LiveChannel, error: str) -> IntakeResult:
        self._log.error("acknowledge broke", channel=channel.label, error=error)
        return IntakeResult(200)


def _source(channel: LiveChannel, request: WebhookRequest) -> str:
    """Give what an event's id is unique in.

    Providers number what they report at each endpoint by itself. A channel that polls finds the
    same facts by another way, so all its ways are one source.
    """
    source = f"{channel.tenant}/{channel.name}"
    if not request.endpoint or channel.polls:
        return source
    return f"{source}/{request.endpoint}"
