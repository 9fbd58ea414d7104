"""Responding: requests that want data on the spot get an answer within a second, whatever happens.

The caller hears the phone ring meanwhile. So nothing is stored, nothing waits, and whatever goes
wrong has an answer of its own: the one that the channel makes of the request alone.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from router.domain.identity import Address, thread_key
from router.errors import StorageUnavailable
from router.metrics import Metrics
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.flights import Contained
from router.pipeline.instances.instances import LiveChannel
from router.pipeline.intake.unparsed import told
from router.plugin.channel import WebhookAnswer, WebhookRequest
from router.plugin.context import Log
from router.plugin.people import Card
from router.rules.pii import country_of, redact
from router.storage.store import Store

#: Seconds that a channel has.
LIMIT: Final = 1.0


class Responder:
    """Answers for channels' endpoints that are declared in ``capabilities.responds``.

    :param configuration: gives the configuration in force.
    :param draining: whether the router stops; then only defaults are given.
    """

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        draining: Callable[[], bool],
        log: Log,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._draining = draining
        self._log = log
        self._metrics = metrics

    async def respond(self, channel: LiveChannel, request: WebhookRequest) -> WebhookAnswer:
        """Answer a verified request. Raises for nothing, and is over in little more than a second.

        A channel that does not give way to the event loop is the one thing that it cannot hurry.
        """
        if self._draining():
            return self._default(channel, request, "draining", "the router stops")
        if not channel.up:
            return self._default(channel, request, "down", f"the channel is down: {channel.error}")
        people = TenantPeople(self._store, self._configuration, channel.tenant)
        answer: object = None
        limit = asyncio.timeout(LIMIT)
        try:
            with Contained():
                async with limit:
                    answer = await channel.plugin.respond(request, people)
        except StorageUnavailable as error:
            return self._default(channel, request, "storage", str(error))
        except Exception as error:  # noqa: BLE001 - a plugin's call
            if limit.expired():
                return self._default(channel, request, "timeout", f"not answered in {LIMIT:g} s")
            # Its words may quote the caller.
            return self._default(channel, request, "broke", f"respond broke: {told(error)}")
        if not isinstance(answer, WebhookAnswer):
            words = f"respond gave {type(answer).__name__}, not a WebhookAnswer"
            return self._default(channel, request, "broke", words)
        self._metrics.responses.count(channel.tenant, channel.name, "answered")
        return answer

    def _default(
        self, channel: LiveChannel, request: WebhookRequest, outcome: str, reason: str
    ) -> WebhookAnswer:
        self._metrics.responses.count(channel.tenant, channel.name, outcome)
        self._log.warning(
            "answered by default",
            channel=channel.label,
            endpoint=request.endpoint,
            reason=reason,
        )
        try:
            with Contained():
                answer: object = channel.plugin.default_response(request)
        except Exception as error:  # noqa: BLE001 - a plugin's call
            answer = None
            reason = told(error)
        else:
            reason = f"it gave {type(answer).__name__}"
        if isinstance(answer, WebhookAnswer):
            return answer
        self._log.error("default_response broke", channel=channel.label, error=reason)
        return WebhookAnswer()


class TenantPeople:
    """The :class:`~router.plugin.People` of one tenant."""

    def __init__(
        self, store: Store, configuration: Callable[[], Configuration], tenant: str
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._tenant = tenant

    async def lookup(self, address: Address) -> Card | None:
        """Give what is known of somebody; see :class:`~router.plugin.People`.

        What guardrails keep from vendors is blanked out: this is for one.
        """
        from router.storage.cards import card  # here, because it brings SQLAlchemy

        key = thread_key(address)
        key = self._store.aliases.get((self._tenant, key), key)
        found = await self._store.read(partial(card, tenant=self._tenant, key=key))
        kinds = self._configuration().rules(self._tenant).redacts
        if found is None or not kinds:
            return found
        country = country_of(key)
        return replace(
            found,
            turns=tuple(replace(it, text=redact(it.text, kinds, country)) for it in found.turns),
            calls=tuple(
                replace(
                    it,
                    summary=redact(it.summary, kinds, country),
                    data={name: redact(text, kinds, country) for name, text in it.data.items()},
                )
                for it in found.calls
            ),
        )
