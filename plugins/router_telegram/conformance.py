"""What ``router plugins check telegram`` runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import SecretStr

from router.plugin import WebhookRequest
from router.plugin.testing import ChannelSuite, Fetch, Receive, Send
from router_telegram.channel import SECRET_HEADER, Telegram
from router_telegram.config import TelegramConfig
from router_telegram.conformance_files import FETCHES
from router_telegram.conformance_sending import QUOTED, SENDS, TOKEN
from router_telegram.conformance_updates import CHOSEN, UPDATES

SECRET = "secret-token_of-nobody"  # noqa: S105 - it is nobody's


class TelegramConformance(ChannelSuite):
    """The rows of the channel ``telegram``."""

    channel = Telegram
    config = TelegramConfig(
        token=SecretStr(TOKEN),
        secret_token=(SecretStr("new-token_of-nobody"), SecretStr(SECRET)),
    )
    exempt: ClassVar[Mapping[str, str]] = {
        "tampered_body": "Telegram signs nothing: who knows the secret may send any body"
    }
    receives: ClassVar[Sequence[Receive]] = UPDATES
    sends: ClassVar[Sequence[Send]] = SENDS
    fetches: ClassVar[Sequence[Fetch]] = FETCHES

    def sign(self, request: WebhookRequest) -> WebhookRequest:
        """Send our secret along, as Telegram does."""
        return replace(request, headers={SECRET_HEADER: SECRET})


class ChosenConformance(TelegramConformance):
    """The same with every choice made the other way."""

    config = TelegramConfig(
        token=SecretStr(TOKEN),
        secret_token=SecretStr(SECRET),
        edits="message",
        quote=True,
        join_shared_number=True,
    )
    receives = CHOSEN
    sends = QUOTED
