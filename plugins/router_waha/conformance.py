"""What ``router plugins check waha`` runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import SecretStr

from router.plugin import WebhookRequest
from router.plugin.testing import ChannelSuite, Fetch, Receive, Send
from router_waha.channel import Waha
from router_waha.config import WahaConfig
from router_waha.conformance_cards import CARDS
from router_waha.conformance_files import FETCHES
from router_waha.conformance_messages import CHOSEN, MESSAGES
from router_waha.conformance_notices import NOTICES
from router_waha.conformance_sending import BASE, QUOTED, SENDS
from router_waha.signatures import ALGORITHM_HEADER, HEADER, sign

HMAC_KEY = "hmac-key-of-nobody"


class WahaConformance(ChannelSuite):
    """The rows of the channel ``waha``."""

    channel = Waha
    config = WahaConfig(
        base_url=BASE,
        hmac_key=(SecretStr("new-key-of-nobody"), SecretStr(HMAC_KEY)),
        api_key=SecretStr("api-key-of-nobody"),
    )
    receives: ClassVar[Sequence[Receive]] = (*MESSAGES, *CARDS, *NOTICES)
    sends: ClassVar[Sequence[Send]] = SENDS
    fetches: ClassVar[Sequence[Fetch]] = FETCHES

    def sign(self, request: WebhookRequest) -> WebhookRequest:
        """Sign the raw body, as WAHA does with its hmac key."""
        headers = {HEADER: sign(request.body, HMAC_KEY).hex(), ALGORITHM_HEADER: "sha512"}
        return replace(request, headers=headers)


class ChosenConformance(WahaConformance):
    """The same with every choice made the other way."""

    config = WahaConfig(
        base_url=BASE,
        hmac_key=SecretStr(HMAC_KEY),
        api_key=SecretStr("api-key-of-nobody"),
        quote=True,
        reactions=True,
    )
    receives = CHOSEN
    sends = QUOTED
