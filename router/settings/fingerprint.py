"""Fingerprints: what a decision's trace names a configuration by, and an attempt an account."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

if TYPE_CHECKING:
    from router.settings.model import InstanceSettings, Settings


def digest(text: str) -> str:
    """Give 16 hex digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(settings: "Settings", references: Mapping[str, str]) -> str:
    """Give 16 hex digits that stand for the meaning of a configuration.

    Defaults count as if they were written. Secrets count by what they refer to, never by value.
    """
    folder = settings.path.resolve().parent

    def plain(path: Path) -> str:
        try:
            return path.resolve().relative_to(folder).as_posix()
        except ValueError:
            return path.as_posix()

    def instance(table: "InstanceSettings") -> dict[str, Any]:
        return {
            "kind": table.kind,
            "enabled": table.enabled,
            "required": table.required,
            "timeout": table.timeout,
            "breaker": [table.breaker_after, table.breaker_pause],
            "on_unknown": [table.on_unknown, table.settle],
            "webhook_rate": str(table.webhook_rate),
            "templates_every": table.templates_every,
            "prompt": table.prompt.hash if table.prompt else None,
            "tools": [table.tools, table.tool_rounds, table.description],
            "config": table.config.model_dump(mode="json"),
        }

    router, server, media = settings.router, settings.server, settings.media
    meaning = {
        "router": [
            router.public_url,
            router.language,
            router.timezone,
            sorted(router.trusted_proxies),
            [plain(path) for path in router.plugins],
        ],
        "server": [
            server.host,
            server.port,
            server.engine,
            server.max_body,
            server.drain,
            server.metrics,
            str(server.webhook_rate),
        ],
        "media": {
            **asdict(media),
            "store": media.store if "://" in media.store else plain(Path(media.store)),
        },
        "ai": {name: instance(table) for name, table in settings.ai.items()},
        "actions": {name: instance(table) for name, table in settings.actions.items()},
        "queues": {name: [queue.title, queue.notify] for name, queue in settings.queues.items()},
        "tenants": {
            name: {
                "channels": {key: instance(table) for key, table in tenant.channels.items()},
                "policy": {
                    key: sorted(value) if isinstance(value, frozenset) else value
                    for key, value in asdict(tenant.policy).items()
                },
                "rules": tenant.rules.hash,
                "knowledge": [plain(path) for path in tenant.knowledge_folders],
                "timezone": tenant.timezone,
                "language": tenant.language,
            }
            for name, tenant in settings.tenants.items()
        },
        "references": dict(references),
    }
    return digest(json.dumps(meaning, sort_keys=True, default=str))


def account_of(table: "InstanceSettings") -> str:
    """Give 32 hex digits that stand for the account by which an instance acts at its provider.

    All that the plugin itself is told counts, secrets by their values: the host does not know what
    of it names the account. It is kept in the database, so guessing a secret by it is made slow.
    """
    meaning = json.dumps([table.kind, _plain(table.config.model_dump())])
    salt = f"{table.tenant}/{table.group}.{table.name}".encode()
    return hashlib.scrypt(meaning.encode(), salt=salt, n=2**12, r=8, p=1, dklen=16).hex()


def _plain(value: Any) -> Any:
    """Give a value for JSON that is the same in every process."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(each) for each in value), key=json.dumps)
    return value if isinstance(value, int | float | None) else str(value)
