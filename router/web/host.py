"""What the web asks of the daemon it runs in."""

from typing import TYPE_CHECKING, Any, Protocol

from router.clock import Clock
from router.metrics import Metrics
from router.plugin.channel import Capabilities, WebhookAnswer, WebhookRequest
from router.plugin.context import Log

if TYPE_CHECKING:
    from router.pipeline.people.surroundings import Surroundings
    from router.settings.model import Settings
    from router.storage.store import Store


class LiveChannel(Protocol):
    """A channel that is configured and running."""

    @property
    def name(self) -> str: ...

    @property
    def tenant(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...


class IntakeResult(Protocol):
    """What became of a webhook.

    ``retry_after`` is in seconds; ``answer`` is ``None`` where the status says it all.
    """

    @property
    def status(self) -> int: ...

    @property
    def answer(self) -> WebhookAnswer | None: ...

    @property
    def retry_after(self) -> int | None: ...


class Intake(Protocol):
    """Verifies, parses and stores a webhook, in this order."""

    async def receive(self, channel: Any, request: WebhookRequest) -> IntakeResult:
        """Take a request in. Raises for nothing that a provider may send.

        :param channel: as :meth:`WebHost.channel` gave it.
        """
        ...


class WebHost(Protocol):
    """The daemon, as the web sees it.

    Everything is asked again for each request, so a reload needs no new app.
    """

    @property
    def settings(self) -> "Settings": ...

    @property
    def store(self) -> "Store": ...

    @property
    def intake(self) -> Intake: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def log(self) -> Log: ...

    @property
    def metrics(self) -> Metrics:
        """What the process counts."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the daemon is about to stop; streams end, readiness is false."""
        ...

    @property
    def surroundings(self) -> "Surroundings":
        """What acts of people need to know besides the database."""
        ...

    def channel(self, tenant: str, name: str) -> LiveChannel | None:
        """Give a channel that is switched on, or ``None``."""
        ...

    def readiness(self) -> list[str]:
        """Name what is not ready, such as ``database`` or ``channels.whatsapp``; empty is ready."""
        ...

    def held_back(self) -> list[str]:
        """Name the instances whose circuit breaker is open; nothing leaves there for now."""
        ...

    def status(self) -> dict[str, Any]:
        """Give what only the living process knows; ``instances`` among it."""
        ...
