"""``GET /metrics``, for Prometheus.

Access: ``[server] metrics = "local"`` serves it to this machine only, by the same rule as the
simulator's page; ``"public"`` to whoever reaches the port. It names tenants, channels and backends;
it holds no customer's words, no address and no secret.

What the process counted comes from ``router.metrics``; what stands in the database is read at most
every five seconds, however often somebody scrapes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from router import __version__
from router.errors import StorageUnavailable
from router.metrics import Counter, Histogram
from router.web import asgi
from router.web.access import LocalOnly
from router.web.host import WebHost
from router.web.kept import Kept
from router.web.stats import Polled, running_pollers, standing_pollers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from router.storage.pollers import PollerView
    from router.storage.status import LaneCounts

#: How long what the database said is kept, in seconds.
_KEPT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database says, by tenant.

    :param pollers: those that run here, with how long they wait between two polls, in seconds.
    """

    outbox: "Mapping[str, Mapping[str, int]]"
    lanes: "Mapping[str, Mapping[str, LaneCounts]]"
    open: "Mapping[str, Mapping[str, int]]"
    pollers: "Sequence[tuple[PollerView, float]]"


class MetricsView:
    """The ASGI app of ``/metrics``."""

    def __init__(self, host: WebHost, local_only: LocalOnly) -> None:
        self._host = host
        self._local_only = local_only
        self._standing: Kept[Standing] = Kept(host.clock, _KEPT)
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            allow = ((b"allow", b"GET, HEAD"),)
            await asgi.sentence(send, 405, "Metrics are asked for by GET.", headers=allow)
            return
        if self._host.settings.server.metrics == "local":
            refusal = self._local_only.refusal(scope)
            if refusal is not None:
                hint = 'Prometheus on another machine needs [server] metrics = "public".'
                await asgi.sentence(send, 403, f"{refusal} {hint}")
                return
        registry = CollectorRegistry()
        registry.register(_Collected(self._host, await self._read(), self._process))
        encode, content_type = choose_encoder(asgi.headers_of(scope).get("accept", ""))
        await asgi.answer(
            send,
            200,
            encode(registry),
            content_type=content_type,
            without_body=scope["method"] == "HEAD",
        )

    async def _read(self) -> Standing | None:
        """Give what the database says; ``None`` while it is away."""
        tenants = tuple(self._host.settings.tenants)

        async def look() -> Standing:
            now = self._host.clock.now()
            polled = running_pollers(self._host)
            look_up = partial(_standing, tenants=tenants, now=now, polled=polled)
            return await self._host.store.read(look_up)

        try:
            return await self._standing.get(tenants, look)
        except StorageUnavailable:
            return None


def _standing(
    connection: "Connection", *, tenants: tuple[str, ...], now: "datetime", polled: Polled
) -> Standing:
    from dataclasses import asdict

    from router.storage import stats  # here, because it brings SQLAlchemy

    scopes = {tenant: stats.Scope(tenant=tenant) for tenant in tenants}
    return Standing(
        outbox={tenant: stats.unsettled(connection, it) for tenant, it in scopes.items()},
        lanes={tenant: stats.lanes(connection, it, now) for tenant, it in scopes.items()},
        open={
            tenant: asdict(stats.waiting_for_people(connection, it))
            for tenant, it in scopes.items()
        },
        pollers=standing_pollers(connection, None, polled),
    )


class _Collected(Collector):
    """Everything there is to say, once."""

    def __init__(
        self, host: WebHost, standing: Standing | None, process: CollectorRegistry
    ) -> None:
        self._host = host
        self._standing = standing
        self._process = process

    def describe(self) -> Iterator[Metric]:
        """Say nothing beforehand: there is one collector, so no names can clash."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield from self._about()
        yield from self._instances()
        if self._standing is not None:
            yield from _gauges(self._standing)
        for family in self._host.metrics.families():
            yield _counted(family) if isinstance(family, Counter) else _spread(family)
        yield from self._process.collect()

    def _about(self) -> Iterator[Metric]:
        yield InfoMetricFamily("router_build", "The version that runs.", {"version": __version__})
        yield InfoMetricFamily(
            "router_settings",
            "The hash of the configuration in force; decisions' traces name it, too.",
            {"hash": self._host.settings.hash},
        )
        settings = self._host.status()["settings"]
        yield GaugeMetricFamily(
            "router_settings_loaded_timestamp_seconds",
            "When the configuration in force was loaded.",
            datetime.fromisoformat(settings["loaded_at"]).timestamp(),
        )
        yield GaugeMetricFamily(
            "router_settings_last_load_timestamp_seconds",
            "When the files were last read, whatever became of it.",
            datetime.fromisoformat(settings["last_load"]["at"]).timestamp(),
        )
        yield GaugeMetricFamily(
            "router_settings_last_load_applied",
            "0 if the last reload was refused: what runs is not what the files say.",
            float(settings["last_load"]["applied"]),
        )
        yield GaugeMetricFamily(
            "router_settings_need_restart",
            "How many settings differ in the files, and need a restart.",
            float(len(settings["restart"])),
        )
        yield GaugeMetricFamily(
            "router_draining", "1 while the daemon stops.", float(self._host.draining)
        )
        yield GaugeMetricFamily(
            "router_ready",
            "1 while /health/ready says so.",
            float(not self._host.draining and not self._host.readiness()),
        )
        yield GaugeMetricFamily(
            "router_database_trouble",
            "1 while the database is away or full.",
            float(bool(self._host.store.trouble) or self._standing is None),
        )

    def _instances(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "router_instance_up",
            "1 while a channel, AI backend or action is up.",
            labels=("name", "kind"),
        )
        trouble = GaugeMetricFamily(
            "router_instance_trouble",
            "1 while it is down, or its last probe failed; `router status` says what is wrong.",
            labels=("name", "kind"),
        )
        breaker = GaugeMetricFamily(
            "router_breaker_open",
            "1 while its circuit breaker is open: its calls failed, and nothing is sent there.",
            labels=("name", "kind"),
        )
        for instance in self._host.status()["instances"]:
            labels = instance["name"], instance["kind"]
            breaker.add_metric(labels, float(instance["breaker"] is not None))
            up.add_metric(labels, float(instance["up"]))
            trouble.add_metric(labels, float(instance["error"] is not None))
        yield up
        yield trouble
        yield breaker


def _gauges(standing: Standing) -> Iterator[Metric]:
    outbox = GaugeMetricFamily(
        "router_outbox",
        "Outbox items that have not ended well, by state.",
        labels=("tenant", "state"),
    )
    for tenant, states in standing.outbox.items():
        for state in ("waiting", "started", "unknown", "refused", "dead"):
            outbox.add_metric((tenant, state), states.get(state, 0))
    yield outbox
    lanes = GaugeMetricFamily(
        "router_lanes",
        "Lanes with something to do: waiting (late ones among them), working, parked for a person.",
        labels=("tenant", "kind", "state"),
    )
    for tenant, kinds in standing.lanes.items():
        for kind, counts in kinds.items():
            for state in ("waiting", "working", "late", "parked"):
                lanes.add_metric((tenant, kind, state), getattr(counts, state))
    yield lanes
    waiting = GaugeMetricFamily(
        "router_open",
        "What waits for people: drafts, tickets, escalations, dead letters, unparsed requests.",
        labels=("tenant", "what"),
    )
    for tenant, numbers in standing.open.items():
        for what, number in numbers.items():
            waiting.add_metric((tenant, what), number)
    yield waiting
    yield from _pollers(standing.pollers)


def _pollers(pollers: "Sequence[tuple[PollerView, float]]") -> Iterator[Metric]:
    labels = ("tenant", "channel", "poller")
    good = GaugeMetricFamily(
        "router_poller_last_success_timestamp_seconds",
        "When the last good poll ended, on whichever node; 0: there was none yet.",
        labels=labels,
    )
    failures = GaugeMetricFamily(
        "router_poller_failures", "Polls that failed since the last good one.", labels=labels
    )
    held = GaugeMetricFamily(
        "router_poller_held", "1 while it is held until a person says so.", labels=labels
    )
    interval = GaugeMetricFamily(
        "router_poller_interval_seconds", "How long it waits between two polls.", labels=labels
    )
    for view, every in pollers:
        who = view.tenant, view.channel, view.name
        good.add_metric(who, 0.0 if view.polled_at is None else view.polled_at.timestamp())
        failures.add_metric(who, view.failures)
        held.add_metric(who, float(view.held is not None))
        interval.add_metric(who, every)
    yield good
    yield failures
    yield held
    yield interval


def _counted(family: Counter) -> Metric:
    metric = CounterMetricFamily(family.name, family.words, labels=family.labels)
    for labels, value in family.values.items():
        metric.add_metric(labels, value)
    return metric


def _spread(family: Histogram) -> Metric:
    metric = HistogramMetricFamily(family.name, family.words, labels=family.labels)
    bounds: list[Any] = [*(str(bound) for bound in family.bounds), "+Inf"]
    for labels, row in family.values.items():
        below, buckets = 0.0, []
        for bound, number in zip(bounds, row, strict=False):  # the sum stands behind the last
            below += number
            buckets.append((bound, below))
        metric.add_metric(labels, buckets, row[-1])
    return metric
