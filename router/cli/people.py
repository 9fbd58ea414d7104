"""How people write a customer's address on a command line."""

from router.cli.options import ArgumentMistake
from router.domain.identity import Address


def address_of(text: str) -> Address:
    """Read a telephone number, or ``scheme:value``.

    :raises BadParameter: if it is neither.
    """
    try:
        return Address.as_typed(text)
    except ValueError as error:
        raise ArgumentMistake(str(error)) from None
