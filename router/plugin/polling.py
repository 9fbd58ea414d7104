"""Poller: what a channel asks its provider for, again and again."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from router.domain.event import InboundEvent
from router.errors import PluginError

#: The longest cursor, in characters.
LONGEST_CURSOR: Final = 65_536

#: What the host calls its own asking for templates. No poller of a channel may be called so.
LISTING: Final = "templates"

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """What one poll found.

    :param events: in the order in which they happened; stored like those of a webhook.
    :param cursor: where the next poll goes on; opaque to the host, at most 65,536 characters.
        ``None`` begins anew.
    :param again: there is more; the host asks again at once.

    .. versionadded:: 1.1
    """

    events: Sequence[InboundEvent] = ()
    cursor: str | None
    again: bool = False


class Poller(ABC):
    """Something that a channel asks its provider for, on one node at a time.

    The events and the cursor are stored in one transaction: a cursor never moves past events that
    were not stored, and a crash between a poll and its commit repeats the poll. So ``poll`` may
    give the same events again, under the same ids: the host knows them by ``dedupe_key``. What a
    webhook of the same channel brought before, at whichever of its endpoints, is known too: for a
    channel that has pollers one fact is one event, however often and by whichever way it comes.

    Polls of one poller never overlap. Several nodes on one database take turns; where a node was
    held up so long that another one went on in its place, what it found is dropped. A poll may be
    cancelled at any moment, when the router stops.

    .. versionadded:: 1.1
    """

    #: Lower-case letters, digits and underscores; unique in the channel, and not ``templates``.
    #: With the channel's name it is the key of the stored cursor, so another name begins anew.
    name: str

    #: How long to wait between the end of a poll and the next one; more than nothing.
    every: timedelta

    @abstractmethod
    async def poll(self, cursor: str | None) -> Polled:
        """Ask once what is new since the cursor. It gets the ``timeout`` of the channel's table.

        :param cursor: what the last stored poll gave; ``None`` the first time. May have been
            stored by an older version of the plugin.
        :raises ProviderError: or an error of httpx: said in the log in words, and asked again
            after a growing pause, or after ``retry_after``. Nothing is stored, and the cursor
            stays.
        """


def check_pollers(pollers: Sequence[Poller]) -> None:
    """Make sure that what ``Channel.pollers`` gives can be run. For the host and the suites.

    :raises PluginError: saying which is wrong, and how.
    """
    names: set[str] = set()
    for poller in pollers:
        if not isinstance(poller, Poller):
            message = f"pollers() has to give Pollers, not {type(poller).__name__}"
            raise PluginError(message)
        name, every = getattr(poller, "name", None), getattr(poller, "every", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            message = (
                f"{name!r} cannot name a poller. Use lower-case letters, digits and underscores, "
                "and begin with a letter"
            )
            raise PluginError(message)
        if name == LISTING:
            message = f"{LISTING!r} is what the host calls a poller of its own. Choose another name"
            raise PluginError(message)
        if name in names:
            message = f"two pollers of the channel are called {name!r}"
            raise PluginError(message)
        names.add(name)
        if not isinstance(every, timedelta) or every <= timedelta(0):
            message = f"`every` of the poller {name!r} has to be a timedelta above nothing"
            raise PluginError(message)
