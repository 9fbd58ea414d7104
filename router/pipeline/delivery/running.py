"""Actions are run, and run again only where that does no harm."""

import asyncio
import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from router.domain.outbox import Backoff, ItemState
from router.errors import Refused, Unavailable
from router.pipeline.attempts import repeats
from router.pipeline.attempts.judging import ALWAYS, Patience
from router.pipeline.delivery.attempting import Attempts
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.instances import Live
from router.plugin.action import Action, ActionCall, NoticeParams
from router.storage.store import AttemptResult, Item, Terms


class Actions:
    """Runs actions.

    :param configuration: gives the configuration in force.
    """

    def __init__(self, attempts: Attempts, configuration: Callable[[], Configuration]) -> None:
        self._attempts = attempts
        self._configuration = configuration

    async def run(self, item: Item) -> None:
        """Make one attempt at an action."""
        live = self._configuration().instances.actions.get(item.destination)
        with nullcontext() if live is None else live.busy.one():
            await self._run_by(item, live)

    async def _run_by(self, item: Item, live: Live[Action[Any]] | None) -> None:
        repeats = 0
        if live is not None:
            action = live.plugin
            repeats = ALWAYS if action.idempotent else 2 if action.repeat_is_harmless else 0
        # A notice that may be lost is repeated only after an outage of minutes may be over.
        backoff = Backoff() if live is None or live.plugin.idempotent else Backoff(base=30.0)
        patience = Patience(attempts=12, repeat_unknown=repeats, backoff=backoff)
        terms = None if live is None else Terms(account=live.account)
        await self._attempts.make(item, live, patience, lambda: self._ran(item, live), terms)

    async def _ran(self, item: Item, live: Live[Action[Any]] | None) -> AttemptResult:
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
