"""What WAHA's webhooks say, in the router's words."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from router import plugin
from router_waha.addresses import address_of, chat_in, is_crowd, key_of
from router_waha.config import WahaConfig
from router_waha.content import attachments_of, text_of
from router_waha.notices import is_notice
from router_waha.payload import Message, Webhook

#: WhatsApp's words for how far a message got, and the router's. Any other passes as it is.
STATUSES = {
    "ERROR": "failed",
    "PENDING": "queued",
    "SERVER": "sent",
    "DEVICE": "delivered",
    "READ": "read",
    "PLAYED": "read",
}
_ACKS = {"-1": "ERROR", "0": "PENDING", "1": "SERVER", "2": "DEVICE", "3": "READ", "4": "PLAYED"}

# Where the engines put what somebody calls themselves, and their number or privacy id.
_NAMES = ("notifyName", "pushName", "Info.PushName")
_ALIASES = ("key.remoteJidAlt", "key.senderPn", "key.senderLid", "Info.SenderAlt")

#: The first second that is a millisecond instead: the year 2286.
_MILLISECONDS = 10**10


def webhook_of(request: plugin.WebhookRequest) -> Webhook:
    """Read the body of a webhook.

    :raises ValueError: if it is none of WAHA's.
    """
    try:
        return Webhook.model_validate(request.json())
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None


def events_in(
    request: plugin.WebhookRequest, config: WahaConfig
) -> tuple[plugin.InboundEvent, ...]:
    """Read the one event of a webhook; none where it is of no concern to a customer.

    :raises ValueError: if it is malformed.
    """
    if request.endpoint:
        raise ValueError(f"the channel has no endpoint {request.endpoint[:80]!r}")
    webhook = webhook_of(request)
    if webhook.session != config.session:
        return ()
    if webhook.event not in {"message", "message.any", "message.ack", "message.reaction"}:
        return ()
    message = Message.model_validate(webhook.payload)
    if is_crowd(_chat(message)) or is_crowd(message.sender) or is_crowd(message.to):
        return ()
    return tuple(_events(webhook.event, message, config))


def _events(event: str, message: Message, config: WahaConfig) -> Iterator[plugin.InboundEvent]:
    ours = message.from_me or message.id.startswith("true_")
    match event:
        case "message.ack":
            if ours:
                yield _report(message)
        case "message.reaction":
            reaction = message.reaction
            if config.reactions and not ours and reaction is not None and reaction.text:
                yield _message(
                    message, reaction.text, reaction.message_id, {"reaction": reaction.text}
                )
        case _ if is_notice(message):
            return
        case _ if ours:
            recipient = address_of(_chat(message))
            if message.source == "api" and recipient.scheme == "lid":
                # No person typed it. It was sent to a number, and comes back under a privacy id
                # that may not be known as the same customer yet: it would take over what nobody
                # has taken over.
                return
            text, attachments = text_of(message), attachments_of(message)
            if not text and not attachments:
                # The telephone's own doing, or a person's; only words take a conversation over.
                return
            yield plugin.MessageEchoed(
                key_of(message.id),
                recipient,
                text,
                attachments=attachments,
                sent_at=_moment(message.timestamp),
            )
        case _:
            replied = message.reply_to.id if message.reply_to else ""
            yield _message(message, text_of(message), replied, {})


def _message(
    message: Message, text: str, replied: str, metadata: Mapping[str, str]
) -> plugin.MessageReceived:
    sender = address_of(message.sender or _chat(message))
    return plugin.MessageReceived(
        message.id,
        sender,
        text,
        attachments=attachments_of(message),
        sent_at=_moment(message.timestamp),
        name=next(_told(message.data, _NAMES), None),
        aliases=tuple(_others(message, sender)),
        in_reply_to=key_of(replied) or None,
        metadata=metadata,
    )


def _report(message: Message) -> plugin.DeliveryReported:
    word = message.ack_name or _ACKS.get(message.ack, message.ack)
    if not word:
        raise ValueError("the field ackName is missing")
    return plugin.DeliveryReported(
        key_of(message.id),
        address_of(_chat(message)),
        STATUSES.get(word, word.lower()),
        reason="WhatsApp did not take it" if word == "ERROR" else None,
    )


def _chat(message: Message) -> str:
    """Give the chat: a message's name holds it, and the engines fill in ``to`` differently."""
    own = message.to if message.from_me else message.sender
    return chat_in(message.id) or own or message.sender


def _others(message: Message, sender: plugin.Address) -> Iterator[plugin.Address]:
    """Give the sender's other addresses: who hides their number has a privacy id beside it."""
    seen = {sender}
    for text in (_chat(message), *_told(message.data, _ALIASES)):
        try:
            address = address_of(text)
        except ValueError:
            continue
        if address not in seen:
            seen.add(address)
            yield address


def _told(data: Mapping[str, Any], paths: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        value: Any = data
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value:
            yield value


def _moment(text: str) -> datetime | None:
    if not text.isascii() or not text.isdigit() or len(text) > 13:
        return None
    seconds = int(text) / 1000 if int(text) >= _MILLISECONDS else int(text)
    return datetime.fromtimestamp(seconds, UTC)
