"""How things stand, in numbers; and whose token it is that asks."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import Field

from router import __version__
from router.clock import seconds
from router.errors import NotFound
from router.storage.status import tenant_counts
from router.web.api.call import Call
from router.web.api.endpoints import Routes
from router.web.api.models import Input, Output
from router.web.stats import numbers, running_pollers

routes: Final = Routes("stats", "How things stand.")


class StatsQuery(Input):
    """What is counted."""

    since: str | None = Field(
        None,
        pattern="^([0-9]{1,3}d|[0-9]{1,4}(ms|s|m|h))$",
        description='Nothing older, such as "24h" or "7d". Default: all there is.',
    )
    tenant: str | None = Field(None, description="The token's own, if it is given.")


class Stats(Output):
    """The numbers; config/MONITORING.md tells what each one means."""

    at: datetime
    since: datetime | None
    tenant: str | None
    conversations: int
    active: int
    escalated: int
    closed: int
    messages: int
    messages_in: int
    messages_out: int
    averages: dict[str, float | None]
    queue: dict[str, int]
    lanes: dict[str, dict[str, int]]
    events: dict[str, Any]
    decisions: dict[str, Any]
    outbox: dict[str, Any]
    open: dict[str, int]
    ai: dict[str, Any]
    calls: dict[str, int]
    variants: list[dict[str, Any]]
    breakers: list[dict[str, Any]]
    pollers: list[dict[str, Any]]


class Instance(Output):
    """A channel of the tenant, as this process sees it."""

    name: str
    kind: str
    up: bool
    error: str | None


class Status(Output):
    """How the tenant stands, and the process that answers."""

    version: str
    ready: bool = Field(description="The process has all it needs, and is not about to stop.")
    draining: bool
    instances: list[Instance]
    queue: dict[str, int]
    outbox: dict[str, int] = Field(
        description="Items by state; of those that are over, the ones of the last 24 hours."
    )
    drafts: int = Field(description="Drafts that wait for a person.")
    tickets: int = Field(description="Tickets that are open.")
    escalations: int = Field(description="Calls for a person that nobody has acknowledged.")
    dead: int = Field(description="Events that were given up, neither tried again nor discarded.")
    unparsed: int = Field(
        description="Requests that could not be read, neither tried again nor discarded."
    )


class Token(Output):
    """Whose token it is."""

    id: str
    name: str
    tenant: str
    scopes: list[str]
    expires_at: datetime


@routes.get("/stats", open_here=True)
async def get_stats(call: Call, query: StatsQuery) -> Stats:
    """Count conversations, messages and the queue.

    From the router's own machine no token is needed; then all tenants are counted.
    """
    if query.tenant not in (None, call.tenant):
        raise NotFound("this token sees no such tenant")
    now = call.host.clock.now()
    since = None if query.since is None else now - timedelta(seconds=seconds(query.since))
    polled = running_pollers(call.host)
    counted = await call.read(lambda it: numbers(it, call.tenant, since, now, polled))
    return Stats.model_validate(counted)


@routes.get("/status")
async def get_status(call: Call) -> Status:
    """Say how the tenant stands, and the process that answers."""
    host = call.host
    now = host.clock.now()
    counts = await call.read(lambda it: tenant_counts(it, call.tenant, now))
    process = host.status()
    return Status(
        version=__version__,
        ready=not host.draining and not host.readiness(),
        draining=host.draining,
        instances=[
            Instance.model_validate(it)
            for it in process["instances"]
            if it.get("tenant") == call.tenant
        ],
        queue=asdict(counts.queue),
        outbox=dict(counts.outbox),
        drafts=counts.drafts,
        tickets=counts.tickets,
        escalations=counts.escalations,
        dead=counts.dead,
        unparsed=counts.unparsed,
    )


@routes.get("/token", scope=None)
async def get_token(call: Call) -> Token:
    """Tell whose token it is that asks, and what it is good for."""
    return Token(
        id=call.bearer.id,
        name=call.bearer.name,
        tenant=call.tenant,
        scopes=sorted(call.bearer.scopes),
        expires_at=call.bearer.expires_at,
    )
