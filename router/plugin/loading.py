"""Finding plugins and letting them register: the only user of pluggy's hooks."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pluggy

from router.errors import PluginError
from router.plugin import hookspecs
from router.plugin.registry import API_VERSION, Registry, Source

#: The entry-point group in which a package names its plugins.
GROUP = "router.plugins"

_HOOK = "router_register"


def load_plugins(files: Sequence[Path] = ()) -> Registry:
    """Load every installed plugin and the given single-file ones, and let them register.

    Does no I/O beyond importing, and keeps nothing between calls: each call gives a new registry.
    A plugin that cannot be imported, or that breaks while it registers, is noted in
    ``registry.failures``; whether that matters depends on what router.toml names.

    :param files: single-file plugins, as ``[router] plugins`` lists them.
    :raises PluginError: if a plugin was written for another API version, misspells a hook,
        registers a kind that is taken, or shares its name with another.
    """
    registry = Registry()
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    sources: dict[str, Source] = {}
    for source, load in _candidates(files):
        with _blaming(source):
            if other := sources.get(source.plugin):
                message = f"two plugins have one name: {other} and {source}. Rename or remove one"
                raise PluginError(message)
            sources[source.plugin] = source
            try:
                plugin = load()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin call: it is noted
                registry.failed(source, error)
                continue
            _check_api(source, getattr(plugin, "router_api", None))
            manager.register(plugin, source.plugin)
            manager.check_pending()
            if _HOOK not in {caller.name for caller in manager.get_hookcallers(plugin) or ()}:
                message = (
                    f"plugin {source} registers nothing. Give it a function {_HOOK}(registry), "
                    "decorated with @plugin.hookimpl"
                )
                raise PluginError(message)

    everything = manager.get_plugins()
    for name, plugin in manager.list_name_plugin():
        # One plugin at a time, so that each registration is attributed to its plugin.
        call = manager.subset_hook_caller(_HOOK, everything - {plugin})
        try:
            with _blaming(sources[name]), registry.registering(sources[name]):
                call(registry=registry)
        except PluginError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin call: it is noted
            registry.failed(sources[name], error)
    return registry


def _candidates(files: Sequence[Path]) -> Iterator[tuple[Source, Callable[[], object]]]:
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        distribution = entry.dist
        yield (
            Source(
                plugin=entry.name,
                distribution=distribution.name if distribution else None,
                version=distribution.version if distribution else None,
            ),
            entry.load,
        )
    for file in files:
        yield Source(plugin=file.stem, file=file), partial(import_file, file)


def import_file(file: Path) -> ModuleType:
    """Import a file under a name of its own, so that it hides no installed module.

    :raises Exception: whatever the file raises.
    """
    name = file_module(file)
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        message = "a single-file plugin is a Python file, named something.py"
        raise ImportError(message)
    module = module_from_spec(spec)
    # Dataclasses and pydantic look their module up by name while it is being executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def file_module(file: Path) -> str:
    """Give the name under which a single-file plugin stands in ``sys.modules``."""
    return f"router_plugin_file_{file.stem}"


def _check_api(source: Source, wanted: object) -> None:
    host = f"{API_VERSION[0]}.{API_VERSION[1]}"
    match wanted:
        case (int(major), int(minor)):
            pass
        case _:
            message = (
                f"plugin {source} does not say for which plugin API it was written. "
                f"Write router_api = {API_VERSION} in its module"
            )
            raise PluginError(message)
    if major == API_VERSION[0] and minor <= API_VERSION[1]:
        return
    old = "the plugin" if (major, minor) < API_VERSION else "the router"
    message = (
        f"plugin {source} was written for plugin API {major}.{minor}; this router speaks {host}. "
        f"Upgrade {old}"
    )
    raise PluginError(message)


@contextmanager
def _blaming(source: Source) -> Iterator[None]:
    """Say of a plugin's mistakes whose they are."""
    try:
        yield
    except pluggy.PluginValidationError as error:
        message = (
            f"plugin {source}: {' '.join(str(error).split())}. The only hook is {_HOOK}(registry)"
        )
        blamed = PluginError(message)
        blamed.file = source.file
        raise blamed from None
    except PluginError as error:
        error.file = source.file
        raise
