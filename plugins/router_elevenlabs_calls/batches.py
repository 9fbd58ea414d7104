"""The batch monitor: finished calls of running batches, seconds after they end."""

import json
from datetime import timedelta
from typing import Any

from router import plugin
from router_elevenlabs_calls import api
from router_elevenlabs_calls.calls import LOOKED_UP
from router_elevenlabs_calls.config import ElevenLabsCallsConfig
from router_elevenlabs_calls.conversations import ENDED, call_of

#: Batches in which nobody is called any more.
_OVER = frozenset({"completed", "failed", "cancelled"})
#: Recipients whose call is over.
_CALLED = frozenset({"completed", "failed", "voicemail"})
#: Changes may show a little after they happened.
_LATE = 120


class BatchesPoller(plugin.Poller):
    """Looks at the recipients of the agents' batches that run, or that have just ended.

    What it finds is a call like any other. A recipient who was never dialled has none, and the
    safety net finds what this one does not.
    """

    name = "batches"

    def __init__(self, config: ElevenLabsCallsConfig, context: plugin.PluginContext) -> None:
        self.every = timedelta(seconds=config.poll)
        self._config = config
        self._context = context

    async def poll(self, cursor: str | None) -> plugin.Polled:
        """Look at each running batch once."""
        now = int(self._context.clock.now().timestamp())
        state = _State(cursor, now - int(self._config.lookback))
        waiting = await self._running(state)
        events: list[plugin.InboundEvent] = []
        looked = 0
        for name in waiting:
            batch = await self._batch(name)
            if batch is None:
                state.open.pop(name, None)
                continue
            known = state.open.setdefault(
                name, {"at": state.closed.get(name, 0), "done": {}, "wait": []}
            )
            for recipient in sorted(batch.recipients, key=lambda it: it.updated_at_unix):
                call = recipient.conversation_id
                if recipient.status not in _CALLED or not call or call in known["done"]:
                    continue
                if recipient.updated_at_unix < known["at"] - _LATE and call not in known["wait"]:
                    continue
                if looked == LOOKED_UP:
                    return plugin.Polled(events=events, cursor=state.text(), again=True)
                looked += 1
                if not await self._look(call, recipient.updated_at_unix, known, events):
                    return plugin.Polled(events=events, cursor=state.text())
            if batch.status in _OVER and not known["wait"]:
                state.close(name, batch.last_updated_at_unix)
        state.forget()
        return plugin.Polled(events=events, cursor=state.text())

    async def _running(self, state: "_State") -> list[str]:
        """Give the batches to look at: those that run or changed, and those not done with."""
        found = list(state.open)
        last: str | None = None
        while True:
            page = await api.batches(self._context, self._config, last)
            ours = [it for it in page.batch_calls if it.agent_id in self._config.agents]
            fresh = [it for it in ours if state.is_new(it)]
            found += [it.id for it in fresh if it.id not in found]
            state.top = max([state.top, *(it.last_updated_at_unix for it in page.batch_calls)])
            if not (page.has_more and page.next_doc and fresh):
                return found
            last = page.next_doc

    async def _batch(self, name: str) -> api.Batch | None:
        """Give a batch, or ``None`` for one that somebody has deleted."""
        try:
            return await api.batch(self._context, self._config, name)
        except plugin.Refused as error:
            if error.code != api.GONE:
                raise
            return None

    async def _look(
        self,
        name: str,
        updated_at: int,
        known: dict[str, Any],
        events: list[plugin.InboundEvent],
    ) -> bool:
        """Read a call; say whether the provider gave an answer that counts."""
        found, answered = None, True
        try:
            found = await api.readable(self._context, self._config, name)
        except api.LATER as error:
            answered = False
            self._context.log.warning(
                "call not read, and left to the safety net", call=name, reason=error.reason
            )
        if found is not None and found.status is not None and found.status not in ENDED:
            # It is over, and what was said is still being summed up.
            if name not in known["wait"]:
                known["wait"].append(name)
            return True
        if name in known["wait"]:
            known["wait"].remove(name)
        known["at"] = max(known["at"], updated_at)
        done = {**known["done"], name: updated_at}
        known["done"] = {it: at for it, at in done.items() if at >= known["at"] - _LATE}
        event = None if found is None else call_of(found, self._config)
        if event is not None:
            events.append(event)
        return answered


class _State:
    """What a poll leaves to the next one.

    :ivar open: batches that are not done with: ``at``, when the newest recipient changed that was
        looked at; ``done``, those that changed around then; ``wait``, those to look at again.
    :ivar closed: batches that are done with, and when they had changed last.
    """

    def __init__(self, cursor: str | None, since: int) -> None:
        try:
            values = json.loads(cursor or "{}")
        except ValueError:
            values = {}
        if not isinstance(values, dict) or values.get("v") != 1:
            values = {"at": since}
        self.since: int = values["at"]
        self.top: int = self.since
        self.open: dict[str, dict[str, Any]] = values.get("open", {})
        self.closed: dict[str, int] = values.get("closed", {})

    def is_new(self, batch: api.Batch) -> bool:
        """Say whether a batch is to be looked at that is not looked at anyway."""
        if batch.id in self.closed:
            return batch.last_updated_at_unix > self.closed[batch.id]
        return batch.status not in _OVER or batch.last_updated_at_unix > self.since - _LATE

    def close(self, name: str, changed_at: int) -> None:
        self.open.pop(name, None)
        self.closed[name] = changed_at

    def forget(self) -> None:
        """Leave out what no listing brings up again."""
        self.since = max(self.since, self.top)
        self.closed = {it: at for it, at in self.closed.items() if at > self.since - _LATE}

    def text(self) -> str:
        """Give it as a cursor."""
        values = {"v": 1, "at": self.since, "open": self.open, "closed": self.closed}
        return json.dumps(values, separators=(",", ":"))
