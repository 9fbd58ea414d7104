"""HostContext: the host, as it hands itself to one plugin instance."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode

from router.clock import Clock, SystemClock
from router.domain.identity import MAIN_TENANT
from router.plugin.context import Log

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    import httpx

    from router.plugin.sockets import Socket
    from router.plugin.threads import InstanceThreads

_T = TypeVar("_T")


class HostContext:
    """A :class:`~router.plugin.PluginContext` made of real parts.

    :param name: the instance's name in router.toml.
    :param log: a logger already bound to the instance.
    :param public_url: ``[router] public_url``, with or without a slash at its end.
    :param timeout: seconds; the ``timeout`` of the instance's table.
    """

    def __init__(
        self,
        *,
        name: str,
        log: Log,
        public_url: str,
        tenant: str = MAIN_TENANT,
        clock: Clock | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.name = name
        self.tenant = tenant
        self.log = log
        self.clock: Clock = clock or SystemClock()
        self._public_url = public_url
        self._timeout = timeout
        self._threads: InstanceThreads | None = None
        self._http: httpx.AsyncClient | None = None
        self._closed = False

    @property
    def http(self) -> "httpx.AsyncClient":
        """The instance's HTTP client, made at first use.

        :raises RuntimeError: after :meth:`aclose`.
        """
        if self._closed:
            message = f"the HTTP client of {self.name!r} is closed"
            raise RuntimeError(message)
        if self._http is None:
            # Here, because aiohttp and httpx would double the time of a cold start.
            from router.plugin.transport import open_client

            self._http = open_client(self._timeout)
        return self._http

    def websocket(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        max_size: int = 1024 * 1024,
        public: bool = False,
    ) -> "AbstractAsyncContextManager[Socket]":
        """Open a WebSocket; see :class:`~router.plugin.PluginContext`.

        :raises RuntimeError: after :meth:`aclose`.
        """
        if self._closed:
            message = f"{self.name!r} is closed"
            raise RuntimeError(message)
        from router.plugin.websockets import open_socket  # here, for the same reason

        return open_socket(
            url,
            headers=headers,
            subprotocols=subprotocols,
            max_size=max_size,
            public=public,
            timeout=self._timeout,
        )

    async def in_thread(self, function: Callable[[], _T]) -> _T:
        """Give what a function that blocks gives; see :class:`~router.plugin.PluginContext`.

        :raises RuntimeError: after :meth:`aclose`.
        """
        if self._closed:
            message = f"{self.name!r} is closed"
            raise RuntimeError(message)
        if self._threads is None:
            from router.plugin.threads import InstanceThreads  # here: asyncio is no trifle, either

            self._threads = InstanceThreads(self._timeout / 2)
        return await self._threads.run(function)

    def webhook_url(self, endpoint: str = "", **query: str) -> str:
        """Give the public URL of this channel's webhook, or of one of its endpoints."""
        return webhook_url(self._public_url, self.tenant, self.name, endpoint, query)

    async def aclose(self) -> None:
        """Close the HTTP client, if one was made. The context cannot be used afterwards."""
        self._closed = True
        if self._http is not None:
            await self._http.aclose()


def webhook_url(
    public_url: str,
    tenant: str,
    name: str,
    endpoint: str = "",
    query: Mapping[str, str] | None = None,
) -> str:
    """Give ``/hooks/{name}`` for the main tenant, ``/hooks/{tenant}/{name}`` for any other.

    :param endpoint: appended as the last part of the path unless empty.
    """
    parts = [] if tenant == MAIN_TENANT else [tenant]
    parts += [name, endpoint] if endpoint else [name]
    path = "/".join(quote(part, safe="") for part in parts)
    url = f"{public_url.rstrip('/')}/hooks/{path}"
    return f"{url}?{urlencode(query)}" if query else url
