"""Pollers as the schedule runs them: those that plugins bring, and those of the host itself."""

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from router.pipeline.instances.instances import LiveChannel
from router.plugin.polling import Polled, Poller
from router.schedule.standing import Standing
from router.storage.store import Tx

if TYPE_CHECKING:
    from router.storage.pollers import PollerKey

PolledT = TypeVar("PolledT", bound=Polled)


class ScheduledPoller(ABC, Generic[PolledT]):
    """What the schedule asks one channel's provider for, again and again, on one node at a time.

    What has a default is what it does for a plugin; a poller of the host overrides what differs.

    :param name: unique in the channel.
    :ivar standing: how it is doing; the schedule writes it.
    """

    #: Whether a good poll counts as one that found something, events or none.
    always_finds: bool = False

    def __init__(self, live: LiveChannel, name: str) -> None:
        self.live = live
        self.name = name
        self.standing = Standing(live.tenant, live.label, name, live.name)

    @property
    def key(self) -> "PollerKey":
        """Which row is its own."""
        from router.storage.pollers import PollerKey  # here: it brings SQLAlchemy

        return PollerKey(self.live.tenant, self.live.name, self.name)

    @property
    @abstractmethod
    def every(self) -> timedelta:
        """How long to wait between two polls; it may change while it runs."""

    @abstractmethod
    async def poll(self, cursor: str | None) -> PolledT:
        """Ask once, under the contract of ``router.plugin.Poller``."""

    @property
    def wanted(self) -> bool:
        """Whether it is to poll at all."""
        return True

    @property
    def hurries(self) -> bool:
        """Whether it is due now, whatever it waits for."""
        return False

    def hurried(self) -> None:
        """Note that it had its turn, so that it does not hurry twice for one reason."""

    def pause(self, polled: PolledT) -> timedelta:
        """Give how long to wait after a good poll."""
        return self.every

    def keep(self, tx: Tx, polled: PolledT) -> None:
        """Store what was found beside events, in the transaction that ends the poll."""

    def learn(self, polled: PolledT) -> None:
        """Go by what was found, now that it is stored."""


class PluginPoller(ScheduledPoller[Polled]):
    """Runs a poller that a plugin brings."""

    def __init__(self, live: LiveChannel, poller: Poller) -> None:
        super().__init__(live, poller.name)
        self._poller = poller

    @property
    def every(self) -> timedelta:
        return self._poller.every

    async def poll(self, cursor: str | None) -> Polled:
        return await self._poller.poll(cursor)
