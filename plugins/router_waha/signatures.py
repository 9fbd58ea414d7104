"""Checking that a webhook comes from our WAHA.

https://waha.devlike.pro/docs/how-to/events: the HMAC of the raw body, SHA-512, as hex.
"""

import binascii
import hmac
from collections.abc import Sequence

from router import plugin

HEADER = "X-Webhook-Hmac"
ALGORITHM_HEADER = "X-Webhook-Hmac-Algorithm"
_ALGORITHM = "sha512"


def verify(request: plugin.WebhookRequest, keys: Sequence[str]) -> None:
    """Make sure that WAHA signed this body with one of the keys, in constant time.

    :raises InvalidSignature: saying whether the signature is missing, malformed or wrong.
    """
    given = request.header(HEADER)
    if given is None:
        raise plugin.NotSigned(
            f"the request has no {HEADER} header; give the webhook an hmac key in WAHA"
        )
    # Ours is the only algorithm there is; the header must not talk us out of it.
    stated = request.header(ALGORITHM_HEADER)
    if stated is not None and stated.strip().lower() != _ALGORITHM:
        raise plugin.InvalidSignature(f"it is signed with something else than {_ALGORITHM}")
    try:
        digest = binascii.unhexlify(given)
    except ValueError:
        raise plugin.InvalidSignature(f"the {HEADER} header is not hex") from None
    matches = False
    for key in keys:  # all of them, so that time does not tell which one matched
        matches |= hmac.compare_digest(sign(request.body, key), digest)
    if not matches:
        known = "hmac_key" if len(keys) == 1 else f"any of the {len(keys)} keys of hmac_key"
        raise plugin.InvalidSignature(
            f"the {HEADER} header was not made from this body with {known}"
        )


def sign(body: bytes, key: str) -> bytes:
    """Give the signature of a body."""
    return hmac.digest(key.encode(), body, _ALGORITHM)
