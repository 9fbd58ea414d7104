"""How a poller is doing, as far as this process knows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

#: So many failed polls in a row are trouble; one or two are the weather.
TROUBLE: Final = 3


@dataclass(slots=True)
class Standing:
    """How a poller is doing, as far as this process knows.

    :param channel: as people name it; ``instance`` is its name in its tenant.
    :param every: how long it waits between two polls, in seconds; ``None``: it does not poll.
    :param polling: a poll is under way.
    :param held: why there is none until a person says so.
    """

    tenant: str
    channel: str
    name: str
    instance: str = ""
    every: float | None = None
    polling: bool = False
    polled_at: datetime | None = None
    failures: int = 0
    error: str | None = None
    due_at: datetime | None = None
    held: str | None = None

    @property
    def label(self) -> str:
        return f"{self.channel}, poller {self.name}"

    @property
    def trouble(self) -> str | None:
        """What people should look at, in words: it fails again and again, or is held."""
        if self.held is not None:
            return f"{self.label} is held: {self.held}"
        return f"{self.label} fails: {self.error}" if self.failures >= TROUBLE else None

    def as_values(self) -> dict[str, Any]:
        """Give it as values for JSON."""
        return {
            "tenant": self.tenant,
            "channel": self.channel,
            "instance": self.instance,
            "name": self.name,
            "every": self.every,
            "polling": self.polling,
            "polled_at": None if self.polled_at is None else self.polled_at.isoformat(),
            "failures": self.failures,
            "error": self.error,
            "due_at": None if self.due_at is None else self.due_at.isoformat(),
            "held": self.held,
        }
