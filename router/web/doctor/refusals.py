"""Why a webhook was refused: which address or secret would have made it pass."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from router.domain.identity import MAIN_TENANT
from router.errors import InvalidSignature
from router.pipeline.instances.instances import Instances, LiveChannel
from router.plugin.channel import Channel, WebhookRequest
from router.plugin.config import PluginConfig
from router.settings.model import Settings
from router.web.doctor import variants
from router.web.doctor.captures import Capture
from router.web.doctor.causes import Causes, Way
from router.web.doctor.diagnosis import Diagnosis, Level, Lines
from router.web.doctor.variants import HOOKS, Address
from router.web.findings import secrets_in
from router.web.webhooks import RESERVED_ENDPOINT

#: Addresses that are tried with each other secret.
_WITH_SECRETS: Final = 60
#: So many ways are tried, and of a large body so many as this many bytes have room for it: what a
#: stranger sent shall not keep us for hours.
_MOST_WAYS: Final = 20_000
_MOST_BYTES: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class Target:
    """The channel that a request was for.

    :param start: where ``/hooks/`` begins in the captured path.
    """

    live: LiveChannel
    endpoint: str
    start: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a request, and why.

    :param verified: it passes as the configuration is.
    :param reason: the plugin's words where it does not.
    """

    channel: str
    verified: bool
    reason: str | None
    found: tuple[Diagnosis, ...]


def find_target(
    instances: Instances, settings: Settings, path: str, channel: str | None = None
) -> Target | None:
    """Give the channel that a captured path means; ``None`` if it means none.

    :param path: as captured; a proxy may have put something before ``/hooks/``.
    :param channel: ``NAME`` or ``TENANT/NAME``: the channel, whatever the path says.
    """
    starts = [at for at in range(len(path)) if path.startswith(HOOKS, at)]
    for start in starts:
        names = path[start + len(HOOKS) :].removesuffix("/").split("/")
        tenant = MAIN_TENANT
        if names[0] != MAIN_TENANT and names[0] in settings.tenants:
            tenant = names.pop(0)
        live = instances.channels.get((tenant, names[0])) if 1 <= len(names) <= 2 else None
        if channel is not None and live is not None and channel not in _names(live):
            live = None
        endpoint = names[1] if len(names) == 2 else ""
        if live is not None and endpoint != RESERVED_ENDPOINT:
            return Target(live, endpoint, start)
    if channel is not None:
        for live in instances.channels.values():
            if channel in _names(live):
                return Target(live, "", starts[0] if starts else 0)
    return None


def _names(live: LiveChannel) -> tuple[str, ...]:
    whole = f"{live.tenant}/{live.name}"
    return (live.name, whole) if live.tenant == MAIN_TENANT else (whole,)


def _way(address: Address, did: str, at: datetime) -> Way:
    return Way(address=address, did=did, at=at)


class Refusal:
    """Finds out why a request was refused.

    :param dotenv: the variables of ``.env``.
    """

    def __init__(
        self,
        settings: Settings,
        instances: Instances,
        lines: Lines,
        capture: Capture,
        target: Target,
        *,
        now: datetime,
        dotenv: dict[str, str],
    ) -> None:
        self._settings = settings
        self._instances = instances
        self._lines = lines
        self._capture = capture
        self._target = target
        self._live = target.live
        self._dotenv = dotenv
        self._base = variants.seen(capture, settings.router.public_url, target.start)
        self._moments = variants.moments(capture, now)
        self._causes = Causes(settings, lines, capture, target.live, target.endpoint, self._base)

    def explained(self) -> Verdict:
        """Say whether the request passes, and if it does not, what is wrong."""
        notes = [
            Diagnosis(check="request", level=Level.WARNING, says=note)
            for note in self._capture.notes
        ]
        reason = self._refused(self._live.plugin, self._base, self._capture.body, self._moments[0])
        if reason is None:
            return self._verdict(None, [self._causes.passes(), *notes])
        way = self._way()
        if way is not None:
            return self._verdict(reason, [*self._causes.of(way, self._moments[0]), *notes])
        other = self._other_channel()
        if other is not None:
            return self._verdict(reason, [other, *notes])
        return self._verdict(reason, [self._causes.unknown(), *notes])

    def _verdict(self, reason: str | None, found: Sequence[Diagnosis]) -> Verdict:
        return Verdict(
            channel=self._live.label, verified=reason is None, reason=reason, found=tuple(found)
        )

    # Trying

    def _request(self, address: Address, body: bytes, at: datetime) -> WebhookRequest:
        return WebhookRequest(
            method=self._capture.method,
            url=address.url,
            headers=self._capture.headers,
            body=body,
            received_at=at,
            endpoint=self._target.endpoint,
        )

    def _refused(
        self, plugin: Channel[Any], address: Address, body: bytes, at: datetime
    ) -> str | None:
        """Give why a plugin refuses a request; ``None`` if it lets it pass."""
        try:
            verify: Callable[[WebhookRequest], object] = plugin.verify
            given = verify(self._request(address, body, at))
        except InvalidSignature as error:
            return str(error) or "it is not signed as it should be"
        except Exception as error:  # noqa: BLE001 - a plugin's call
            return f"the check broke: {type(error).__name__}"
        return None if given is None else f"verify gave {type(given).__name__}, and not None"

    def _ways(self) -> Iterator[Way]:
        """Give ways to try, those with the fewest differences first."""
        addresses = variants.addresses(
            self._capture,
            self._settings.router.public_url,
            self._target.start,
            self._settings.server.port,
        )
        other = [did for did, _ in variants.bodies(self._capture.body)[1:]]
        for did in ("", *other):
            for at in self._moments:
                yield _way(self._base, did, at)
        for did in ("", *other):
            for at in self._moments:
                for address in addresses:
                    if address != self._base:
                        yield _way(address, did, at)

    def _way(self) -> Way | None:
        """Find a way in which the request passes."""
        bodies = dict(variants.bodies(self._capture.body))
        most = min(_MOST_WAYS, max(_WITH_SECRETS, _MOST_BYTES // (len(self._capture.body) + 1)))
        ways = list(islice(self._ways(), most))
        for way in ways:
            if self._refused(self._live.plugin, way.address, bodies[way.did], way.at) is None:
                return way
        others = [live.settings for live in self._instances.all() if live is not self._live]
        table = self._live.settings
        for name, value in variants.other_secrets(table, others, self._dotenv):
            plugin = self._made(variants.with_secret(table.config, value))
            if plugin is None:
                continue
            for way in ways[:_WITH_SECRETS]:
                if self._refused(plugin, way.address, bodies[way.did], way.at) is None:
                    return replace(way, secret=name, key=self._key(value, way, bodies[way.did]))
        return None

    def _made(self, config: PluginConfig) -> Channel[Any] | None:
        """Make the channel with another table; ``None`` if it cannot be made so."""
        try:
            plugin: Channel[Any] = self._live.settings.registration.factory(
                config, self._live.context
            )
        except Exception:  # noqa: BLE001 - a plugin's call
            return None
        return plugin

    def _key(self, value: str, way: Way, body: bytes) -> str:
        """Give the one setting that has to have the other secret."""
        config = self._live.settings.config
        for name in dict.fromkeys(path[0] for path, _ in secrets_in(config)):
            plugin = self._made(variants.with_secret(config, value, name))
            if plugin and self._refused(plugin, way.address, body, way.at) is None:
                return name
        return ""

    def _other_channel(self) -> Diagnosis | None:
        """Look whether the request is signed for another channel."""
        for live in self._instances.channels.values():
            if live is self._live or live.capabilities.local_only:
                continue
            for at in self._moments:
                if self._refused(live.plugin, self._base, self._capture.body, at) is None:
                    return self._causes.other(live)
        return None
