"""Plugin instances: one object per table of router.toml, and what is known of it.

``router.pipeline.instances.lifespans`` keeps them up.
"""

from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from router.clock import Clock
from router.domain.identity import MAIN_TENANT
from router.domain.limits import LONGEST_RETRY
from router.domain.storable import as_text
from router.errors import PluginError, ProviderError, Unavailable, words_of
from router.logs import Redaction
from router.pipeline.instances.breakers import Breaker
from router.pipeline.instances.busy import Busy
from router.pipeline.instances.offline import SilentAction, SilentChannel
from router.plugin.channel import Capabilities, Channel
from router.plugin.context import Log
from router.plugin.host import HostContext
from router.plugin.http import classify
from router.plugin.instance import Instance
from router.settings.changes import same_instance
from router.settings.fingerprint import account_of
from router.settings.model import InstanceSettings, Settings

if TYPE_CHECKING:
    from router.plugin.action import Action
    from router.plugin.ai import AIBackend

Plugin = TypeVar("Plugin", bound=Instance[Any])


@dataclass(slots=True)
class Live(Generic[Plugin]):
    """One instance with its state.

    :ivar up: inside its lifespan; calls may be made.
    :ivar error: why it is not, or what its last check found wrong, in words.
    :ivar tried: its first start is over, well or not.
    :ivar busy: the calls under way; it is not closed before they have ended.
    :ivar breaker: whether calls are held back, because they failed one after the other.
    :ivar redaction: knows the secrets that were in force when it was made.
    """

    settings: InstanceSettings
    plugin: Plugin
    context: HostContext
    up: bool = False
    error: str | None = "starting"
    tried: bool = False
    busy: Busy = field(default_factory=Busy)
    breaker: Breaker = field(init=False)
    redaction: Redaction = field(default_factory=Redaction, repr=False)
    _account: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.breaker = Breaker(self.settings.breaker_after, self.settings.breaker_pause)

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def tenant(self) -> str:
        return self.settings.tenant

    @property
    def kind(self) -> str:
        return self.settings.kind

    @property
    def account(self) -> str:
        """A digest of whose account it acts by: what another one says of an attempt is nothing."""
        if self._account is None:
            self._account = account_of(self.settings)
        return self._account

    def meaning(self, error: BaseException) -> ProviderError:
        """Say what an error of its plugin means, without a secret in the words.

        They are kept, shown and sent to people, and a provider may quote our key in them. Its code
        is text, and its time to wait one that can be waited, whatever the plugin gave.
        """
        meaning = classify(error)
        meaning.args = tuple(self.redaction.clean(meaning.args))
        meaning.reason = self.redaction.clean(meaning.reason)
        meaning.code = self.redaction.clean(as_text(meaning.code))
        if isinstance(meaning, Unavailable):
            meaning.retry_after = _bounded(meaning.retry_after)
        return meaning

    @property
    def starting(self) -> bool:
        """Whether nobody knows yet how its first start goes."""
        return not (self.up or self.tried)

    @property
    def label(self) -> str:
        """How operators know it: ``channels.whatsapp``, ``acme/channels.whatsapp``."""
        return label_of(self.settings)


class LiveChannel(Live[Channel[Any]]):
    """A channel, alive."""

    @property
    def channel(self) -> Channel[Any]:
        return self.plugin

    @property
    def capabilities(self) -> Capabilities:
        return self.plugin.capabilities

    @property
    def polls(self) -> bool:
        """Whether it has pollers of its own."""
        return type(self.plugin).pollers is not Channel.pollers


class Instances:
    """Every instance that the settings switch on.

    :param offline: channels send nothing and actions do nothing, but for those that only read; AI
        backends are real.
    :param before: those that run now. One whose settings are the same is kept, connections and
        all; it goes on by its old settings until :meth:`adopt`.
    :raises PluginError: if a plugin breaks as an instance of it is made.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        log: Log,
        *,
        offline: bool = False,
        before: "Instances | None" = None,
    ) -> None:
        self.public_url = settings.router.public_url
        kept = {}
        if before is not None and before.public_url == self.public_url:
            kept = {(live.tenant, live.label): live for live in before.all()}
        self._tables: list[tuple[Live[Any], InstanceSettings]] = []

        def find(table: InstanceSettings) -> Any:
            live = kept.get((table.tenant, label_of(table)))
            if live is None or not same_instance(live.settings, table):
                return None
            self._tables.append((live, table))
            return live

        #: Those that are not in ``before``; nobody has started them yet.
        self.made: list[Live[Any]] = []
        redaction = Redaction(settings.secrets)

        def keep(live: Any) -> Any:
            live.redaction = redaction
            self.made.append(live)
            return live

        self.channels: dict[tuple[str, str], LiveChannel] = {}
        self.backends: dict[str, Live[AIBackend[Any]]] = {}
        self.actions: dict[str, Live[Action[Any]]] = {}
        for tenant in settings.tenants.values():
            for table in tenant.channels.values():
                if not table.enabled:
                    continue
                if (live := find(table)) is None:
                    channel, context = _build(table, settings, clock, log)
                    real = SilentChannel(channel) if offline else channel
                    live = keep(LiveChannel(table, real, context))
                self.channels[tenant.name, table.name] = live
        for table in settings.ai.values():
            if table.enabled:
                self.backends[table.name] = find(table) or keep(
                    Live(table, *_build(table, settings, clock, log))
                )
        for table in settings.actions.values():
            if not table.enabled:
                continue
            if (live := find(table)) is None:
                action, context = _build(table, settings, clock, log)
                real = SilentAction(action) if offline and not action.reads_only else action
                live = keep(Live(table, real, context))
            self.actions[table.name] = live

    def adopt(self) -> None:
        """Let the instances that were kept go by their new settings: those of the host's own."""
        for live, table in self._tables:
            live.settings = table
            live.breaker.after, live.breaker.pause = table.breaker_after, table.breaker_pause

    def all(self) -> list[Live[Any]]:
        """Give every instance."""
        return [*self.channels.values(), *self.backends.values(), *self.actions.values()]

    def down(self) -> list[str]:
        """Name the required instances that are not up, or whose calls fail."""
        required = [live for live in self.all() if live.settings.required]
        down = [live.label for live in required if not live.up]
        failing = [live for live in required if live.up and live.breaker.is_open]
        return [*down, *(f"{live.label}: circuit breaker open" for live in failing)]

    def held_back(self) -> list[str]:
        """Name the instances to which nothing leaves for now, because their calls failed."""
        return [live.label for live in self.all() if live.breaker.is_open]


def _build(
    table: InstanceSettings, settings: Settings, clock: Clock, log: Log
) -> tuple[Any, HostContext]:
    bind = getattr(log, "bind", None)
    bound = log if bind is None else bind(instance=f"{table.group}.{table.name}")
    context = HostContext(
        name=table.name,
        tenant=table.tenant,
        log=bound,
        public_url=settings.router.public_url,
        clock=clock,
        timeout=table.timeout,
    )
    try:
        return table.registration.factory(table.config, context), context
    except Exception as error:  # a plugin's call; it is told in words
        words = " ".join(words_of(error).split())
        message = (
            f"{label_of(table)} cannot be made: {words}. "
            f"Look at its table, {table.position}, and at the plugin"
        )
        raise PluginError(message) from error


def _bounded(seconds: Any) -> float | None:
    """Give the seconds that a plugin asks for, a day at most; ``None`` if that is no number."""
    if not isinstance(seconds, int | float):
        return None
    wait = min(max(seconds, 0.0), LONGEST_RETRY.total_seconds())
    return None if isnan(wait) else wait


def label_of(table: InstanceSettings) -> str:
    """Give the name by which operators know an instance."""
    place = f"{table.group}.{table.name}"
    return place if table.tenant == MAIN_TENANT else f"{table.tenant}/{place}"
