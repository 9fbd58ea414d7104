"""The channel ``twilio_whatsapp``."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from router import plugin
from router_twilio.codes import row_for
from router_twilio.config import TwilioConfig
from router_twilio.errors import failure
from router_twilio.inbound import STATUS_ENDPOINT, events_in
from router_twilio.listing import find
from router_twilio.media import download
from router_twilio.sending import MAX_TEXT, MEDIA_TYPES, form_of, receipt_of
from router_twilio.signatures import Signatures
from router_twilio.templates import list_templates

_NOTHING = plugin.WebhookAnswer(body=b"<Response/>", content_type="text/xml")
_EMPTY = plugin.WebhookAnswer(status=204)

#: How long after a customer's last message WhatsApp takes free text.
WINDOW = timedelta(hours=24)

#: A sender's messages are spread over the second: at most a tenth of them leave at once.
_SPREAD = 10

_REMEMBERED = 1000
_DEAD_ACCOUNTS = frozenset({"suspended", "closed"})


class TwilioWhatsApp(plugin.Channel[TwilioConfig]):
    """WhatsApp by way of Twilio.

    Messages come in at the channel's webhook, delivery reports at its endpoint ``status``, whose
    address goes out with each message and carries our id of it.
    """

    capabilities = plugin.Capabilities(
        max_text=MAX_TEXT,
        text_unit="bytes",
        media=True,
        media_types=MEDIA_TYPES,
        receipts=True,
        find_sent=True,
        window=WINDOW,
        fetch=True,
        lists_templates=True,
    )

    def __init__(self, config: TwilioConfig, context: plugin.PluginContext) -> None:
        super().__init__(config, context)
        keys = {name: key.get_secret_value() for name, key in config.signing_keys.items()}
        self._signatures = Signatures(config.account_sid, config.auth_tokens, keys)
        self._tried_again: OrderedDict[str, None] = OrderedDict()
        rate = config.messages_per_second
        self.capabilities = replace(
            self.capabilities,
            complete_listing=config.listing_is_complete,
            sender_limit=plugin.RateLimit(1 / rate, burst=max(1, int(rate / _SPREAD))),
            pair_limit=plugin.RateLimit(config.pair_interval, burst=config.pair_burst),
        )

    def verify(self, request: plugin.WebhookRequest) -> None:
        """Check the signature, by Auth Token or by SharedKey, and that the account is ours."""
        self._signatures.verify(request)

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        """Read the message or the delivery report in a webhook."""
        return events_in(request, self.config.alias_fields)

    def acknowledge(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer | None:
        """Answer a message with TwiML that says nothing, and a report with nothing at all.

        Anything else that has a body might be sent to the customer.
        """
        if request.method != "POST":
            return None
        return _EMPTY if request.endpoint == STATUS_ENDPOINT else _NOTHING

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        """Make one attempt; Twilio cannot tell a repeat from a second message."""
        callback = self.context.webhook_url(STATUS_ENDPOINT, item=message.id)
        form = form_of(message, self.config, callback)
        response = await self.context.http.post(
            self.config.messages_url, data=form, auth=self.config.credentials
        )
        try:
            return receipt_of(response, self.config, self.context.clock.now())
        except plugin.Unavailable as error:
            row = row_for(error.code)
            if row is not None and row.once and not self._is_first(message.id):
                raise plugin.Refused(error.reason, code=error.code) from error
            raise

    async def find_sent(
        self, message: plugin.OutboundMessage, since: datetime
    ) -> Sequence[plugin.SentMessage]:
        """List what Twilio took since then that could be this message."""
        now = self.context.clock.now()
        return await find(self.context.http, self.config, message, since, now)

    async def templates(self) -> Sequence[plugin.TemplateInfo]:
        """List the account's templates with their approval."""
        return await list_templates(self.context.http, self.config, self.context.clock.now())

    async def check(self) -> None:
        """Make sure that Twilio accepts the credentials, and that the account is active."""
        config, now = self.config, self.context.clock.now()
        by_key = config.api_key_sid is not None
        # An API key need not be allowed to read the account; what it is for is messages.
        url = f"{config.messages_url}?PageSize=1" if by_key else f"{config.account_url}.json"
        response = await self.context.http.get(url, auth=config.credentials)
        if response.status_code in {401, 403}:
            raise plugin.Refused(
                f"Twilio does not accept {config.credentials_name} for {config.account_sid}. "
                "Compare them with Twilio's console",
                code=str(response.status_code),
            )
        error = failure(response, now, config.secrets)
        if error is not None:
            raise error
        try:
            status = None if by_key else response.json()["status"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise plugin.OutcomeUnknown(
                f"{response.request.url.host} does not answer as Twilio does. Correct base_url"
            ) from None
        if status in _DEAD_ACCOUNTS:
            raise plugin.Refused(f"the account {config.account_sid} is {status} at Twilio")

    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        """Fetch what a customer sent; see :func:`router_twilio.media.download`."""
        now, url = self.context.clock.now(), attachment.url or ""
        return await download(self.context.http, self.config, url, now, limit)

    def _is_first(self, message: str) -> bool:
        """Say whether this message fails for the first time, as far as is remembered."""
        if message in self._tried_again:
            return False
        self._tried_again[message] = None
        if len(self._tried_again) > _REMEMBERED:
            self._tried_again.popitem(last=False)
        return True


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``twilio_whatsapp``."""
    registry.channel("twilio_whatsapp", TwilioWhatsApp, config=TwilioConfig)
