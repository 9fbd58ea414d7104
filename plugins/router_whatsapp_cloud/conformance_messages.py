"""What Meta's webhooks bring, each sort, and what the channel makes of it."""

import json
from datetime import UTC, datetime
from typing import Any

from router.plugin import (
    Address,
    Attachment,
    InboundEvent,
    MessageReceived,
    WebhookAnswer,
)
from router.plugin.testing import Receive

NUMBER_ID = "106540352242922"
ANA = Address("tel", "+5491155550100")
NUMBER = "5491155550100"
USER_ID = "AR.13491208655302741918"
AT = datetime(2026, 11, 20, 18, 0, 0, tzinfo=UTC)
TIME = "1795197600"
WAMID = "wamid.HBgNNTQ5MTE1NTU1MDEwMBUCABIYFjNFQjA="

JSON = {"Content-Type": "application/json"}
CONTACT = {"profile": {"name": "Ana Pérez"}, "wa_id": NUMBER}
_ROOT = "https://graph.facebook.com/v25.0"


def value_of(number: str = NUMBER_ID, **more: Any) -> dict[str, Any]:
    """Give what a change says about a number."""
    metadata = {"display_phone_number": "15550783881", "phone_number_id": number}
    return {"messaging_product": "whatsapp", "metadata": metadata, **more}


def webhook(*changes: tuple[str, Any]) -> bytes:
    """Give the body of a webhook. Meta writes what is not ASCII as escapes, and signs that."""
    entry = [
        {"id": "102290129340398", "changes": [{"field": field, "value": value}]}
        for field, value in changes
    ]
    return json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()


def row_of(label: str, body: bytes, *expect: InboundEvent) -> Receive:
    """Give a row: a webhook and its events."""
    return Receive(label, body, list(expect), headers=JSON, answer=WebhookAnswer())


def message(type: str = "text", **more: Any) -> dict[str, Any]:
    """Give a message from a customer as Meta writes it."""
    return {"from": NUMBER, "id": WAMID, "timestamp": TIME, "type": type, **more}


def said(label: str, expect: MessageReceived | None, type: str = "text", **more: Any) -> Receive:
    """Give a row of a customer's message."""
    value = value_of(contacts=[CONTACT], messages=[message(type, **more)])
    return row_of(label, webhook(("messages", value)), *([expect] if expect else []))


def received(text: str = "", *attachments: Attachment, **more: Any) -> MessageReceived:
    """Give what the router makes of a message."""
    metadata = {"message_type": more.pop("type", "text"), **more.pop("metadata", {})}
    values = {"attachments": attachments, "sent_at": AT, "name": "Ana Pérez", **more}
    return MessageReceived(WAMID, ANA, text, metadata=metadata, **values)


def file_of(kind: str, **more: Any) -> Attachment:
    """Give an attachment of that kind."""
    return Attachment(kind=kind, url=f"{_ROOT}/1013859600285441", **more)


FILE = {"id": "1013859600285441", "sha256": "x"}

MESSAGES = (
    said(
        "text",
        received("  Hola, ¿tienen stock? 👍\n"),
        text={"body": "  Hola, ¿tienen stock? 👍\n"},
    ),
    said(
        "picture with a caption",
        received("así llegó", file_of("image", content_type="image/jpeg"), type="image"),
        "image",
        image={**FILE, "mime_type": "image/jpeg", "caption": "así llegó"},
    ),
    said(
        "voice message",
        received("", file_of("audio", content_type="audio/ogg; codecs=opus"), type="audio"),
        "audio",
        audio={**FILE, "mime_type": "audio/ogg; codecs=opus", "voice": True},
    ),
    said(
        "document with its name",
        received(
            "",
            file_of("document", content_type="application/pdf", name="factura.pdf"),
            type="document",
        ),
        "document",
        document={**FILE, "mime_type": "application/pdf", "filename": "factura.pdf"},
    ),
    said(
        "video whose id is none",
        received("", Attachment(kind="video"), type="video"),
        "video",
        video={"id": "../me?x=1"},
    ),
    said(
        "sticker",
        received("", file_of("sticker", content_type="image/webp"), type="sticker"),
        "sticker",
        sticker={**FILE, "mime_type": "image/webp", "animated": False},
    ),
    said(
        "location",
        received(
            "",
            Attachment(kind="location", name="Depósito", latitude=-34.603722, longitude=-58.381592),
            type="location",
            metadata={"location_address": "Av. Corrientes 1234"},
        ),
        "location",
        location={
            "latitude": -34.603722,
            "longitude": -58.381592,
            "name": "Depósito",
            "address": "Av. Corrientes 1234",
        },
    ),
    said(
        "location that is nowhere",
        received("", Attachment(kind="location"), type="location"),
        "location",
        location={"latitude": 90.1, "longitude": 0},
    ),
    said(
        "contact card",
        received(
            "Luis Gómez, +54 11 5555-0101, +54 11 5555-0102",
            Attachment(kind="contact", name="Luis Gómez"),
            type="contacts",
            metadata={"contact_phones": "+54 11 5555-0101, +54 11 5555-0102"},
        ),
        "contacts",
        contacts=[
            {
                "name": {"formatted_name": "Luis Gómez", "first_name": "Luis"},
                "phones": [{"phone": "+54 11 5555-0101"}, {"phone": "+54 11 5555-0102"}],
            }
        ],
    ),
    said(
        "button of a template",
        received(
            "Sí, confirmo",
            type="button",
            in_reply_to="wamid.OURS",
            metadata={"button_payload": "confirm:17", "button_text": "Sí, confirmo"},
        ),
        "button",
        button={"text": "Sí, confirmo", "payload": "confirm:17"},
        context={"from": "15550783881", "id": "wamid.OURS"},
    ),
    said(
        "button of a message",
        received(
            "Sí",
            type="interactive",
            metadata={"button_payload": "yes", "button_text": "Sí"},
        ),
        "interactive",
        interactive={"type": "button_reply", "button_reply": {"id": "yes", "title": "Sí"}},
    ),
    said(
        "list",
        received(
            "Envíos",
            type="interactive",
            metadata={"list_id": "shipping", "list_title": "Envíos"},
        ),
        "interactive",
        interactive={"type": "list_reply", "list_reply": {"id": "shipping", "title": "Envíos"}},
    ),
    said(
        "form",
        received(
            "day: mon",
            type="interactive",
            metadata={"form_name": "flow", "form_answers": '{"day": "mon"}'},
        ),
        "interactive",
        interactive={
            "type": "nfm_reply",
            "nfm_reply": {"name": "flow", "body": "Sent", "response_json": '{"day": "mon"}'},
        },
    ),
    said(
        "reply, forwarded often",
        received(
            "este",
            in_reply_to="wamid.OURS",
            metadata={"forwarded": "true", "frequently_forwarded": "true"},
        ),
        text={"body": "este"},
        context={"id": "wamid.OURS", "forwarded": True, "frequently_forwarded": True},
    ),
    said(
        "from an advertisement",
        received(
            "¿precio?",
            metadata={
                "referral_source_url": "https://fb.me/x",
                "referral_source_type": "ad",
                "referral_source_id": "23851",
                "referral_headline": "Zapatillas",
                "referral_ctwa_clid": "ARAk",
            },
        ),
        text={"body": "¿precio?"},
        referral={
            "source_url": "https://fb.me/x",
            "source_type": "ad",
            "source_id": "23851",
            "headline": "Zapatillas",
            "ctwa_clid": "ARAk",
        },
    ),
    said(
        "something that Meta does not pass on",
        received(
            "", type="unsupported", metadata={"problem": "Message type is currently not supported"}
        ),
        "unsupported",
        errors=[{"code": 131051, "title": "Message type is currently not supported"}],
    ),
    said(
        "sort of message still to come",
        received("", type="hologram"),
        "hologram",
        hologram={"id": 1},
    ),
    said("reaction", None, "reaction", reaction={"message_id": "wamid.OURS", "emoji": "👍"}),
    said("changed number", None, "system", system={"body": "…", "type": "user_changed_number"}),
    said("group", None, group_id="120363", text={"body": "hola a todos"}),
    row_of(
        "number with its user id beside it",
        webhook(
            (
                "messages",
                value_of(
                    contacts=[
                        {
                            "profile": {"name": "Ana", "username": "ana.perez"},
                            "wa_id": NUMBER,
                            "user_id": USER_ID,
                        }
                    ],
                    messages=[message(from_user_id=USER_ID, text={"body": "x"})],
                ),
            )
        ),
        MessageReceived(
            WAMID,
            ANA,
            "x",
            sent_at=AT,
            name="Ana",
            aliases=(Address("bsuid", USER_ID),),
            metadata={"message_type": "text", "username": "ana.perez"},
        ),
    ),
    row_of(
        "user id without a number",
        webhook(
            (
                "messages",
                value_of(
                    contacts=[
                        {
                            "profile": {"name": "Ana"},
                            "user_id": USER_ID,
                            "parent_user_id": "AR.ENT.11815799212886844830",
                        }
                    ],
                    messages=[
                        {
                            "id": WAMID,
                            "timestamp": TIME,
                            "type": "text",
                            "from_user_id": USER_ID,
                            "text": {"body": "x"},
                        }
                    ],
                ),
            )
        ),
        MessageReceived(
            WAMID,
            Address("bsuid", USER_ID),
            "x",
            sent_at=AT,
            name="Ana",
            aliases=(Address("bsuid", "AR.ENT.11815799212886844830"),),
            metadata={"message_type": "text"},
        ),
    ),
)
