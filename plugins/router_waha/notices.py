"""What comes as a message although nobody said anything: notices of WhatsApp's own.

https://docs.wwebjs.dev/global.html#MessageTypes,
https://baileys.wiki/proto-reference/Message/interfaces/IMessage. Whatever stands in neither table
may be a customer's, and arrives.
"""

from typing import Final

from router_waha.content import parts_of
from router_waha.payload import Message

# What is still to be decrypted is among them: its words follow as the same message, and would be
# taken for a repeat. So are calls, which WAHA tells by events of their own.
_SORTS: Final = frozenset(
    {
        "album",
        "broadcast_notification",
        "call_log",
        "ciphertext",
        "e2e_notification",
        "gp2",
        "group_notification",
        "notification",
        "notification_template",
        "protocol",
        "revoked",
    }
)

# The cover of an album, whose pictures follow one by one; deleted and changed messages, reactions
# (which have an event of their own), calls, pins and settings.
_PARTS: Final = frozenset(
    {
        "albumMessage",
        "bcallMessage",
        "call",
        "callLogMessage",
        "callLogMesssage",  # as WhatsApp itself spells it
        "editedMessage",
        "encReactionMessage",
        "keepInChatMessage",
        "pinInChatMessage",
        "protocolMessage",
        "reactionMessage",
    }
)

#: What stands beside any part. Alone, it may be all that the engine understood.
_BESIDE: Final = frozenset({"messageContextInfo", "senderKeyDistributionMessage"})


def is_notice(message: Message) -> bool:
    """Say whether it is certain that nobody said this."""
    sort = message.data.get("type")
    if isinstance(sort, str) and sort in _SORTS:
        return True
    if message.body or message.has_media or message.media is not None:
        return False
    parts = parts_of(message)
    if not parts:
        # One engine has a number in place of any part: that of the notice.
        return bool(message.data.get("messageStubType"))
    names = parts.keys() - _BESIDE
    return bool(names) and names <= _PARTS
