"""The safety net: every call of the agents, whether or not its webhook came."""

import hashlib
import json
from datetime import timedelta
from typing import Any

from router import plugin
from router_elevenlabs_calls import api
from router_elevenlabs_calls.config import ElevenLabsCallsConfig
from router_elevenlabs_calls.conversations import ENDED, call_of

#: Calls that one poll looks up; each costs a question.
LOOKED_UP = 20
#: How often a call is asked for that cannot be read now: for an hour, as the table usually is.
TRIES = 30
#: Calls that are asked for again, at most; the cursor holds them.
UNREAD = 100
#: Calls that are remembered as looked up, in all; those of the last hours. Forgetting one costs
#: a question and changes nothing, because the router knows the call.
_REMEMBERED = 3000
_MARK = 10


class CallsPoller(plugin.Poller):
    """Lists what the agents spoke since the last time, and well before.

    A call is listed from its beginning on, and is told once it is over, however long it took: each
    listing begins ``overlap`` before the newest call that the last complete one saw.

    A call that cannot be read now is asked for again after all others, and ends the poll, so that
    a provider in trouble is left alone for a while.

    A call that begins in the future, as far as our clock tells, counts as one of now. Where the
    last listing ended in the future, our clock was ahead, and nobody knows what it left out.
    """

    name = "calls"

    def __init__(self, config: ElevenLabsCallsConfig, context: plugin.PluginContext) -> None:
        self.every = timedelta(seconds=config.safety_net)
        self._config = config
        self._context = context

    async def poll(self, cursor: str | None) -> plugin.Polled:
        """Go on with the listing where the last poll stopped."""
        state = _State(cursor)
        config = self._config
        now = int(self._context.clock.now().timestamp())
        if not state.listing:
            if state.newest is None or state.newest > now:
                state.newest = state.after = max(0, now - int(config.lookback))
            else:
                state.after = max(0, state.newest - int(config.overlap))
        events: list[plugin.InboundEvent] = []
        looked = 0
        agents = [it for it in config.agents if it not in state.listed]
        for agent in agents:
            page = await api.listing(
                self._context, config, agent, after=state.after, cursor=state.pages.get(agent)
            )
            for listed in page.conversations:
                state.seen_at(min(listed.start_time_unix_secs, now))
                if listed.status not in ENDED or state.knows(listed.conversation_id):
                    continue
                if looked == LOOKED_UP:
                    # The same page once more: what was looked up of it is remembered.
                    return plugin.Polled(events=events, cursor=state.text(listing=True), again=True)
                looked += 1
                if not await self._look(listed.conversation_id, state, events):
                    return plugin.Polled(events=events, cursor=state.text(listing=True))
            if page.has_more and page.next_cursor:
                state.pages[agent] = page.next_cursor
                return plugin.Polled(events=events, cursor=state.text(listing=True), again=True)
            state.pages.pop(agent, None)
            state.listed.append(agent)
        for name in tuple(state.unread)[: LOOKED_UP - looked]:
            if not await self._look(name, state, events):
                break
        return plugin.Polled(events=events, cursor=state.text(listing=False))

    async def _look(self, name: str, state: "_State", events: list[plugin.InboundEvent]) -> bool:
        """Read a call; say whether the provider gave an answer that counts."""
        try:
            found = await api.readable(self._context, self._config, name)
        except api.LATER as error:
            log = self._context.log
            log.warning("call not read, and asked for again", call=name, reason=error.reason)
            for lost in state.failed(name):
                log.error("call given up: it could not be read", call=lost)
            return False
        state.remember(name)
        event = None if found is None else call_of(found, self._config)
        if event is not None:
            events.append(event)
        return True


class _State:
    """What a poll leaves to the next one."""

    def __init__(self, cursor: str | None) -> None:
        values = _values(cursor)
        #: When the newest call began that was ever listed; ``None`` before the first poll.
        self.newest: int | None = values.get("newest")
        #: Where this listing begins, the newest call in it, and what of it is done.
        self.after: int = values.get("after", 0)
        self.top: int = values.get("top", 0)
        self.pages: dict[str, str] = values.get("pages", {})
        self.listed: list[str] = values.get("listed", [])
        self.listing = bool(self.pages or self.listed or values.get("begun"))
        #: Calls that could not be read, and how often they were asked for; the latest comes last.
        self.unread: dict[str, int] = values.get("unread", {})
        marks = values.get("known", "")
        self._known = [marks[at : at + _MARK] for at in range(0, len(marks), _MARK)]
        self._set = set(self._known)

    def knows(self, name: str) -> bool:
        """Say whether a listing has nothing to do with a call any more."""
        return name in self.unread or _mark(name) in self._set

    def failed(self, name: str) -> list[str]:
        """Note that a call could not be read; give the calls that are given up."""
        self.unread[name] = self.unread.pop(name, 0) + 1
        lost = [name] if self.unread[name] >= TRIES else [*self.unread][:-UNREAD]
        for each in lost:
            self.remember(each)
        return lost

    def remember(self, name: str) -> None:
        self.unread.pop(name, None)
        self._known.append(_mark(name))
        self._set.add(_mark(name))

    def seen_at(self, moment: int) -> None:
        self.top = max(self.top, moment)

    def text(self, *, listing: bool) -> str:
        """Give it as a cursor.

        :param listing: the listing is not complete: the next poll goes on with it.
        """
        values: dict[str, Any] = {"v": 1, "known": "".join(self._known[-_REMEMBERED:])}
        if self.unread:
            values["unread"] = self.unread
        if listing:
            values |= {"newest": self.newest, "after": self.after, "top": self.top, "begun": 1}
            values |= {"pages": self.pages, "listed": self.listed}
        else:
            values["newest"] = max(self.newest or 0, self.top)
        return json.dumps(values, separators=(",", ":"))


def _mark(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:_MARK]


def _values(cursor: str | None) -> dict[str, Any]:
    """Read a cursor; one of another form begins anew, which repeats what the router knows."""
    try:
        values = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return values if isinstance(values, dict) and values.get("v") == 1 else {}
