"""WhatsApp's chats and messages as WAHA names them, and as the router does."""

import re
from typing import Final

from router import plugin

#: Groups, channels and status updates.
_CROWDS: Final = ("@g.us", "@newsletter", "@broadcast")

# An address may name the device that wrote, behind a colon.
_NUMBER = re.compile(r"\+?([0-9]{5,15})(?::[0-9]+)?(?:@c\.us|@s\.whatsapp\.net)?")

# WhatsApp's privacy id of somebody who hides their number: it is no number, though it has digits.
_LID = re.compile(r"([0-9]{5,20})(?::[0-9]+)?@lid")


def is_crowd(chat: str) -> bool:
    """Say whether more than one person reads there."""
    return chat.endswith(_CROWDS)


def address_of(chat: str) -> plugin.Address:
    """Read the address of a chat with one person.

    :raises ValueError: if it is none.
    """
    if match := _NUMBER.fullmatch(chat):
        return plugin.Address("tel", "+" + match[1])
    if match := _LID.fullmatch(chat):
        return plugin.Address("lid", match[1])
    raise ValueError("a chat is neither with a number nor with a privacy id")


def chat_with(address: plugin.Address) -> str:
    """Write an address as WAHA does.

    :raises Refused: if it is none that WhatsApp reaches.
    """
    match address.scheme:
        case "tel":
            return address.value.removeprefix("+") + "@c.us"
        case "lid":
            return address.value + "@lid"
    raise plugin.Refused(
        f"WhatsApp does not reach {address.scheme} addresses. Answer on the customer's own channel"
    )


def key_of(name: str) -> str:
    """Give WhatsApp's own part of a message's name: ``3EB0…`` of ``true_…@c.us_3EB0…``.

    The engines of WAHA do not agree on the rest of it where somebody hides their number, and the
    answer to a message that is sent may hold this part alone.
    """
    parts = name.split("_")
    return parts[2] if len(parts) >= 3 and parts[0] in {"true", "false"} else name


def chat_in(name: str) -> str:
    """Give the chat that a message's name holds, or nothing."""
    parts = name.split("_")
    return parts[1] if len(parts) >= 3 and parts[0] in {"true", "false"} else ""
