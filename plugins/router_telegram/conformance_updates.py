"""What Telegram's updates bring, each sort, and what the channel makes of it."""

import json
from datetime import UTC, datetime
from typing import Any

from router.plugin import (
    Address,
    Attachment,
    ContactOptedOut,
    InboundEvent,
    InvalidSignature,
    MessageReceived,
    WebhookAnswer,
)
from router.plugin.testing import Receive

CHAT = 77001
ANA = Address("telegram", "77001")
AT = datetime(2026, 11, 20, 18, 0, 0, tzinfo=UTC)
TIME = 1795197600

_JSON = {"Content-Type": "application/json"}
_PERSON = {
    "id": CHAT,
    "is_bot": False,
    "first_name": "Ana",
    "last_name": "Pérez",
    "username": "anap",
    "language_code": "es",
}
_PRIVATE = {"id": CHAT, "type": "private", "first_name": "Ana"}


def update(**more: Any) -> bytes:
    """Give the body of an update."""
    return json.dumps({"update_id": 900, **more}).encode()


def message(**more: Any) -> dict[str, Any]:
    """Give a message as Telegram writes it."""
    return {"message_id": 5, "from": _PERSON, "chat": _PRIVATE, "date": TIME, **more}


def _row(label: str, body: bytes, *expect: InboundEvent) -> Receive:
    return Receive(label, body, list(expect), headers=_JSON, answer=WebhookAnswer())


def _said(label: str, *expect: MessageReceived, **more: Any) -> Receive:
    return _row(label, update(message=message(**more)), *expect)


def _message(text: str = "", *attachments: Attachment, **more: Any) -> MessageReceived:
    metadata = {"username": "anap", **more.pop("metadata", {})}
    own_name = more.pop("id", "77001:5")
    values = {"sent_at": AT, "name": "Ana Pérez", "language": "es", **more}
    return MessageReceived(
        own_name, ANA, text, attachments=attachments, metadata=metadata, **values
    )


def _file(kind: str, **more: Any) -> Attachment:
    return Attachment(kind=kind, url="telegram-file:AgACAgEAAxkBAAM", **more)


def _lost(label: str, body: bytes) -> Receive:
    return Receive(label, body, rejects=ValueError, headers=_JSON)


_FILE = {"file_id": "AgACAgEAAxkBAAM", "file_unique_id": "AQAD", "file_size": 1}

UPDATES = (
    _said("text", _message("  Hola, ¿tienen stock? 👍\n"), text="  Hola, ¿tienen stock? 👍\n"),
    _said("command", _message("/start"), text="/start", entities=[{"type": "bot_command"}]),
    _row(
        "no more than is promised",
        update(message={"message_id": 5, "chat": {"id": CHAT, "type": "private"}, "text": "x"}),
        MessageReceived("77001:5", ANA, "x"),
    ),
    _said(
        "picture with a caption, in several sizes",
        _message("así llegó", _file("image", content_type="image/jpeg")),
        caption="así llegó",
        photo=[{**_FILE, "file_id": "small"}, _FILE],
    ),
    _said(
        "voice message",
        _message("", _file("audio", content_type="audio/ogg")),
        voice={**_FILE, "mime_type": "audio/ogg", "duration": 3},
    ),
    _said(
        "song",
        _message("", _file("audio", content_type="audio/mpeg", name="a.mp3")),
        audio={**_FILE, "mime_type": "audio/mpeg", "file_name": "a.mp3"},
    ),
    _said("video", _message("", _file("video")), video=_FILE),
    _said("round video", _message("", _file("video")), video_note=_FILE),
    _said(
        "animation, which is said to be a document as well",
        _message("", _file("video", content_type="video/mp4")),
        animation={**_FILE, "mime_type": "video/mp4"},
        document={**_FILE, "mime_type": "video/mp4"},
    ),
    _said(
        "document",
        _message("", _file("document", content_type="application/pdf", name="factura.pdf")),
        document={**_FILE, "mime_type": "application/pdf", "file_name": "factura.pdf"},
    ),
    _said("sticker", _message("", _file("sticker")), sticker={**_FILE, "emoji": "👍"}),
    _said("file without an id", _message("", Attachment(kind="video")), video={}),
    _said(
        "location",
        _message("", Attachment(kind="location", latitude=-34.603722, longitude=-58.381592)),
        location={"latitude": -34.603722, "longitude": -58.381592},
    ),
    _said(
        "place with a name",
        _message(
            "",
            Attachment(kind="location", name="Depósito", latitude=-34.6, longitude=-58.38),
            metadata={"location_address": "Av. Corrientes 1234"},
        ),
        location={"latitude": -34.6, "longitude": -58.38},
        venue={"title": "Depósito", "address": "Av. Corrientes 1234"},
    ),
    _said(
        "location that is nowhere",
        _message("", Attachment(kind="location")),
        location={"latitude": 91, "longitude": 0},
    ),
    _said(
        "their own contact card, which is not believed",
        _message(
            "Ana Pérez, 5491155550100",
            Attachment(kind="contact", name="Ana Pérez"),
            metadata={"contact_phones": "5491155550100"},
        ),
        contact={
            "phone_number": "5491155550100",
            "first_name": "Ana",
            "last_name": "Pérez",
            "user_id": CHAT,
        },
    ),
    _said(
        "answer to one of our messages, forwarded",
        _message("este", in_reply_to="77001:4", metadata={"forwarded": "true"}),
        text="este",
        reply_to_message={"message_id": 4, "chat": _PRIVATE},
        forward_origin={"type": "user"},
    ),
    _said("sort of message still to come", _message(""), hologram={"id": 1}),
    _said("field that is there and holds nothing", _message("x"), text="x", pinned_message=None),
    _said("a person whom they picked for the bot", _message(""), users_shared={"request_id": 1}),
    *(
        _said(f"nobody said it: {name}", **{name: {"id": 1}})
        for name in (
            "pinned_message",
            "message_auto_delete_timer_changed",
            "chat_background_set",
            "write_access_allowed",
            "connected_website",
            "proximity_alert_triggered",
            "forum_topic_created",
            "forum_topic_edited",
            "forum_topic_closed",
            "forum_topic_reopened",
            "video_chat_scheduled",
            "video_chat_started",
            "video_chat_ended",
            "video_chat_participants_invited",
        )
    ),
    _said("group", chat={"id": -1001, "type": "supergroup"}, text="hola a todos"),
    _said("another bot", text="x", **{"from": {"id": 5, "is_bot": True}}),
    _row("message that was changed", update(edited_message=message(text="hola!"))),
    _row("channel", update(channel_post=message(text="hola"))),
    _row("button", update(callback_query={"id": "1", "data": "x"})),
    _row(
        "the customer blocked the bot",
        update(
            my_chat_member={
                "chat": _PRIVATE,
                "from": _PERSON,
                "date": TIME,
                "old_chat_member": {"status": "member"},
                "new_chat_member": {"status": "kicked", "until_date": 0},
            }
        ),
        ContactOptedOut("900", ANA, "blocked the bot in Telegram", AT),
    ),
    _row(
        "the customer started the bot again",
        update(my_chat_member={"chat": _PRIVATE, "new_chat_member": {"status": "member"}}),
    ),
    _row(
        "the bot was thrown out of a group",
        update(
            my_chat_member={
                "chat": {"id": -1001, "type": "group"},
                "new_chat_member": {"status": "kicked"},
            }
        ),
    ),
    _lost("message without a chat", update(message={"message_id": 5})),
    _lost("message without a number", update(message={"chat": _PRIVATE})),
    _lost("no update", b'{"message": {}}'),
    _lost("no JSON", b"<xml/>"),
    Receive(
        "endpoint that does not exist",
        update(),
        rejects=ValueError,
        endpoint="status",
        headers=_JSON,
    ),
    Receive("without the secret", update(), headers=_JSON, rejects=InvalidSignature),
)

#: What two settings change.
CHOSEN = (
    _row(
        "message that was changed",
        update(edited_message=message(text="hola!")),
        _message("hola!", id="77001:5:edit:900", metadata={"edited": "true"}),
    ),
    _row(
        "message of nobody's that was changed",
        update(edited_message=message(pinned_message={"message_id": 4})),
    ),
    _said(
        "their own contact card",
        _message(
            "Ana, +54 9 11 5555-0100",
            Attachment(kind="contact", name="Ana"),
            aliases=(Address("tel", "+5491155550100"),),
            metadata={"contact_phones": "+54 9 11 5555-0100"},
        ),
        contact={"phone_number": "+54 9 11 5555-0100", "first_name": "Ana", "user_id": CHAT},
    ),
    _said(
        "somebody else's contact card",
        _message(
            "Luis, +573001234567",
            Attachment(kind="contact", name="Luis"),
            metadata={"contact_phones": "+573001234567"},
        ),
        contact={"phone_number": "+573001234567", "first_name": "Luis", "user_id": 5},
    ),
)
