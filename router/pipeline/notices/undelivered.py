"""What did not arrive becomes a ticket, so that a person learns of it without looking."""

import json
from collections.abc import Callable, Mapping
from functools import partial

from router.domain.decision import TicketRequest
from router.domain.event import DeliveryReported
from router.domain.outbox import ItemKind, ItemState
from router.ids import Ids, new_secret
from router.pipeline.instances.configuration import Configuration
from router.pipeline.notices.notices import address_of
from router.pipeline.outbound.actions import action_item, contact_of
from router.pipeline.outbound.approvals import Objection
from router.pipeline.outbound.reasons import TITLES
from router.rules.model import DEFAULT_QUEUE
from router.storage.store import AttemptResult, Item, NewItem, Tx

_TITLES: Mapping[str, Mapping[ItemState, str]] = {
    "es": {
        ItemState.UNKNOWN: "No se sabe si se envió",
        ItemState.REFUSED: "El proveedor lo rechazó",
        ItemState.DEAD: "No se pudo enviar",
    },
    "pt": {
        ItemState.UNKNOWN: "Não se sabe se foi enviado",
        ItemState.REFUSED: "O provedor recusou",
        ItemState.DEAD: "Não foi possível enviar",
    },
    "en": {
        ItemState.UNKNOWN: "Nobody knows whether it was sent",
        ItemState.REFUSED: "The provider refused it",
        ItemState.DEAD: "It could not be sent",
    },
}
_LONGEST = 80

#: Ends of an attempt after which something that was decided has not happened, or may not have.
STATES = frozenset(_TITLES["en"])


def ticket_of(
    item: Item,
    result: AttemptResult,
    configuration: Configuration,
    ids: Ids,
    *,
    objection: Objection | None = None,
) -> Callable[[Tx], None]:
    """Give the effect that opens the ticket, and tells whoever the queue ``default`` names.

    An action that failed opens a ticket and tells nobody: it may have been the telling.

    :param objection: why it was not sent; the title then says it, as it does where it is known when
        something is decided.
    """
    # Gone from the settings since it was decided, maybe: its items have to end all the same.
    tenant = configuration.settings.tenants.get(item.tenant)
    language = "en" if tenant is None else tenant.language.partition("-")[0]
    said = _TITLES.get(language, _TITLES["en"])[result.state]
    body = json.loads(item.body)
    what = item.destination
    if item.kind is ItemKind.MESSAGE:
        files = ", ".join(file.get("url", "") for file in body.get("media", ()))
        what = body["text"] or files or body["recipient"]
    what = what if len(what) <= _LONGEST else f"{what[: _LONGEST - 1]}…"
    title = f"{said}: {what}"
    if objection is not None:
        words = TITLES.get(language, TITLES["en"])
        title = words.format(channel=item.destination, why=objection.words(language))
    notices: list[NewItem] = []
    link = None
    queue = configuration.settings.queues.get(DEFAULT_QUEUE)
    if item.kind is ItemKind.MESSAGE and queue is not None:
        because = result.error or title
        params = {"title": title, "text": f"{because} (router outbox show {item.id})"}
        secret = new_secret()
        url = None if tenant is None else address_of(configuration, item.tenant, secret)
        if queue.notify and item.conversation is not None and url is not None:
            link, params["url"] = secret, url
        notices = [
            action_item(
                name,
                params,
                conversation=item.conversation,
                contact=contact_of(None, body["recipient"], item.destination),
                because=because,
                ids=ids,
            )
            for name in queue.notify
        ]
    return partial(_open, item=item, ticket=ids(), title=title, notices=notices, link=link)


def lost(
    tx: Tx,
    tenant: str,
    name: str,
    event: DeliveryReported,
    *,
    configuration: Configuration,
    ids: Ids,
) -> None:
    """Open the ticket of a message that its provider took, and refused afterwards."""
    from router.storage.reconciliation import message_item

    item = message_item(tx.connection, tenant, name)
    if item is not None:
        words = event.reason or event.code
        result = AttemptResult(state=ItemState.REFUSED, code=event.code, error=words)
        ticket_of(item, result, configuration, ids)(tx)


def _open(
    tx: Tx, *, item: Item, ticket: str, title: str, notices: list[NewItem], link: str | None
) -> None:
    from router.storage.links import open_link
    from router.storage.tickets import open_ticket

    number = open_ticket(
        tx.connection,
        id=ticket,
        tenant=item.tenant,
        conversation=item.conversation,
        event=item.decided,
        request=TicketRequest(queue=DEFAULT_QUEUE, title=title, priority="high"),
        author="router",
        now=tx.now,
    )
    if link is not None and item.conversation is not None:
        open_link(
            tx.connection,
            secret=link,
            tenant=item.tenant,
            conversation=item.conversation,
            ticket_number=number,
            now=tx.now,
        )
    if notices:
        tx.send(notices, tenant=item.tenant, conversation=item.conversation, epoch=item.epoch)
