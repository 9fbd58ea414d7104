"""What ``router plugins check builderbot`` runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar
from urllib.parse import urlencode

from pydantic import SecretStr

from router.plugin import WebhookRequest
from router.plugin.testing import ChannelSuite, Fetch, Receive, Send
from router_builderbot.channel import Builderbot
from router_builderbot.config import BuilderbotConfig
from router_builderbot.conformance_files import fetches
from router_builderbot.conformance_messages import BOT, MESSAGES, NAMELESS, PROJECT
from router_builderbot.conformance_sending import SENDS

API_KEY = "bb-key-of-nobody"
ACCOUNT_KEY = "account-key-of-nobody"
URL_SECRET = "url-secret-of-nobody"  # noqa: S105 - it is nobody's

_SIGNS_NOTHING = "BuilderBot signs nothing: who knows the key may send any body"


class BuilderbotConformance(ChannelSuite):
    """The rows of the channel ``builderbot``, whose webhooks carry the account's key."""

    channel = Builderbot
    config = BuilderbotConfig(
        bot_id=PROJECT,
        api_key=SecretStr(API_KEY),
        account_key=(SecretStr("new-key-of-nobody"), SecretStr(ACCOUNT_KEY)),
        manager_key=SecretStr("bbc-key-of-nobody"),
        project_id=PROJECT,
        own_numbers=("+" + BOT,),
        event_names={"contact.blacklisted": "opt_out", "message.reaction": "ignore"},
    )
    exempt: ClassVar[Mapping[str, str]] = {"tampered_body": _SIGNS_NOTHING}

    receives: ClassVar[Sequence[Receive]] = MESSAGES
    sends: ClassVar[Sequence[Send]] = SENDS
    fetches: ClassVar[Sequence[Fetch]] = fetches(API_KEY)

    def sign(self, request: WebhookRequest) -> WebhookRequest:
        """Name the account, as a webhook with a header of its own does."""
        return replace(request, headers={"X-Account-Key": ACCOUNT_KEY})


class UrlSecretConformance(BuilderbotConformance):
    """The same with a secret in the address, for accounts that send no header."""

    config = BuilderbotConfig(
        bot_id=PROJECT,
        api_key=SecretStr(API_KEY),
        url_secret=SecretStr(URL_SECRET),
    )
    receives = NAMELESS
    exempt: ClassVar[Mapping[str, str]] = {
        "tampered_body": _SIGNS_NOTHING,
        "dedupe_keys": "a request without an id and a time is known as a repeat for some minutes "
        "only; repeat_window says for how long",
    }

    def sign(self, request: WebhookRequest) -> WebhookRequest:
        """Put the secret into the address."""
        return replace(request, url=f"{request.url}?{urlencode({'key': URL_SECRET})}")
