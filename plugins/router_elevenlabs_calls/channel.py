"""The channel ``elevenlabs_calls``."""

from collections.abc import Sequence
from dataclasses import replace

from router import plugin
from router_elevenlabs_calls import api
from router_elevenlabs_calls.batches import BatchesPoller
from router_elevenlabs_calls.calls import CallsPoller
from router_elevenlabs_calls.config import ElevenLabsBatchConfig, ElevenLabsCallsConfig
from router_elevenlabs_calls.dialling import BatchParams, ElevenLabsBatch
from router_elevenlabs_calls.personalization import ENDPOINT, answer_for, caller_in
from router_elevenlabs_calls.recordings import download
from router_elevenlabs_calls.signatures import verify_account_key, verify_signature
from router_elevenlabs_calls.webhooks import events_in

#: Why nothing leaves here.
NO_TEXT = (
    "this channel brings calls, and sends no text. Write through another one: "
    'then.message = { channel = "…", … }'
)


class ElevenLabsCalls(plugin.Channel[ElevenLabsCallsConfig]):
    """The telephone calls of ElevenLabs's agents.

    Calls that are over come in at the channel's webhook, and by two pollers; the endpoint
    ``personalization`` tells a ringing call who calls. Nothing is sent: a customer is written to
    through a channel that takes texts.
    """

    capabilities = plugin.Capabilities(responds=frozenset({ENDPOINT}), sends=False, fetch=True)

    def __init__(self, config: ElevenLabsCallsConfig, context: plugin.PluginContext) -> None:
        super().__init__(config, context)
        self.capabilities = replace(self.capabilities, recordings=config.recordings)

    def verify(self, request: plugin.WebhookRequest) -> None:
        """Check the signature, or the account's key where ElevenLabs signs nothing."""
        secrets, keys = self.config.webhook_secrets, self.config.account_keys
        if request.endpoint == ENDPOINT or not secrets:
            verify_account_key(request, keys)
        else:
            verify_signature(request, secrets)

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        """Read the call in a post-call webhook."""
        return events_in(request.json(), self.config)

    def pollers(self) -> Sequence[plugin.Poller]:
        """Give the monitor of running batches, and the safety net under the webhooks."""
        return (
            BatchesPoller(self.config, self.context),
            CallsPoller(self.config, self.context),
        )

    async def respond(
        self, request: plugin.WebhookRequest, people: plugin.People
    ) -> plugin.WebhookAnswer:
        """Say who calls, and what was said before."""
        caller, agent = caller_in(request.body, self.config)
        card = None
        if caller is not None and agent in self.config.agents:
            card = await people.lookup(caller)
        return answer_for(card, self.config.variables)

    def default_response(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer:
        """Answer as about somebody unknown."""
        return answer_for(None, self.config.variables)

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        """Refuse: a call that is over takes no text."""
        raise plugin.Refused(NO_TEXT, code="no_text")

    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        """Fetch the recording of a call; nothing else here is a file."""
        return await download(self.context.http, self.config, attachment.url or "", limit)

    async def check(self) -> None:
        """Make sure that the API key is accepted, and that the agents are there."""
        for agent in self.config.agents:
            try:
                await api.ask(self.context.http, self.config, f"agents/{agent}")
            except plugin.Refused as error:
                raise _explained(error, agent) from None


def _explained(error: plugin.Refused, agent: str) -> plugin.Refused:
    words = {
        "401": "ElevenLabs does not accept api_key. Compare it with the workspace's keys",
        "403": "api_key may not read agents. Give it that right at ElevenLabs",
        "404": f"the workspace has no agent {agent}. Correct agents",
    }
    return plugin.Refused(words.get(error.code or "", error.reason), code=error.code)


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the channel ``elevenlabs_calls`` and the action ``elevenlabs_batch``."""
    registry.channel("elevenlabs_calls", ElevenLabsCalls, config=ElevenLabsCallsConfig)
    registry.action(
        "elevenlabs_batch", ElevenLabsBatch, config=ElevenLabsBatchConfig, params=BatchParams
    )
