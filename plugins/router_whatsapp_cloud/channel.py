"""The channel ``whatsapp_cloud``.

What reads and writes messages is imported with the first of them: a start waits for nothing that
its configuration may not need.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from router import plugin
from router_whatsapp_cloud.config import WhatsAppCloudConfig

#: How many characters a text may have.
MAX_TEXT = 4096

_OFFICE = "application/vnd.openxmlformats-officedocument."
#: What Meta sends. A picture as webp would have to be a sticker.
#: https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media
MEDIA_TYPES = frozenset(
    (
        "image/jpeg",
        "image/png",
        "audio/aac",
        "audio/amr",
        "audio/mp4",
        "audio/mpeg",
        "audio/ogg",
        "video/mp4",
        "video/3gpp",
        "text/plain",
        "application/pdf",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        f"{_OFFICE}wordprocessingml.document",
        f"{_OFFICE}spreadsheetml.sheet",
        f"{_OFFICE}presentationml.presentation",
    )
)

#: How long after a customer's last message WhatsApp takes free text.
WINDOW = timedelta(hours=24)

#: A number's messages are spread over the second: at most a tenth of them leave at once.
_SPREAD = 10


class WhatsAppCloud(plugin.Channel[WhatsAppCloudConfig]):
    """WhatsApp straight from Meta.

    Messages, echoes of the WhatsApp Business app and delivery reports come in at one address.
    """

    capabilities = plugin.Capabilities(
        max_text=MAX_TEXT,
        media=True,
        media_types=MEDIA_TYPES,
        fetch=True,
        receipts=True,
        window=WINDOW,
    )

    def __init__(self, config: WhatsAppCloudConfig, context: plugin.PluginContext) -> None:
        super().__init__(config, context)
        rate = config.messages_per_second
        self.capabilities = replace(
            self.capabilities,
            lists_templates=config.business_account_id is not None,
            sender_limit=plugin.RateLimit(1 / rate, burst=max(1, int(rate / _SPREAD))),
            pair_limit=plugin.RateLimit(config.pair_interval, burst=config.pair_burst),
        )

    def verify(self, request: plugin.WebhookRequest) -> None:
        """Check the signature of a POST, and our own words in the challenge of a GET."""
        if request.method == "POST":
            secrets = self.config.app_secrets
            plugin.verify_hmac_sha256(
                request, header="X-Hub-Signature-256", key=secrets, prefix="sha256="
            )
            return
        query = dict(request.query)
        given = query.get("hub.verify_token", "").encode("utf-8", "replace")
        ours = self.config.verify_token.get_secret_value().encode()
        if challenge_of(query) is None or not hmac.compare_digest(ours, given):
            raise plugin.InvalidSignature(
                "it is no challenge of Meta's, or its verify token is not verify_token"
            )

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        """Read everything that a webhook has for this number."""
        from router_whatsapp_cloud.inbound import events_in

        return events_in(request, self.config, self.context.log)

    def acknowledge(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer | None:
        """Answer a challenge with its own words, and a webhook with an empty 200."""
        if request.method == "POST":
            return plugin.WebhookAnswer()
        challenge = challenge_of(dict(request.query))
        if challenge is None:
            return None
        return plugin.WebhookAnswer(body=challenge.encode(), content_type="text/plain")

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        """Make one attempt; Meta cannot tell a repeat from a second message."""
        from router_whatsapp_cloud.sending import body_of, receipt_of

        response = await self.context.http.post(
            self.config.messages_url,
            json=body_of(message, self.config),
            headers=self.config.authorization,
        )
        return receipt_of(response, self.config)

    async def check(self) -> None:
        """Make sure that Meta accepts the token, and knows the number."""
        from router_whatsapp_cloud.errors import failure

        response = await self.context.http.get(
            f"{self.config.number_url}?fields=display_phone_number,verified_name",
            headers=self.config.authorization,
        )
        error = failure(response, self.config.secrets)
        if error is not None:
            raise error
        try:
            found = response.json()["id"]
        except (ValueError, TypeError, KeyError, RecursionError):
            found = None
        if found != self.config.phone_number_id:
            raise plugin.OutcomeUnknown(
                f"{response.request.url.host} does not answer as Meta does. Correct base_url"
            )

    async def templates(self) -> Sequence[plugin.TemplateInfo]:
        """List the account's templates with their approval."""
        from router_whatsapp_cloud.templates import list_templates

        return await list_templates(self.context.http, self.config)

    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        """Fetch what a customer sent; see :func:`router_whatsapp_cloud.media.download`."""
        from router_whatsapp_cloud.media import download

        http, url = self.context.http, attachment.url or ""
        return await download(http, self.config, url, limit)


def challenge_of(query: Mapping[str, str]) -> str | None:
    """Give what Meta wants to hear back when the webhook's address is registered."""
    return query.get("hub.challenge") if query.get("hub.mode") == "subscribe" else None


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``whatsapp_cloud``."""
    registry.channel("whatsapp_cloud", WhatsAppCloud, config=WhatsAppCloudConfig)
