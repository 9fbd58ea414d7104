"""Asking a model, outside the lane: passages and turns to a prompt, its answer back as an event."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from router.clock import Clock
from router.domain.answer import Completion, Prompt, Usage
from router.domain.host_event import AnswerArrived
from router.domain.outbox import ItemKind, ItemState
from router.domain.storable import storable
from router.domain.waits import Waits
from router.errors import (
    OutcomeUnknown,
    ProviderError,
    Refused,
    StorageUnavailable,
    Unavailable,
)
from router.failpoints import reach
from router.metrics import Metrics
from router.pipeline.ai.answers import bill, grounds_of, sound
from router.pipeline.ai.prompting import Prompts
from router.pipeline.ai.tools import Toolbox
from router.pipeline.attempts.guard import Guard
from router.pipeline.attempts.judging import Patience, finish, judge
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.flights import CalledOff, Flights
from router.pipeline.media.shelf import Shelf
from router.plugin.context import Log
from router.plugin.http import classify
from router.storage.codec import encode
from router.storage.store import AttemptResult, Item, NewEvent, Store

if TYPE_CHECKING:
    from router.pipeline.instances.instances import Live
    from router.plugin.ai import AIBackend

#: A model has no side effects, so whatever went wrong is tried again, so often.
ATTEMPTS = 3
#: Times a process may die while a question is under way. Many are at once, so that most of them
#: are bystanders; but one that kills it must not be put for ever.
INTERRUPTIONS = 10
#: How old a question is at its last try. A backend without quota says to come back in hours; its
#: customer gets the apology now, and no answer to what they asked yesterday.
_AGE: Final = timedelta(minutes=5)
PATIENCE = Patience(attempts=ATTEMPTS, age=_AGE, repeat_unknown=ATTEMPTS)

#: How long a question waits for a backend whose circuit breaker is open, or for articles that
#: cannot be read. A customer waits, too.
HELD = timedelta(minutes=2)
#: How long it waits until it is looked whether there are articles by now.
_LOOK_AGAIN = timedelta(seconds=5)


class Asker:
    """Puts a turn to an AI backend.

    :param knowledge: waits, not for long, until a tenant's articles are in the index, and says
        whether they are.
    """

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        knowledge: Callable[[str], Awaitable[bool]],
        clock: Clock,
        log: Log,
        metrics: Metrics,
        *,
        shelf: Shelf,
    ) -> None:
        self._store = store
        self._prompts = Prompts(store, clock, log, shelf=shelf)
        self._knowledge = knowledge
        self._configuration = configuration
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._guard = Guard(store, configuration, clock, log, metrics)
        self._waits = Waits()
        #: Questions under way, and whatever else of this node shares it.
        self.flights = Flights()

    async def ask(self, item: Item) -> None:
        """Make one attempt; the answer, or the failure for good, becomes an event."""
        known = await self._knowledge(item.tenant)
        question = json.loads(item.body)
        began = self._clock.monotonic()
        if item.attempt >= INTERRUPTIONS:
            # Judged attempts never come to this: the process died around each of them.
            why = f"the router stopped {item.attempt} times while it asked"
            await self._give_up(item, question, began, OutcomeUnknown(why))
            return
        if not known and not await self._may_go_on(item, question, began):
            return
        # One for the whole question: a reload may put another in force while it is under way.
        configuration = self._configuration()
        live = configuration.instances.backends.get(item.destination)
        with nullcontext() if live is None else live.busy.one():
            await self._attempt(item, question, began, configuration, live)

    async def _may_go_on(self, item: Item, question: dict[str, Any], began: float) -> bool:
        """Say whether to ask while the articles cannot be read; if not, the item is dealt with.

        The index has those of before. Where it has none, an answer would rest on nothing.
        """
        from router.knowledge.index import holds_any  # here, because it brings SQLAlchemy

        if await self._store.read(partial(holds_any, tenant=item.tenant)):
            return True
        now, held_until = self._clock.now(), self._held_until(item)
        if now < held_until:
            await self._store.postpone(item, min(now + _LOOK_AGAIN, held_until))
        else:
            why = "its articles cannot be read, so that there is nothing to answer from"
            await self._give_up(item, question, began, Unavailable(why))
        return False

    def _held_until(self, item: Item) -> datetime:
        return self._waits.since(item.id, item.created_at, self._clock.now()) + HELD

    async def _attempt(
        self,
        item: Item,
        question: dict[str, Any],
        began: float,
        configuration: Configuration,
        live: "Live[AIBackend[Any]] | None",
    ) -> None:
        toolbox = self._toolbox(item, question, configuration)
        held_until = self._held_until(item)
        if live is not None and live.breaker.is_open and self._clock.now() >= held_until:
            why = f"{live.label} has been failing since: {live.breaker.error}"
            await self._give_up(item, question, began, Unavailable(why))
            return
        if not await self._guard.admits(live, item, by=held_until):
            return
        with self._guard.trial(live) as told:
            if await self._store.start_attempt(item):
                await self._put(
                    item, question, began, configuration, live=live, toolbox=toolbox, told=told
                )

    async def _put(
        self,
        item: Item,
        question: dict[str, Any],
        began: float,
        configuration: Configuration,
        *,
        live: "Live[AIBackend[Any]] | None",
        toolbox: Toolbox,
        told: Callable[[ProviderError | None], Awaitable[None]],
    ) -> None:
        prompt: Prompt | None = None
        reach("ask.started")
        asked, meaning, ours = self._clock.monotonic(), None, False
        try:
            accepts = frozenset[str]() if live is None else live.plugin.accepts
            prompt = await self._prompts.prompt(item, question, configuration, accepts)
            with self.flights.one():
                completion = sound(await self._complete(item, prompt, live, toolbox))
            grounds = grounds_of(prompt, completion, toolbox)
            event = self._event(
                item, question, prompt, began, toolbox, completion=completion, grounds=grounds
            )
            # Here, where an answer that cannot be stored is judged as none.
            encode(storable(event.event))
            reach("ask.answered")
        except Exception as broken:  # noqa: BLE001 - a plugin's call
            meaning = classify(broken) if live is None else live.meaning(broken)
            ours = isinstance(broken, StorageUnavailable | CalledOff)
            result = judge(item, meaning, PATIENCE, self._clock.now(), self._store.ages.now())
            self._log.warning(
                "model failed",
                item=item.id,
                backend=item.destination,
                attempt=item.attempt + 1,
                state=str(result.state),
                reason=meaning.reason,
            )
            if result.state is not ItemState.WAITING:
                event = self._event(item, question, prompt, began, toolbox, error=meaning)
                result = AttemptResult(
                    state=result.state if result.state is not ItemState.UNKNOWN else ItemState.DEAD,
                    code=result.code,
                    error=result.error,
                    events=(event,),
                )
            if toolbox.spent != Usage():
                # What failed was not the first round, and the ones before it cost something.
                result = replace(result, effects=(partial(bill, item=item, used=toolbox.spent),))
                self._count_tokens(item, toolbox.spent)
        else:
            effect = partial(bill, item=item, used=completion.usage)
            result = AttemptResult(state=ItemState.DONE, events=(event,), effects=(effect,))
            self._count_tokens(item, completion.usage)
        self._measure(item, result, self._clock.monotonic() - asked)
        try:
            await finish(self._store, item, result, self._log)
        finally:
            if not ours:
                await told(meaning)
        reach("ask.finished")

    async def _give_up(
        self, item: Item, question: dict[str, Any], began: float, error: ProviderError
    ) -> None:
        """End a question without putting it; its customer gets the apology."""
        event = self._event(item, question, None, began, error=error)
        result = AttemptResult(state=ItemState.DEAD, error=error.reason, events=(event,))
        await finish(self._store, item, result, self._log)

    def _measure(self, item: Item, result: AttemptResult, seconds: float) -> None:
        metrics, to = self._metrics, (item.tenant, item.destination)
        metrics.ai_calls.count(*to, result.state.value)
        metrics.ai_seconds.observe(seconds, *to)
        if result.state is not ItemState.DONE:
            code = result.code or "none"
            metrics.provider_errors.count(item.tenant, item.kind.value, item.destination, code)

    def _count_tokens(self, item: Item, used: Usage) -> None:
        tokens = self._metrics.ai_tokens
        tokens.count(item.tenant, item.destination, "input", by=used.input_tokens)
        tokens.count(item.tenant, item.destination, "output", by=used.output_tokens)

    async def _complete(
        self,
        item: Item,
        prompt: Prompt,
        live: "Live[AIBackend[Any]] | None",
        toolbox: Toolbox,
    ) -> Completion:
        if live is None:
            raise Refused(f'there is no AI backend "{item.destination}" any more')
        if not live.up:
            raise Unavailable(f"{live.label} is down: {live.error}")
        async with asyncio.timeout(live.settings.timeout):
            return await toolbox.answer(live.plugin, prompt)

    def _toolbox(
        self, item: Item, question: dict[str, Any], configuration: Configuration
    ) -> Toolbox:
        return Toolbox(
            item=item,
            question=question,
            configuration=configuration,
            store=self._store,
            guard=self._guard,
            clock=self._clock,
            log=self._log,
            metrics=self._metrics,
        )

    def _event(
        self,
        item: Item,
        question: dict[str, Any],
        prompt: Prompt | None,
        began: float,
        toolbox: Toolbox | None = None,
        *,
        completion: Completion | None = None,
        grounds: dict[str, Any] | None = None,
        error: ProviderError | None = None,
    ) -> NewEvent:
        event = AnswerArrived(
            item=item.id,
            backend=item.destination,
            asked_seq=question["asked_seq"],
            asked_by=tuple(question["asked_by"]),
            classify=item.kind is ItemKind.CLASSIFY,
            completion=completion,
            error=None if error is None else error.reason,
            ai=question.get("ai", {}),
            passages=() if prompt is None else tuple(it.id for it in prompt.passages),
            lookups=() if toolbox is None else tuple(toolbox.trail),
            seconds=self._clock.monotonic() - began,
            epoch=item.epoch,
            grounds=grounds,
        )
        return NewEvent(
            lane=f"{item.tenant}/{question['lane_key']}",
            tenant=item.tenant,
            source=f"{item.tenant}/ai",
            external_id=f"answer:{item.id}",
            event=event,
            received_at=self._clock.now(),
        )
