"""The channel ``telegram``.

What reads and writes messages is imported with the first of them: a start waits for nothing that
its configuration may not need.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from router import plugin
from router_telegram.config import TelegramConfig

#: How many characters a text may have.
MAX_TEXT = 4096

#: What Telegram fetches by itself; documents of other types would have to be uploaded.
#: https://core.telegram.org/bots/api#sending-files
MEDIA_TYPES = frozenset(
    (
        "image/jpeg",
        "image/png",
        "audio/mpeg",
        "audio/mp4",
        "audio/ogg",
        "video/mp4",
        "application/pdf",
        "application/zip",
    )
)

#: The header in which Telegram gives back what setWebhook was told as secret_token.
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name

#: Updates that the channel reads and a subscription must not leave out.
_NEEDED = ("message", "my_chat_member")

#: A bot's messages are spread over the second: at most a tenth of them leave at once.
_SPREAD = 10


class Telegram(plugin.Channel[TelegramConfig]):
    """A bot of Telegram's, for conversations with one person each."""

    capabilities = plugin.Capabilities(
        max_text=MAX_TEXT, text_unit="utf16", media=True, media_types=MEDIA_TYPES, fetch=True
    )

    def __init__(self, config: TelegramConfig, context: plugin.PluginContext) -> None:
        super().__init__(config, context)
        rate = config.messages_per_second
        self.capabilities = replace(
            self.capabilities,
            sender_limit=plugin.RateLimit(1 / rate, burst=max(1, int(rate / _SPREAD))),
            pair_limit=plugin.RateLimit(config.pair_interval, burst=config.pair_burst),
        )

    def verify(self, request: plugin.WebhookRequest) -> None:
        """Check that the update comes with our secret."""
        given = request.header(SECRET_HEADER)
        if given is None:
            raise plugin.NotSigned(
                f"the request has no {SECRET_HEADER} header; give secret_token to setWebhook"
            )
        matches = False
        for secret in self.config.secret_tokens:  # all of them: time tells nothing
            matches |= hmac.compare_digest(secret.encode(), given.encode("utf-8", "replace"))
        if not matches:
            raise plugin.InvalidSignature(f"the {SECRET_HEADER} header is not secret_token")

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        """Read a message, a block, or nothing that concerns a customer."""
        from router_telegram.inbound import events_in

        return events_in(request, self.config)

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        """Make one attempt; Telegram cannot tell a repeat from a second message."""
        from router_telegram.sending import call_of, receipt_of

        method, body = call_of(message, self.config)
        response = await self.context.http.post(self.config.method(method), json=body)
        return receipt_of(response, self.config)

    async def check(self) -> None:
        """Make sure that Telegram accepts the token, and sends updates here."""
        from router_telegram.sending import result_of

        response = await self.context.http.post(self.config.method("getWebhookInfo"))
        info = result_of(response, self.config)
        if not isinstance(info, Mapping):
            raise plugin.OutcomeUnknown(
                f"{response.request.url.host} does not answer as Telegram does. Correct base_url"
            )
        registered, ours = str(info.get("url") or ""), self.context.webhook_url()
        if not registered:
            raise plugin.Refused(
                "Telegram knows no webhook of the bot. Register it with setWebhook, as the "
                "plugin's README says"
            )
        if registered != ours:
            raise plugin.Refused(
                f"Telegram sends updates to {_shown(registered)}, and not to {_shown(ours)}. "
                "Register the webhook again with setWebhook"
            )
        allowed = info.get("allowed_updates")
        missing = [
            it for it in _NEEDED if isinstance(allowed, list) and allowed and it not in allowed
        ]
        if missing:
            raise plugin.Refused(
                f"the webhook leaves out {' and '.join(missing)}. Register it again with these "
                "among allowed_updates"
            )

    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        """Fetch what a customer sent; see :func:`router_telegram.media.download`."""
        from router_telegram.media import download

        http, url = self.context.http, attachment.url or ""
        file = await download(http, self.config, url, limit)
        # Telegram serves most files as bytes of no kind; what it said with the message is better.
        return replace(file, content_type=attachment.content_type or file.content_type)


def _shown(url: str) -> str:
    """Give an address without its query, which may be a secret of somebody's."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "another address"
    return repr(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:200])


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``telegram``."""
    registry.channel("telegram", Telegram, config=TelegramConfig)
