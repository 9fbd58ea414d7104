"""WhatsApp addresses as BuilderBot writes them, and as the router keeps them."""

import re

from router import plugin

#: Groups, channels and status updates end like this, or begin like that.
_CROWDS = ("@g.us", "@newsletter", "@broadcast")
_GROUP = re.compile(r"120363[0-9]{6,}")

# An address may name the device that wrote, behind a colon: 5491155550100:12@s.whatsapp.net.
_NUMBER = re.compile(r"\+?([0-9]{5,15})(?::[0-9]+)?(?:@s\.whatsapp\.net|@c\.us)?")

# WhatsApp's privacy id of somebody who hides their number: it is no number, though it has digits.
_LID = re.compile(r"([0-9]{5,20})(?::[0-9]+)?@lid")

# What Meta gives instead of a hidden number; good for one business, or for its parent company.
_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


def is_crowd(text: str) -> bool:
    """Say whether more than one person reads there."""
    return text.endswith(_CROWDS) or _GROUP.match(text) is not None


def address_of(text: str) -> plugin.Address:
    """Read an address as BuilderBot writes it.

    :raises ValueError: if it is nobody's.
    """
    if match := _NUMBER.fullmatch(text):
        return plugin.Address("tel", "+" + match[1])
    if match := _LID.fullmatch(text):
        return plugin.Address("lid", match[1])
    if _USER_ID.fullmatch(text):
        return plugin.Address("bsuid", text)
    raise ValueError("an address is neither a number nor an id of WhatsApp's")


def written(address: plugin.Address) -> str:
    """Write an address as BuilderBot takes it.

    :raises Refused: if it is none that WhatsApp reaches.
    """
    match address.scheme:
        case "tel":
            return address.value.removeprefix("+")
        case "lid":
            return address.value + "@lid"
        case "bsuid":
            return address.value
    raise plugin.Refused(
        f"WhatsApp does not reach {address.scheme} addresses. Answer on the customer's own channel"
    )
