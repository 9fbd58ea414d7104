"""Messages leave: on time, by what their provider approves, and by nobody who was overtaken."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext

from router.clock import Clock
from router.domain.message import Author
from router.domain.outbox import ItemState
from router.errors import Refused, Unavailable
from router.pipeline.attempts.judging import ALWAYS, Patience
from router.pipeline.delivery.attempting import Attempts
from router.pipeline.delivery.terms import CLOSED, objection_to, terms_of
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.instances import LiveChannel
from router.pipeline.outbound.approvals import Approvals, Objection
from router.pipeline.outbound.messages import outbound_message
from router.storage.store import AttemptResult, Item, Start, Store

_OVERTAKEN = "the conversation was taken over, and an earlier attempt may have reached the customer"


class Messages:
    """Sends messages through their channels.

    :param configuration: gives the configuration in force.
    :param approvals: what providers say of their templates; ``None``: nothing is known.
    """

    def __init__(
        self,
        attempts: Attempts,
        store: Store,
        configuration: Callable[[], Configuration],
        clock: Clock,
        approvals: Approvals | None,
    ) -> None:
        self._attempts = attempts
        self._store = store
        self._configuration = configuration
        self._clock = clock
        self._approvals = approvals

    async def send(self, item: Item) -> None:
        """Make one attempt at a message, if it may leave."""
        live = self._configuration().instances.channels.get((item.tenant, item.destination))
        with nullcontext() if live is None else live.busy.one():
            await self._send_by(item, live)

    async def _send_by(self, item: Item, live: LiveChannel | None) -> None:
        again = live is not None and live.capabilities.idempotent_send
        patience = Patience(repeat_unknown=ALWAYS if again else 0)
        late = self._store.ages.now() - item.ready_since > patience.age
        if late and item.state is ItemState.WAITING and item.author is not Author.PERSON:
            # An answer of days ago says the wrong thing today.
            error = f"it waited longer than {patience.age.total_seconds() / 3600:g} h"
            await self._attempts.end(item, AttemptResult(state=ItemState.DEAD, error=error))
            return
        objection = self._objection(item)
        terms = None if live is None else terms_of(item, live, barred=objection is not None)
        start = await self._attempts.make(
            item, live, patience, lambda: self._sent(item, live), terms
        )
        if start is Start.CLOSED:
            await self._attempts.end(item, AttemptResult(state=ItemState.DEAD, error=CLOSED))
        elif start is Start.OVERTAKEN:
            await self._attempts.end(item, AttemptResult(state=ItemState.UNKNOWN, error=_OVERTAKEN))
        elif start is Start.BARRED and objection is not None:
            result = AttemptResult(state=ItemState.DEAD, error=objection.words("en"))
            await self._attempts.end(item, result, objection=objection)

    def _objection(self, item: Item) -> Objection | None:
        """Look once more at what its provider says of a template: much may have passed since."""
        if self._approvals is None:
            return None
        listing = self._approvals.get(item.tenant, item.destination, self._clock.now())
        return None if listing is None else objection_to(item, listing)

    async def _sent(self, item: Item, live: LiveChannel | None) -> AttemptResult:
        if live is None:
            raise Refused(f'there is no channel "{item.destination}" any more')
        if not live.up:
            raise Unavailable(f"{live.label} is down: {live.error}")
        message = outbound_message(item.id, item.body)
        async with asyncio.timeout(live.settings.timeout):
            receipt = await live.plugin.send(message)
        return AttemptResult(state=ItemState.DONE, provider_ref=receipt.provider_id)
