"""What router.toml means, once everything in it is right: frozen values, no TOML, no references."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from router.plugin.config import PluginConfig
from router.plugin.registry import Registration
from router.settings.sources import Place
from router.settings.values import Rate, duration_text
from router.toml import Problem

if TYPE_CHECKING:
    from router.rules.model import Names, RuleSet
    from router.rules.policy import Policy

Group: TypeAlias = Literal["channels", "ai", "actions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadReplay:
    """``[router] reload_replay``: which reloads recorded traffic speaks against.

    :param since: how far back decisions are looked at, in seconds.
    :param max_changed: the most of them that may come out differently, in percent.
    :param limit: how many of each tenant are looked at, the newest.
    """

    since: float
    max_changed: float
    limit: int

    def __str__(self) -> str:
        since = duration_text(self.since)
        return (
            f'{{ since = "{since}", max_changed = "{self.max_changed:g}%", limit = {self.limit} }}'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings:
    """``[router]``.

    :param public_url: how the world reaches this router, without a slash at the end.
    :param database: a SQLAlchemy URL with an async driver and, for SQLite, an absolute path. May
        hold a password.
    :param lease: how long a node that is not heard of keeps its work, in seconds.
    :param rules: the shared rules files, in reading order.
    :param watch: the files are read again when one of them changes.
    :param reload_replay: ``None``: a reload is not tried on recorded traffic.
    :param trusted_proxies: addresses or networks whose ``X-Forwarded-For`` is believed.
    """

    public_url: str
    database: str = field(repr=False)
    rules: tuple[Path, ...]
    language: str
    timezone: str
    trusted_proxies: tuple[str, ...]
    plugins: tuple[Path, ...]
    lease: float = 15.0
    watch: bool = True
    reload_replay: ReloadReplay | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """``[server]``.

    :param max_body: the largest request body that is taken, in bytes.
    :param drain: how long a stop waits for what is under way, in seconds.
    :param metrics: who may read ``/metrics``.
    :param webhook_rate: how fast one address may send to one channel; ``None``: unlimited.
    """

    host: str
    port: int
    engine: Literal["hypercorn", "uvicorn"]
    max_body: int
    drain: float
    metrics: Literal["local", "public"] = "local"
    webhook_rate: Rate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """``[media]``.

    :param fetch: files are fetched as soon as their message is accepted.
    :param store: a whole path, or the address of an object store.
    :param max_size: the largest file, in bytes.
    :param types: media types that are kept, in lower case; ``*`` at the end stands for anything.
    :param keep: how long a file is kept after it last came, in seconds; ``None`` for ever.
    :param transcribe: the AI backend that writes down voice notes.
    :param wait: how long a turn waits at most for that, in seconds.
    """

    store: str
    fetch: bool = True
    max_size: int = 20 << 20
    types: tuple[str, ...] = ("*",)
    keep: float | None = None
    transcribe: str | None = None
    wait: float = 20.0

    def takes(self, content_type: str) -> bool:
        """Say whether a file of this type is kept."""
        return any(
            content_type.startswith(it[:-1]) if it.endswith("*") else content_type == it
            for it in self.types
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptText:
    """The instructions of an AI backend, read from the file that ``prompt`` names."""

    path: Path
    text: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSettings:
    """One ``[channels.X]``, ``[ai.X]`` or ``[actions.X]`` table.

    :param tenant: whose channel it is; ``main`` for the shared AI backends and actions.
    :param kind: the table's ``type``.
    :param required: the router is not ready while this instance is down.
    :param timeout: the limit of one call, in seconds.
    :param breaker_after: so many failed calls in a row open the circuit breaker; 0: none do.
    :param breaker_pause: how long it stays open until one call tries, in seconds.
    :param on_unknown: what becomes of a message of which nobody knows whether it was sent: a
        person is asked, or it is sent again. Channels only.
    :param settle: how long the provider's list of what it sent may lag, in seconds. Channels only.
    :param webhook_rate: how fast the provider may send; ``None``: unlimited. Channels only.
    :param templates_every: how often the provider is asked for its templates, in seconds;
        ``None``: never. Channels only.
    :param prompt: AI backends only.
    :param tools: names of the actions that it may have run while it writes an answer. AI backends
        only.
    :param tool_rounds: how often it may, in one answer.
    :param description: what it is for, in words for AI backends. Actions only.
    :param config: the plugin's validated table. In ``load_settings(…, run=False)`` a secret that
        is not set has a placeholder here.
    :param position: where the table stands; prints itself as ``file:line:column``.
    """

    name: str
    tenant: str
    group: Group
    kind: str
    enabled: bool
    required: bool
    timeout: float
    config: PluginConfig
    registration: Registration[Any]
    position: Place
    breaker_after: int = 5
    breaker_pause: float = 30.0
    on_unknown: Literal["ask", "resend"] = "ask"
    settle: float = 60.0
    webhook_rate: Rate | None = None
    templates_every: float | None = None
    prompt: PromptText | None = None
    tools: tuple[str, ...] = ()
    tool_rounds: int = 3
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """``[queues.X]``: where tickets wait for people.

    :param notify: names of the actions that tell somebody of a new ticket.
    """

    name: str
    title: str
    notify: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSettings:
    """One client business; ``main`` for what stands at the top level of router.toml.

    :param rule_files: shared files first, then the tenant's own.
    :param knowledge_folders: where the tenant's articles are; folders are never shared.
    """

    name: str
    channels: Mapping[str, InstanceSettings]
    policy: "Policy"
    rules: "RuleSet"
    rule_files: tuple[Path, ...]
    knowledge_folders: tuple[Path, ...]
    timezone: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the configuration says.

    :param path: the router.toml that was read.
    :param hash: 16 hex digits of the meaning. Comments, the order of tables, where the files lie
        and the values of secrets do not change it.
    :param tenants: by name; always has ``main``.
    :param secrets: the value of every secret that was resolved, for blanking them out of logs.
    :param warnings: what is doubtful, but stops nothing.
    :param names: what rules may name, for reading others than those that are configured.
    """

    path: Path
    hash: str
    router: RouterSettings
    server: ServerSettings
    media: MediaSettings
    tenants: Mapping[str, TenantSettings]
    ai: Mapping[str, InstanceSettings]
    actions: Mapping[str, InstanceSettings]
    queues: Mapping[str, QueueSettings]
    secrets: frozenset[str] = field(repr=False)
    warnings: tuple[Problem, ...] = ()
    names: "Names"
