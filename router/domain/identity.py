"""Who somebody is: tenants, addresses, and the key that joins a person's channels."""

import re
from dataclasses import dataclass

#: The tenant of everything that stands at the top level of router.toml.
MAIN_TENANT = "main"

_NUMBER = re.compile(r"\+?([0-9]{3,15})")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_TRUNK = re.compile(r"(\+?)([1-9][0-9]{0,2})[ .-]?\(0\)[ .-]?")

#: Italy and San Marino: there the zero is a part of the number.
_KEEP_THE_ZERO = frozenset({"39", "378"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody can be reached: a scheme and an opaque value.

    The value is whatever the provider uses, kept exactly as it came, because answers are sent to
    it. A WhatsApp sender need not be a telephone number (since 2026 it may be a business-scoped
    user id), so only the scheme ``tel`` promises digits behind a plus sign.

    :param scheme: ``tel``, ``bsuid``, ``telegram``, …; lower case.
    :param value: opaque.
    """

    scheme: str
    value: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}"

    @classmethod
    def from_text(cls, text: str) -> "Address":
        """Read ``scheme:value`` back.

        :raises ValueError: if either part is missing.
        """
        scheme, colon, value = text.partition(":")
        if not colon or not scheme or not value:
            message = f"{text!r} is not an address; write scheme:value, such as tel:+573001234567"
            raise ValueError(message)
        return cls(scheme, value)

    @classmethod
    def as_typed(cls, text: str) -> "Address":
        """Read a telephone number as people write it, or ``scheme:value``.

        :raises ValueError: if it is neither.
        """
        typed = without_trunk(text.removeprefix("tel:"))
        if number := _NUMBER.fullmatch(re.sub(r"[ ().-]", "", typed)):
            return cls("tel", f"+{number[1]}")
        scheme, _, value = text.partition(":")
        if not value or not _SCHEME.fullmatch(scheme.lower()):
            message = f'"{text}" is neither a telephone number nor scheme:value'
            raise ValueError(message)
        return cls(scheme.lower(), value)


def without_trunk(number: str) -> str:
    """Drop the ``(0)`` behind a country code, which is dialled inside the country alone."""
    match = _TRUNK.match(number)
    if match is None:
        return number
    plus, country = match.groups()
    zero = "0" if country in _KEEP_THE_ZERO else ""
    return f"{plus}{country}{zero}{number[match.end() :]}"


# A mobile number that is dialled one way and reported another is still one person. Providers
# report Mexican mobiles with a 1 after the country code and Argentine ones with a 9; Brazilian
# mobiles lost their eight-digit form between 2012 and 2016, yet WhatsApp still reports it.
_SAME_TELEPHONE = {
    "+52": (re.compile(r"\+521(\d{10})"), r"+52\1"),
    "+54": (re.compile(r"\+549(\d{10})"), r"+54\1"),
    "+55": (re.compile(r"\+55(\d{2})([6-9]\d{7})"), r"+55\g<1>9\2"),
}


def thread_key(address: Address) -> str:
    """Give the key under which everything from and to one person is ordered and joined.

    Telephone addresses of every channel meet under ``tel:+E164`` in one canonical form, so that a
    call and a WhatsApp message of one person are one thread. Other addresses are their own key.
    Never send to a key: send to the address as it came.
    """
    twofold = _SAME_TELEPHONE.get(address.value[:3]) if address.scheme == "tel" else None
    if twofold is not None:
        pattern, replacement = twofold
        if match := pattern.fullmatch(address.value):
            return "tel:" + match.expand(replacement)
    return str(address)


def lane_key(tenant: str, address: Address) -> str:
    """Give the lane in which an address's events are worked: ``<tenant>/<thread key>``."""
    return f"{tenant}/{thread_key(address)}"
