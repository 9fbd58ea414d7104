"""WhatsApp addresses as Meta writes them, and as the router keeps them."""

import re
from typing import Any

from router import plugin

# Meta writes numbers without the plus sign.
_NUMBER = re.compile(r"\+?([0-9]{4,15})")

# Whoever has a user name may hide their number. Meta then gives an id that is good for one
# business only, or for its parent company.
_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


def address_of(text: str) -> plugin.Address:
    """Read a number or a user id.

    :raises ValueError: if it is neither.
    """
    if match := _NUMBER.fullmatch(text):
        return plugin.Address("tel", "+" + match[1])
    if _USER_ID.fullmatch(text):
        return plugin.Address("bsuid", text)
    raise ValueError("an address is neither a number nor a user id")


def addresses_of(*texts: str) -> list[plugin.Address]:
    """Read every address that is there, each once.

    :raises ValueError: if there is none.
    """
    found = list(dict.fromkeys(address_of(text) for text in texts if text))
    if not found:
        raise ValueError("nobody's address is given")
    return found


def written(address: plugin.Address) -> dict[str, Any]:
    """Write an address as a message has it: numbers and user ids go into fields of their own.

    :raises Refused: if it is none that WhatsApp reaches.
    """
    match address.scheme:
        case "tel":
            return {"to": address.value.removeprefix("+")}
        case "bsuid":
            return {"recipient": address.value}
    raise plugin.Refused(
        f"WhatsApp does not reach {address.scheme} addresses. Answer on the customer's own channel"
    )
