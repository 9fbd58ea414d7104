"""What WAHA's webhooks bring, each sort, and what the channel makes of it."""

import json
from datetime import UTC, datetime
from typing import Any

from router.plugin import (
    Address,
    Attachment,
    DeliveryReported,
    InboundEvent,
    InvalidSignature,
    MessageEchoed,
    MessageReceived,
    WebhookAnswer,
)
from router.plugin.testing import Receive

ANA = Address("tel", "+5491155550100")
CHAT = "5491155550100@c.us"
THEIRS = f"false_{CHAT}_3EB0A1"
OURS = f"true_{CHAT}_3EB0B2"
AT = datetime(2026, 11, 20, 18, 0, 0, tzinfo=UTC)
TIME = 1795197600
FILE = "http://localhost:3000/api/files/default/3EB0A1.oga"

_JSON = {"Content-Type": "application/json"}


def webhook(event: str, payload: Any, session: str = "default") -> bytes:
    """Give the body of a webhook."""
    body = {
        "id": "evt_01",
        "timestamp": TIME * 1000,
        "event": event,
        "session": session,
        "me": {"id": "5491155559999@c.us", "pushName": "Tienda"},
        "payload": payload,
        "engine": "NOWEB",
        "environment": {"version": "2026.4.1"},
    }
    return json.dumps(body, ensure_ascii=False).encode()


def message(**more: Any) -> dict[str, Any]:
    """Give a customer's message as WAHA writes it."""
    return {
        "id": THEIRS,
        "timestamp": TIME,
        "from": CHAT,
        "fromMe": False,
        "to": "5491155559999@c.us",
        "body": "",
        "hasMedia": False,
        "media": None,
        "vCards": [],
        "source": "app",
        **more,
    }


def _row(label: str, body: bytes, *expect: InboundEvent) -> Receive:
    return Receive(label, body, list(expect), headers=_JSON, answer=WebhookAnswer())


def said(label: str, *expect: InboundEvent, **more: Any) -> Receive:
    """Give a row of a customer's message."""
    return _row(label, webhook("message", message(**more)), *expect)


def wrote(label: str, *expect: InboundEvent, **more: Any) -> Receive:
    """Give a row of what left the telephone."""
    payload = message(**{"id": OURS, "fromMe": True, "from": CHAT, "to": CHAT, **more})
    return _row(label, webhook("message.any", payload), *expect)


def received(text: str = "", *attachments: Attachment, **more: Any) -> MessageReceived:
    """Give what the router makes of a message."""
    values = {"attachments": attachments, "sent_at": AT, **more}
    return MessageReceived(THEIRS, ANA, text, **values)


def _acked(label: str, *expect: InboundEvent, **more: Any) -> Receive:
    payload = {"id": OURS, "from": CHAT, "to": CHAT, "fromMe": True, **more}
    return _row(label, webhook("message.ack", payload), *expect)


def _lost(label: str, body: bytes) -> Receive:
    return Receive(label, body, rejects=ValueError, headers=_JSON)


def reaction(**more: Any) -> bytes:
    """Give the webhook of a reaction."""
    payload = message(reaction={"text": "👍", "messageId": OURS})
    return webhook("message.reaction", {**payload, **more})


MESSAGES = (
    said(
        "text",
        received("  Hola, ¿tienen stock? 👍\n", name="Ana Pérez"),
        body="  Hola, ¿tienen stock? 👍\n",
        _data={"notifyName": "Ana Pérez"},
    ),
    _row(
        "text among all messages",
        webhook("message.any", message(body="hola", _data={"Info": {"PushName": "Ana"}})),
        received("hola", name="Ana"),
    ),
    _row(
        "no more than is promised",
        webhook("message", {"id": THEIRS, "from": CHAT}),
        MessageReceived(THEIRS, ANA),
    ),
    _row(
        "privacy id with the number beside it",
        webhook(
            "message",
            message(
                id="false_204930491203@lid_3EB0A1",
                body="x",
                _data={
                    "pushName": "Ana",
                    "key": {"remoteJidAlt": "5491155550100:3@s.whatsapp.net"},
                },
                **{"from": "204930491203@lid"},
            ),
        ),
        MessageReceived(
            "false_204930491203@lid_3EB0A1",
            Address("lid", "204930491203"),
            "x",
            sent_at=AT,
            name="Ana",
            aliases=(ANA,),
        ),
    ),
    _row(
        "number with the privacy id in the message's name",
        webhook("message", message(id="false_204930491203@lid_3EB0A1", body="x")),
        MessageReceived(
            "false_204930491203@lid_3EB0A1",
            ANA,
            "x",
            sent_at=AT,
            aliases=(Address("lid", "204930491203"),),
        ),
    ),
    said(
        "voice message",
        received("", Attachment(kind="audio", url=FILE, content_type="audio/ogg; codecs=opus")),
        hasMedia=True,
        media={"url": FILE, "mimetype": "audio/ogg; codecs=opus", "filename": None},
        _data={"type": "ptt"},
    ),
    said(
        "picture with a caption",
        received("así llegó", Attachment(kind="image", url=FILE, content_type="image/jpeg")),
        body="así llegó",
        hasMedia=True,
        media={"url": FILE, "mimetype": "image/jpeg"},
    ),
    said(
        "sticker, told by the part that is there",
        received("", Attachment(kind="sticker", url=FILE, content_type="image/webp")),
        hasMedia=True,
        media={"url": FILE, "mimetype": "image/webp"},
        _data={"message": {"messageContextInfo": {}, "stickerMessage": {}}},
    ),
    said(
        "document with its name",
        received(
            "",
            Attachment(
                kind="document", url=FILE, content_type="application/pdf", name="factura.pdf"
            ),
        ),
        hasMedia=True,
        media={"url": FILE, "mimetype": "application/pdf", "filename": "factura.pdf"},
    ),
    said(
        "file that WAHA did not fetch",
        received("", Attachment(kind="document")),
        hasMedia=True,
    ),
    said(
        "file that WAHA could not fetch",
        received("", Attachment(kind="video")),
        hasMedia=True,
        media={"url": None, "error": {"message": "x"}},
        _data={"Message": {"videoMessage": {}}},
    ),
    said(
        "location",
        received(
            "",
            Attachment(kind="location", name="Depósito", latitude=-34.603722, longitude=-58.381592),
        ),
        location={
            "latitude": "-34.603722",
            "longitude": "-58.381592",
            "description": "Depósito",
        },
    ),
    said(
        "location that is nowhere",
        received("", Attachment(kind="location")),
        location={"latitude": "cerca", "longitude": True},
    ),
    said(
        "contact cards",
        received(
            "Luis Gómez", Attachment(kind="contact", name="Luis Gómez"), Attachment(kind="contact")
        ),
        vCards=["BEGIN:VCARD\nVERSION:3.0\nFN;CHARSET=UTF-8:Luis Gómez\nEND:VCARD", "x"],
    ),
    said(
        "reply to one of our messages",
        received("este", in_reply_to="3EB0B2"),
        body="este",
        replyTo={"id": OURS, "body": "¿Cuál?"},
    ),
    said(
        "group",
        body="hola a todos",
        **{"from": "120363025246125486@g.us", "id": "false_120363025246125486@g.us_A_5@c.us"},
    ),
    said("channel", body="x", **{"from": "120363@newsletter", "id": "false_120363@newsletter_A"}),
    said("status update", body="x", **{"from": "status@broadcast"}),
    _row("reaction", reaction()),
    _row("another session", webhook("message", message(body="x"), session="another")),
    _row("an event of another sort", webhook("presence.update", {"id": CHAT})),
    wrote(
        "a person writes on the telephone",
        MessageEchoed("3EB0B2", ANA, "Ya le averiguo.", sent_at=AT),
        body="Ya le averiguo.",
    ),
    wrote(
        "a person writes, and the engine names the telephone as the sender",
        MessageEchoed("3EB0B2", ANA, "Ya le averiguo.", sent_at=AT),
        body="Ya le averiguo.",
        **{"from": "5491155559999@c.us"},
    ),
    wrote(
        "a person sends a picture to somebody who hides their number",
        MessageEchoed(
            "3EB0B2",
            Address("lid", "204930491203"),
            "",
            attachments=(Attachment(kind="image", url=FILE, content_type="image/jpeg"),),
            sent_at=AT,
        ),
        id="true_204930491203@lid_3EB0B2",
        hasMedia=True,
        media={"url": FILE, "mimetype": "image/jpeg"},
    ),
    wrote(
        "the router's own message, which comes back under the customer's privacy id",
        id="true_204930491203@lid_3EB0B2",
        body="hola",
        source="api",
    ),
    wrote(
        "the router's own message, which comes back",
        MessageEchoed("3EB0B2", ANA, "hola", sent_at=AT),
        body="hola",
        source="api",
    ),
    wrote("a person writes in a group", body="x", id="true_12036@g.us_A", to="12036@g.us"),
    _acked("sent", DeliveryReported("3EB0B2", ANA, "sent"), ack=1, ackName="SERVER"),
    _acked("delivered", DeliveryReported("3EB0B2", ANA, "delivered"), ack=2, ackName="DEVICE"),
    _acked("read, by its number alone", DeliveryReported("3EB0B2", ANA, "read"), ack=3),
    _acked("played", DeliveryReported("3EB0B2", ANA, "read"), ack=4, ackName="PLAYED"),
    _acked("queued", DeliveryReported("3EB0B2", ANA, "queued"), ack=0, ackName="PENDING"),
    _acked(
        "failed",
        DeliveryReported("3EB0B2", ANA, "failed", reason="WhatsApp did not take it"),
        ack=-1,
        ackName="ERROR",
    ),
    _acked("a word of its own", DeliveryReported("3EB0B2", ANA, "unknown"), ackName="UNKNOWN"),
    _acked("that we read theirs", id=THEIRS, fromMe=False, ackName="READ"),
    _row(
        "the telephone is lost",
        webhook("session.status", {"name": "default", "status": "SCAN_QR_CODE"}),
    ),
    _lost("message without an id", webhook("message", {"from": CHAT})),
    _lost("message from nobody", webhook("message", {"id": "3EB0"})),
    _lost("message from a strange address", webhook("message", message(**{"from": "ana"}))),
    _lost("report without a word", webhook("message.ack", {"id": OURS, "from": CHAT})),
    _lost("no webhook of WAHA's", b'{"event": "message"}'),
    _lost("no JSON", b"<xml/>"),
    Receive(
        "endpoint that does not exist",
        webhook("session.status", {}),
        rejects=ValueError,
        endpoint="status",
        headers=_JSON,
    ),
    Receive("not signed", webhook("message", message()), headers=_JSON, rejects=InvalidSignature),
)

#: What a setting changes.
CHOSEN = (
    _row(
        "reaction",
        reaction(),
        received("👍", in_reply_to="3EB0B2", metadata={"reaction": "👍"}),
    ),
    _row("reaction taken back", reaction(reaction={"text": "", "messageId": OURS})),
    _row("a person's own reaction", reaction(fromMe=True)),
    _acked("read", DeliveryReported("3EB0B2", ANA, "read"), ack=3),
)
