"""What ``router plugins check whatsapp_cloud`` runs."""

import hmac
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar
from urllib.parse import urlencode

from pydantic import SecretStr

from router.plugin import WebhookRequest
from router.plugin.testing import ChannelSuite, Fetch, ListTemplates, Receive, Send
from router_whatsapp_cloud.channel import WhatsAppCloud
from router_whatsapp_cloud.config import WhatsAppCloudConfig
from router_whatsapp_cloud.conformance_changes import CHANGES, CHOSEN_CHANGES
from router_whatsapp_cloud.conformance_content import CONTENT
from router_whatsapp_cloud.conformance_files import FETCHES, STORE
from router_whatsapp_cloud.conformance_messages import MESSAGES, NUMBER_ID
from router_whatsapp_cloud.conformance_reports import CHOSEN, REPORTS
from router_whatsapp_cloud.conformance_sending import QUOTED, SENDS
from router_whatsapp_cloud.conformance_templates import ACCOUNT, LISTS
from router_whatsapp_cloud.conformance_unread import UNREAD

APP_SECRET = "meta_app_secret_fictional"  # noqa: S105 - it is nobody's
VERIFY_TOKEN = "verify-token-of-nobody"  # noqa: S105 - it is nobody's


class WhatsAppCloudConformance(ChannelSuite):
    """The rows of the channel ``whatsapp_cloud``."""

    channel = WhatsAppCloud
    config = WhatsAppCloudConfig(
        phone_number_id=NUMBER_ID,
        access_token=SecretStr("token-of-nobody"),
        app_secret=(SecretStr("new-secret-of-nobody"), SecretStr(APP_SECRET)),
        verify_token=SecretStr(VERIFY_TOKEN),
        business_account_id=ACCOUNT,
    )
    receives: ClassVar[Sequence[Receive]] = (
        *MESSAGES,
        *CONTENT,
        *CHANGES,
        *REPORTS,
        *UNREAD,
    )
    sends: ClassVar[Sequence[Send]] = SENDS
    fetches: ClassVar[Sequence[Fetch]] = FETCHES
    lists: ClassVar[Sequence[ListTemplates]] = LISTS
    credential_hosts = (STORE,)

    def sign(self, request: WebhookRequest) -> WebhookRequest:
        """Sign the raw body with the app's secret; name our words in a challenge."""
        if request.method == "GET":
            token = urlencode({"hub.verify_token": VERIFY_TOKEN})
            return replace(request, url=f"{request.url}{'&' if request.query else '?'}{token}")
        mac = hmac.new(APP_SECRET.encode(), request.body, "sha256").hexdigest()
        return replace(request, headers={"X-Hub-Signature-256": f"sha256={mac}"})


class ChosenConformance(WhatsAppCloudConformance):
    """The same with every choice made the other way, and no account named."""

    config = WhatsAppCloudConfig(
        phone_number_id=NUMBER_ID,
        access_token=SecretStr("token-of-nobody"),
        app_secret=SecretStr(APP_SECRET),
        verify_token=SecretStr(VERIFY_TOKEN),
        edits="message",
        quote=True,
        reactions=True,
        marketing_stop_is_opt_out=True,
    )
    receives = (*CHOSEN, *CHOSEN_CHANGES)
    sends = QUOTED
    lists = ()
