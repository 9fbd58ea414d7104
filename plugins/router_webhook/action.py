"""Tell another system about a call, in a way that it can check and repeat safely."""

import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from router import plugin


class WebhookConfig(plugin.PluginConfig):
    """Where the calls go, and the secret that signs them."""

    url: str = Field(description="Where to POST each call; http:// or https://.")
    secret: plugin.Secret | None = Field(
        None, description="Signs each call in the header X-Router-Signature."
    )
    headers: Mapping[str, str] = Field(
        default_factory=dict, description="Headers to send besides the router's own."
    )

    @field_validator("url")
    @classmethod
    def _url_is_http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = "write a whole address, such as https://example.org/hook"
            raise ValueError(message)
        return value

    @field_validator("secret")
    @classmethod
    def _secret_is_not_empty(cls, value: plugin.Secret | None) -> plugin.Secret | None:
        if value is not None and not value.get_secret_value():
            message = "the secret is empty; anybody could sign with it"
            raise ValueError(message)
        return value


class WebhookParams(plugin.NoticeParams):
    """A notice, and anything else that the receiver wants to know."""

    data: Mapping[str, Any] = Field(default_factory=dict)


class Webhook(plugin.Action[WebhookConfig]):
    """POSTs each call as JSON.

    ``Idempotency-Key`` holds the call's id, the same in every repeat; receivers that remember it do
    each call once. ``X-Router-Timestamp`` holds the seconds since 1970. With a ``secret``,
    ``X-Router-Signature: t=<timestamp>,v1=<hex>`` holds the HMAC-SHA256 of ``<timestamp>.<body>``:
    compare it in constant time, and refuse timestamps older than some minutes.

    The address may be private or loopback. It stands in the operator's own file, next to the
    database's; neither a customer nor an AI backend can change it, and most receivers live in the
    same network. Redirects are not followed, so nobody else can point it elsewhere.
    """

    idempotent = True

    async def run(self, call: plugin.ActionCall) -> plugin.ActionResult:
        """Make one attempt; any 2xx means done."""
        body = json.dumps(call.as_json(), ensure_ascii=False, separators=(",", ":")).encode()
        timestamp = str(int(self.context.clock.now().timestamp()))
        headers = {
            **self.config.headers,
            "Content-Type": "application/json",
            "Idempotency-Key": call.id,
            "X-Router-Timestamp": timestamp,
        }
        if self.config.secret is not None:
            key = self.config.secret.get_secret_value().encode()
            mac = hmac.digest(key, f"{timestamp}.".encode() + body, "sha256").hex()
            headers["X-Router-Signature"] = f"t={timestamp},v1={mac}"
        response = await self.context.http.post(self.config.url, content=body, headers=headers)
        plugin.raise_for_status(response)
        return plugin.ActionResult(
            f"{response.request.url.host} answered {response.status_code}",
            {"status": response.status_code},
        )


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``webhook``."""
    registry.action("webhook", Webhook, config=WebhookConfig, params=WebhookParams)
