"""Asking a model, outside the lane: passages and turns to a prompt, its answer back as an event."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from router.clock import Clock
from router.domain.answer import (
    CallSummary,
    Completion,
    ContactCard,
    Passage,
    Prompt,
    PromptTurn,
)
from router.domain.host_event import AnswerArrived
from router.domain.message import Attachment, File
from router.domain.outbox import ItemKind, ItemState
from router.errors import (
    NotFound,
    OutcomeUnknown,
    ProviderError,
    Refused,
    StorageUnavailable,
    Unavailable,
)
from router.failpoints import reach
from router.metrics import Metrics
from router.pipeline.attempts import Patience, finish, judge
from router.pipeline.configuration import Configuration
from router.pipeline.flights import CalledOff, Flights
from router.pipeline.guard import Guard
from router.pipeline.question import SYSTEM, instructions
from router.pipeline.shelf import Shelf
from router.plugin.context import Log
from router.plugin.http import classify
from router.rules.grounds import FIELDS as GROUNDS
from router.rules.grounds import weigh
from router.rules.pii import country_of, redact
from router.storage.store import AttemptResult, Item, NewEvent, Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from router.pipeline.instances import Live
    from router.plugin.ai import AIBackend

#: A model has no side effects, so whatever went wrong is tried again, so often.
ATTEMPTS = 3
#: Times a process may die while a question is under way. Many are at once, so that most of them
#: are bystanders; but one that kills it must not be put for ever.
INTERRUPTIONS = 10
PATIENCE = Patience(attempts=ATTEMPTS, repeat_unknown=ATTEMPTS)

#: How long a question waits for a backend whose circuit breaker is open. A customer waits, too.
HELD = timedelta(minutes=2)

#: Earlier lines of the conversation that a model sees.
HISTORY = 20
PASSAGES = 5
#: Files of the open turn that a model sees, and their bytes together.
MOST_FILES = 5
MOST_BYTES = 15 * 1024 * 1024
#: How long ago a call may be that a model is told of.
RECENT_CALLS = timedelta(days=14)
#: Passages that are looked at where a rule leaves only some articles.
_MANY = 60


class Asker:
    """Puts a turn to an AI backend.

    :param knowledge: gives what is set once the articles are in the index; nothing is asked
        before.
    """

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        knowledge: Callable[[], anyio.Event],
        clock: Clock,
        log: Log,
        metrics: Metrics,
        *,
        shelf: Shelf,
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._knowledge = knowledge
        self._configuration = configuration
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._guard = Guard(store, configuration, clock, log, metrics)
        #: Questions under way, and whatever else of this node shares it.
        self.flights = Flights()

    async def ask(self, item: Item) -> None:
        """Make one attempt; the answer, or the failure for good, becomes an event."""
        await self._knowledge().wait()
        question = json.loads(item.body)
        began = self._clock.monotonic()
        if item.attempt >= INTERRUPTIONS:
            # Judged attempts never come to this: the process died around each of them.
            why = f"the router stopped {item.attempt} times while it asked"
            await self._give_up(item, question, began, OutcomeUnknown(why))
            return
        # One for the whole question: a reload may put another in force while it is under way.
        configuration = self._configuration()
        live = configuration.instances.backends.get(item.destination)
        with nullcontext() if live is None else live.busy.one():
            await self._attempt(item, question, began, configuration, live)

    async def _attempt(
        self,
        item: Item,
        question: dict[str, Any],
        began: float,
        configuration: Configuration,
        live: "Live[AIBackend[Any]] | None",
    ) -> None:
        passages: tuple[Passage, ...] = ()
        held_until = item.created_at + HELD
        if live is not None and live.breaker.is_open and self._clock.now() >= held_until:
            why = f"{live.label} has been failing since: {live.breaker.error}"
            await self._give_up(item, question, began, Unavailable(why))
            return
        if not await self._guard.admits(live, item, by=held_until):
            return
        start = False
        try:
            start = bool(await self._store.start_attempt(item))
        finally:
            if not start:
                self._guard.spared(live)
        if not start:
            return
        reach("ask.started")
        asked, meaning, ours = self._clock.monotonic(), None, False
        try:
            prompt = await self._prompt(item, question, configuration)
            passages = prompt.passages
            if live is not None and live.plugin.accepts and question.get("attached"):
                files = await self._files(item, question, live.plugin.accepts)
                prompt = replace(prompt, files=files)
            with self.flights.one():
                completion = await self._complete(item, prompt, live)
            grounds = self._grounds(item, question, prompt, completion, configuration)
            reach("ask.answered")
        except Exception as broken:  # noqa: BLE001 - a plugin's call
            result = judge(item, broken, PATIENCE, self._clock.now())
            meaning, ours = classify(broken), isinstance(broken, StorageUnavailable | CalledOff)
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
            event = self._event(
                item, question, passages, began, completion=completion, grounds=grounds
            )
            effect = partial(_bill, item=item, completion=completion)
            result = AttemptResult(state=ItemState.DONE, events=(event,), effects=(effect,))
            self._count_tokens(item, completion)
        self._measure(item, result, self._clock.monotonic() - asked)
        try:
            await finish(self._store, item, result, self._log)
        finally:
            if ours:
                self._guard.spared(live)
            else:
                await self._guard.told(live, meaning)
        reach("ask.finished")

    async def _give_up(
        self, item: Item, question: dict[str, Any], began: float, error: ProviderError
    ) -> None:
        """End a question without putting it; its customer gets the apology."""
        event = self._event(item, question, (), began, error=error)
        result = AttemptResult(state=ItemState.DEAD, error=error.reason, events=(event,))
        await finish(self._store, item, result, self._log)

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

    async def _complete(
        self, item: Item, prompt: Prompt, live: "Live[AIBackend[Any]] | None"
    ) -> Completion:
        if live is None:
            raise Refused(f'there is no AI backend "{item.destination}" any more')
        if not live.up:
            raise Unavailable(f"{live.label} is down: {live.error}")
        with anyio.fail_after(live.settings.timeout):
            return await live.plugin.complete(prompt)

    async def _prompt(
        self, item: Item, question: dict[str, Any], configuration: Configuration
    ) -> Prompt:
        tenant = configuration.settings.tenants[item.tenant]
        language = question.get("language") or tenant.language
        text, conversation = question["text"], item.conversation or ""
        since = self._clock.now() - RECENT_CALLS

        def look_up(
            connection: "Connection",
        ) -> tuple[
            tuple[PromptTurn, ...],
            ContactCard,
            tuple[Passage, ...],
            tuple[CallSummary, ...],
        ]:
            from router.knowledge.retrieve import search
            from router.storage.history import calls, card, turns

            before = turns(connection, item.tenant, conversation, question["asked_seq"], HISTORY)
            limit = PASSAGES if articles is None else _MANY
            found = search(connection, item.tenant, text, limit=limit, language=language)
            if articles is not None:
                found = tuple(it for it in found if it.id.partition("#")[0] in articles)
            who = card(connection, item.tenant, conversation)
            spoken = calls(connection, item.tenant, conversation, since)
            return before, who, found[:PASSAGES], spoken

        articles = question.get("knowledge")
        history, contact, passages, spoken = await self._store.read(look_up)
        # Earlier lines are redacted whether or not this turn is: the same guardrails would be.
        if kinds := configuration.rules(item.tenant).redacts:
            country = country_of(question["lane_key"])
            history = tuple(replace(it, text=redact(it.text, kinds, country)) for it in history)
            spoken = tuple(_redacted(it, kinds, country) for it in spoken)
        told = instructions(configuration, item.tenant, item.destination, question.get("prompt"))
        return Prompt(
            system=told,
            turns=(*history, PromptTurn("user", text)),
            passages=passages,
            contact=contact,
            language=language,
            categories=tuple(tenant.rules.categories),
            task="classify" if item.kind is ItemKind.CLASSIFY else "answer",
            calls=spoken,
        )

    async def _files(
        self, item: Item, question: dict[str, Any], kinds: frozenset[str]
    ) -> tuple[File, ...]:
        """Give what came with the turn, as far as it is here and the backend takes its kind."""
        lane, seqs = f"{item.tenant}/{question['lane_key']}", question["attached"]

        def look_up(connection: "Connection") -> tuple[Attachment, ...]:
            from router.storage.media import attachments

            return attachments(connection, item.tenant, lane, seqs)

        files: list[File] = []
        left = MOST_BYTES
        for known in await self._store.read(look_up):
            if known.kind not in kinds or known.digest is None or len(files) == MOST_FILES:
                continue
            if known.size is None or known.size > left:
                continue
            try:
                data = await self._shelf.objects.get(item.tenant, known.digest)
            except (NotFound, StorageUnavailable) as error:
                self._log.warning("file not shown to the model", item=item.id, reason=str(error))
                continue
            left -= len(data)
            files.append(File(known.content_type or "", data))
        return tuple(files)

    def _grounds(
        self,
        item: Item,
        question: dict[str, Any],
        prompt: Prompt,
        completion: Completion,
        configuration: Configuration,
    ) -> dict[str, Any] | None:
        """Compare an answer with what it may rest on, where the rules look at that."""
        fields = configuration.rules(item.tenant).fields
        if item.kind is not ItemKind.ASK or not set(GROUNDS).intersection(fields):
            return None
        known = [text for it in prompt.passages for text in (it.title, it.text)]
        known += [text for it in prompt.calls for text in (it.summary, *it.data.values())]
        sources = (question["text"], "" if prompt.system == SYSTEM else prompt.system, *known)
        return weigh(completion.text, sources, country_of(question["lane_key"])).as_json()

    def _event(
        self,
        item: Item,
        question: dict[str, Any],
        passages: tuple[Passage, ...],
        began: float,
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
            passages=tuple(passage.id for passage in passages),
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


def _redacted(call: CallSummary, kinds: frozenset[str], country: str | None) -> CallSummary:
    data = {name: redact(text, kinds, country) for name, text in call.data.items()}
    return replace(call, summary=redact(call.summary, kinds, country), data=data)


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
