"""WhatsApp addresses as Twilio writes them, and as the router keeps them."""

import re

from router import plugin

#: What stands before every WhatsApp address of Twilio's.
PREFIX = "whatsapp:"

_NUMBER = re.compile(r"\+[0-9]{4,15}")

# Since 2026 customers may hide their number: Meta then gives a user id that is good for one
# business only, a country and up to 128 letters and digits (US.13491208655302741918), or one of
# its parent company (US.ENT.…).
_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")

_SCHEMES = frozenset({"tel", "bsuid", "whatsapp"})


def is_number(text: str) -> bool:
    """Say whether this is a telephone number behind a plus sign."""
    return _NUMBER.fullmatch(text) is not None


def address_of(text: str) -> plugin.Address:
    """Read an address as Twilio writes it.

    Neither a number nor a user id: kept as it is under the scheme ``whatsapp``, so that it can
    still be answered.

    :raises ValueError: if it is no WhatsApp address.
    """
    value = text.removeprefix(PREFIX)
    if value == text or not value:
        raise ValueError(f"an address does not begin with {PREFIX}; is it another channel's?")
    if is_number(value):
        return plugin.Address("tel", value)
    if _USER_ID.fullmatch(value):
        return plugin.Address("bsuid", value)
    return plugin.Address("whatsapp", value)


def written(address: plugin.Address) -> str:
    """Write an address as Twilio does.

    :raises Refused: if it is none that WhatsApp reaches.
    """
    if address.scheme not in _SCHEMES:
        raise plugin.Refused(
            f"WhatsApp does not reach {address.scheme} addresses. Answer on the customer's own "
            "channel"
        )
    return PREFIX + address.value
