"""What plugins give that is no event, and what no event may hold."""

from collections.abc import Sequence
from typing import get_args

from router.domain.event import InboundEvent, MessageEchoed, MessageReceived
from router.domain.storable import LONGEST_ADDRESS, storable
from router.storage.unstorable import is_writable


class UnfitEvent(ValueError):
    """A plugin gave something that is no event, or one that nobody could ever be answered by."""


def check(event: InboundEvent) -> None:
    """Make sure that addresses can be read again: whoever cannot be read cannot be answered.

    And that what an echo is compared by is text: that is done where it is stored.

    :raises UnfitEvent: if they cannot.
    """
    if len(event.address.value) > LONGEST_ADDRESS:
        raise UnfitEvent("the address is too long to be one")
    aliases = event.aliases if isinstance(event, MessageReceived) else ()
    for address in (event.address, *aliases):
        if not address.scheme or not address.value or ":" in address.scheme:
            raise UnfitEvent(f"{str(address)!r} is no address")
    if isinstance(event, MessageEchoed):
        texts = (event.id, event.text, event.provider_id or "")
        if not all(isinstance(text, str) for text in texts):
            raise UnfitEvent("an echo's id, text or provider_id is no text")


def is_about_events(error: Exception, parsed: Sequence[object]) -> bool:
    """Tell whether what a plugin gave is why it could not be keyed, or a mistake of ours is."""
    return isinstance(error, UnfitEvent) or not all(map(_is_event, parsed))


def _is_event(given: object) -> bool:
    """Tell whether a plugin gave what the contract asks for: asked only when something broke."""
    if not isinstance(given, get_args(InboundEvent)):
        return False
    try:
        check(storable(given))
    except Exception:  # noqa: BLE001 - a plugin's values, of any kind
        return False
    return is_writable(given)
