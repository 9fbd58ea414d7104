"""The action ``webhook``: a signed POST to a system of yours."""

from router_webhook.action import Webhook, WebhookConfig, WebhookParams, router_register

router_api = (1, 0)

__all__ = ["Webhook", "WebhookConfig", "WebhookParams", "router_api", "router_register"]
