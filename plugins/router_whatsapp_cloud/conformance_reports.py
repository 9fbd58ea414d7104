"""Several things at once, echoes, reports, the challenge, and what is none of them."""

from typing import Any

from router.plugin import (
    Address,
    ContactOptedOut,
    DeliveryReported,
    InvalidSignature,
    MessageEchoed,
    MessageReceived,
    Refusal,
    WebhookAnswer,
)
from router.plugin.testing import Receive
from router_whatsapp_cloud.codes import CODES
from router_whatsapp_cloud.conformance_messages import (
    ANA,
    AT,
    CONTACT,
    FILE,
    JSON,
    NUMBER,
    TIME,
    USER_ID,
    WAMID,
    file_of,
    message,
    received,
    row_of,
    said,
    value_of,
    webhook,
)


def _told(label: str, expect: DeliveryReported, **more: Any) -> Receive:
    status = {"id": WAMID, "timestamp": TIME, "recipient_id": NUMBER, **more}
    return row_of(label, webhook(("messages", value_of(statuses=[status]))), expect)


def _report(status: str, **more: Any) -> DeliveryReported:
    return DeliveryReported(WAMID, ANA, status, sent_at=AT, **more)


def _lost(label: str, body: bytes) -> Receive:
    return Receive(label, body, rejects=ValueError, headers=JSON)


REPORTS = (
    row_of(
        "two customers, another number's message, and a report, all in one",
        webhook(
            ("messages", value_of("999", messages=[message(id="wamid.X", text={"body": "no"})])),
            (
                "messages",
                value_of(
                    contacts=[CONTACT, {"profile": {"name": "Luis"}, "wa_id": "573001234567"}],
                    messages=[
                        message(text={"body": "uno"}),
                        {
                            **message(text={"body": "dos"}),
                            "id": "wamid.B",
                            "from": "573001234567",
                            "timestamp": "1795197600000",
                        },
                    ],
                ),
            ),
            (
                "messages",
                value_of(
                    statuses=[{"id": "wamid.C", "status": "read", "recipient_id": NUMBER}],
                ),
            ),
            ("account_update", {"event": "VERIFIED"}),
        ),
        received("uno"),
        MessageReceived(
            "wamid.B",
            Address("tel", "+573001234567"),
            "dos",
            sent_at=AT,
            name="Luis",
            metadata={"message_type": "text"},
        ),
        DeliveryReported("wamid.C", ANA, "read"),
    ),
    row_of(
        "a person writes in the WhatsApp Business app",
        webhook(
            (
                "smb_message_echoes",
                value_of(
                    message_echoes=[
                        {
                            "from": "15550783881",
                            "to": NUMBER,
                            "id": WAMID,
                            "timestamp": TIME,
                            "type": "text",
                            "text": {"body": "Ya le averiguo."},
                        },
                        {
                            "from": "15550783881",
                            "to_user_id": USER_ID,
                            "id": "wamid.B",
                            "timestamp": TIME,
                            "type": "image",
                            "image": FILE,
                        },
                        {"to": NUMBER, "id": "wamid.G", "group_id": "120363", "type": "text"},
                    ]
                ),
            )
        ),
        MessageEchoed(WAMID, ANA, "Ya le averiguo.", sent_at=AT),
        MessageEchoed(
            "wamid.B",
            Address("bsuid", USER_ID),
            "",
            attachments=(file_of("image"),),
            sent_at=AT,
        ),
    ),
    row_of(
        "history of the app, which is past",
        webhook(("history", value_of(messages=[message(text={"body": "x"})]))),
    ),
    row_of(
        "customer stopped offers",
        webhook(
            (
                "user_preferences",
                value_of(
                    user_preferences=[
                        {
                            "wa_id": NUMBER,
                            "category": "marketing_messages",
                            "value": "stop",
                            "timestamp": 1795197600,
                        }
                    ]
                ),
            )
        ),
    ),
    row_of("nothing", webhook()),
    _told(
        "sent, with our id",
        _report("sent", item="01k7a"),
        status="sent",
        biz_opaque_callback_data="01k7a",
    ),
    _told("delivered", _report("delivered"), status="delivered"),
    _told("read", _report("read"), status="read"),
    _told("played", _report("read"), status="played"),
    _told("a word of Meta's own", _report("deleted"), status="deleted"),
    _told(
        "to a user id",
        DeliveryReported(WAMID, Address("bsuid", USER_ID), "sent", sent_at=AT),
        status="sent",
        recipient_id="",
        recipient_user_id=USER_ID,
    ),
    _told(
        "failed as the window is closed",
        _report("failed", code="131047", reason=CODES[131047].words, why=Refusal.WINDOW_CLOSED),
        status="failed",
        errors=[{"code": 131047, "title": "Re-engagement message"}],
    ),
    _told(
        "failed, nobody knows why",
        _report(
            "failed",
            code="999999",
            reason="New and strange. See "
            "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes",
        ),
        status="failed",
        errors=[{"code": 999999, "error_data": {"details": "New and strange."}}],
    ),
    Receive(
        "challenge",
        expect=[],
        method="GET",
        query={"hub.mode": "subscribe", "hub.challenge": "1158201444"},
        answer=WebhookAnswer(body=b"1158201444", content_type="text/plain"),
    ),
    Receive(
        "challenge with another verify token",
        method="GET",
        query={
            "hub.mode": "subscribe",
            "hub.challenge": "1158201444",
            "hub.verify_token": "another",
        },
        rejects=InvalidSignature,
    ),
    Receive("no challenge", method="GET", rejects=InvalidSignature),
    _lost("wholly about another number", webhook(("messages", value_of("999", messages=[])))),
    _lost("message without an id", webhook(("messages", value_of(messages=[{"from": NUMBER}])))),
    _lost("message from nobody", webhook(("messages", value_of(messages=[{"id": WAMID}])))),
    _lost(
        "message from a strange address",
        webhook(("messages", value_of(messages=[{"id": WAMID, "from": "ana"}]))),
    ),
    _lost("report about nobody", webhook(("messages", value_of(statuses=[{"id": "1"}])))),
    _lost("no webhook of Meta's", b'{"object": "page"}'),
    _lost("no JSON", b"<xml/>"),
    Receive(
        "endpoint that does not exist",
        webhook(),
        rejects=ValueError,
        endpoint="status",
        headers=JSON,
    ),
    Receive("not signed", webhook(), headers=JSON, rejects=InvalidSignature),
)

#: What two settings change.
CHOSEN = (
    said(
        "reaction",
        received("👍", type="reaction", in_reply_to="wamid.OURS", metadata={"reaction": "👍"}),
        "reaction",
        reaction={"message_id": "wamid.OURS", "emoji": "👍"},
    ),
    said("reaction taken back", None, "reaction", reaction={"message_id": "wamid.OURS"}),
    _told("delivered", _report("delivered"), status="delivered"),
    row_of(
        "customer stopped offers, and another wants them again",
        webhook(
            (
                "user_preferences",
                value_of(
                    user_preferences=[
                        {
                            "wa_id": NUMBER,
                            "category": "marketing_messages",
                            "value": "stop",
                            "timestamp": 1795197600,
                        },
                        {"user_id": USER_ID, "value": "resume", "timestamp": 1795197600},
                    ]
                ),
            )
        ),
        ContactOptedOut(f"{ANA}:{TIME}", ANA, "stopped the business's offers in WhatsApp", AT),
    ),
)
