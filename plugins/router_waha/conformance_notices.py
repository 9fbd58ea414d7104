"""Rows: what comes as a message although nobody said anything, and what may yet be one."""

from router.plugin import Attachment, MessageEchoed
from router_waha.conformance_messages import ANA, AT, received, said, wrote

NOTICES = (
    said("sort of message still to come", received(), _data={"type": "hologram"}),
    said(
        "part of a message still to come",
        received(),
        _data={"message": {"messageContextInfo": {}, "hologramMessage": {}}},
    ),
    said(
        "no part that the engine understood",
        received(),
        _data={"messageStubType": 2, "message": {"messageContextInfo": {}}},
    ),
    said(
        "a notice's part beside words",
        received("hola"),
        body="hola",
        _data={"message": {"conversation": "hola", "protocolMessage": {}}},
    ),
    *(
        said(f"nobody said it: {word}", body="", _data={"type": word})
        for word in (
            "album",
            "e2e_notification",
            "notification",
            "notification_template",
            "broadcast_notification",
            "group_notification",
            "gp2",
            "call_log",
            "protocol",
            "revoked",
            "ciphertext",
        )
    ),
    *(
        said(
            f"nobody said it: {word}",
            body=None,
            _data={"message": {"messageContextInfo": {}, word: {"type": "REVOKE"}}},
        )
        for word in (
            "albumMessage",
            "protocolMessage",
            "editedMessage",
            "reactionMessage",
            "encReactionMessage",
            "call",
            "bcallMessage",
            "callLogMesssage",
            "callLogMessage",
            "keepInChatMessage",
            "pinInChatMessage",
        )
    ),
    said("nobody said it, told by another engine", _data={"Message": {"protocolMessage": {}}}),
    said("could not be read yet", body=None, _data={"messageStubType": 2, "key": {"id": "x"}}),
    wrote("nothing, from the telephone", body=None),
    wrote(
        "messages that disappear, set on the telephone",
        body=None,
        _data={"message": {"protocolMessage": {"type": "EPHEMERAL_SETTING"}}},
    ),
    wrote("notice of the telephone's own", body="", _data={"type": "notification_template"}),
    wrote(
        "a person sends a place",
        MessageEchoed(
            "3EB0B2",
            ANA,
            "",
            attachments=(Attachment(kind="location", latitude=-34.6, longitude=-58.38),),
            sent_at=AT,
        ),
        location={"latitude": -34.6, "longitude": -58.38},
    ),
)
