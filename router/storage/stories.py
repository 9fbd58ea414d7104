"""The whole story of one event, message or outbox item: what came, what was decided, what left."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from router.errors import NotFound
from router.storage.decisions import DecisionView, decisions_of, load_trace
from router.storage.events import EventView, find_event, find_meant
from router.storage.outbox import ItemView, items_of, show_item
from router.storage.store import EventRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is known about what an id means.

    :param item: the outbox item, where the id is one's.
    :param event: the event that the decision was about; ``None`` for what no event caused.
    :param decided_with: the later event whose decision settled it, if there is one.
    :param trace: why it was decided so; see ``router.rules.trace``.
    :param items: what the decision queued, in order.
    """

    item: ItemView | None = None
    event: EventView | None = None
    decided_with: EventView | None = None
    trace: "Mapping[str, Any] | None" = None
    decision: DecisionView | None = None
    items: tuple[ItemView, ...] = ()


def story(connection: "Connection", tenant: str, id: str) -> Story:
    """Collect everything about what an id means.

    :param id: an event's ``lane#seq``, an outbox item's id, or a provider's id of a message.
    :raises NotFound: if the tenant has nothing of this id.
    """
    meant = find_meant(connection, tenant, id)
    if meant is None:
        raise NotFound(f'there is no event, message or outbox item "{id}"')
    item: ItemView | None = None
    asked: EventRef | None
    if isinstance(meant, EventRef):
        asked = meant
    else:
        item = show_item(connection, tenant, meant)
        asked = item.event
    if asked is None:
        return Story(item=item)
    event = find_event(connection, tenant, asked)
    decided = event.settled_by if event and event.settled_by else asked
    return Story(
        item=item,
        event=event,
        decided_with=find_event(connection, tenant, decided) if decided != asked else None,
        trace=load_trace(connection, tenant, decided),
        decision=decisions_of(connection, tenant, decided.lane, [decided.seq]).get(decided),
        items=tuple(items_of(connection, tenant, decided)),
    )
