"""``/hooks/…``: from a request to intake, and its verdict back. This is the hot path."""

from typing import Final

from router.domain.identity import MAIN_TENANT
from router.plugin.channel import WebhookRequest
from router.web import asgi
from router.web.access import LocalOnly
from router.web.host import LiveChannel, WebHost

PREFIX: Final = "/hooks/"

#: An endpoint that no plugin gets: the host's own self-test of a channel.
RESERVED_ENDPOINT: Final = "test"

_ALLOW: Final = ((b"allow", b"POST"),)
_CLOSE: Final = ((b"connection", b"close"),)
_UNKNOWN: Final = "There is no such channel in router.toml."


class Webhooks:
    """The ASGI app under ``/hooks/``.

    Which channel a path means is read from the configuration in force: the first part is a
    channel of the top level or a tenant's name, which are one namespace.
    """

    def __init__(self, host: WebHost, local_only: LocalOnly, patience: float) -> None:
        self._host = host
        self._patience = patience
        self._local_only = local_only

    def find(self, path: str) -> tuple[LiveChannel, str] | None:
        """Give the channel and endpoint that a path means, or ``None``."""
        names = path.removeprefix(PREFIX).removesuffix("/").split("/")
        tenant = MAIN_TENANT
        if names[0] != MAIN_TENANT and names[0] in self._host.settings.tenants:
            tenant = names.pop(0)
        if not 1 <= len(names) <= 2:
            return None
        endpoint = names[1] if len(names) == 2 else ""
        if endpoint == RESERVED_ENDPOINT or (len(names) == 2 and not endpoint):
            return None
        channel = self._host.channel(tenant, names[0])
        return None if channel is None else (channel, endpoint)

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        found = self.find(scope["path"])
        if found is None:
            await asgi.sentence(send, 404, _UNKNOWN)
            return
        channel, endpoint = found
        method: str = scope["method"]
        if method not in ("POST", "GET"):
            await asgi.sentence(send, 405, "Webhooks are sent by POST.", headers=_ALLOW)
            return
        headers = asgi.headers_of(scope)
        if channel.capabilities.local_only:
            refusal = self._local_only.refusal(scope)
            if refusal is not None:
                await asgi.sentence(send, 403, refusal)
                return
        settings = self._host.settings
        try:
            body = await asgi.read_body(
                receive,
                announced=headers.get("content-length"),
                limit=settings.server.max_body,
                patience=self._patience,
            )
        except asgi.BodyTooLarge as error:
            if error.more:
                excess = settings.server.max_body * asgi.EXCESS
                await asgi.discard(receive, limit=excess, patience=self._patience)
            await asgi.sentence(send, 413, "The request is too large.", headers=_CLOSE)
            return
        except asgi.BodyTooSlow:
            await asgi.sentence(send, 408, "The request came too slowly.", headers=_CLOSE)
            return
        except asgi.ClientGone:
            return  # not acknowledged, so the provider sends it again
        request = WebhookRequest(
            method=method,
            url=settings.router.public_url + asgi.path_as_sent(scope),
            headers=headers,
            body=body,
            received_at=self._host.clock.now(),
            endpoint=endpoint,
        )
        result = await self._host.intake.receive(channel, request)
        extra: list[asgi.RawHeader] = []
        if result.retry_after is not None:
            extra.append((b"retry-after", str(result.retry_after).encode()))
        if result.status == 405:
            extra += _ALLOW
        given = result.answer
        if given is None:
            await asgi.answer(send, result.status, headers=extra)
        else:
            await asgi.answer(
                send, result.status, given.body, content_type=given.content_type, headers=extra
            )
