"""What Meta's webhooks say, in the router's words."""

from collections.abc import Iterator
from datetime import UTC, datetime

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
_SILENT = frozenset({"system", "request_welcome"})

#: The first second that is a millisecond instead: Meta has mistaken the two before.
_MILLISECONDS = 10**10


def events_in(
    request: plugin.WebhookRequest, config: WhatsAppCloudConfig
) -> tuple[plugin.InboundEvent, ...]:
    """Read every event of every change in a webhook, in order.

    :raises ValueError: if it is malformed, or wholly about another number.
    """
    if request.method != "POST":
        return ()
    if request.endpoint:
        raise ValueError(f"the channel has no endpoint {request.endpoint[:80]!r}")
    try:
        webhook = Webhook.model_validate(request.json())
        changes = [it for entry in webhook.entry for it in entry.changes if it.field in _FIELDS]
        values = [Value.model_validate(change.value) for change in changes]
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    ours = [it for it in values if it.metadata.phone_number_id == config.phone_number_id]
    if values and not ours:
        raise ValueError("it is about another number than phone_number_id names")
    return tuple(event for value in ours for event in _events(value, config))


def _events(value: Value, config: WhatsAppCloudConfig) -> Iterator[plugin.InboundEvent]:
    for message in value.messages:
        yield from _message(message, value.contacts, config)
    for echo in value.message_echoes:
        if not echo.group_id:
            yield _echo(echo, config)
    for status in value.statuses:
        yield _report(status, value.contacts)
    for preference in value.user_preferences:
        if config.marketing_stop_is_opt_out and preference.value == "stop":
            yield _opt_out(preference)


def _message(
    message: Message, contacts: tuple[Contact, ...], config: WhatsAppCloudConfig
) -> Iterator[plugin.MessageReceived]:
    reaction = message.reaction
    if message.group_id or message.type in _SILENT:
        return
    if reaction is not None and not (config.reactions and reaction.emoji):
        return
    contact = _contact(message, contacts)
    user_ids = (
        message.from_user_id or contact.user_id,
        message.from_parent_user_id or contact.parent_user_id,
    )
    sender, *aliases = addresses_of(message.sender or contact.wa_id, *user_ids)
    context = message.context
    replied = reaction.message_id if reaction else context.id if context else ""
    yield plugin.MessageReceived(
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


def _contact(message: Message, contacts: tuple[Contact, ...]) -> Contact:
    """Give the contact who wrote a message; there may be several in one webhook."""
    for contact in contacts:
        if message.sender and message.sender == contact.wa_id:
            return contact
        if message.from_user_id and message.from_user_id == contact.user_id:
            return contact
    return contacts[0] if len(contacts) == 1 and not message.sender else Contact()


def _echo(message: Message, config: WhatsAppCloudConfig) -> plugin.MessageEchoed:
    recipient, *_ = addresses_of(message.to, message.to_user_id, message.to_parent_user_id)
    return plugin.MessageEchoed(
        message.id,
        recipient,
        text_of(message),
        attachments=attachments_of(message, config),
        sent_at=_moment(message.timestamp),
    )


def _report(status: Status, contacts: tuple[Contact, ...]) -> plugin.DeliveryReported:
    contact = contacts[0] if len(contacts) == 1 else Contact()
    named = (status.recipient_id, status.recipient_user_id, status.recipient_parent_user_id)
    recipient, *_ = addresses_of(*named, contact.wa_id, contact.user_id)
    error = next((it for it in status.errors if it.code), None)
    row = None if error is None else row_for(error.code)
    return plugin.DeliveryReported(
        status.id,
        recipient,
        _STATUSES.get(status.status, status.status),
        item=status.biz_opaque_callback_data or None,
        code=None if error is None else error.code,
        reason=None if error is None else words_for(error.code, error.said),
        sent_at=_moment(status.timestamp),
        why=None if row is None else row.why,
    )


def _opt_out(preference: Preference) -> plugin.ContactOptedOut:
    contact, *_ = addresses_of(preference.wa_id, preference.user_id)
    return plugin.ContactOptedOut(
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
