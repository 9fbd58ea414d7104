"""An agent of ElevenLabs on this machine that writes: over a WebSocket, at a signed address."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.acceptance.daemon import PATIENCE

if TYPE_CHECKING:
    from aiohttp import web

#: What a signed address holds; it opens a conversation, so it is a secret.
SIGNATURE = "cvtkn-0123456789abcdef-never-shown"
#: What the agent begins with; it is no answer.
GREETING = "Hola, soy el asistente de La Esquina."

_PATH = "/v1/convai/conversation"


@dataclass(slots=True)
class Spoken:
    """One conversation in writing.

    :param variables: the dynamic variables that it began with.
    :param updates: what the agent was told besides, in order.
    :param asked: what the customer wrote, in order.
    """

    id: str
    variables: dict[str, str] = field(default_factory=dict)
    updates: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


class Agent:
    """What the tests know of it.

    :param answer: gives the agent's answer, from all that it was told.
    """

    def __init__(
        self, agent: str, key: str, answer: Callable[[Spoken], str], conversation: str
    ) -> None:
        self._agent = agent
        self._key = key
        self._answer = answer
        self._conversation = conversation
        self._lock = threading.Lock()
        self._spoken: list[Spoken] = []
        self.url = ""

    def spoken(self) -> list[Spoken]:
        """Give the conversations that were opened, in order."""
        with self._lock:
            return list(self._spoken)

    async def sign(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        if request.headers.get("xi-api-key") != self._key:
            return web.json_response({"detail": {"status": "invalid_api_key"}}, status=401)
        if request.query.get("agent_id") != self._agent:
            return web.json_response({"detail": {"status": "not_found"}}, status=404)
        here = self.url.replace("http", "ws", 1)
        address = f"{here}{_PATH}?agent_id={self._agent}&conversation_signature={SIGNATURE}"
        return web.json_response({"signed_url": address})

    async def talk(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        if request.query.get("conversation_signature") != SIGNATURE:
            return web.Response(status=403)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        with self._lock:
            spoken = Spoken(f"{self._conversation}{len(self._spoken)}")
            self._spoken.append(spoken)
        async for message in socket:
            for reply in self._take(spoken, json.loads(message.data)):
                await socket.send_json(reply)
        return socket

    def _take(self, spoken: Spoken, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        match message["type"]:
            case "conversation_initiation_client_data":
                assert message["conversation_config_override"]["conversation"]["text_only"]
                spoken.variables = message["dynamic_variables"]
                yield {
                    "type": "conversation_initiation_metadata",
                    "conversation_initiation_metadata_event": {
                        "conversation_id": spoken.id,
                        "agent_output_audio_format": "pcm_16000",
                        "user_input_audio_format": "pcm_16000",
                    },
                }
                yield _says(GREETING, 1)
            case "contextual_update":
                spoken.updates.append(message["text"])
            case "user_message":
                spoken.asked.append(message["text"])
                yield {"type": "ping", "ping_event": {"event_id": 2, "ping_ms": None}}
                yield _says(self._answer(spoken), 3)
                usage = {"event_id": 3, "model": "small-2", "context_tokens": 310}
                yield {"type": "context_usage", "context_usage_event": usage}


def _says(text: str, number: int) -> dict[str, Any]:
    event = {"agent_response": text, "event_id": number}
    return {"type": "agent_response", "agent_response_event": event}


@contextmanager
def running(
    agent: str, key: str, answer: Callable[[Spoken], str], *, conversation: str = "conv_chat_"
) -> Iterator[Agent]:
    """Run an agent until the context is left.

    :param agent: its id.
    :param key: what has to be shown for a signed address.
    :param conversation: what the ids of its conversations begin with.
    """
    here, ready = Agent(agent, key, answer, conversation), threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        from aiohttp import web

        app, over = web.Application(), asyncio.Event()
        app.router.add_get(f"{_PATH}/get-signed-url", here.sign)
        app.router.add_get(_PATH, here.talk)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        here.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        loops.append((asyncio.get_running_loop(), over))
        ready.set()
        try:
            await over.wait()
        finally:
            await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="agent")
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield here
    finally:
        for loop, over in loops:
            loop.call_soon_threadsafe(over.set)
        thread.join(PATIENCE)
