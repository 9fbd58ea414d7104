"""What is subtle about HTTP and every plugin needs, written once."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from router.clock import SystemClock
from router.errors import (
    InvalidSignature,
    NoConnection,
    NotSigned,
    OutcomeUnknown,
    ProviderError,
    Refused,
    Unavailable,
    words_of,
)
from router.plugin.channel import WebhookRequest
from router.plugin.config import Secret

if TYPE_CHECKING:
    import httpx

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_DAY = 86_400.0

#: What says that a request was not processed, and may be made again: it did not come in time, it
#: came too early, there are too many, nobody is there.
_NOT_PROCESSED = frozenset({408, 425, 429, 503})
_SERVER_ERRORS = 500
_CLIENT_ERRORS = 400
_REDIRECTS = 300


def verify_hmac_sha256(
    request: WebhookRequest,
    *,
    header: str,
    key: Secret | str | Sequence[Secret | str],
    prefix: str = "",
    encoding: Literal["hex", "base64"] = "hex",
) -> None:
    """Make sure that a header carries the HMAC-SHA256 of the raw body.

    Compares in constant time. Give several keys while a secret is being rotated: any of them may
    have signed. An empty key never verifies anything.

    :param header: the header with the signature, in any case.
    :param prefix: what stands before the signature, such as ``sha256=``.
    :raises NotSigned: if the header is missing.
    :raises InvalidSignature: saying whether it is malformed or wrong.

    .. versionadded:: 1.0
    """
    given = request.header(header)
    if given is None:
        message = f"the request has no {header} header"
        raise NotSigned(message)
    if not given.startswith(prefix):
        message = f"the {header} header does not begin with {prefix!r}"
        raise InvalidSignature(message)
    signature = given[len(prefix) :]
    try:
        if encoding == "hex":
            digest = binascii.unhexlify(signature)
        else:
            digest = base64.b64decode(signature, validate=True)
    except ValueError:
        message = f"the {header} header is not {encoding}"
        raise InvalidSignature(message) from None
    keys = [text.encode() for text in _texts(key) if text]
    if not keys:
        message = f"there is no secret to check the {header} header with"
        raise InvalidSignature(message)
    matches = False
    for candidate in keys:  # every key is tried, so that time does not tell which one matched
        matches |= hmac.compare_digest(hmac.digest(candidate, request.body, "sha256"), digest)
    if not matches:
        known = "the secret" if len(keys) == 1 else f"any of the {len(keys)} secrets"
        message = f"the {header} header was not made from this body with {known}"
        raise InvalidSignature(message)


def raise_for_status(response: "httpx.Response") -> None:
    """Raise what a provider's HTTP status means; do nothing for 2xx.

    408, 425, 429 and 503 were certainly not taken. Any other 5xx may have been. A redirect is
    refused like any other 4xx, because following one could send a message twice.

    The text has the host and the status only: bodies and paths may carry secrets.

    :raises Unavailable: 408, 425, 429 and 503, with the seconds of ``Retry-After`` (a number or an
        HTTP date; at most a day).
    :raises OutcomeUnknown: any other 5xx, and 1xx.
    :raises Refused: any other 4xx, and 3xx; the status is its ``code``.

    .. versionadded:: 1.0
    """
    if response.is_success:
        return
    raise _from_response(response)


def classify(error: BaseException) -> ProviderError:
    """Say what an exception that left ``send``, ``complete`` or ``run`` means for a retry.

    =====================================================  ================
    a ``ProviderError``                                    itself
    httpx ``ConnectError``, ``ConnectTimeout``             Unavailable
    httpx ``PoolTimeout``                                  NoConnection
    httpx ``UnsupportedProtocol``, ``InvalidURL``,         Refused
    ``LocalProtocolError``
    httpx ``HTTPStatusError``                              by its status
    anything else, httpx's or not                          OutcomeUnknown
    =====================================================  ================

    :returns: never raises; the original is the ``__cause__``.

    .. versionadded:: 1.0
    """
    if isinstance(error, ProviderError):
        return error
    import httpx  # here: importing it costs more than all of router.plugin

    meaning: ProviderError
    if isinstance(error, httpx.HTTPStatusError):
        meaning = _from_response(error.response)
    else:
        reason = words_of(error)
        if isinstance(error, httpx.PoolTimeout):
            meaning = NoConnection(reason)
        elif isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            meaning = Unavailable(reason)
        elif isinstance(
            error,
            httpx.UnsupportedProtocol | httpx.InvalidURL | httpx.LocalProtocolError,
        ):
            meaning = Refused(reason)
        else:
            meaning = OutcomeUnknown(reason)
    meaning.__cause__ = error
    return meaning


def _texts(key: Secret | str | Sequence[Secret | str]) -> Iterable[str]:
    several = [key] if isinstance(key, Secret | str) else key
    return (one if isinstance(one, str) else one.get_secret_value() for one in several)


def _from_response(response: "httpx.Response") -> ProviderError:
    status = response.status_code
    try:
        who = response.request.url.host
    except RuntimeError:  # a response that a test made by hand
        who = "the provider"
    reason = f"{who} answered {status} {response.reason_phrase}".rstrip()
    code = str(status)
    if status in _NOT_PROCESSED:
        return Unavailable(reason, code=code, retry_after=seconds_to_wait(response.headers))
    if status >= _SERVER_ERRORS or status < _REDIRECTS:
        return OutcomeUnknown(reason, code=code)
    if status < _CLIENT_ERRORS:
        reason += ", a redirect, which is not followed. Correct the address"
    return Refused(reason, code=code)


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Give the seconds of the header ``Retry-After`` (RFC 9110, 10.2.3); at most a day.

    :param headers: a mapping that minds no case.
    """
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), _DAY)
    moment = _http_date(value)
    if moment is None:
        return None
    # The provider's own clock, where it tells: ours may differ.
    now = _http_date(headers.get("Date", "")) or SystemClock().now()
    return min(max((moment - now).total_seconds(), 0.0), _DAY)


def _http_date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime  # here, because it is rare and not free

    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year or a zone of twenty digits
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
