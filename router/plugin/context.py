"""What the host hands to each plugin instance."""

from typing import TYPE_CHECKING, Any, Protocol

from router.clock import Clock

if TYPE_CHECKING:
    import httpx


class Log(Protocol):
    """A structured logger, bound to the instance. Values of secrets are blanked out by the host.

    Call it with an event in words and values by name: ``log.info("sent", to=address)``.
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
        truly, which decides between a retry and a question to a person.
        """
        ...

    @property
    def log(self) -> Log: ...

    @property
    def clock(self) -> Clock: ...

    def webhook_url(self, endpoint: str = "", **query: str) -> str:
        """Give the public URL of this channel's webhook, or of one of its endpoints."""
        ...
