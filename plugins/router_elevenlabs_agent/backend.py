"""The backend: one conversation a question, opened, asked, heard out and closed."""

import json
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import anyio

from router import plugin
from router_elevenlabs_agent.config import ElevenLabsAgentConfig
from router_elevenlabs_agent.failures import closed, raise_for_answer
from router_elevenlabs_agent.opening import initiation, update
from router_elevenlabs_agent.turn import Turn

#: Bytes of one message, at most: an agent that was not told to write sends sound, too.
_LONGEST_MESSAGE: Final = 4 * 1024 * 1024


class ElevenLabsAgent(plugin.AIBackend[ElevenLabsAgentConfig]):
    """Answers as an agent of ElevenLabs does that may have spoken with the customer before.

    The agent answers from its own prompt and knowledge, and from what it is told of the customer:
    it is no model that keeps to the passages.

    A client tool that it calls ends the conversation: the router looks it up, and asks again in
    another one, in which the call is answered at once.
    """

    calls_tools = True

    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        """Ask once, in a conversation of its own."""
        if prompt.task == "classify":
            raise plugin.Refused("an ElevenLabs agent only answers; let another backend classify")
        address = await self._address()
        tools = frozenset(tool.name for tool in prompt.tools)
        turn = Turn(self.config.host, tools, prompt.results, last=prompt.last)
        # The configured host may be anywhere; one that only an answer named may not.
        elsewhere = urlsplit(address).hostname != self.config.host
        opening = self.context.websocket(address, max_size=_LONGEST_MESSAGE, public=elsewhere)
        try:
            async with opening as socket:
                await self._talk(socket, turn, prompt)
        except plugin.SocketClosed as error:
            # The agent may hang up once it has said what it had to say.
            if not (turn.answered and error.close_code == 1000):
                raise closed(self.config.host, error) from error
        self.context.log.debug("the agent answered", conversation=turn.conversation)
        return turn.completion(self.config.agent_id)

    async def check(self) -> None:
        """Ask for a signed address, which begins no conversation. A public agent is not asked.

        :raises ProviderError: if the key or the agent is not known.
        """
        if self.config.api_key is not None:
            await self._signed_address(self.config.api_key)

    async def _talk(self, socket: plugin.Socket, turn: Turn, prompt: plugin.Prompt) -> None:
        config = self.config
        await _send(socket, initiation(prompt, config))
        try:
            with anyio.fail_after(config.start_timeout):
                while not turn.started:
                    await self._exchange(socket, turn)
        except TimeoutError:
            reason = f"{config.host} did not begin within {config.start_timeout:g} s"
            raise plugin.Unavailable(reason) from None
        if "first_message" not in config.overrides:
            await self._hear_out_greeting(socket, turn)
        turn.forget()
        if turn.complete:
            return
        known = update(prompt)
        if known is not None:
            await _send(socket, known)
        text = prompt.turns[-1].text if prompt.turns else ""
        await _send(socket, {"type": "user_message", "text": text})
        try:
            with anyio.fail_after(config.answer_timeout):
                while not turn.complete:
                    within = config.settle if turn.answered else None
                    if not await self._exchange(socket, turn, within):
                        break
        except TimeoutError:
            reason = f"{config.host} gave no answer within {config.answer_timeout:g} s"
            raise plugin.OutcomeUnknown(reason) from None

    async def _hear_out_greeting(self, socket: plugin.Socket, turn: Turn) -> None:
        over = anyio.current_time() + self.config.greeting_wait
        while not turn.answered and not turn.proposals:
            left = over - anyio.current_time()
            if left <= 0 or not await self._exchange(socket, turn, left):
                return

    @staticmethod
    async def _exchange(socket: plugin.Socket, turn: Turn, within: float | None = None) -> bool:
        """Hear one message, and send what it wants at once; ``False`` if none came in time.

        :param within: in seconds; ``None``: as long as it takes.
        """
        heard = None
        # Only hearing is given up: what was heard is always answered.
        with anyio.move_on_after(within):
            heard = await socket.receive()
        if heard is None:
            return False
        message: Any = None
        with suppress(ValueError, RecursionError):
            message = json.loads(heard)
        reply = turn.take(message)
        if reply is not None:
            await _send(socket, reply)
        return True

    async def _address(self) -> str:
        if self.config.api_key is None:
            return self.config.public_address
        return await self._signed_address(self.config.api_key)

    async def _signed_address(self, key: plugin.Secret) -> str:
        response = await self.context.http.get(
            f"{self.config.base_url}/v1/convai/conversation/get-signed-url",
            params={"agent_id": self.config.agent_id},
            headers={"xi-api-key": key.get_secret_value()},
        )
        raise_for_answer(response)
        address: Any = None
        with suppress(ValueError, LookupError, TypeError):
            address = response.json()["signed_url"]
        if not isinstance(address, str):
            raise plugin.OutcomeUnknown(f"{self.config.host} gave no signed address")
        if not self.config.trusts(address):
            raise plugin.Refused(f"{self.config.host} signed an address at another host")
        return address


async def _send(socket: plugin.Socket, message: dict[str, Any]) -> None:
    await socket.send(json.dumps(message, ensure_ascii=False))


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``elevenlabs_agent``."""
    registry.ai_backend("elevenlabs_agent", ElevenLabsAgent, config=ElevenLabsAgentConfig)
