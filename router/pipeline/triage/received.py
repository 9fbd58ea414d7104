"""What a customer's message makes of their thread, before anything is decided about it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from router.domain.conversation import Contact, Conversation
from router.domain.event import MessageReceived
from router.domain.identity import thread_key
from router.domain.message import Author, Direction
from router.domain.record import changed
from router.pipeline.media.attachments import fetches
from router.pipeline.triage import memory
from router.pipeline.triage.case import Case, Cases, idle_timer
from router.pipeline.triage.effects import Effect
from router.rules.recall import CUSTOMER
from router.storage.store import NewMessage, Tx, Work


def received(
    cases: Cases, aliases: Mapping[tuple[str, str], str], work: Work, event: MessageReceived
) -> Case:
    """Begin the case of a message: its thread found or opened, with what it tells of people.

    :param aliases: the addresses learnt so far.
    """
    source = work.source.split("/")
    known, contact = work.conversation, work.contact
    key = work.ref.lane[len(work.tenant) + 1 :]
    effects: list[Effect] = []
    if contact is None:
        contact = Contact(id=cases.ids(), key=key, name=event.name, language=event.language)
    else:
        contact = _told(work.tenant, contact, event, effects)
    for address in event.aliases:
        other = thread_key(address)
        if other != key and aliases.get((work.tenant, other)) != key:
            effects.append(partial(_learn, tenant=work.tenant, address=other, key=key))
    now_is: dict[str, Any] = {
        "contact": contact,
        "channel": source[1],
        "address": event.sender,
        "last_in_at": work.received_at,
        "last_provider_id": event.id,
    }
    if cases.configuration.rules(work.tenant).remembers:
        said_before = {} if known is None else known.attributes
        now_is["attributes"] = memory.remembering(
            said_before, CUSTOMER, event.text, work.received_at
        )
    if known is None:
        conversation = Conversation(id=cases.ids(), **now_is)
    else:
        conversation = changed(known, **now_is)
    case = cases.open(work, conversation)
    case.new = work.contact is None
    if known is None:
        case.timers = (idle_timer(case, case.now + case.policy.idle_close, 1),)
    case.text = "\n".join([text for text in (case.text, event.text) if text])
    case.effects = tuple(effects)
    case.items = fetches(cases.configuration, work, event, cases.ids)
    case.messages = (
        NewMessage(
            id=cases.ids(),
            direction=Direction.IN,
            author=Author.CUSTOMER,
            text=event.text,
            channel=source[1],
            address=event.sender,
            attachments=event.attachments,
            provider_id=event.id,
        ),
    )
    return case


def _told(tenant: str, contact: Contact, event: MessageReceived, effects: list[Effect]) -> Contact:
    """Note what a message tells of its customer. A profile's name is one they chose for everybody.

    The business knows them by the name that a call gave, so that one stays.
    """
    name = contact.name if memory.named(contact.attributes) else event.name or contact.name
    language = event.language or contact.language
    if (name, language) == (contact.name, contact.language):
        return contact
    values = {"name": name, "language": language}
    effects.append(partial(_update, tenant=tenant, contact=contact.id, values=values))
    return changed(contact, name=name, language=language)


def _learn(tx: Tx, *, tenant: str, address: str, key: str) -> None:
    from router.storage.contacts import learn_address

    learn_address(tx, tenant, address, key)


def _update(tx: Tx, *, tenant: str, contact: str, values: Mapping[str, Any]) -> None:
    from router.storage.contacts import update_contact

    update_contact(tx.connection, tenant, contact, values)
