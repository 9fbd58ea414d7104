"""What the host hands to each plugin instance."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from router.clock import Clock

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    import httpx

    from router.plugin.sockets import Socket

_T = TypeVar("_T")


class Log(Protocol):
    """A structured logger, bound to the instance. Values of secrets are blanked out by the host.

    Call it with an event in words and values by name: ``log.info("sent", to=address)``. A line has
    an ``event``, a ``level`` and a ``timestamp`` of its own: no value has one of these names.
    """

    def debug(self, event: str, /, **values: Any) -> Any: ...
    def info(self, event: str, /, **values: Any) -> Any: ...
    def warning(self, event: str, /, **values: Any) -> Any: ...
    def error(self, event: str, /, **values: Any) -> Any: ...


class PluginContext(Protocol):
    """The host, as one instance sees it.

    .. versionadded:: 1.0
    """

    @property
    def name(self) -> str:
        """The instance's name in router.toml."""
        ...

    @property
    def tenant(self) -> str:
        """Whose instance this is; ``main`` for what stands at the top level."""
        ...

    @property
    def http(self) -> "httpx.AsyncClient":
        """The instance's HTTP client: pooled, with the table's ``timeout``, following no redirect.

        Made at first use, closed by the host. It tells a refused connection from a lost one
        truly, which decides between a retry and a question to a person. An answer that is not
        streamed may have 8 MiB, packed and unpacked; what may be larger is to be streamed.
        """
        ...

    def websocket(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        max_size: int = 1024 * 1024,
        public: bool = False,
    ) -> "AbstractAsyncContextManager[Socket]":
        """Open a WebSocket; it is closed when its context is left.

        Nothing was taken while entering fails, whatever the cause. No redirect is followed, no
        proxy or password is read from the environment; the connection is made within half of the
        table's ``timeout``, at most 10 seconds.

        :param url: ``wss://…``; ``ws://…`` only to a host of a private network or this machine.
        :param max_size: the longest message that is taken, in bytes.
        :param public: the address came from somebody else, such as a provider's answer: refuse
            one that leads into a private network, by name or number.
        :raises Unavailable: no connection, 429, 503 and any other 5xx.
        :raises Refused: an address that is not allowed, or the server's 3xx or 4xx (as ``code``),
            or something else than a WebSocket.

        .. versionadded:: 1.1
        """
        ...

    async def in_thread(self, function: Callable[[], _T]) -> _T:
        """Give what a function that blocks gives, such as a call of a library without async.

        Guaranteed: it holds up this instance only, and no exit of the process. Whoever stops
        waiting, as the host does after the table's ``timeout``, is let go at once; the thread is
        abandoned then. An instance has 16 threads, and an abandoned one counts until its call
        comes back; so a library that hangs for good holds no more of them. Nothing waits for a
        thread longer than half of the ``timeout``, or at all while every one is abandoned.

        Not guaranteed: that a call which was given up has no effect. Give the library a limit of
        its own, shorter than the ``timeout``.

        :param function: is called once, with the context variables of whoever calls this.
        :raises Unavailable: if there was no thread for it. It was not called.

        .. versionadded:: 1.1
        """
        ...

    @property
    def log(self) -> Log: ...

    @property
    def clock(self) -> Clock: ...

    def webhook_url(self, endpoint: str = "", **query: str) -> str:
        """Give the public URL of this channel's webhook, or of one of its endpoints."""
        ...
