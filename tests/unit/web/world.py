"""A daemon of which only the web is real."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import httpx

from router.domain.identity import MAIN_TENANT
from router.metrics import Metrics
from router.plugin.channel import Capabilities, WebhookAnswer, WebhookRequest
from router.settings.values import Rate
from router.web.app import build_app
from router.web.asgi import ASGIApp

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class StillClock:
    """Noon, always."""

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0


class SilentLog:
    """Says nothing."""

    def debug(self, event: str, /, **values: Any) -> None: ...

    def info(self, event: str, /, **values: Any) -> None: ...

    def warning(self, event: str, /, **values: Any) -> None: ...

    def error(self, event: str, /, **values: Any) -> None: ...


@dataclass(frozen=True)
class FakeChannel:
    """A channel by name only."""

    name: str
    tenant: str = MAIN_TENANT
    kind: str = "acme"
    capabilities: Capabilities = field(default_factory=Capabilities)


@dataclass(frozen=True)
class Verdict:
    """What the intake is to say."""

    status: int = 200
    answer: WebhookAnswer | None = None
    retry_after: int | None = None


@dataclass
class RecordingIntake:
    """Takes every request, says what it was told to."""

    verdict: Verdict = field(default_factory=Verdict)
    received: list[tuple[FakeChannel, WebhookRequest]] = field(default_factory=list)

    async def receive(self, channel: Any, request: WebhookRequest) -> Verdict:
        self.received.append((channel, request))
        return self.verdict


def settings(
    channels: Sequence[FakeChannel],
    *,
    max_body: int = 1000,
    public_url: str = "https://router.example",
    trusted_proxies: tuple[str, ...] = (),
    language: str = "es",
    webhook_rate: Rate | None = None,
    channel_rate: Rate | None = None,
) -> Any:
    """Give as much of the settings as the web reads."""
    tenants: dict[str, Any] = {}
    for tenant in {MAIN_TENANT, *(channel.tenant for channel in channels)}:
        tables = {
            channel.name: SimpleNamespace(
                kind=channel.kind, enabled=True, webhook_rate=channel_rate
            )
            for channel in channels
            if channel.tenant == tenant
        }
        tenants[tenant] = SimpleNamespace(
            name=tenant, channels=tables, timezone="America/Bogota", language=language
        )
    return SimpleNamespace(
        router=SimpleNamespace(
            public_url=public_url, trusted_proxies=trusted_proxies, language=language
        ),
        server=SimpleNamespace(max_body=max_body, metrics="local", webhook_rate=webhook_rate),
        tenants=tenants,
    )


@dataclass
class FakeHost:
    """The daemon, as the web sees it."""

    channels: Sequence[FakeChannel] = (FakeChannel("phone"),)
    intake: RecordingIntake = field(default_factory=RecordingIntake)
    missing: list[str] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)
    draining: bool = False
    store: Any = None
    settings: Any = None
    surroundings: Any = None
    clock: StillClock = field(default_factory=StillClock)
    log: SilentLog = field(default_factory=SilentLog)
    metrics: Metrics = field(default_factory=Metrics)
    patience: float = 30.0

    def __post_init__(self) -> None:
        if self.settings is None:
            self.settings = settings(self.channels)

    def channel(self, tenant: str, name: str) -> FakeChannel | None:
        found = {(channel.tenant, channel.name): channel for channel in self.channels}
        return found.get((tenant, name))

    def readiness(self) -> list[str]:
        return self.missing

    def held_back(self) -> list[str]:
        return self.failing

    def app(self) -> ASGIApp:
        return build_app(cast("Any", self), patience=self.patience)

    def client(
        self, peer: str = "203.0.113.7", base: str = "http://router.test"
    ) -> httpx.AsyncClient:
        """Give a client that asks this host, from an address."""
        transport = httpx.ASGITransport(app=cast("Any", self.app()), client=(peer, 5000))
        return httpx.AsyncClient(transport=transport, base_url=base)
