"""What Meta's webhooks say, in the router's words."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from router import plugin
from router_whatsapp_cloud.addresses import addresses_of
from router_whatsapp_cloud.codes import row_for
from router_whatsapp_cloud.config import WhatsAppCloudConfig
from router_whatsapp_cloud.content import attachments_of, metadata_of, text_of
from router_whatsapp_cloud.errors import words_for
from router_whatsapp_cloud.payload import (
    Contact,
    Message,
    Preference,
    Status,
    Value,
    Webhook,
)

#: The fields of a subscription that the channel reads.
_FIELDS = frozenset({"messages", "smb_message_echoes", "user_preferences"})

#: Meta's words for how far a message got that are not the router's. Any other passes as it is.
_STATUSES = {"played": "read"}

#: Messages by which nobody says anything: a changed number, say.
_SILENT = frozenset({"system", "request_welcome", "revoke"})

#: And what a person does in the app without writing. What they wrote took the conversation over as
#: they wrote it; who deletes or corrects it later, for a quarter of an hour, says nothing new, and
#: may have handed the conversation back.
_UNWRITTEN = _SILENT | {"edit", "reaction"}

#: To whom a report is about a group, which the router does not serve.
_GROUP = "group"

#: The first second that is a millisecond instead: Meta has mistaken the two before.
_MILLISECONDS = 10**10


def events_in(
    request: plugin.WebhookRequest, config: WhatsAppCloudConfig, log: plugin.Log
) -> tuple[plugin.InboundEvent, ...]:
    """Read every event of every change in a webhook, in order.

    What cannot be read is named in the log and left out, as long as anything else can be.

    :raises ValueError: if nothing can be read, or it is wholly about another number.
    """
    if request.method != "POST":
        return ()
    if request.endpoint:
        raise ValueError(f"the channel has no endpoint {request.endpoint[:80]!r}")
    found: list[plugin.InboundEvent] = []
    unread: list[tuple[str, Any, ValueError]] = []
    try:
        webhook = Webhook.model_validate(request.json())
        changes = [it for entry in webhook.entry for it in entry.changes if it.field in _FIELDS]
        values = [Value.model_validate(change.value) for change in changes]
        ours = [it for it in values if it.metadata.phone_number_id == config.phone_number_id]
        for name, read, thing, contacts in (it for value in ours for it in _things(value)):
            try:
                found += tuple(read(thing, contacts, config))
            except ValueError as error:
                unread.append((name, thing, error))
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    if values and not ours:
        raise ValueError("it is about another number than phone_number_id names")
    if unread and not found:
        raise unread[0][2]
    for name, thing, problem in unread:  # their words may quote the customer's
        log.warning("part of a webhook not read", part=name, reason=type(problem).__name__)
        if name == "messages":
            found += _kept(thing, config)
    return tuple(found)


def _things(value: Value) -> Iterator[tuple[str, "_Read", Any, tuple[Contact, ...]]]:
    for name, read in _READERS.items():
        for thing in getattr(value, name):
            yield name, read, thing, value.contacts


def _message(
    thing: Any, contacts: tuple[Contact, ...], config: WhatsAppCloudConfig
) -> Iterator[plugin.MessageReceived]:
    message = Message.model_validate(thing)
    reaction = message.reaction
    if message.group_id or message.type in _SILENT:
        return
    if reaction is not None and not (config.reactions and reaction.emoji):
        return
    if message.type == "edit":
        if config.edits == "message":
            yield from _edited(message, thing, contacts, config)
        return
    yield _received(message, contacts, config)


def _edited(
    message: Message,
    thing: Mapping[str, Any],
    contacts: tuple[Contact, ...],
    config: WhatsAppCloudConfig,
) -> Iterator[plugin.MessageReceived]:
    """Give what a message says now. It has an id of its own; its file cannot have changed."""
    changed = message.edit.message if message.edit is not None else {}
    rest = {name: value for name, value in thing.items() if name not in {"type", "edit"}}
    received = _received(Message.model_validate({**changed, **rest}), contacts, config)
    if received.text:
        yield replace(
            received,
            attachments=tuple(it for it in received.attachments if it.url is not None),
            metadata={**received.metadata, "edited": "true"},
        )


def _received(
    message: Message, contacts: tuple[Contact, ...], config: WhatsAppCloudConfig
) -> plugin.MessageReceived:
    reaction = message.reaction
    contact = _contact(message, contacts)
    user_ids = (
        message.from_user_id or contact.user_id,
        message.from_parent_user_id or contact.parent_user_id,
    )
    sender, *aliases = addresses_of(message.sender or contact.wa_id, *user_ids)
    context = message.context
    replied = reaction.message_id if reaction else context.id if context else ""
    return plugin.MessageReceived(
        message.id,
        sender,
        text_of(message),
        attachments=attachments_of(message, config),
        sent_at=_moment(message.timestamp),
        name=contact.profile.name or None,
        aliases=tuple(aliases),
        in_reply_to=replied or None,
        metadata=metadata_of(message, contact),
    )


def _kept(thing: Any, config: WhatsAppCloudConfig) -> Iterator[plugin.MessageReceived]:
    """Give a customer's words from an address that nobody can read, and so nobody can answer.

    Alone in its webhook, the message would be kept as it came, to be read again.
    """
    try:
        message = Message.model_validate(thing)
    except ValidationError:
        return
    sender = message.sender or message.from_user_id
    if sender:
        yield plugin.MessageReceived(
            message.id,
            plugin.Address("whatsapp", sender),
            text_of(message),
            attachments=attachments_of(message, config),
            sent_at=_moment(message.timestamp),
            metadata=metadata_of(message, Contact()),
        )


def _contact(message: Message, contacts: tuple[Contact, ...]) -> Contact:
    """Give the contact who wrote a message; there may be several in one webhook."""
    for contact in contacts:
        if message.sender and message.sender == contact.wa_id:
            return contact
        if message.from_user_id and message.from_user_id == contact.user_id:
            return contact
    return contacts[0] if len(contacts) == 1 and not message.sender else Contact()


def _echo(
    thing: Any, contacts: tuple[Contact, ...], config: WhatsAppCloudConfig
) -> Iterator[plugin.MessageEchoed]:
    message = Message.model_validate(thing)
    if message.group_id or message.type in _UNWRITTEN:
        return
    recipient, *_ = addresses_of(message.to, message.to_user_id, message.to_parent_user_id)
    yield plugin.MessageEchoed(
        message.id,
        recipient,
        text_of(message),
        attachments=attachments_of(message, config),
        sent_at=_moment(message.timestamp),
    )


def _report(
    thing: Any, contacts: tuple[Contact, ...], config: WhatsAppCloudConfig
) -> Iterator[plugin.DeliveryReported]:
    status = Status.model_validate(thing)
    if status.recipient_type == _GROUP:
        return
    contact = contacts[0] if len(contacts) == 1 else Contact()
    named = (status.recipient_id, status.recipient_user_id, status.recipient_parent_user_id)
    recipient, *_ = addresses_of(*named, contact.wa_id, contact.user_id)
    error = next((it for it in status.errors if it.code), None)
    row = None if error is None else row_for(error.code)
    yield plugin.DeliveryReported(
        status.id,
        recipient,
        _STATUSES.get(status.status, status.status),
        item=status.biz_opaque_callback_data or None,
        code=None if error is None else error.code,
        reason=None if error is None else words_for(error.code, error.said),
        sent_at=_moment(status.timestamp),
        why=None if row is None else row.why,
    )


def _opt_out(
    thing: Any, contacts: tuple[Contact, ...], config: WhatsAppCloudConfig
) -> Iterator[plugin.ContactOptedOut]:
    preference = Preference.model_validate(thing)
    if not config.marketing_stop_is_opt_out or preference.value != "stop":
        return
    contact, *_ = addresses_of(preference.wa_id, preference.user_id)
    yield plugin.ContactOptedOut(
        f"{contact}:{preference.timestamp}",
        contact,
        "stopped the business's offers in WhatsApp",
        _moment(preference.timestamp),
    )


def _moment(text: str) -> datetime | None:
    if not text.isascii() or not text.isdigit() or len(text) > 13:
        return None
    seconds = int(text) / 1000 if int(text) >= _MILLISECONDS else int(text)
    return datetime.fromtimestamp(seconds, UTC)


_Read: TypeAlias = Callable[
    [Any, tuple[Contact, ...], WhatsAppCloudConfig], Iterator[plugin.InboundEvent]
]

#: What reads each of the things that a change may hold, in the order in which they are told.
_READERS: Final[Mapping[str, _Read]] = {
    "messages": _message,
    "message_echoes": _echo,
    "statuses": _report,
    "user_preferences": _opt_out,
}
