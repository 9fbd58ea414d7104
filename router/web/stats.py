"""``GET /api/v1/stats``: conversations, messages and the queue, in numbers.

Access: from this machine, as the simulator's page; who sends a token is answered by
``router.web.api.numbers``. Errors are problem+json. config/MONITORING.md documents the answer,
word by word.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qs

from router.clock import seconds
from router.errors import StorageUnavailable
from router.web import asgi
from router.web.access import LocalOnly
from router.web.host import WebHost
from router.web.kept import Kept
from router.web.problem import problem

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from router.storage.pollers import PollerView

PATH: Final = "/api/v1/stats"

#: How long an answer is kept, in seconds: without `since` it reads all that there ever was.
_KEPT: Final = 5.0
#: Where that takes long, it is kept for so many times as long.
_TIMES: Final = 20.0


class StatsView:
    """The ASGI app of :data:`PATH`."""

    def __init__(self, host: WebHost, local_only: LocalOnly) -> None:
        self._host = host
        self._local_only = local_only
        self._answers: Kept[dict[str, Any]] = Kept(host.clock, _KEPT, times=_TIMES)

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            allow = ((b"allow", b"GET, HEAD"),)
            await problem(send, 405, "Numbers are asked for by GET.", headers=allow)
            return
        refusal = self._local_only.refusal(scope)
        if refusal is not None:
            await problem(send, 403, refusal)
            return
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        tenant = query.get("tenant", [None])[-1]
        if tenant is not None and tenant not in self._host.settings.tenants:
            await problem(send, 404, "There is no such tenant in router.toml.")
            return
        period = query.get("since", [None])[-1]
        try:
            length = None if period is None else seconds(period)
        except ValueError as error:
            await problem(send, 400, f"since {error}.")
            return

        async def count() -> dict[str, Any]:
            now = self._host.clock.now()
            since = None if length is None else now - timedelta(seconds=length)
            polled = running_pollers(self._host)
            return await self._host.store.read(lambda it: numbers(it, tenant, since, now, polled))

        try:
            answer = await self._answers.get((tenant, length), count)
        except StorageUnavailable:
            retry = ((b"retry-after", b"5"),)
            await problem(send, 503, "The database is away. Try again.", headers=retry)
            return
        await asgi.answer(
            send,
            200,
            json.dumps(answer).encode(),
            content_type=asgi.JSON,
            without_body=scope["method"] == "HEAD",
        )


#: How long each poller of this process waits between two polls, in seconds: by tenant, channel
#: and name.
Polled: TypeAlias = Mapping[tuple[str, str, str], float]


def running_pollers(host: WebHost) -> Polled:
    """Give the pollers that this process runs; what the database has of others is history."""
    return {
        (each["tenant"], each["instance"], each["name"]): each["every"]
        for each in host.status()["pollers"]
        if each["every"] is not None
    }


def numbers(
    connection: "Connection",
    tenant: str | None,
    since: datetime | None,
    now: datetime,
    polled: Polled,
) -> dict[str, Any]:
    """Count everything, as values for JSON.

    :param tenant: whose; ``None`` sums over all.
    :param since: nothing older; ``None`` for all there is.
    :param polled: the pollers that run.
    """
    from router.storage import stats  # here, because it brings SQLAlchemy
    from router.storage.breakers import open_breakers
    from router.storage.variants import count_variants

    stats.hold_still(connection)
    scope = stats.Scope(tenant=tenant, since=since)
    threads = stats.conversations(connection, scope)
    written = stats.messages(connection, scope)
    events = stats.events(connection, scope)
    items = stats.outbox_items(connection, scope)
    lanes = stats.lanes(connection, scope, now)
    backends = stats.usage_by_backend(connection, scope)
    total = written.inbound + written.outbound

    def average(number: int) -> float | None:
        return round(number / threads.total, 2) if threads.total else None

    return {
        "at": now.isoformat(),
        "since": None if since is None else since.isoformat(),
        "tenant": tenant,
        "conversations": threads.total,
        "active": threads.active,
        "escalated": threads.escalated,
        "closed": threads.closed,
        "messages": total,
        "messages_in": written.inbound,
        "messages_out": written.outbound,
        "averages": {
            "messages": average(total),
            "messages_in": average(written.inbound),
            "messages_out": average(written.outbound),
        },
        "queue": asdict(stats.queue(events, items, lanes)),
        "lanes": {kind: asdict(counts) for kind, counts in lanes.items()},
        "events": events,
        "decisions": stats.decisions(connection, scope),
        "outbox": items,
        "open": asdict(stats.waiting_for_people(connection, scope)),
        "ai": {name: asdict(used) for name, used in backends.items()},
        "calls": stats.calls(connection, scope),
        "variants": [
            {**asdict(it), "share": None if it.share is None else round(it.share, 4)}
            for it in count_variants(connection, scope)
        ],
        "breakers": [
            {
                "tenant": it.tenant,
                "instance": it.instance,
                "open_since": it.opened_at.isoformat(),
                "until": it.until.isoformat(),
                "error": it.error,
            }
            for it in open_breakers(connection, tenant)
        ],
        "pollers": [
            {
                "tenant": it.tenant,
                "channel": it.channel,
                "name": it.name,
                "every": every,
                "last_success": None if it.polled_at is None else it.polled_at.isoformat(),
                "failures": it.failures,
                "failing_since": None if it.failing_since is None else it.failing_since.isoformat(),
                "error": it.error,
                "held": it.held,
            }
            for it, every in standing_pollers(connection, tenant, polled)
        ],
    }


def standing_pollers(
    connection: "Connection", tenant: str | None, polled: Polled
) -> "list[tuple[PollerView, float]]":
    """Give how the pollers that run are doing, on whichever node they polled last."""
    from router.storage.pollers import pollers  # here, because it brings SQLAlchemy

    owners = sorted({owner for owner, _, _ in polled} if tenant is None else {tenant})
    return [
        (view, polled[view.tenant, view.channel, view.name])
        for owner in owners
        for view in pollers(connection, owner)
        if (view.tenant, view.channel, view.name) in polled
    ]
