"""Plugin instances, alive: one object per table of router.toml, kept up by a task of its own."""

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import anyio.abc

from router.clock import Clock
from router.domain.identity import MAIN_TENANT
from router.domain.outbox import Backoff
from router.pipeline.offline import SilentAction, SilentChannel
from router.plugin.channel import Capabilities, Channel
from router.plugin.context import Log
from router.plugin.host import HostContext
from router.plugin.http import classify
from router.plugin.instance import Instance
from router.settings.model import InstanceSettings, Settings

if TYPE_CHECKING:
    from router.plugin.action import Action
    from router.plugin.ai import AIBackend

Plugin = TypeVar("Plugin", bound=Instance[Any])

#: Between two tries to bring up an instance whose lifespan failed.
_REVIVAL = Backoff(base=1.0, cap=60.0)
#: Seconds until an instance is probed first, and between two probes.
_FIRST_PROBE = 5.0
_PROBE = 60.0


@dataclass(slots=True)
class Live(Generic[Plugin]):
    """One instance with its state.

    :ivar up: inside its lifespan; calls may be made.
    :ivar error: why it is not, or what its last check found wrong, in words.
    """

    settings: InstanceSettings
    plugin: Plugin
    context: HostContext
    up: bool = False
    error: str | None = "starting"
    calls: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(32))

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
    def label(self) -> str:
        """How operators know it: ``channels.whatsapp``, ``acme/channels.whatsapp``."""
        place = f"{self.settings.group}.{self.name}"
        return place if self.tenant == MAIN_TENANT else f"{self.tenant}/{place}"


class LiveChannel(Live[Channel[Any]]):
    """A channel, alive."""

    @property
    def channel(self) -> Channel[Any]:
        return self.plugin

    @property
    def capabilities(self) -> Capabilities:
        return self.plugin.capabilities


class Instances:
    """Every instance that the settings switch on.

    :param offline: channels send nothing and actions do nothing; AI backends are real.
    """

    def __init__(
        self, settings: Settings, clock: Clock, log: Log, *, offline: bool = False
    ) -> None:
        self._log = log
        self.channels: dict[tuple[str, str], LiveChannel] = {}
        self.backends: dict[str, Live[AIBackend[Any]]] = {}
        self.actions: dict[str, Live[Action[Any]]] = {}
        for tenant in settings.tenants.values():
            for table in tenant.channels.values():
                if table.enabled:
                    channel, context = _build(table, settings, clock, log)
                    real = SilentChannel(channel) if offline else channel
                    self.channels[tenant.name, table.name] = LiveChannel(table, real, context)
        for table in settings.ai.values():
            if table.enabled:
                self.backends[table.name] = Live(table, *_build(table, settings, clock, log))
        for table in settings.actions.values():
            if table.enabled:
                action, context = _build(table, settings, clock, log)
                real = SilentAction(action) if offline else action
                self.actions[table.name] = Live(table, real, context)

    def all(self) -> list[Live[Any]]:
        """Give every instance."""
        return [*self.channels.values(), *self.backends.values(), *self.actions.values()]

    def down(self) -> list[str]:
        """Name the required instances that are not up."""
        return [live.label for live in self.all() if live.settings.required and not live.up]

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Keep every instance up until cancelled; started once each was tried once."""
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as first:
                for live in self.all():
                    first.start_soon(tasks.start, self._keep_up, live)
            task_status.started()

    async def _keep_up(self, live: Live[Any], *, task_status: anyio.abc.TaskStatus[None]) -> None:
        failures = 0
        tried = False
        try:
            while True:
                entered = anyio.Event()
                async with anyio.create_task_group() as tasks:
                    # The plugin's lifespan has a task to itself: it may open task groups in it.
                    tasks.start_soon(self._hold, live, entered)
                    with anyio.move_on_after(live.settings.timeout):
                        await entered.wait()
                    if not entered.is_set():
                        live.error = f"did not start within {live.settings.timeout:g} s"
                        self._log.error("instance is down", instance=live.label, error=live.error)
                        tasks.cancel_scope.cancel()
                    elif live.up:
                        failures = 0
                    if not tried:
                        tried = True
                        task_status.started()
                await anyio.sleep(_REVIVAL.delay(failures, random.random()))
                failures += 1
        finally:
            with anyio.CancelScope(shield=True):
                await live.context.aclose()

    async def _hold(self, live: Live[Any], entered: anyio.Event) -> None:
        """Keep one instance inside its lifespan, and probe it now and then."""
        try:
            async with live.plugin.lifespan():
                live.up, live.error = True, None
                entered.set()
                await self._probe(live)
        except Exception as error:  # noqa: BLE001 - a plugin's call
            live.error = str(classify(error))
            self._log.error("instance is down", instance=live.label, error=live.error)
        finally:
            live.up = False
            entered.set()

    async def _probe(self, live: Live[Any]) -> None:
        """Ask the provider how it is. A bad answer is shown, and stops nothing: sends tell more."""
        pause = _FIRST_PROBE
        while True:
            await anyio.sleep(pause)
            pause = _PROBE
            try:
                with anyio.fail_after(live.settings.timeout):
                    await live.plugin.check()
            except Exception as error:  # noqa: BLE001 - a plugin's call
                trouble = str(classify(error))
                if trouble != live.error:
                    self._log.warning("check failed", instance=live.label, error=trouble)
                live.error = trouble
            else:
                live.error = None


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
    return table.registration.factory(table.config, context), context
