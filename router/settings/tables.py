"""The host's keys in router.toml, one model a table. config/README.md is their reference."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from router.plugin.config import Duration
from router.settings.values import (
    DurationOrNever,
    Keep,
    Language,
    Network,
    Percentage,
    PublicUrl,
    QuietHours,
    Rate,
    RateOrUnlimited,
    Size,
    Texts,
    Timezone,
)


class HostTable(BaseModel):
    """A table of which the host knows every key. Nothing is guessed: "80" is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ReloadReplayTable(HostTable):
    """What recorded traffic may have to say against a reload."""

    since: Duration = Field(
        604800.0, gt=0, description="How far back recorded decisions are looked at."
    )
    max_changed: Percentage = Field(
        description="The most of them that may come out differently, such as 2%."
    )
    limit: int = Field(1000, ge=1, description="At most so many of each tenant, the newest.")


class RouterTable(HostTable):
    """What the router is, and where its files are."""

    public_url: PublicUrl | None = Field(
        None,
        description="The address at which providers reach this router; it is what they sign. "
        "Default: the server's host and port.",
    )
    database: Annotated[
        Any,
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "string", "format": "password"}]}),
    ] = Field(
        "sqlite+aiosqlite:///data/router.db",
        description="A SQLite file or a PostgreSQL URL; with a password only as a reference.",
    )
    lease: Duration = Field(
        15.0,
        ge=1,
        description="How long a node that is not heard of keeps its work. PostgreSQL only.",
    )
    rules: list[str] = Field([], description="Rules files, in reading order.")
    language: Language = Field("es", description="The language of tenants that name none.")
    timezone: Timezone = Field("UTC", description="The time zone of tenants that name none.")
    trusted_proxies: list[Network] = Field(
        [], description="Proxies whose X-Forwarded-For header is believed."
    )
    plugins: list[str] = Field([], description="Plugins that are a single Python file.")
    watch: bool = Field(
        True, description="true: the files are read again as soon as one of them changes."
    )
    reload_replay: ReloadReplayTable | None = Field(
        None,
        description="A reload is refused if more of the recorded decisions would come out "
        "differently. Default: nothing is compared.",
    )


class ServerTable(HostTable):
    """Where the router listens."""

    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="The port; 0 takes any free one.")
    engine: Literal["hypercorn", "uvicorn"] = Field(
        "hypercorn", description="uvicorn is faster, and comes with the extra of that name."
    )
    max_body: Size = Field(1 << 20, description='The largest request, such as "1 MiB".')
    drain: Duration = Field(
        20.0,
        description="How long a stop waits for what is under way. 15 seconds later the process "
        "ends, whatever hangs.",
    )
    metrics: Literal["local", "public"] = Field(
        "local", description="Who may read /metrics: this machine only, or everybody."
    )
    webhook_rate: RateOrUnlimited = Field(
        Rate(1000, 1.0),
        description="How fast one address may send to one channel: 1000/s, 600/m, or unlimited.",
    )


class PolicyTable(HostTable):
    """How much the router may do by itself. A tenant's table overrides it key by key."""

    mode: Literal["assisted", "autopilot"] = Field(
        "assisted",
        description="assisted: a person approves what a model wrote. autopilot: it is sent where "
        "the guardrails let it through.",
    )
    autopilot_categories: list[str] = Field(
        ["INFO", "TRACKING"], description="The categories that autopilot answers by itself."
    )
    confidence_threshold: float | None = Field(
        None, ge=0, le=1, description="Answers below it become tickets. Default: no threshold."
    )
    debounce: Duration = Field(
        2.0, description="How long the customer must be quiet before a model is asked."
    )
    debounce_cap: Duration = Field(10.0, description="The longest wait for that quiet.")
    review_fixed_texts: bool = Field(
        False, description="true: texts that a rule states wait for a person, too."
    )
    while_owned: Literal["draft", "notify"] | None = Field(
        None,
        description="What becomes of an answer while a person owns the conversation. Default: a "
        "draft on assisted, a notice on autopilot.",
    )
    handback_after: DurationOrNever = Field(
        86400.0,
        description="How long after a person's last word the bot answers again.",
    )
    idle_close: Duration = Field(
        86400.0, gt=0, description="A conversation quiet for so long is closed."
    )
    keep: Keep = Field(
        None,
        description="How long a closed conversation is kept after its last word, at least 7d; then "
        "it is deleted with all that belongs to it. Default: never deleted.",
    )
    silence_alarm: DurationOrNever = Field(
        600.0, description="An event without an outcome for so long is an alarm."
    )
    quiet_hours: QuietHours | None = Field(
        None,
        description="When nothing is begun with customers: 21:00-08:00, several of them, or a "
        "table by days of the week. Answers leave at any time. Default: never.",
    )
    notice_links: bool = Field(
        True,
        description="true: a notice of an escalation or a ticket carries a link that shows the "
        "conversation to whoever has it.",
    )
    apology: Texts = Field(
        "", description="What the customer is told, once, when answering failed for good."
    )


class KnowledgeTable(HostTable):
    """Where a tenant's articles are."""

    folders: list[str] = Field([], description="Folders of Markdown articles.")


class MediaTable(HostTable):
    """What becomes of the files that customers send."""

    fetch: bool = Field(True, description="false: files stay at the provider.")
    store: str = Field(
        "data/media",
        min_length=1,
        description="A folder, or an object store: s3://bucket/prefix, gs://…, az://….",
    )
    max_size: Size = Field(20 << 20, description='The largest file, such as "20 MiB".')
    types: list[str] = Field(
        ["image/*", "audio/*", "video/*", "text/plain", "application/pdf", "application/vnd.*"],
        description="What is kept, by what a file's bytes say that it is.",
    )
    keep: DurationOrNever = Field(
        7776000.0, description="How long a file is kept after it last came; or never: for ever."
    )
    transcribe: str | None = Field(
        None, description="The [ai.X] that writes down voice notes. Default: nobody does."
    )
    transcribe_wait: Duration = Field(
        20.0, gt=0, description="How long a turn waits at most for what is said in a voice note."
    )


class TenantTable(HostTable):
    """A client business: its own channels, rules, policy and knowledge."""

    language: Language | None = Field(None, description="Default: that of [router].")
    timezone: Timezone | None = Field(None, description="Default: that of [router].")
    rules: list[str] = Field([], description="Rules files, read after the shared ones.")
    policy: dict[str, Any] = Field({}, description="The keys of [policy], to override.")
    knowledge: dict[str, Any] = Field({}, description="The keys of [knowledge].")
    channels: dict[str, Any] = Field({}, description="The tenant's channels, by name.")


class QueueTable(HostTable):
    """A queue in which tickets wait for people."""

    title: str | None = Field(None, description="What people see. Default: the queue's name.")
    notify: list[str] = Field([], description="Actions that tell somebody of a new ticket.")


class InstanceTable(HostTable):
    """The host's keys of a table that a plugin serves; every other key is the plugin's."""

    type: str = Field(description="A kind that a plugin registered; `router plugins` lists them.")
    enabled: bool = Field(True, description="false switches it off, and keeps its table.")
    required: bool = Field(False, description="true: the router is not ready while this is down.")
    breaker_after: int = Field(
        5,
        ge=0,
        description="After so many calls in a row that were not taken, or of which nobody knows, "
        "nothing is sent there for a while. 0: never.",
    )
    breaker_pause: Duration = Field(
        30.0, gt=0, description="How long that while is; then one call tries."
    )


class ChannelTable(InstanceTable):
    """The host's keys of a channel."""

    timeout: Duration = Field(15.0, gt=0, description="The limit of one call to the provider.")
    on_unknown: Literal["ask", "resend"] = Field(
        "ask",
        description="When nobody knows whether a message was sent: ask a person, or send it again.",
    )
    settle: Duration = Field(
        60.0,
        gt=0,
        description="How long the provider's list of what it sent may lag behind.",
    )
    webhook_rate: RateOrUnlimited = Field(
        Rate(2000, 1.0),
        description="How fast the provider may send, from all its addresses: 100/s, 600/m, or "
        "unlimited.",
    )
    templates_every: DurationOrNever = Field(
        900.0,
        gt=0,
        description="How often the provider is asked for its templates and their approval, where "
        "it lists them; or never.",
    )


class AITable(InstanceTable):
    """The host's keys of an AI backend."""

    timeout: Duration = Field(60.0, gt=0, description="The limit of one answer.")
    prompt: str | None = Field(None, description="A file with the backend's instructions.")
    tools: list[str] = Field(
        default_factory=list,
        description="Names of the actions that the model may have run while it writes an answer. "
        "Only those that look something up.",
    )
    tool_rounds: int = Field(
        3, ge=1, le=10, description="How often it may, in one answer; then the answer is due."
    )


class ActionTable(InstanceTable):
    """The host's keys of an action."""

    timeout: Duration = Field(30.0, gt=0, description="The limit of one run.")
    description: str = Field(
        "", description="What it is for, in words for AI backends that have it among their tools."
    )


#: The model of the host's keys in each group of tables that plugins serve.
INSTANCES: dict[str, type[ChannelTable | AITable | ActionTable]] = {
    "channels": ChannelTable,
    "ai": AITable,
    "actions": ActionTable,
}
