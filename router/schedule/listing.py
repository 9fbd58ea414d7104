"""Listing: which templates providers have, asked again and again, on one node at a time.

It is polled as channels' own pollers are: a row of its own in the table of pollers, so that nodes
take turns, failures are told and backed off from, and ``router pollers`` shows how it is going.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio

from router.clock import Clock
from router.errors import StorageUnavailable
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.instances import LiveChannel
from router.pipeline.outbound.approvals import (
    BELIEVED,
    Approvals,
    Listing,
    Objection,
    legible,
    refused,
)
from router.plugin.context import Log
from router.plugin.polling import LISTING, Polled
from router.plugin.templates import TemplateInfo, check_templates
from router.schedule.duty import Duty
from router.schedule.scheduled import ScheduledPoller
from router.storage.store import Store, Tx

#: How soon a provider is asked again that would refuse a template which the rules use.
SOON: Final = timedelta(minutes=2)
#: Seconds between two looks whether another node has listed anything.
_PAUSE: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Polled):
    """What a provider listed.

    :param asked_at: when it was asked: what was made, or approved, after that is not in it.
    :param soon: ask again before long.
    """

    asked_at: datetime
    templates: tuple[TemplateInfo, ...]
    soon: bool = False


class TemplatePoller(ScheduledPoller[Listed]):
    """Asks the provider of one channel for its templates."""

    always_finds = True

    def __init__(self, listings: "Listings", live: LiveChannel) -> None:
        super().__init__(live, LISTING)
        self._listings = listings
        self._hurried: datetime | None = None

    @property
    def every(self) -> timedelta:
        """How long to wait between two listings; it changes with the channel's table."""
        return timedelta(seconds=self.live.settings.templates_every or 0)

    @property
    def wanted(self) -> bool:
        """Whether it is to be asked at all."""
        return self.live.settings.templates_every is not None

    @property
    def hurries(self) -> bool:
        """Whether what is known is older than the configuration, and nobody was asked since."""
        since = self._listings.approvals.since
        if self._hurried == since:
            return False
        known = self._listings.approvals.last(self.live.tenant, self.live.name)
        return known is None or known.at < since

    def hurried(self) -> None:
        """Ask no sooner than usual until there is another configuration."""
        self._hurried = self._listings.approvals.since

    def pause(self, polled: Listed) -> timedelta:
        """Give how long to wait after a listing."""
        return min(self.every, SOON) if polled.soon else self.every

    async def poll(self, cursor: str | None) -> Listed:
        asked_at = self._listings.now()
        listed = tuple(await self.live.plugin.templates())
        check_templates(listed)
        infos = tuple(map(legible, listed))
        soon = self._listings.is_refused(self.live, infos)
        return Listed(cursor=None, asked_at=asked_at, templates=infos, soon=soon)

    def keep(self, tx: Tx, polled: Listed) -> None:
        """Store what was listed, in the transaction that ends the poll."""
        from router.storage.templates import keep_listing  # here: it brings SQLAlchemy

        live = self.live
        keep_listing(tx.connection, live.tenant, live.name, polled.templates, polled.asked_at)

    def learn(self, polled: Listed) -> None:
        """Plan by it from now on."""
        self._listings.learn(self.live, polled.asked_at, polled.templates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A template of the rules that a provider would refuse.

    :param name: as the rules name it.
    """

    tenant: str
    name: str
    ref: str
    objection: Objection

    def __str__(self) -> str:
        return f'template "{self.name}" of {self.tenant}: {self.objection.words("en")}'


class Listings:
    """Brings what is known of templates up to date, and says how it stands."""

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        approvals: Approvals,
        clock: Clock,
        log: Log,
    ) -> None:
        self.approvals = approvals
        self.duty = Duty("the look at templates", log)
        self._store = store
        self._configuration = configuration
        self._clock = clock
        self._log = log
        self._told: frozenset[tuple[str, str]] = frozenset()

    def now(self) -> datetime:
        """Give what time it is."""
        return self._clock.now()

    def pollers(self, live: LiveChannel) -> list[TemplatePoller]:
        """Give what asks a channel's provider; none where it lists nothing."""
        return [TemplatePoller(self, live)] if live.capabilities.lists_templates else []

    def renewed(self) -> None:
        """Note that other rules are in force: what they name may be newer than what is known."""
        self.approvals.since = self._clock.now()
        self.approvals.keep(self._channels())

    def learn(self, live: LiveChannel, at: datetime, infos: tuple[TemplateInfo, ...]) -> None:
        """Take what a provider listed."""
        self.approvals.put(live.tenant, live.name, at, infos, believed=_believed(live))
        self._tell()

    def is_refused(self, live: LiveChannel, infos: tuple[TemplateInfo, ...]) -> bool:
        """Say whether a provider that lists this would refuse a template of the rules."""
        now = self.now()
        listing = Listing.of(now, infos)
        templates = self._configuration().rules(live.tenant).templates
        others = [
            self.approvals.get(tenant, name, now)
            for tenant, name in self._channels()
            if tenant == live.tenant and name != live.name
        ]
        return any(True for _ in refused(templates, [listing, *others]))

    def refused(self) -> list[Refused]:
        """Give every template of the rules that its provider would refuse, as far as is known."""
        return list(self._refused())

    def standing(self) -> list[dict[str, Any]]:
        """Say what is known of each channel whose provider lists templates, as values for JSON."""
        found = []
        for tenant, name in sorted(self._channels()):
            listing = self.approvals.last(tenant, name)
            found.append(
                {
                    "tenant": tenant,
                    "channel": name,
                    "listed_at": None if listing is None else listing.at.isoformat(),
                    "templates": None if listing is None else len(listing.templates),
                }
            )
        return found

    async def load(self) -> None:
        """Learn what was stored before, and by other nodes.

        :raises StorageUnavailable: if the database is away.
        """
        by_tenant: dict[str, set[str]] = {}
        for tenant, name in self._channels():
            by_tenant.setdefault(tenant, set()).add(name)
        for tenant, names in by_tenant.items():
            await self._load(tenant, names)

    async def run(self) -> None:
        """Keep up with other nodes, until cancelled."""
        while True:
            await anyio.sleep(_PAUSE)
            await self.duty.turn(self._look)

    async def _look(self) -> None:
        try:
            await self.load()
        except StorageUnavailable as error:
            self._log.warning("templates not read", error=str(error))

    async def _load(self, tenant: str, names: set[str]) -> None:
        from router.storage.templates import listed_at, listings  # here: they bring SQLAlchemy

        stored = await self._store.read(partial(listed_at, tenant=tenant))
        others = [
            name
            for name, at in stored.items()
            if name in names
            and ((known := self.approvals.last(tenant, name)) is None or known.at != at)
        ]
        if not others:
            return
        for each in await self._store.read(partial(listings, tenant=tenant, channels=others)):
            live = self._configuration().instances.channels.get((tenant, each.channel))
            if live is not None:  # else a reload took it away meanwhile
                self.approvals.put(
                    tenant,
                    each.channel,
                    each.listed_at,
                    each.templates,
                    believed=_believed(live),
                )
        self._tell()

    def _channels(self) -> Iterator[tuple[str, str]]:
        for key, live in self._configuration().instances.channels.items():
            if live.capabilities.lists_templates and live.settings.templates_every is not None:
                yield key

    def _refused(self) -> Iterator[Refused]:
        by_tenant: dict[str, list[Listing | None]] = {}
        now = self.now()
        for tenant, name in self._channels():
            by_tenant.setdefault(tenant, []).append(self.approvals.get(tenant, name, now))
        for tenant, known in by_tenant.items():
            templates = self._configuration().rules(tenant).templates
            for name, ref, objection in refused(templates, known):
                yield Refused(tenant=tenant, name=name, ref=ref, objection=objection)

    def _tell(self) -> None:
        """Say of each template once that it is refused, and once that it is not any more."""
        found = {(it.tenant, it.ref): it for it in self._refused()}
        for key in found.keys() - self._told:
            each = found[key]
            self._log.error(
                "template would be refused",
                tenant=each.tenant,
                template=each.name,
                ref=each.ref,
                because=each.objection.words("en"),
            )
        for tenant, ref in self._told - found.keys():
            self._log.info("template may be sent again", tenant=tenant, ref=ref)
        self._told = frozenset(found)


def _believed(live: LiveChannel) -> timedelta:
    """Give for how long a listing is gone by: never for less than until the second next one."""
    return max(BELIEVED, timedelta(seconds=2 * (live.settings.templates_every or 0)))
