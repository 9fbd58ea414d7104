"""``/hooks/…``: from a request to intake, and its verdict back. This is the hot path."""

from collections.abc import Iterable
from typing import Final

from router.domain.identity import MAIN_TENANT
from router.plugin.channel import WebhookRequest
from router.web import asgi
from router.web.access import LocalOnly, Networks
from router.web.host import LiveChannel, WebHost
from router.web.limits import WebhookLimits

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
        networks = Networks(lambda: host.settings.router.trusted_proxies)
        self._limits = WebhookLimits(host, networks)

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
        named = ("", "") if found is None else (found[0].tenant, found[0].name)
        seconds = self._limits.wait(scope, *named)
        if seconds:
            retry = ((b"retry-after", str(seconds).encode()),)
            known = None if found is None else found[0]
            await self._refuse(send, known, 429, "Too fast: send it again later.", retry)
            return
        if found is None:
            await self._refuse(send, None, 404, _UNKNOWN)
            return
        channel, endpoint = found
        method: str = scope["method"]
        if method not in ("POST", "GET"):
            await self._refuse(send, channel, 405, "Webhooks are sent by POST.", _ALLOW)
            return
        headers = asgi.headers_of(scope)
        if channel.capabilities.local_only:
            refusal = self._local_only.refusal(scope)
            if refusal is not None:
                await self._refuse(send, channel, 403, refusal)
                return
        try:
            body = await asgi.read_body(
                receive,
                announced=headers.get("content-length"),
                limit=self._host.settings.server.max_body,
                patience=self._patience,
            )
        except asgi.BodyTooLarge as error:
            if error.more:
                excess = self._host.settings.server.max_body * asgi.EXCESS
                await asgi.discard(receive, limit=excess, patience=self._patience)
            await self._refuse(send, channel, 413, "The request is too large.", _CLOSE)
            return
        except asgi.BodyTooSlow:
            await self._refuse(send, channel, 408, "The request came too slowly.", _CLOSE)
            return
        except asgi.ClientGone:
            return  # not acknowledged, so the provider sends it again
        # The body took its time: the channel may have been put in another's place meanwhile.
        channel = self._host.channel(channel.tenant, channel.name) or channel
        request = WebhookRequest(
            method=method,
            url=self._host.settings.router.public_url + asgi.path_as_sent(scope),
            headers=headers,
            body=body,
            received_at=self._host.clock.now(),
            endpoint=endpoint,
        )
        metrics, clock = self._host.metrics, self._host.clock
        began = clock.monotonic()
        result = await self._host.intake.receive(channel, request)
        metrics.intake_seconds.observe(clock.monotonic() - began, channel.tenant, channel.name)
        metrics.webhooks.count(channel.tenant, channel.name, str(result.status))
        if result.status != 403:
            self._limits.signed(channel.tenant, channel.name)
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

    async def _refuse(
        self,
        send: asgi.Send,
        channel: LiveChannel | None,
        status: int,
        words: str,
        headers: Iterable[asgi.RawHeader] = (),
    ) -> None:
        tenant, name = ("", "") if channel is None else (channel.tenant, channel.name)
        self._host.metrics.webhooks.count(tenant, name, str(status))
        await asgi.sentence(send, status, words, headers=headers)
