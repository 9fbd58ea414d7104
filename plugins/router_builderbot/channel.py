"""The channel ``builderbot``."""

import hmac
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from router import plugin
from router_builderbot.config import BuilderbotConfig
from router_builderbot.fields import text_at
from router_builderbot.inbound import event_of, events_in
from router_builderbot.media import download
from router_builderbot.sending import MAX_TEXT, body_of, receipt_of

#: A bot's messages are spread over the second: at most a tenth of them leave at once.
_SPREAD = 10

#: What the webhooks about the bot's connection mean, each for the log and for whoever looks.
_STATES = {
    "online": "",
    "attention": "the bot waits for its QR code to be scanned. Open the project in BuilderBot and "
    "connect the telephone",
    "offline": "the bot lost its telephone. Open the project in BuilderBot and connect it again",
}


class Builderbot(plugin.Channel[BuilderbotConfig]):
    """WhatsApp by way of BuilderBot Cloud."""

    capabilities = plugin.Capabilities(max_text=MAX_TEXT, media=True, own_echoes=True, fetch=True)

    def __init__(self, config: BuilderbotConfig, context: plugin.PluginContext) -> None:
        super().__init__(config, context)
        self._trouble = ""
        rate, window = config.messages_per_second, config.window
        self.capabilities = replace(
            self.capabilities,
            window=None if window is None else timedelta(seconds=window),
            sender_limit=None
            if rate is None
            else plugin.RateLimit(1 / rate, burst=max(1, int(rate / _SPREAD))),
        )

    def verify(self, request: plugin.WebhookRequest) -> None:
        """Check the account's key, and the secret in the address: each that is configured."""
        config = self.config
        if config.account_keys:
            header = config.account_key_header
            _compare(request.header(header), config.account_keys, f"the {header} header")
        if config.url_secrets:
            key = next((value for name, value in request.query if name == "key"), None)
            _compare(key, config.url_secrets, "key in the webhook's address")

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        """Read a message, an echo, a call, or nothing that concerns a customer."""
        return events_in(request, self.config)

    def acknowledge(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer | None:
        """Answer with an empty 200; tell people what a webhook says about the bot itself."""
        if request.method == "POST":
            self._listen(request)
        return super().acknowledge(request)

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        """Make one attempt; BuilderBot cannot tell a repeat from a second message."""
        config = self.config
        response = await self.context.http.post(
            config.messages_url,
            json=body_of(message),
            headers={config.api_key_header: config.api_key.get_secret_value()},
        )
        return receipt_of(response, config)

    async def check(self) -> None:
        """Make sure that the bot is online: by asking, or by what webhooks said last."""
        key = self.config.manager_key
        if key is None:
            if self._trouble:
                raise plugin.Unavailable(self._trouble)
            return
        response = await self.context.http.get(
            self.config.deploy_url, headers={self.config.api_key_header: key.get_secret_value()}
        )
        if response.status_code in {401, 403}:
            raise plugin.Refused(
                "BuilderBot does not accept manager_key. It is the account's key, which begins "
                "with bbc-",
                code=str(response.status_code),
            )
        plugin.raise_for_status(response)
        try:
            document: Any = response.json()
        except (ValueError, RecursionError):
            document = None
        state = text_at(document, "deploy.status", "status")
        if not state:
            raise plugin.OutcomeUnknown(
                "BuilderBot does not say how the bot is. Correct deploy_path, or leave "
                "manager_key out"
            )
        if state not in self.config.online_states:
            raise plugin.Unavailable(f"BuilderBot says that the bot is {state[:40]!r}")

    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        """Fetch what a customer sent; see :func:`router_builderbot.media.download`."""
        http, url = self.context.http, attachment.url or ""
        return await download(http, self.config, url, limit)

    def _listen(self, request: plugin.WebhookRequest) -> None:
        try:
            name, data = event_of(request.json())
        except ValueError:
            return
        meaning = self.config.meaning(name)
        if meaning is None:
            self.context.log.warning(
                "an event of an unknown name; say in event_names what it means", name=name[:80]
            )
            return
        trouble = _STATES.get(meaning)
        if trouble is None or trouble == self._trouble:
            return
        self._trouble = trouble
        reason = text_at(data, "reason")[:100]
        if trouble:
            self.context.log.error(trouble, name=name, reason=reason)
        else:
            self.context.log.info("the bot is connected", name=name)


def _compare(given: str | None, keys: Sequence[str], what: str) -> None:
    """Compare in constant time, with every key.

    :raises InvalidSignature: if it is missing, or none of them.
    """
    if given is None:
        raise plugin.NotSigned(f"the request has no {what.removeprefix('the ')}")
    matches = False
    for key in keys:  # all of them, so that time does not tell which one matched
        matches |= hmac.compare_digest(key.encode(), given.encode("utf-8", "replace"))
    if not matches:
        known = "the one" if len(keys) == 1 else f"any of the {len(keys)}"
        raise plugin.InvalidSignature(f"{what} is not {known} that router.toml names")


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``builderbot``."""
    registry.channel("builderbot", Builderbot, config=BuilderbotConfig)
