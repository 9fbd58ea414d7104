"""What BuilderBot's webhooks bring, each sort, and what the channel makes of it."""

import json
from datetime import UTC, datetime
from typing import Any

from router.plugin import (
    Address,
    Attachment,
    CallEnded,
    ContactOptedOut,
    InboundEvent,
    InvalidSignature,
    MessageEchoed,
    MessageReceived,
    WebhookAnswer,
)
from router.plugin.testing import Receive

PROJECT = "0f8fad5b-d9cb-469f-a165-70867728950e"
ANA = Address("tel", "+5491155550100")
NUMBER = "5491155550100"
BOT = "5491155559999"
AT = datetime(2026, 11, 20, 18, 0, 0, tzinfo=UTC)
TIME = 1795197600
TOKEN = "_event_media__0a1b2c3d-0000-4000-8000-000000000001"  # noqa: S105 - it stands for a file
FILE = "https://files.builderbot.cloud/tmp/a.jpg?signature=x"

_JSON = {"Content-Type": "application/json"}
_META = {"project_id": PROJECT}


def webhook(event: str, **data: Any) -> bytes:
    """Give the body of a webhook."""
    return json.dumps({"eventName": event, "data": {"projectId": PROJECT, **data}}).encode()


def _row(label: str, expect: InboundEvent | None, event: str, **data: Any) -> Receive:
    return Receive(
        label,
        webhook(event, **data),
        [] if expect is None else [expect],
        headers=_JSON,
        answer=WebhookAnswer(),
    )


def _said(label: str, expect: InboundEvent | None, **data: Any) -> Receive:
    basics = {"from": NUMBER, "key": {"id": "3EB0A1"}}
    return _row(label, expect, "message.incoming", **{**basics, **data})


def _wrote(label: str, expect: InboundEvent | None, **data: Any) -> Receive:
    return _row(label, expect, "message.outgoing", **{"key": {"id": "3EB0B2"}, **data})


def _message(text: str = "", *attachments: Attachment, **more: Any) -> MessageReceived:
    values = {"attachments": attachments, "metadata": _META, **more}
    return MessageReceived("3EB0A1", ANA, text, **values)


def _lost(label: str, body: bytes) -> Receive:
    return Receive(label, body, rejects=ValueError, headers=_JSON)


MESSAGES = (
    _said(
        "text",
        _message("  Hola, ¿tienen stock? 👍\n", name="Ana Pérez", sent_at=AT),
        body="  Hola, ¿tienen stock? 👍\n",
        name="Ana Pérez",
        messageTimestamp=TIME,
    ),
    _said(
        "text in WhatsApp's own form, its time in two halves",
        _message("hola", name="Ana", sent_at=AT),
        message={"extendedTextMessage": {"text": "hola"}},
        pushName="Ana",
        messageTimestamp={"low": TIME, "high": 0, "unsigned": True},
    ),
    Receive(
        "event without a data field",
        json.dumps({"event": "message.incoming", "from": NUMBER, "body": "x", "id": 17}).encode(),
        [MessageReceived("17", ANA, "x")],
        headers=_JSON,
    ),
    _said(
        "number with its device and host",
        _message("x", aliases=(Address("lid", "204930491203"),)),
        **{"from": "5491155550100:12@s.whatsapp.net"},
        remoteJid="204930491203@lid",
        body="x",
    ),
    _said(
        "privacy id in place of a number",
        MessageReceived("3EB0A1", Address("lid", "204930491203"), "x", metadata=_META),
        **{"from": "204930491203@lid"},
        body="x",
    ),
    _said(
        "business-scoped user id",
        MessageReceived("3EB0A1", Address("bsuid", "US.1349120865"), "x", metadata=_META),
        **{"from": "US.1349120865"},
        body="x",
    ),
    _said(
        "number with its user id beside it",
        _message("x", aliases=(Address("bsuid", "US.1349120865"),)),
        userId="US.1349120865",
        body="x",
    ),
    _said(
        "picture, by its temporary file",
        _message("", Attachment(kind="image", url=FILE)),
        body=TOKEN,
        urlTempFile=FILE,
    ),
    _said(
        "picture with a caption, in WhatsApp's own form",
        _message("así llegó", Attachment(kind="image", url=FILE, content_type="image/jpeg")),
        body=TOKEN,
        attachment=[FILE, FILE],
        message={"imageMessage": {"mimetype": "image/jpeg", "caption": "así llegó"}},
    ),
    _said(
        "video among media",
        _message("", Attachment(kind="video", url=FILE, content_type="video/mp4")),
        body=TOKEN,
        attachment=[{"url": FILE, "mimetype": "video/mp4"}],
    ),
    _said(
        "voice message",
        _message("", Attachment(kind="audio", url=FILE)),
        body=TOKEN.replace("media", "voice_note"),
        urlTempFile=FILE,
    ),
    _said(
        "document with its name",
        _message(
            "",
            Attachment(
                kind="document", url=FILE, content_type="application/pdf", name="factura.pdf"
            ),
        ),
        body=TOKEN.replace("media", "document"),
        attachment=[{"url": FILE, "mimetype": "application/pdf", "filename": "factura.pdf"}],
    ),
    _said(
        "file of which nobody says where it is",
        _message("", Attachment(kind="image")),
        body=TOKEN,
    ),
    _said(
        "file of a sort still to come",
        _message("", Attachment(kind="hologram")),
        body=TOKEN.replace("media", "hologram"),
        attachment=["not an address", 7, {"url": None}],
    ),
    _said(
        "file without a token",
        _message("mire", Attachment(kind="document", url=FILE, content_type="text/csv")),
        body="mire",
        attachment=[{"url": FILE, "mimetype": "text/csv"}],
    ),
    _said(
        "location",
        _message(
            "",
            Attachment(kind="location", name="Depósito", latitude=-34.603722, longitude=-58.381592),
        ),
        body=TOKEN.replace("media", "location"),
        message={
            "locationMessage": {
                "degreesLatitude": -34.603722,
                "degreesLongitude": -58.381592,
                "name": "Depósito",
            }
        },
    ),
    _said(
        "location in the other form",
        _message("", Attachment(kind="location", latitude=1.5, longitude=-2.0)),
        body=TOKEN.replace("media", "location"),
        latitude="1.5",
        longitude=-2,
    ),
    _said(
        "location that is nowhere",
        _message("", Attachment(kind="location")),
        body=TOKEN.replace("media", "location"),
        latitude="nan",
        longitude=-2,
    ),
    _said(
        "contact card",
        _message("", Attachment(kind="contact", name="Luis")),
        message={"contactMessage": {"displayName": "Luis"}},
    ),
    _said(
        "button",
        _message(
            "Sí",
            metadata={**_META, "button_payload": "confirm:17", "button_text": "Sí"},
        ),
        title_button_reply="Sí",
        payload="confirm:17",
    ),
    Receive(
        "without an id, named by its time",
        webhook("message.incoming", **{"from": NUMBER}, body="sí", messageTimestamp=TIME),
        [
            MessageReceived(
                "digest:202ab9f99e0e5ceb7728187542925d281e1c93cd",
                ANA,
                "sí",
                sent_at=AT,
                metadata=_META,
            )
        ],
        headers=_JSON,
    ),
    _said("group", None, **{"from": "120363025246125486@g.us"}, body="hola a todos"),
    _said("group, by its id alone", None, **{"from": "120363025246125486"}, body="hola"),
    _said("group, by its chat", None, key={"id": "1", "remoteJid": "54911-1600@g.us"}, body="x"),
    _said("channel", None, remoteJid="120363@newsletter", body="x"),
    _said("status update", None, remoteJid="status@broadcast", body="x"),
    _wrote(
        "a person writes on the telephone",
        MessageEchoed("3EB0B2", ANA, "Ya le averiguo.", sent_at=AT),
        **{"from": BOT, "to": NUMBER},
        answer="Ya le averiguo.",
        messageTimestamp=TIME,
    ),
    _wrote(
        "an account that names the customer alone",
        MessageEchoed("3EB0B2", ANA, "Ya le averiguo."),
        **{"from": NUMBER},
        body="Ya le averiguo.",
    ),
    _wrote(
        "an account that names the bot and the chat",
        MessageEchoed("3EB0B2", ANA, "Ya le averiguo."),
        **{"from": BOT},
        key={"id": "3EB0B2", "remoteJid": f"{NUMBER}@s.whatsapp.net", "fromMe": True},
        answer="Ya le averiguo.",
    ),
    _wrote(
        "a picture without words, whose address stands for the text",
        MessageEchoed("3EB0B2", ANA, "", attachments=(Attachment(kind="image", url=FILE),)),
        to=NUMBER,
        answer=FILE,
        attachment=[FILE],
    ),
    _wrote("what a flow tells itself", None, to=NUMBER, answer="__call_action__"),
    _wrote("a person writes in a group", None, to="120363025246125486@g.us", answer="hola"),
    _row(
        "an incoming event that the business wrote itself",
        MessageEchoed("3EB0C3", ANA, "hola"),
        "message.incoming",
        key={"id": "3EB0C3", "fromMe": True, "remoteJid": NUMBER},
        body="hola",
    ),
    _row(
        "call",
        CallEnded(
            id="CALL1",
            party=ANA,
            direction="inbound",
            status="failed",
            name="Ana",
            started_at=AT,
            reason="a call on WhatsApp, which the router cannot answer",
        ),
        "message.calling",
        **{"from": NUMBER},
        id="CALL1",
        name="Ana",
        timestamp=TIME,
    ),
    _row("the bot is connected", None, "status.ready"),
    _row("the bot is online", None, "status.online"),
    _row("the bot's QR code has to be scanned", None, "status.require_action", qr="data:"),
    _row("the bot lost its telephone", None, "status.disconnect", reason="logged out"),
    _row(
        "put on the blacklist, under the account's own name for that",
        ContactOptedOut("B1", ANA, "put on BuilderBot's blacklist"),
        "contact.blacklisted",
        number=NUMBER,
        id="B1",
    ),
    _row("an event that the account wants ignored", None, "message.reaction", text="👍"),
    _lost("an event of an unknown name", webhook("message.received", **{"from": NUMBER})),
    _lost("message from nobody", webhook("message.incoming", body="hola")),
    _lost("message from a strange address", webhook("message.incoming", **{"from": "ana"})),
    _lost("sent to the bot itself", webhook("message.outgoing", **{"from": BOT}, answer="x")),
    _lost("no event", b'{"data": {}}'),
    _lost("no JSON", b"<xml/>"),
    _lost(
        "another project's",
        webhook("message.incoming", **{"from": NUMBER, "projectId": "another"}, body="x"),
    ),
    Receive(
        "endpoint that does not exist",
        webhook("status.ready"),
        rejects=ValueError,
        endpoint="status",
        headers=_JSON,
    ),
    Receive("without a key", webhook("status.ready"), headers=_JSON, rejects=InvalidSignature),
)

#: Nothing in the request tells a repeat from the same words said again, but that it comes soon.
NAMELESS = (
    Receive(
        "without an id and without a time",
        webhook("message.incoming", **{"from": NUMBER}, body="sí"),
        [
            MessageReceived(
                "digest:1e076793cb26576342dd04259338a6ee0fa81197", ANA, "sí", metadata=_META
            )
        ],
        headers=_JSON,
    ),
)
