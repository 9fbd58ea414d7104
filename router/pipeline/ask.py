"""Asking a model, outside the lane: passages and turns to a prompt, its answer back as an event."""

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from router.clock import Clock
from router.domain.answer import Completion, ContactCard, Passage, Prompt, PromptTurn
from router.domain.host_event import AnswerArrived
from router.domain.outbox import ItemKind, ItemState
from router.errors import OutcomeUnknown, ProviderError, Refused, Unavailable
from router.failpoints import reach
from router.metrics import Metrics
from router.pipeline.attempts import Patience, finish, judge
from router.pipeline.configuration import Configuration
from router.plugin.context import Log
from router.plugin.http import classify
from router.storage.store import AttemptResult, Item, NewEvent, Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: A model has no side effects, so whatever went wrong is tried again, so often.
ATTEMPTS = 3
#: Times a process may die while a question is under way. Many are at once, so that most of them
#: are bystanders; but one that kills it must not be put for ever.
INTERRUPTIONS = 10
PATIENCE = Patience(attempts=ATTEMPTS, repeat_unknown=ATTEMPTS)

#: Earlier lines of the conversation that a model sees.
HISTORY = 20
PASSAGES = 5

_SYSTEM = (
    "You answer the customers of a business on its behalf. Use only the passages given. "
    "If they do not hold the answer, answer with nothing at all. Be brief, friendly and plain; "
    "answer in the customer's language. Never promise anything the passages do not promise."
)


class Asker:
    """Puts a turn to an AI backend.

    :param knowledge: set once the articles are in the index; nothing is asked before.
    """

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        knowledge: anyio.Event,
        clock: Clock,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._knowledge = knowledge
        self._configuration = configuration
        self._clock = clock
        self._log = log
        self._metrics = metrics

    async def ask(self, item: Item) -> None:
        """Make one attempt; the answer, or the failure for good, becomes an event."""
        await self._knowledge.wait()
        question = json.loads(item.body)
        began = self._clock.monotonic()
        passages: tuple[Passage, ...] = ()
        if item.attempt >= INTERRUPTIONS:
            # Judged attempts never come to this: the process died around each of them.
            error = OutcomeUnknown(f"the router stopped {item.attempt} times while it asked")
            event = self._event(item, question, passages, began, error=error)
            result = AttemptResult(state=ItemState.DEAD, error=error.reason, events=(event,))
            await finish(self._store, item, result, self._log)
            return
        if not await self._store.start_attempt(item):
            return
        reach("ask.started")
        asked = self._clock.monotonic()
        try:
            prompt = await self._prompt(item, question)
            passages = prompt.passages
            completion = await self._complete(item, prompt)
            reach("ask.answered")
        except Exception as broken:  # noqa: BLE001 - a plugin's call
            result = judge(item, broken, PATIENCE, self._clock.now())
            meaning = classify(broken)
            self._log.warning(
                "model failed",
                item=item.id,
                backend=item.destination,
                attempt=item.attempt + 1,
                state=str(result.state),
                reason=meaning.reason,
            )
            if result.state is not ItemState.WAITING:
                event = self._event(item, question, passages, began, error=meaning)
                result = AttemptResult(
                    state=result.state if result.state is not ItemState.UNKNOWN else ItemState.DEAD,
                    code=result.code,
                    error=result.error,
                    events=(event,),
                )
        else:
            event = self._event(item, question, passages, began, completion=completion)
            effect = partial(_bill, item=item, completion=completion)
            result = AttemptResult(state=ItemState.DONE, events=(event,), effects=(effect,))
            self._count_tokens(item, completion)
        self._measure(item, result, self._clock.monotonic() - asked)
        await finish(self._store, item, result, self._log)
        reach("ask.finished")

    def _measure(self, item: Item, result: AttemptResult, seconds: float) -> None:
        metrics, to = self._metrics, (item.tenant, item.destination)
        metrics.ai_calls.count(*to, result.state.value)
        metrics.ai_seconds.observe(seconds, *to)
        if result.state is not ItemState.DONE:
            code = result.code or "none"
            metrics.provider_errors.count(item.tenant, item.kind.value, item.destination, code)

    def _count_tokens(self, item: Item, completion: Completion) -> None:
        tokens, used = self._metrics.ai_tokens, completion.usage
        tokens.count(item.tenant, item.destination, "input", by=used.input_tokens)
        tokens.count(item.tenant, item.destination, "output", by=used.output_tokens)

    async def _complete(self, item: Item, prompt: Prompt) -> Completion:
        live = self._configuration().instances.backends.get(item.destination)
        if live is None:
            raise Refused(f'there is no AI backend "{item.destination}" any more')
        if not live.up:
            raise Unavailable(f"{live.label} is down: {live.error}")
        with anyio.fail_after(live.settings.timeout):
            return await live.plugin.complete(prompt)

    async def _prompt(self, item: Item, question: dict[str, Any]) -> Prompt:
        configuration = self._configuration()
        tenant = configuration.settings.tenants[item.tenant]
        language = question.get("language") or tenant.language
        text, conversation = question["text"], item.conversation or ""

        def look_up(
            connection: "Connection",
        ) -> tuple[tuple[PromptTurn, ...], ContactCard, tuple[Passage, ...]]:
            from router.knowledge.retrieve import search
            from router.storage.history import card, turns

            before = turns(connection, item.tenant, conversation, question["asked_seq"], HISTORY)
            found = search(connection, item.tenant, text, limit=PASSAGES, language=language)
            return before, card(connection, item.tenant, conversation), found

        history, contact, passages = await self._store.read(look_up)
        live = configuration.instances.backends.get(item.destination)
        instructions = live.settings.prompt if live is not None else None
        return Prompt(
            system=_SYSTEM if instructions is None else instructions.text,
            turns=(*history, PromptTurn("user", text)),
            passages=passages,
            contact=contact,
            language=language,
            categories=tuple(tenant.rules.categories),
            task="classify" if item.kind is ItemKind.CLASSIFY else "answer",
        )

    def _event(
        self,
        item: Item,
        question: dict[str, Any],
        passages: tuple[Passage, ...],
        began: float,
        *,
        completion: Completion | None = None,
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
            passages=tuple(passage.id for passage in passages),
            seconds=self._clock.monotonic() - began,
        )
        return NewEvent(
            lane=f"{item.tenant}/{question['lane_key']}",
            tenant=item.tenant,
            source=f"{item.tenant}/ai",
            external_id=f"answer:{item.id}",
            event=event,
            received_at=self._clock.now(),
        )


def _bill(tx: Any, *, item: Item, completion: Completion) -> None:
    from router.storage.usage import record

    record(
        tx.connection,
        tenant=item.tenant,
        conversation=item.conversation,
        event=item.decided,
        instance=item.destination,
        used=completion.usage,
        now=tx.now,
    )
