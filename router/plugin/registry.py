"""Registry: what the plugins declared, and which of them could not be loaded."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from router.errors import PluginError, words_of
from router.plugin.action import Action, NoticeParams
from router.plugin.ai import AIBackend
from router.plugin.channel import Channel
from router.plugin.config import PluginConfig
from router.plugin.context import PluginContext
from router.plugin.instance import ConfigT, Instance

#: The version of the plugin API that this host speaks. A minor adds, with defaults; a removal
#: takes a major, after two minors of :class:`PluginDeprecationWarning`.
API_VERSION: tuple[int, int] = (1, 1)

_KIND = re.compile(r"[a-z][a-z0-9_]*")

InstanceT_co = TypeVar("InstanceT_co", bound=Instance[Any], covariant=True)


class PluginDeprecationWarning(DeprecationWarning):
    """A plugin uses something that the next major of the plugin API takes away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where registrations come from.

    :param plugin: the entry point's name, or the file's name without its suffix.
    :param distribution: the installed package, ``None`` for a single file.
    :param version: the distribution's version.
    :param file: a single-file plugin's path.
    """

    plugin: str
    distribution: str | None = None
    version: str | None = None
    file: Path | None = None

    def __str__(self) -> str:
        if self.distribution is not None:
            return f"{self.plugin!r} ({self.distribution} {self.version or 'of no version'})"
        return f"{self.plugin!r} ({self.file})" if self.file is not None else repr(self.plugin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration(Generic[InstanceT_co]):
    """A kind, and all that is needed to make an instance of it.

    :param kind: the word behind ``type =`` in router.toml.
    :param factory: called with the validated config and the context.
    :param params: the model of an action's parameters; ``None`` for channels and AI backends.
    """

    kind: str
    plugin: str
    factory: Callable[[Any, PluginContext], InstanceT_co]
    config: type[PluginConfig]
    params: type[BaseModel] | None = None
    distribution: str | None = None
    version: str | None = None
    file: Path | None = None

    @property
    def source(self) -> Source:
        """Where the kind comes from; prints itself for people."""
        return Source(
            plugin=self.plugin,
            distribution=self.distribution,
            version=self.version,
            file=self.file,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailure:
    """A plugin that could not be imported, or that broke while it registered.

    :param cause: the exception's name and words, on one line.
    """

    plugin: str
    distribution: str | None
    version: str | None
    cause: str
    file: Path | None = None

    def __str__(self) -> str:
        return f"{self.source}: {self.cause}"

    @property
    def source(self) -> Source:
        """What it is; prints itself for people."""
        return Source(
            plugin=self.plugin,
            distribution=self.distribution,
            version=self.version,
            file=self.file,
        )


class Registry:
    """What plugins declare, by kind.

    A plugin gets it as the argument of ``router_register`` and calls :meth:`channel`,
    :meth:`ai_backend` and :meth:`action`. The host reads the mappings.

    .. versionadded:: 1.0
    """

    def __init__(self) -> None:
        self._channels: dict[str, Registration[Channel[Any]]] = {}
        self._ai_backends: dict[str, Registration[AIBackend[Any]]] = {}
        self._actions: dict[str, Registration[Action[Any]]] = {}
        self._failures: dict[str, LoadFailure] = {}
        self._source = Source(plugin="unnamed")

    @property
    def channels(self) -> Mapping[str, Registration[Channel[Any]]]:
        """Channel kinds."""
        return MappingProxyType(self._channels)

    @property
    def ai_backends(self) -> Mapping[str, Registration[AIBackend[Any]]]:
        """AI-backend kinds."""
        return MappingProxyType(self._ai_backends)

    @property
    def actions(self) -> Mapping[str, Registration[Action[Any]]]:
        """Action kinds."""
        return MappingProxyType(self._actions)

    @property
    def failures(self) -> Mapping[str, LoadFailure]:
        """The plugins that could not be loaded, by name."""
        return MappingProxyType(self._failures)

    def channel(
        self,
        kind: str,
        factory: Callable[[ConfigT, PluginContext], Channel[ConfigT]],
        *,
        config: type[ConfigT],
    ) -> None:
        """Declare a channel kind.

        :param kind: lower-case letters, digits and underscores; what router.toml calls ``type``.
        :param factory: the class, or any callable that gives an instance; one class may serve
            several kinds.
        :param config: the model of the table; type checkers reject one that the factory does not
            take.
        :raises PluginError: if the kind is taken, or a name or model is none.
        """
        new = self._registration("channel", kind, factory, config)
        self._add(self._channels, "channel", new)

    def ai_backend(
        self,
        kind: str,
        factory: Callable[[ConfigT, PluginContext], AIBackend[ConfigT]],
        *,
        config: type[ConfigT],
    ) -> None:
        """Declare an AI-backend kind; the parameters are those of :meth:`channel`.

        :raises PluginError: if the kind is taken, or a name or model is none.
        """
        new = self._registration("AI backend", kind, factory, config)
        self._add(self._ai_backends, "AI backend", new)

    def action(
        self,
        kind: str,
        factory: Callable[[ConfigT, PluginContext], Action[ConfigT]],
        *,
        config: type[ConfigT],
        params: type[BaseModel] = NoticeParams,
    ) -> None:
        """Declare an action kind; the other parameters are those of :meth:`channel`.

        :param params: the model of ``call.params``. It checks rules at load, and its JSON schema
            is what an AI backend is offered.
        :raises PluginError: if the kind is taken, or a name or model is none.
        """
        new = self._registration("action", kind, factory, config)
        if not _is_model(params, BaseModel):
            message = f"plugin {self._source}: params of action {kind!r} is not a pydantic model"
            raise PluginError(message)
        self._add(self._actions, "action", replace(new, params=params))

    @contextmanager
    def registering(self, source: Source) -> Iterator[None]:
        """Attribute what is registered inside to one plugin. For the host and for tests.

        If the plugin breaks half way, nothing that it registered stays.
        """
        before = (
            self._source,
            dict(self._channels),
            dict(self._ai_backends),
            dict(self._actions),
        )
        self._source = source
        try:
            yield
        except BaseException:
            _, self._channels, self._ai_backends, self._actions = before
            raise
        finally:
            self._source = before[0]

    def failed(self, source: Source, error: BaseException) -> None:
        """Keep note of a plugin that could not be loaded. For the host."""
        self._failures[source.plugin] = LoadFailure(
            plugin=source.plugin,
            distribution=source.distribution,
            version=source.version,
            file=source.file,
            cause=" ".join(words_of(error).split()),
        )

    def _registration(
        self,
        noun: str,
        kind: str,
        factory: Callable[[ConfigT, PluginContext], InstanceT_co],
        config: type[ConfigT],
    ) -> Registration[InstanceT_co]:
        source = self._source
        if not _KIND.fullmatch(kind):
            message = (
                f"plugin {source}: {kind!r} cannot name a kind. Use lower-case letters, digits "
                "and underscores, and begin with a letter"
            )
            raise PluginError(message)
        # Authors who do not check types find out here rather than at the first message.
        if not _is_model(config, PluginConfig):
            message = f"plugin {source}: config of {noun} {kind!r} is not a PluginConfig"
            raise PluginError(message)
        return Registration(
            kind=kind,
            plugin=source.plugin,
            factory=factory,
            config=config,
            distribution=source.distribution,
            version=source.version,
            file=source.file,
        )

    @staticmethod
    def _add(
        kinds: dict[str, Registration[InstanceT_co]],
        noun: str,
        new: Registration[InstanceT_co],
    ) -> None:
        if taken := kinds.get(new.kind):
            message = (
                f"{noun} kind {new.kind!r} is registered by plugin {taken.source} and by plugin "
                f"{new.source}. Uninstall one of them"
            )
            raise PluginError(message)
        kinds[new.kind] = new


def _is_model(given: object, base: type[BaseModel]) -> bool:
    return isinstance(given, type) and issubclass(given, base)
