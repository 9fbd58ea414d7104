"""Telling ElevenLabs's webhooks from everybody else's.

A post-call webhook carries ``ElevenLabs-Signature: t=<seconds>,v0=<hex>``, an HMAC-SHA256 over
``<t>.<body>``. https://elevenlabs.io/docs/eleven-api/resources/webhooks

Stricter than the vendor's own helper: what claims to be from the future is refused as what is old
is, every ``v0`` is looked at, the comparison takes constant time, and what is malformed is refused
in the same way as what is wrong.
"""

import hmac
import re
from datetime import timedelta

from router import plugin

HEADER = "elevenlabs-signature"
ACCOUNT_HEADER = "x-account-key"

#: How far the time of signing may be from ours, either way.
TOLERANCE = timedelta(minutes=30)

#: More signatures than a rotation of secrets ever brings.
_MOST = 8
_SECONDS = re.compile(r"[0-9]{1,12}")
_HEX = re.compile(r"[0-9a-fA-F]{64}")


def verify_signature(request: plugin.WebhookRequest, secrets: tuple[str, ...]) -> None:
    """Make sure that one of the secrets signed this body, lately.

    :raises InvalidSignature: saying what is wrong, without a secret or a signature.
    """
    given = request.header(HEADER)
    if given is None:
        raise plugin.NotSigned("the request has no ElevenLabs-Signature header")
    stamp, signatures = _read(given)
    age = request.received_at.timestamp() - int(stamp)
    if abs(age) > TOLERANCE.total_seconds():
        when = "old" if age > 0 else "in the future"
        raise plugin.InvalidSignature(
            f"the ElevenLabs-Signature header is {abs(age):.0f} s {when}. Compare the clocks"
        )
    signed = stamp.encode("ascii") + b"." + request.body
    matches = False
    for secret in secrets:  # all of them, so that time does not tell which one matched
        wanted = hmac.digest(secret.encode(), signed, "sha256")
        for signature in signatures:
            matches |= hmac.compare_digest(wanted, signature)
    if not matches:
        known = "webhook_secret" if len(secrets) == 1 else f"any of {len(secrets)} secrets"
        raise plugin.InvalidSignature(
            f"the ElevenLabs-Signature header was not made from this body with {known}"
        )


def verify_account_key(request: plugin.WebhookRequest, keys: tuple[str, ...]) -> None:
    """Make sure that the header ``X-Account-Key`` holds one of the keys.

    :raises InvalidSignature: without the key that was given.
    """
    given = request.header(ACCOUNT_HEADER)
    if given is None:
        raise plugin.NotSigned("the request has no X-Account-Key header")
    if not keys:
        raise plugin.InvalidSignature("account_key is not set, so nothing can be checked with it")
    matches = False
    for key in keys:
        matches |= hmac.compare_digest(key.encode(), given.encode("utf-8", "replace"))
    if not matches:
        raise plugin.InvalidSignature("the X-Account-Key header is not the account_key")


def sign(body: bytes, secret: str, at: int) -> str:
    """Give the header that ElevenLabs would send; for tests and for the conformance suite."""
    digest = hmac.new(secret.encode(), str(at).encode() + b"." + body, "sha256").hexdigest()
    return f"t={at},v0={digest}"


def _read(header: str) -> tuple[str, list[bytes]]:
    """Give the time of signing and the signatures; spaces after commas are fine."""
    malformed = plugin.InvalidSignature("the ElevenLabs-Signature header is malformed")
    stamps: list[str] = []
    signatures: list[bytes] = []
    for part in header.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals:
            raise malformed
        if name == "t":
            stamps.append(value)
        elif name == "v0":
            # One that is none never matches; another beside it may.
            signatures.append(bytes.fromhex(value) if _HEX.fullmatch(value) else b"")
    if len(stamps) != 1 or not _SECONDS.fullmatch(stamps[0]):
        raise malformed
    if not 1 <= len(signatures) <= _MOST:
        raise malformed
    return stamps[0], signatures
