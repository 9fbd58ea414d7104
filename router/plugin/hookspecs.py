"""The hooks that a plugin may implement. There is one."""

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from router.plugin.registry import Registry

PROJECT = "router"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def router_register(registry: "Registry") -> None:
    """Declare the channel, AI-backend and action kinds that this plugin provides.

    Called once per plugin, before router.toml is validated and before the event loop runs; do no
    I/O. The host SHALL name this plugin in every error that follows from what it registered.

    :param registry: takes ``channel(kind, factory, config=…)``, ``ai_backend(…)`` and
        ``action(…, params=…)``.
    :raises PluginError: if a kind is already taken; the message names both plugins.

    .. versionadded:: 1.0
    """
