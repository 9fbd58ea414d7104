"""Rows: what cannot be read, or is none of the router's, beside what can be."""

from router.plugin import Address, DeliveryReported, MessageReceived
from router.plugin.testing import Receive
from router_whatsapp_cloud.conformance_messages import (
    ANA,
    AT,
    CONTACT,
    JSON,
    NUMBER,
    TIME,
    WAMID,
    message,
    received,
    row_of,
    value_of,
    webhook,
)

_REPORT = {"id": WAMID, "timestamp": TIME, "recipient_id": NUMBER, "status": "read"}
_GROUP = {
    "id": "wamid.G",
    "status": "read",
    "recipient_id": "Y2FwaV9ncm91cDoxNzA1NTU1",
    "recipient_type": "group",
    "recipient_participant_id": NUMBER,
}

UNREAD = (
    row_of(
        "a report about a group beside a message",
        webhook(
            ("messages", value_of(statuses=[_GROUP])),
            ("messages", value_of(contacts=[CONTACT], messages=[message(text={"body": "uno"})])),
        ),
        received("uno"),
    ),
    row_of("a report about a group", webhook(("messages", value_of(statuses=[_GROUP])))),
    row_of(
        "what cannot be read beside what can",
        webhook(
            (
                "messages",
                value_of(
                    contacts=[CONTACT, "x", {"profile": None, "wa_id": "573001234567"}],
                    messages=[
                        message(id="wamid.X", text={"body": "dos"}, **{"from": "ana"}),
                        {"id": "wamid.Y", "text": {"body": "tres"}},
                        "x",
                        message(text={"body": "uno"}),
                    ],
                    statuses=[{"id": "wamid.C"}, _REPORT],
                ),
            ),
            ("user_preferences", value_of(user_preferences=["x", {"value": "stop"}])),
        ),
        received("uno"),
        DeliveryReported(WAMID, ANA, "read", sent_at=AT),
        MessageReceived(
            "wamid.X",
            Address("whatsapp", "ana"),
            "dos",
            sent_at=AT,
            metadata={"message_type": "text"},
        ),
    ),
    Receive(
        "message from nobody beside a report about a group",
        webhook(("messages", value_of(messages=[{"id": WAMID}], statuses=[_GROUP]))),
        rejects=ValueError,
        headers=JSON,
    ),
    Receive(
        "message that is none",
        webhook(("messages", value_of(messages=["x"]))),
        rejects=ValueError,
        headers=JSON,
    ),
    Receive(
        "messages that are none",
        webhook(("messages", value_of(messages=None))),
        rejects=ValueError,
        headers=JSON,
    ),
)
