"""How people write a customer's address on a command line."""

import re

from router.cli.options import ArgumentMistake
from router.domain.identity import Address

_NUMBER = re.compile(r"\+?([0-9]{3,15})")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def address_of(text: str) -> Address:
    """Read a telephone number, or ``scheme:value``.

    :raises BadParameter: if it is neither.
    """
    if number := _NUMBER.fullmatch(re.sub(r"[ ()-]", "", text.removeprefix("tel:"))):
        return Address("tel", f"+{number[1]}")
    scheme, _, value = text.partition(":")
    if not value or not _SCHEME.fullmatch(scheme.lower()):
        raise ArgumentMistake(f'"{text}" is neither a telephone number nor scheme:value')
    return Address(scheme.lower(), value)
