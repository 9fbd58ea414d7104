"""What Telegram's updates say, in the router's words."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from router import plugin
from router_telegram.config import TelegramConfig
from router_telegram.payload import Card, Changed, Message, Place, Update

#: The scheme of a customer's address. Its value is the number of the chat with them.
SCHEME: Final = "telegram"

#: Stands before a file's id in place of an address: the address holds the token, and expires.
FILE: Final = "telegram-file:"

_PRIVATE = "private"
_BLOCKED = "kicked"

#: What Telegram calls service messages, as far as they come in private chats and nobody says
#: anything by them. What a customer picked, filled in or paid is another matter, and arrives.
_SERVICE: Final = frozenset(
    {
        "chat_background_set",
        "connected_website",
        "forum_topic_closed",
        "forum_topic_created",
        "forum_topic_edited",
        "forum_topic_reopened",
        "message_auto_delete_timer_changed",
        "pinned_message",
        "proximity_alert_triggered",
        "video_chat_ended",
        "video_chat_participants_invited",
        "video_chat_scheduled",
        "video_chat_started",
        "write_access_allowed",
    }
)

#: A second of the year 9999, beyond which nothing is a date.
_LAST_SECOND = 253_402_300_799

_FILES = {
    "voice": "audio",
    "audio": "audio",
    "video": "video",
    "video_note": "video",
    "animation": "video",
    "sticker": "sticker",
}


def name_of(chat: int, message: int) -> str:
    """Give a message's name: its number counts in its chat only."""
    return f"{chat}:{message}"


def events_in(
    request: plugin.WebhookRequest, config: TelegramConfig
) -> tuple[plugin.InboundEvent, ...]:
    """Read the one event of an update; none where it is of no concern to a customer.

    :raises ValueError: if it is malformed.
    """
    if request.endpoint:
        raise ValueError(f"the channel has no endpoint {request.endpoint[:80]!r}")
    try:
        update = Update.model_validate(request.json())
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    return tuple(_events(update, config))


def _events(update: Update, config: TelegramConfig) -> Iterator[plugin.InboundEvent]:
    if update.message is not None:
        yield from _message(update.message, config)
    if update.edited_message is not None and config.edits == "message":
        # It has the number of what it was before, and has to be known as another.
        for message in _message(update.edited_message, config):
            edited = {**message.metadata, "edited": "true"}
            yield replace(message, id=f"{message.id}:edit:{update.update_id}", metadata=edited)
    if update.my_chat_member is not None:
        yield from _changed(update.my_chat_member, update.update_id)


def _message(message: Message, config: TelegramConfig) -> Iterator[plugin.MessageReceived]:
    sender = message.sender
    if message.chat.type != _PRIVATE or (sender is not None and sender.is_bot):
        return
    if not _SERVICE.isdisjoint(message.others):
        return
    card, earlier = message.contact, message.reply_to_message
    replied = None if earlier is None else earlier.message_id
    names = () if sender is None else (sender.first_name, sender.last_name)
    yield plugin.MessageReceived(
        name_of(message.chat.id, message.message_id),
        plugin.Address(SCHEME, str(message.chat.id)),
        message.text or message.caption or _line(card),
        attachments=tuple(_attachments(message)),
        sent_at=_moment(message.date),
        name=" ".join(name for name in names if name) or None,
        language=(sender.language_code if sender else "") or None,
        aliases=tuple(_aliases(message, card)) if card and config.join_shared_number else (),
        in_reply_to=None if replied is None else name_of(message.chat.id, replied),
        metadata=_metadata(message),
    )


def _changed(change: Changed, update: int) -> Iterator[plugin.ContactOptedOut]:
    if change.chat.type == _PRIVATE and change.new_chat_member.status == _BLOCKED:
        yield plugin.ContactOptedOut(
            str(update),
            plugin.Address(SCHEME, str(change.chat.id)),
            "blocked the bot in Telegram",
            _moment(change.date),
        )


def _attachments(message: Message) -> Iterator[plugin.Attachment]:
    if message.photo:
        # The same picture in several sizes, the largest last.
        yield plugin.Attachment(
            kind="image", url=_url(message.photo[-1].file_id), content_type="image/jpeg"
        )
    for name, kind in _FILES.items():
        file = getattr(message, name)
        if file is not None:
            yield plugin.Attachment(
                kind=kind,
                url=_url(file.file_id),
                content_type=file.mime_type or None,
                name=file.file_name or None,
            )
    if message.document is not None and message.animation is None:
        document = message.document
        yield plugin.Attachment(
            kind="document",
            url=_url(document.file_id),
            content_type=document.mime_type or None,
            name=document.file_name or None,
        )
    if message.location is not None:
        yield _place(message.location, message.venue.title if message.venue else "")
    if message.contact is not None:
        yield plugin.Attachment(kind="contact", name=message.contact.name or None)


def _line(card: Card | None) -> str:
    """Give a card in words: what is in no text, neither a model nor a person sees."""
    return "" if card is None else ", ".join(filter(None, (card.name, card.phone_number)))


def _url(file_id: str) -> str | None:
    return FILE + file_id if file_id else None


def _place(place: Place, name: str) -> plugin.Attachment:
    latitude, longitude = place.latitude, place.longitude
    # Also no number at all fails both comparisons.
    somewhere = (
        latitude is not None
        and longitude is not None
        and -90 <= latitude <= 90
        and -180 <= longitude <= 180
    )
    if not somewhere:
        return plugin.Attachment(kind="location", name=name or None)
    return plugin.Attachment(
        kind="location", name=name or None, latitude=latitude, longitude=longitude
    )


def _aliases(message: Message, card: Card) -> Iterator[plugin.Address]:
    """Give the number on a card, if it is the card of whoever sends it."""
    digits = "".join(each for each in card.phone_number if each.isascii() and each.isdigit())
    own = message.sender is not None and card.user_id == message.sender.id
    if own and card.user_id is not None and 7 <= len(digits) <= 15:
        yield plugin.Address("tel", "+" + digits)


def _metadata(message: Message) -> dict[str, str]:
    found = {
        "username": message.sender.username if message.sender else "",
        "forwarded": "true" if message.forward_origin else "",
        "contact_phones": message.contact.phone_number if message.contact else "",
        "location_address": message.venue.address if message.venue else "",
    }
    return {name: value for name, value in found.items() if value}


def _moment(seconds: int | None) -> datetime | None:
    if seconds is None or not 0 <= seconds <= _LAST_SECOND:
        return None
    return datetime.fromtimestamp(seconds, UTC)
