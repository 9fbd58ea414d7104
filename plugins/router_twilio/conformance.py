"""What ``router plugins check twilio_whatsapp`` runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import SecretStr

from router.plugin import WebhookRequest
from router.plugin.testing import ChannelSuite, Fetch, Find, ListTemplates, Send
from router_twilio.channel import TwilioWhatsApp
from router_twilio.config import TwilioConfig
from router_twilio.conformance_files import fetches
from router_twilio.conformance_messages import ACCOUNT, MESSAGES, SENDER
from router_twilio.conformance_outbound import FINDS, SENDS, SERVICE_FINDS, SERVICE_SENDS
from router_twilio.conformance_reports import REPORTS
from router_twilio.conformance_templates import LISTS
from router_twilio.signatures import sign

TOKEN = "12345678901234567890123456789012"  # noqa: S105 - it is nobody's
OLD_TOKEN = "98765432109876543210987654321098"  # noqa: S105 - it is nobody's
KEY_ID = "webhooks_sharedkey_fictional"
KEY = "shared-key-of-nobody"
API_KEY = "SK00000000000000000000000000000001"
API_SECRET = "api-key-of-nobody"  # noqa: S105 - it is nobody's


class TwilioWhatsAppConformance(ChannelSuite):
    """The rows of the channel ``twilio_whatsapp``."""

    channel = TwilioWhatsApp
    config = TwilioConfig(
        account_sid=ACCOUNT,
        auth_token=(SecretStr(TOKEN), SecretStr(OLD_TOKEN)),
        signing_keys={KEY_ID: SecretStr(KEY)},
        sender=SENDER,
    )

    receives = (*MESSAGES, *REPORTS)
    sends: ClassVar[Sequence[Send]] = SENDS
    finds: ClassVar[Sequence[Find]] = FINDS
    fetches: ClassVar[Sequence[Fetch]] = fetches(ACCOUNT, TOKEN)
    lists: ClassVar[Sequence[ListTemplates]] = LISTS

    def sign(self, request: WebhookRequest) -> WebhookRequest:
        """Sign as Twilio does with the account's Auth Token."""
        signature = sign(request.url, request.form, TOKEN.encode()).decode()
        return replace(request, headers={"X-Twilio-Signature": signature})


class SharedKeyConformance(TwilioWhatsAppConformance):
    """The same, signed with a SharedKey and sent through a messaging service by an API key."""

    config = TwilioConfig(
        account_sid=ACCOUNT,
        api_key_sid=API_KEY,
        api_key_secret=SecretStr(API_SECRET),
        signing_keys={KEY_ID: SecretStr(KEY)},
        messaging_service_sid="MG00000000000000000000000000000001",
    )
    sends = SERVICE_SENDS
    finds = SERVICE_FINDS
    fetches = fetches(API_KEY, API_SECRET)

    def sign(self, request: WebhookRequest) -> WebhookRequest:
        """Sign as Twilio does with a SharedKey."""
        headers = {
            "X-Twilio-Signature": sign(request.url, request.form, KEY.encode(), "sha256").decode(),
            "X-Twilio-Webhooks-Signature-Settings": f"key={KEY_ID},algorithm=HMAC_SHA256",
        }
        return replace(request, headers=headers)
