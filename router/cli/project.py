"""Project: the configuration that a command works on, and the database beside it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from router.errors import ConfigError, DatabaseLocked, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pydantic import BaseModel
    from sqlalchemy import Connection

    from router.domain.event import InboundEvent
    from router.domain.host_event import Unparsed
    from router.pipeline.people.surroundings import Configured
    from router.plugin.channel import Capabilities
    from router.plugin.context import Log
    from router.plugin.registry import Registry
    from router.settings.glance import Glance
    from router.settings.model import Settings
    from router.storage.store import Store

Result = TypeVar("Result")

_SQLITE: Final = "sqlite+aiosqlite:///"
#: Seconds that a command spends on removing files, give or take one file.
_REMOVING: Final = 20.0


class Project:
    """One configuration; nothing of it is read before it is needed.

    :param config: the router.toml.
    """

    def __init__(self, config: Path) -> None:
        self.config = config

    def check_exists(self) -> None:
        """See to it that there is a configuration.

        :raises ConfigError: saying how to get one.
        """
        if not self.config.is_file():
            from router.toml import Problem

            message = "there is no such file"
            remedy = "Write one with `router init`, or name another with --config."
            if self.config.is_dir():
                message, inside = "it is a folder", self.config / "router.toml"
                remedy = "Write a router.toml with `router init`, or name another with --config."
                if inside.is_file():
                    remedy = f"Name the file in it: --config {inside}."
            raise ConfigError([Problem(path=self.config, message=message, remedy=remedy)])

    @cached_property
    def registry(self) -> "Registry":
        """The kinds that plugins registered."""
        from router.settings.loading import load_registry

        return load_registry(self.config)

    def settings(self, *, run: bool = False, examples: bool = False) -> "Settings":
        """Read the whole configuration.

        :param run: secrets must have values.
        :param examples: an example of the rules that fails is a mistake.
        :raises ConfigError: with every problem there is.
        """
        from router.settings.loading import load_settings

        self.check_exists()
        return load_settings(self.config, self.registry, run=run, examples=examples)

    @cached_property
    def _glance(self) -> "Glance":
        from router.settings.glance import glance

        self.check_exists()
        return glance(self.config)

    @property
    def tenants(self) -> tuple[str, ...]:
        """Every tenant, ``main`` first."""
        return self._glance.tenants

    @property
    def queues(self) -> frozenset[str]:
        """Every queue; none if the files declare none, and so any name is one."""
        return self._glance.queues

    def chosen(self, tenant: str | None) -> tuple[str, ...]:
        """Give the tenant that was asked for, or all of them.

        :raises NotFound: if there is none of that name.
        """
        if tenant is None:
            return self.tenants
        if tenant not in self.tenants:
            raise NotFound(f'there is no tenant "{tenant}". There are: {", ".join(self.tenants)}')
        return (tenant,)

    @property
    def database_url(self) -> str:
        """The database's URL, whichever of the two it is."""
        return self._glance.database

    @property
    def sqlite(self) -> Path | None:
        """The SQLite file; ``None`` if the database is PostgreSQL."""
        url = self._glance.database
        return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None

    @property
    def database_name(self) -> str:
        """The database as it may be printed: without a password."""
        if self.sqlite is not None:
            return str(self.sqlite)
        from sqlalchemy import make_url

        return make_url(self.database_url).render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> "Iterator[Connection]":
        """Open the database read-only, beside whoever writes.

        :raises StorageError: if there is none, or not one of this version.
        """
        from router.storage.database.migrating import ensure
        from router.storage.database.reading import reader, reader_of

        path = self.sqlite
        ensure(path or self.database_url, migrate=False)
        with reader(path) if path else reader_of(self.database_url) as connection:
            yield connection

    def find(
        self, tenant: str | None, show: "Callable[[Connection, str], Result]"
    ) -> tuple[str, Result]:
        """Give what is shown of the one tenant that has it, and that tenant.

        :raises NotFound: if none has.
        """
        missing: NotFound | None = None
        with self.reading() as connection:
            for name in self.chosen(tenant):
                try:
                    return name, show(connection, name)
                except NotFound as error:
                    missing = error
        raise missing or NotFound("there is no tenant")

    def act(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Do one act: here if nobody has the database open, else through who has.

        :raises RouterError: in words, if it cannot be done.
        """
        import anyio

        from router.pipeline.people.control import ask, socket_path

        path = self.sqlite
        if path is None:
            return anyio.run(self._act_beside, name, arguments)
        try:
            return anyio.run(self._act_here, path, name, arguments)
        except DatabaseLocked:
            return ask(socket_path(path), name, arguments)

    async def _act_here(
        self, path: Path, name: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        from router.clock import SystemClock
        from router.pipeline.people.acts import perform
        from router.storage.database.migrating import ensure
        from router.storage.sqlite.store import SQLiteStore

        ensure(path, migrate=False)
        clock = SystemClock()
        store = await SQLiteStore.open(path, clock)
        try:
            # Nobody works here: what was leaving when the daemon stopped will not end by itself.
            around = _Lazily(self)
            result = await perform(store, name, arguments, around, patience=0.0)
            await around.remove_released(store)
            await store.release_all()
            return result
        finally:
            await store.close()

    async def _act_beside(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Do an act as one more node, which works nothing and tells the others."""
        from anyio.to_thread import run_sync

        from router.clock import FollowingClock, SystemClock
        from router.pipeline.people.acts import perform
        from router.storage.database.migrating import ensure
        from router.storage.postgres.store import PostgresStore

        await run_sync(lambda: ensure(self.database_url, migrate=False))
        store = await PostgresStore.open(self.database_url, FollowingClock(SystemClock()))
        try:
            store.pause()
            around = _Lazily(self)
            result = await perform(store, name, arguments, around)
            await around.remove_released(store)
            return result
        finally:
            await store.close()


class _Lazily:
    """The surroundings of a project, built when an act first asks for them."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._released = False

    def capabilities(self, tenant: str, channel: str) -> "Capabilities | None":
        return self._configured.capabilities(tenant, channel)

    def parse(
        self, tenant: str, event: "Unparsed", received_at: "datetime"
    ) -> "Sequence[InboundEvent]":
        return self._configured.parse(tenant, event, received_at)

    def dialers(self) -> "Mapping[str, type[BaseModel]]":
        from router.pipeline.people.surroundings import dialers_of

        return dialers_of(self._project.settings())

    def files_released(self) -> None:
        self._released = True

    async def remove_released(self, store: "Store") -> None:
        """Remove files that an act let go. What cannot be removed the next sweep of a daemon does.

        On PostgreSQL that is where the files are, too: this may be another machine.
        """
        if not self._released:
            return
        import anyio

        from router.errors import RouterError
        from router.schedule.sweeping import remove_unused
        from router.storage.objects import Objects

        log, objects = self._log, Objects(self._project.settings().media.store)
        try:
            with anyio.move_on_after(_REMOVING):
                await remove_unused(store, objects, None, log, anywhere=False)
        except RouterError as error:
            log.warning("files not removed", error=str(error))

    @property
    def _log(self) -> "Log":
        from router.logs import Redaction, configure

        log: Log = configure(Redaction(self._project.settings().secrets))
        return log

    @cached_property
    def _configured(self) -> "Configured":
        from router.clock import SystemClock
        from router.pipeline.instances.configuration import Configuration
        from router.pipeline.instances.instances import Instances
        from router.pipeline.people.surroundings import Configured

        settings = self._project.settings()
        configuration = Configuration(settings, Instances(settings, SystemClock(), self._log))
        return Configured(lambda: configuration)
