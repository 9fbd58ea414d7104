"""Cards out of somebody's address book, as vCards or as the engines of WAHA have them."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

_BEGIN: Final = "BEGIN:VCARD"
_END: Final = "END:VCARD"
_NAME: Final = re.compile(r"^FN[^:\n]*:(.+)$", re.MULTILINE)
# The property may stand in a group (item1.TEL), and its value may be an address (tel:+57…).
_NUMBER: Final = re.compile(r"^(?:[\w-]+\.)?TEL[^:\n]*:(?:tel:)?(.+)$", re.MULTILINE)


class Card(NamedTuple):
    """Somebody, as a customer passes them on."""

    name: str
    numbers: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The card in words: a name, and the numbers."""
        return ", ".join(filter(None, (self.name, *self.numbers)))


def vcards_in(text: str) -> tuple[str, ...]:
    """Give the vCards of a text that is nothing else."""
    *vcards, rest = (part.strip() for part in text.split(_END))
    return () if rest or not all(it.startswith(_BEGIN) for it in vcards) else tuple(vcards)


def read(vcard: str, name: str = "") -> Card:
    """Read a vCard.

    :param name: what the card is called where it does not say so itself.
    """
    found = _NAME.search(vcard)
    numbers = (match[1].strip() for match in _NUMBER.finditer(vcard))
    return Card(found[1].strip() if found else name, tuple(dict.fromkeys(numbers)))


def cards_in(part: Any) -> Iterator[Card]:
    """Read what the engines keep of one card, or of several."""
    several = part.get("contacts") if isinstance(part, dict) else None
    for each in several if isinstance(several, list) else (part,):
        if isinstance(each, dict):
            vcard, name = each.get("vcard"), each.get("displayName")
            yield read(
                vcard if isinstance(vcard, str) else "", name if isinstance(name, str) else ""
            )
