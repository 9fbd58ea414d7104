"""The actions ``webhook`` and ``lookup``: a signed POST to a system of yours, to tell or to ask."""

from router import plugin
from router_webhook.action import Webhook, WebhookConfig, WebhookParams
from router_webhook.lookup import Lookup, LookupParams

router_api = (1, 1)

__all__ = [
    "Lookup",
    "LookupParams",
    "Webhook",
    "WebhookConfig",
    "WebhookParams",
    "router_api",
    "router_register",
]


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kinds ``webhook`` and ``lookup``."""
    registry.action("webhook", Webhook, config=WebhookConfig, params=WebhookParams)
    registry.action("lookup", Lookup, config=WebhookConfig, params=LookupParams)
