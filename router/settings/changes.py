"""What tells two configurations apart, in words; and what of it a running process can take up."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from router.domain.identity import MAIN_TENANT
from router.rules.hours import Hours
from router.settings.values import default_public_url, duration_text

if TYPE_CHECKING:
    from router.plugin.config import PluginConfig
    from router.rules.model import RuleSet
    from router.settings.model import (
        InstanceSettings,
        RouterSettings,
        ServerSettings,
        Settings,
        TenantSettings,
    )

#: Settings that a process takes up when it starts, and keeps.
_ROUTER_KEPT: Final = ("database", "lease", "plugins")
_SERVER_KEPT: Final = ("host", "port", "engine")

#: Keys of an instance that only the host reads: a change of them needs no new instance.
_HOST_KEYS: Final = (
    *("required", "breaker_after", "breaker_pause"),
    *("on_unknown", "settle", "webhook_rate", "templates_every", "prompt"),
    *("tools", "tool_rounds", "description"),
)


def same_instance(before: "InstanceSettings", after: "InstanceSettings") -> bool:
    """Say whether an instance of the one may go on serving the other.

    It may, if its kind, the plugin's own keys (secrets by their values) and its timeout are equal.
    """
    return (
        before.registration == after.registration
        and before.timeout == after.timeout
        and before.config == after.config
    )


def needs_restart(before: "Settings", after: "Settings") -> tuple[str, ...]:
    """Name the settings that differ, and that a running process cannot take up."""
    router = _different(before.router, after.router, _ROUTER_KEPT)
    server = _different(before.server, after.server, _SERVER_KEPT)
    return (*(f"[router] {key}" for key in router), *(f"[server] {key}" for key in server))


def in_force(before: "Settings", after: "Settings") -> "Settings":
    """Give what a process that runs by ``before`` can take up of ``after``: all but that."""
    router = {key: getattr(before.router, key) for key in _ROUTER_KEPT}
    server = {key: getattr(before.server, key) for key in _SERVER_KEPT}
    if _public_url_by_default(before) and _public_url_by_default(after):
        # It follows the address that is listened on, which stays.
        router["public_url"] = before.router.public_url
    return replace(
        after,
        router=replace(after.router, **router),
        server=replace(after.server, **server),
    )


def changes(before: "Settings", after: "Settings") -> tuple[str, ...]:
    """Say in words what differs; no secret's value is in them."""
    return tuple(_changes(before, after))


def _changes(before: "Settings", after: "Settings") -> Iterator[str]:
    kept = {"router": _ROUTER_KEPT, "server": _SERVER_KEPT}
    for name in ("router", "server", "media"):
        old, new = getattr(before, name), getattr(after, name)
        # Rules files are judged by what they say.
        for key in _keys(old, but=(*kept.get(name, ()), "rules")):
            was, is_ = getattr(old, key), getattr(new, key)
            if was != is_:
                yield f"[{name}] {key}: {_shown(was)} → {_shown(is_)}"
    yield from _instances(before.ai, after.ai)
    yield from _instances(before.actions, after.actions)
    yield from _named("queues", before.queues, after.queues)
    for name in _both(before.tenants, after.tenants):
        was_tenant, is_tenant = before.tenants.get(name), after.tenants.get(name)
        if was_tenant is None:
            yield f"tenants.{name}: added"
        elif is_tenant is None:
            yield f"tenants.{name}: removed"
        else:
            yield from _tenant(was_tenant, is_tenant)


def _tenant(before: "TenantSettings", after: "TenantSettings") -> Iterator[str]:
    prefix = "" if before.name == MAIN_TENANT else f"{before.name}/"
    yield from (f"{prefix}{words}" for words in _instances(before.channels, after.channels))
    for key in ("timezone", "language", "knowledge_folders"):
        was, is_ = getattr(before, key), getattr(after, key)
        if was != is_:
            yield f"{prefix}{key}: {_shown(was)} → {_shown(is_)}"
    for key in (field.name for field in fields(before.policy)):
        was, becomes = getattr(before.policy, key), getattr(after.policy, key)
        # These two are the tenant's own, said above.
        if was != becomes and key not in ("language", "timezone"):
            yield f"{prefix}policy.{key}: {_shown(was)} → {_shown(becomes)}"
    if before.rules.hash != after.rules.hash:
        yield from (f"{prefix}{words}" for words in _rules(before.rules, after.rules))


def _instances(
    before: "Mapping[str, InstanceSettings]", after: "Mapping[str, InstanceSettings]"
) -> Iterator[str]:
    for name in _both(before, after):
        was, is_ = before.get(name), after.get(name)
        label = f"{(was or after[name]).group}.{name}"
        if was is None:
            yield f"{label}: added"
        elif is_ is None:
            yield f"{label}: removed"
        elif keys := _instance_keys(was, is_):
            yield f"{label}: {', '.join(keys)} changed"


def _instance_keys(before: "InstanceSettings", after: "InstanceSettings") -> list[str]:
    """Name the keys that differ; never their values, among which there are secrets."""
    if before.kind != after.kind:
        return ["type"]
    keys = [
        key
        for key in ("enabled", "timeout", *_HOST_KEYS)
        if _meaning(getattr(before, key)) != _meaning(getattr(after, key))
    ]
    if before.config != after.config:
        was, is_ = _values(before.config), _values(after.config)
        keys += [key for key in _both(was, is_) if was.get(key) != is_.get(key)]
    return keys


def _values(config: "PluginConfig") -> dict[str, Any]:
    return {key: getattr(config, key, None) for key in type(config).model_fields}


def _meaning(value: Any) -> Any:
    """Give a value to compare by: of a prompt what it says, not where it lies."""
    return getattr(value, "hash", value)


def _rules(before: "RuleSet", after: "RuleSet") -> Iterator[str]:
    found = [
        *_written("rule", before.rules, after.rules),
        *_written("guardrail", before.guardrails, after.guardrails),
        *_named("lexicon", before.lexicons, after.lexicons),
        *_named("category", before.categories, after.categories),
        *_named("prompt", _hashes(before.prompts), _hashes(after.prompts)),
    ]
    if before.default != after.default and _source(before.default) != _source(after.default):
        found.append("default: changed")
    yield from found or ("rules: changed",)


def _hashes(prompts: Mapping[str, Any]) -> dict[str, str]:
    return {name: prompt.hash for name, prompt in prompts.items()}


def _written(noun: str, before: Iterable[Any], after: Iterable[Any]) -> Iterator[str]:
    """Compare what is written of rules or guardrails, and the order in which they are read."""
    was, is_ = ({each.id: _source(each) for each in all_} for all_ in (before, after))
    found = list(_named(noun, was, is_))
    yield from found
    if not found and list(was) != list(is_):
        yield f"{noun}s: read in another order"


def _source(definition: Any) -> Any:
    """Give what stands in the file at the place of a definition."""
    place = definition.place
    if place is None:
        return None
    value: Any = place.document.values
    for key in place.key_path:
        value = value[key]
    return value


def _named(noun: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in _both(before, after):
        if name not in before:
            yield f"{noun}.{name}: added"
        elif name not in after:
            yield f"{noun}.{name}: removed"
        elif before[name] != after[name]:
            yield f"{noun}.{name}: changed"


def _both(before: Iterable[Hashable], after: Iterable[Hashable]) -> list[Any]:
    """Give the names of both, each once, in the order of the later one, then those gone."""
    return list(dict.fromkeys((*after, *before)))


def _different(before: Any, after: Any, keys: Iterable[str]) -> list[str]:
    return [key for key in keys if getattr(before, key) != getattr(after, key)]


def _keys(of: "RouterSettings | ServerSettings", but: Iterable[str]) -> list[str]:
    return [each.name for each in fields(of) if each.name not in but]


def _public_url_by_default(settings: "Settings") -> bool:
    return settings.router.public_url == default_public_url(
        settings.server.host, settings.server.port
    )


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, SecretStr):
        return "…"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return f'"{duration_text(value.total_seconds())}"'
    if isinstance(value, str | Path | Hours):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_shown(it)}' for key, it in value.items())} }}"
    if isinstance(value, tuple | list | frozenset | set):
        shown = [_shown(it) for it in value]
        return f"[{', '.join(sorted(shown) if isinstance(value, frozenset | set) else shown)}]"
    return str(value)
