"""Rows: what is changed and deleted, by customers and in the WhatsApp Business app."""

from typing import Any

from router.plugin import MessageEchoed
from router_whatsapp_cloud.conformance_messages import (
    ANA,
    AT,
    FILE,
    NUMBER,
    TIME,
    WAMID,
    file_of,
    received,
    row_of,
    said,
    value_of,
    webhook,
)

#: What Meta says of a message that its sender changed.
CHANGED = {
    "original_message_id": "wamid.OLD",
    "message": {"context": {"id": "wamid.OURS"}, "type": "text", "text": {"body": "son 20"}},
}


def _echoed(*echoes: dict[str, Any]) -> bytes:
    common = {"from": "15550783881", "to": NUMBER, "id": WAMID, "timestamp": TIME}
    value = value_of(message_echoes=[{**common, **each} for each in echoes])
    return webhook(("smb_message_echoes", value))


CHANGES = (
    said("message that was changed", None, "edit", edit=CHANGED),
    said("message that was deleted", None, "revoke", revoke={"original_message_id": "wamid.OLD"}),
    row_of(
        "a person changes, deletes, and reacts in the WhatsApp Business app",
        _echoed(
            {"type": "edit", "edit": CHANGED},
            {"type": "revoke", "revoke": {"original_message_id": "wamid.OLD"}},
            {"type": "reaction", "reaction": {"message_id": "wamid.OLD", "emoji": "👍"}},
        ),
    ),
    row_of(
        "a person sends what Meta does not pass on",
        _echoed({"type": "unsupported", "errors": [{"code": 131051}]}),
        MessageEchoed(WAMID, ANA, "", sent_at=AT),
    ),
)

#: With `edits = "message"`.
CHOSEN_CHANGES = (
    said(
        "message that was changed",
        received("son 20", in_reply_to="wamid.OURS", metadata={"edited": "true"}),
        "edit",
        edit=CHANGED,
    ),
    said(
        "caption that was changed",
        received("así quedó", file_of("image"), type="image", metadata={"edited": "true"}),
        "edit",
        edit={"message": {"type": "image", "image": {**FILE, "caption": "así quedó"}}},
    ),
    said(
        "caption that was changed, without its picture",
        received("así quedó", type="image", metadata={"edited": "true"}),
        "edit",
        edit={"message": {"type": "image", "image": {"caption": "así quedó"}}},
    ),
    said(
        "caption that was taken away",
        None,
        "edit",
        edit={"message": {"type": "image", "image": FILE}},
    ),
    *(
        said(f"change that says nothing: {edit!r}", None, "edit", edit=edit)
        for edit in (None, {}, {"message": "x"}, {"message": {"id": "", "text": None}})
    ),
    said("message that was deleted", None, "revoke", revoke={"original_message_id": "wamid.OLD"}),
)
