"""How fast webhooks may come in: from one address to one channel, and to one channel in all.

Asked for every webhook before anything of it is read, so it is a few looks into dicts (about 2 µs)
and no library's hundred milliseconds of import. Counted in memory, by each node for itself.

A channel's own limit counts only what its provider signed: strangers cannot use it up. Theirs is
the limit of their address, which counts for each channel by itself: providers send for all their
customers from the same addresses, and one account's flood must not stand in another's way.
"""

from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from router.web.access import Networks, client_address

if TYPE_CHECKING:
    from router.settings.model import Settings
    from router.settings.values import Rate
    from router.web.asgi import Scope
    from router.web.host import WebHost

#: So many addresses are remembered before those are forgotten that have been quiet.
_MOST: Final = 10_000

#: Sums of many small numbers are off by less than this, in seconds.
_ROUNDING: Final = 1e-6

_Key: TypeAlias = tuple[str, ...]


class _Buckets:
    """Token buckets, each kept as the moment at which it is full again."""

    def __init__(self) -> None:
        self._full: dict[_Key, float] = {}
        self._sweep_at = _MOST

    def wait(self, key: _Key, rate: "Rate", now: float) -> float:
        """Give the seconds until there is a token; 0 where there is one now."""
        full = self._full.get(key)
        if full is None:
            return 0.0
        seconds = full - now - rate.period + rate.period / rate.count
        return seconds if seconds > _ROUNDING else 0.0

    def take(self, key: _Key, rate: "Rate", now: float) -> None:
        full = self._full.get(key, now)
        self._full[key] = max(now, full) + rate.period / rate.count
        if len(self._full) > self._sweep_at:
            self._full = {it: moment for it, moment in self._full.items() if moment > now}
            self._sweep_at = max(_MOST, 2 * len(self._full))

    def __len__(self) -> int:
        return len(self._full)


class WebhookLimits:
    """Tells who sends too fast.

    :param clock: gives seconds that never go backwards.
    """

    def __init__(self, host: "WebHost", networks: Networks, clock: Any = monotonic) -> None:
        self._host = host
        self._networks = networks
        self._clock = clock
        self._sources = _Buckets()
        self._channels = _Buckets()
        self._read: tuple[Settings | None, dict[_Key, Rate | None]] = (None, {})

    def wait(self, scope: "Scope", tenant: str, channel: str) -> int:
        """Give the whole seconds until a sender may try again; 0 lets the webhook in.

        Lets no more in than the limit of its address; see :meth:`signed` for that of the channel.

        :param tenant: with ``channel`` empty where the path means none.
        """
        now = self._clock()
        rate = self._rate(tenant, channel) if channel else None
        if rate is not None:
            seconds = self._channels.wait((tenant, channel), rate, now)
            if seconds:
                self._host.metrics.limited.count(tenant, channel, "channel")
                return ceil(seconds)
        rate = self._host.settings.server.webhook_rate
        if rate is None:
            return 0
        address = client_address(scope, self._networks)
        if address is None:
            return 0
        key = (address, tenant, channel)
        seconds = self._sources.wait(key, rate, now)
        if seconds:
            self._host.metrics.limited.count(tenant, channel, "source")
            return ceil(seconds)
        self._sources.take(key, rate, now)
        return 0

    def signed(self, tenant: str, channel: str) -> None:
        """Count a webhook that its provider signed."""
        rate = self._rate(tenant, channel)
        if rate is not None:
            self._channels.take((tenant, channel), rate, self._clock())

    def _rate(self, tenant: str, channel: str) -> "Rate | None":
        settings = self._host.settings
        if self._read[0] is not settings:
            rates: dict[_Key, Rate | None] = {
                (name, each): table.webhook_rate
                for name, business in settings.tenants.items()
                for each, table in business.channels.items()
            }
            self._read = (settings, rates)
        return self._read[1].get((tenant, channel))
