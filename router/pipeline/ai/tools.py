"""The tools of a question: what a model calls while it answers is run, and it is asked again."""

import asyncio
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from router.clock import Clock
from router.domain.answer import Completion, Prompt, ProposedAction, Tool, ToolResult, Usage
from router.domain.storable import as_text, storable
from router.errors import ProviderError, Unavailable
from router.metrics import Metrics
from router.pipeline.attempts.guard import Guard
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.flights import Contained
from router.pipeline.outbound.actions import contact_of
from router.plugin.action import Action, ActionCall, ActionResult, NoticeParams
from router.plugin.context import Log
from router.rules.pii import country_of, redact
from router.rules.trace import cut
from router.storage.store import Item, Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from router.pipeline.instances.instances import Live
    from router.plugin.ai import AIBackend

#: Calls of one round that are run, at most.
MOST: Final = 5
#: Calls of one round that are answered at all; a model gone wild may make any number.
_HEARD: Final = 2 * MOST
#: Parameters of a call that the trace names.
_NAMED: Final = 10
#: The longest result that a model is shown, in characters.
LONGEST: Final = 8000

#: What one answer cannot have used: a count so high is none. Sums of those below it can be stored.
_MOST_TOKENS: Final = 10**9

_AWAY: Final = "This cannot be looked up at the moment."
_NOTHING: Final = "Nothing was found."
_TOO_MANY: Final = f"Not run: at most {MOST} calls at once."
_UNKNOWN: Final = "There is no such tool."


@dataclass(slots=True)
class Toolbox:
    """One question's tools.

    :param question: what the item asks.
    :ivar results: what came of the calls, in order.
    :ivar spent: tokens of every round.
    :ivar trail: each call as the trace keeps it.
    """

    item: Item
    question: Mapping[str, Any]
    configuration: Configuration
    store: Store
    guard: Guard
    clock: Clock
    log: Log
    metrics: Metrics
    results: list[ToolResult] = field(default_factory=list)
    spent: Usage = field(default_factory=Usage)
    trail: list[dict[str, Any]] = field(default_factory=list)
    _contact: Mapping[str, str] | None = None
    _known: dict[str, ToolResult] = field(default_factory=dict)

    async def answer(self, backend: "AIBackend[Any]", prompt: Prompt) -> Completion:
        """Put a prompt, run what is called, and put it again, until the answer is there.

        After ``tool_rounds`` the backend is asked once more, for the answer alone.

        :returns: the answer, with the tokens of every round.
        """
        settings = self.configuration.settings.ai.get(self.item.destination)
        tools: tuple[Tool, ...] = ()
        rounds = 0
        if settings is not None and backend.calls_tools and prompt.task == "answer":
            tools, rounds = self._offered(settings.tools), settings.tool_rounds
        if not tools:
            return self._spending(await backend.complete(prompt))
        with ExitStack() as held:
            # A reload closes none of them before the answer is there.
            for tool in tools:
                held.enter_context(self.configuration.instances.actions[tool.name].busy.one())
            asked = replace(prompt, tools=tools, last=not rounds)
            completion = self._spending(await backend.complete(asked))
            while completion.proposals and not asked.last:
                self.results += await self._round(tools, completion.proposals)
                rounds -= 1
                asked = replace(asked, results=tuple(self.results), last=not rounds)
                completion = self._spending(await backend.complete(asked))
        # Whoever still wants to look something up has not answered, whatever it says meanwhile.
        text = "" if completion.proposals else completion.text
        return replace(completion, text=text, proposals=(), usage=self.spent)

    def _spending(self, completion: Completion) -> Completion:
        used, spent = _counted(completion.usage), self.spent
        self.spent = Usage(
            model=used.model or spent.model,
            input_tokens=spent.input_tokens + used.input_tokens,
            output_tokens=spent.output_tokens + used.output_tokens,
        )
        return replace(completion, usage=used)

    def _offered(self, names: Sequence[str]) -> tuple[Tool, ...]:
        actions = self.configuration.instances.actions
        return tuple(
            Tool(name, live.settings.description, _model(live).model_json_schema())
            for name in names
            # The settings were checked by kind; an instance may say of itself that it does more.
            if (live := actions.get(name)) is not None and live.plugin.reads_only
        )

    async def _round(
        self, tools: Sequence[Tool], proposals: Sequence[ProposedAction]
    ) -> list[ToolResult]:
        """Run the calls of one round, one after the other, as their results are put together."""
        names = {tool.name for tool in tools}
        found: list[ToolResult] = []
        for number, proposed in enumerate(proposals[:_HEARD]):
            call = storable(proposed)
            if call.name in names and number < MOST:
                found.append(await self._once(call))
            else:
                found.append(_failed(call, _TOO_MANY if call.name in names else _UNKNOWN))
                self._keep(found[-1])
        return found

    async def _once(self, call: ProposedAction) -> ToolResult:
        """Run a call; of one that was made before, give what came of it then."""
        text = json.dumps([call.name, dict(call.params)], sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
        if digest not in self._known:
            self._known[digest] = await self._traced(call, f"{self.item.id}-{digest}")
        return self._known[digest]

    async def _traced(self, call: ProposedAction, call_id: str) -> ToolResult:
        began, error = self.clock.monotonic(), None
        live = self.configuration.instances.actions[call.name]
        try:
            params = _model(live).model_validate(dict(call.params))
        except ValidationError as wrong:
            words = "; ".join(
                f"{'.'.join(map(str, it['loc'])) or 'parameters'}: {it['msg']}"
                for it in wrong.errors()
            )
            result = _failed(call, f"Not run: the parameters do not fit. {words}")
        else:
            try:
                done = await self._run(live, params, call_id)
            except ProviderError as broken:
                error = broken
                result = _failed(call, _AWAY)
            else:
                result = ToolResult(call.name, call.params, self._words(done))
        seconds = self.clock.monotonic() - began
        state = "failed" if result.failed else "done"
        self.metrics.attempts.count(self.item.tenant, "tool", call.name, state)
        self.metrics.attempt_seconds.observe(seconds, self.item.tenant, "tool", call.name)
        if error is not None:
            self.log.warning("tool failed", item=self.item.id, tool=call.name, reason=error.reason)
        self._keep(result, seconds, None if error is None else error.reason)
        return result

    def _keep(self, result: ToolResult, seconds: float = 0.0, reason: str | None = None) -> None:
        """Note a call for the trace; a model may make up names and values of any length."""
        self.trail.append(
            {
                "tool": cut(result.name),
                "params": {
                    cut(name): _shown(value)
                    for name, value in itertools.islice(result.params.items(), _NAMED)
                },
                "seconds": round(seconds, 3),
                "failed" if result.failed else "gave": cut(reason or result.text),
            }
        )

    async def _run(
        self, live: "Live[Action[Any]]", params: BaseModel, call_id: str
    ) -> ActionResult | None:
        """Make one attempt, within the action's time, through its circuit breaker.

        :raises ProviderError: whatever went wrong.
        """
        if not live.up:
            message = f"{live.label} is down: {live.error}"
            raise Unavailable(message)
        contact = await self._whose()
        breaker, now = live.breaker, self.clock.now()
        if breaker.rests(now) or breaker.admit(now) is not None:
            message = f"{live.label} has been failing: {breaker.error}"
            raise Unavailable(message)
        told = False
        try:
            call = ActionCall(
                id=call_id,
                action=live.name,
                tenant=self.item.tenant,
                params=params,
                conversation=self.item.conversation,
                contact=contact,
                because=f'"{self.item.destination}" looks it up',
            )
            with live.busy.one(), Contained():
                async with asyncio.timeout(live.settings.timeout):
                    done = await live.plugin.run(call)
        except Exception as broken:  # a plugin's call
            told, error = True, live.meaning(broken)
            await self.guard.told(live, error)
            raise error from broken
        else:
            told = True
            await self.guard.told(live, None)
            return done
        finally:
            if not told:
                self.guard.spared(live)

    async def _whose(self) -> Mapping[str, str]:
        """Give who is asking, as an action is told."""
        if self._contact is None:
            tenant, conversation = self.item.tenant, self.item.conversation or ""

            def look_up(connection: "Connection") -> Mapping[str, str]:
                from router.storage.history import address

                found = address(connection, tenant, conversation)
                return {} if found is None else contact_of(*found)

            self._contact = await self.store.read(look_up)
        return self._contact

    def _words(self, done: ActionResult | None) -> str:
        """Give what a model is shown of a result: as little of people as of what they write."""
        text = ""
        if done is not None:
            text = done.text.strip()
            if done.data:
                data = json.dumps(dict(done.data), ensure_ascii=False, default=str)
                text = f"{text}\n{data}".strip()
        text = storable(text)
        if kinds := self.configuration.rules(self.item.tenant).redacts:
            text = redact(text, kinds, country_of(self.question["lane_key"]))
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}… (cut off)"
        return text or _NOTHING


def _model(live: "Live[Action[Any]]") -> type[BaseModel]:
    return live.settings.registration.params or NoticeParams


def _counted(usage: Usage) -> Usage:
    """Give what a backend says that it used as it can be stored and added up."""
    return Usage(
        model=storable(as_text(usage.model)),
        input_tokens=_tokens(usage.input_tokens),
        output_tokens=_tokens(usage.output_tokens),
    )


def _tokens(value: Any) -> int:
    fits = isinstance(value, int | float) and 0 <= value < _MOST_TOKENS
    return int(value) if fits else 0


def _failed(call: ProposedAction, text: str) -> ToolResult:
    return ToolResult(call.name, call.params, text, failed=True)


def _shown(value: object) -> object:
    if isinstance(value, str):
        return cut(value)
    if value is None or isinstance(value, bool | int):
        return value
    return cut(json.dumps(value, ensure_ascii=False, default=str))
