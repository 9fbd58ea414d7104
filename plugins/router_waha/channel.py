"""The channel ``waha``.

What reads and writes messages is imported with the first of them: a start waits for nothing that
its configuration may not need.
"""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import ValidationError

from router import plugin
from router_waha.config import WahaConfig
from router_waha.signatures import verify
from router_waha.states import SESSION_EVENT, WORKING, trouble_of

#: WhatsApp's own limit; WAHA states none.
MAX_TEXT = 4096

#: A telephone's messages are spread over time; so many may leave at once after a quiet time.
_BURST = 3


class Waha(plugin.Channel[WahaConfig]):
    """WhatsApp by way of a telephone that is linked to a WAHA gateway."""

    capabilities = plugin.Capabilities(
        max_text=MAX_TEXT, media=True, own_echoes=True, fetch=True, receipts=True
    )

    def __init__(self, config: WahaConfig, context: plugin.PluginContext) -> None:
        super().__init__(config, context)
        self._state = WORKING
        self.capabilities = replace(
            self.capabilities,
            sender_limit=plugin.RateLimit(1 / config.messages_per_second, burst=_BURST),
        )

    def verify(self, request: plugin.WebhookRequest) -> None:
        """Check the signature of the raw body."""
        verify(request, self.config.hmac_keys)

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        """Read a message, an echo, a report, or nothing that concerns a customer."""
        from router_waha.inbound import events_in

        return events_in(request, self.config)

    def acknowledge(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer | None:
        """Answer with an empty 200; tell people at once when the telephone is lost."""
        if request.method == "POST" and SESSION_EVENT.encode() in request.body:
            self._listen(request)
        return super().acknowledge(request)

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        """Make one attempt; WAHA cannot tell a repeat from a second message."""
        from router_waha.sending import call_of, receipt_of

        method, body = call_of(message, self.config)
        response = await self.context.http.post(
            self.config.method(method), json=body, headers=self.config.headers
        )
        return receipt_of(response, self.config)

    async def check(self) -> None:
        """Make sure that WAHA is there, and that its session has its telephone."""
        from router_waha.payload import Session

        config = self.config
        response = await self.context.http.get(config.session_url, headers=config.headers)
        if response.status_code in {401, 403}:
            raise plugin.Refused(
                "WAHA does not accept api_key. Compare it with WAHA_API_KEY of the gateway",
                code=str(response.status_code),
            )
        if response.status_code == 404:
            raise plugin.Refused(
                f"WAHA has no session {config.session!r}. Correct session, or start it in WAHA"
            )
        plugin.raise_for_status(response)
        try:
            session = Session.model_validate(response.json())
        except (ValueError, RecursionError, ValidationError):
            session = Session()
        if not session.status:
            raise plugin.OutcomeUnknown(
                f"{response.request.url.host} does not answer as WAHA does. Correct base_url"
            )
        trouble = trouble_of(session.status, config.session)
        if trouble:
            raise plugin.Unavailable(trouble)

    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        """Fetch what a customer sent; see :func:`router_waha.media.download`."""
        from router_waha.media import download

        http, url = self.context.http, attachment.url or ""
        return await download(http, self.config, url, limit)

    def _listen(self, request: plugin.WebhookRequest) -> None:
        from router_waha.inbound import webhook_of
        from router_waha.payload import Session

        try:
            webhook = webhook_of(request)
            session = Session.model_validate(webhook.payload)
        except ValueError:
            return
        ours = webhook.session == self.config.session and webhook.event == SESSION_EVENT
        if not ours or not session.status or session.status == self._state:
            return
        self._state = session.status
        trouble = trouble_of(session.status, self.config.session)
        log = self.context.log
        if not trouble:
            log.info("the session works", session=self.config.session)
        elif session.status == "STARTING":
            log.info(trouble, state=session.status)
        else:
            log.error(trouble, state=session.status[:40])


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``waha``."""
    registry.channel("waha", Waha, config=WahaConfig)
