"""Tell another system about a call, in a way that it can check and repeat safely."""

import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from router import plugin

#: A header's name: RFC 9110, section 5.6.2.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _name(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        message = f"{text[:80]!r} cannot be the name of a header"
        raise ValueError(message)
    return text


def _text(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        message = "a header has to be printable ASCII"
        raise ValueError(message)
    return text


def _sendable(value: plugin.Secret) -> plugin.Secret:
    text = value.get_secret_value()
    if not text or not text.isascii() or not text.isprintable():
        message = "the secret has to be printable ASCII: it is sent as a header"
        raise ValueError(message)
    return value


HeaderName = Annotated[str, AfterValidator(_name)]
HeaderText = Annotated[str, AfterValidator(_text)]
HeaderSecret = Annotated[plugin.Secret, AfterValidator(_sendable)]


class WebhookConfig(plugin.PluginConfig):
    """Where the calls go, and what proves to the receiver who sends them."""

    url: str = Field(description="Where to POST each call; http:// or https://.")
    secret: plugin.Secret | None = Field(
        None, description="Signs each call in the header X-Router-Signature."
    )
    bearer_token: HeaderSecret | None = Field(None, description="Sent as Authorization: Bearer.")
    headers: Mapping[HeaderName, HeaderText] = Field(
        default_factory=dict, description="Headers to send besides the router's own."
    )
    secret_headers: Mapping[HeaderName, HeaderSecret] = Field(
        default_factory=dict, description="Headers whose values are secrets."
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

    @field_validator("headers", "secret_headers")
    @classmethod
    def _each_header_is_given_once(
        cls, value: Mapping[str, Any], info: ValidationInfo
    ) -> Mapping[str, Any]:
        known = [] if info.data.get("bearer_token") is None else ["authorization"]
        known += [name.lower() for name in info.data.get("headers", ())]
        for name in value:
            if name.lower() in known:
                message = f"{name} is given twice"
                raise ValueError(message)
            known.append(name.lower())
        return value

    @property
    def sent_headers(self) -> dict[str, str]:
        """The headers of the table, as they are sent."""
        found = dict(self.headers)
        if self.bearer_token is not None:
            found["Authorization"] = f"Bearer {self.bearer_token.get_secret_value()}"
        for name, value in self.secret_headers.items():
            found[name] = value.get_secret_value()
        return found


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
    same network. Redirects are not followed, so nobody else can point it elsewhere, and no token
    goes to another host than the one that stands there.
    """

    idempotent = True

    async def run(self, call: plugin.ActionCall) -> plugin.ActionResult:
        """Make one attempt; any 2xx means done."""
        body, headers = posted(call, self.config, self.context.clock.now())
        response = await self.context.http.post(self.config.url, content=body, headers=headers)
        plugin.raise_for_status(response)
        return plugin.ActionResult(
            f"{response.request.url.host} answered {response.status_code}",
            {"status": response.status_code},
        )


def posted(
    call: plugin.ActionCall, config: WebhookConfig, now: datetime
) -> tuple[bytes, dict[str, str]]:
    """Give the body and the headers of a call, signed where the table has a secret."""
    body = json.dumps(call.as_json(), ensure_ascii=False, separators=(",", ":")).encode()
    timestamp = str(int(now.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": call.id,
        "X-Router-Timestamp": timestamp,
    }
    if config.secret is not None:
        key = config.secret.get_secret_value().encode()
        mac = hmac.digest(key, f"{timestamp}.".encode() + body, "sha256").hex()
        headers["X-Router-Signature"] = f"t={timestamp},v1={mac}"
    own = {name.lower() for name in headers}
    table = config.sent_headers.items()
    return body, headers | {name: value for name, value in table if name.lower() not in own}
