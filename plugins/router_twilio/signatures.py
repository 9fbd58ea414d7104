"""Telling Twilio's webhooks from everybody else's.

Twilio signs the address it called and, of a form, every name and value; of JSON the SHA-256 of the
body, which it puts into the address. https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NoReturn

from router import plugin

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"

_SHA1 = "HMAC_SHA1"
_SHA256 = "HMAC_SHA256"
_DIGESTS = {_SHA1: "sha1", _SHA256: "sha256"}

_URL = re.compile(r"(https?)://((?:[^/?#@]*@)?(?:\[[^\]]*\]|[^:/?#]*))(:[0-9]+)?(.*)", re.DOTALL)

# Explaining a wrong signature costs some forty of the right ones; Twilio's forms are a tenth of it.
_LONGEST_EXPLAINED = 32 * 1024
# Taking a form apart costs before anybody has shown that it is Twilio's, and holds up the others.
_LONGEST_FORM = 64 * 1024

Fields = Iterable[tuple[str, str]]


class Signatures:
    """Checks signatures of one account.

    :param tokens: Auth Tokens; any of them may have signed (HMAC-SHA1).
    :param keys: the secrets of SharedKeys by the keys' ids (HMAC-SHA256).
    """

    def __init__(
        self, account_sid: str, tokens: Iterable[str], keys: Mapping[str, str] | None = None
    ) -> None:
        self._account_sid = account_sid
        self._tokens = tuple(token.encode() for token in tokens)
        self._keys = {name: key.encode() for name, key in (keys or {}).items()}

    def verify(self, request: plugin.WebhookRequest) -> None:
        """Make sure that Twilio sent this request, for this account.

        :raises InvalidSignature: and nothing else.
        """
        given = request.header(SIGNATURE)
        if given is None:
            raise plugin.NotSigned("the request has no X-Twilio-Signature header")
        secrets, digest = self._secrets(request.header(SETTINGS))
        fields = _signed_fields(request)
        joined, signature = _joined(fields), given.encode("utf-8", "replace")
        try:
            if not _matches(request.url, joined, secrets, digest, signature):
                _refuse(request, joined, secrets, digest, signature)
        except UnicodeEncodeError:
            raise plugin.InvalidSignature("its address is no Unicode text") from None
        own = fields if request.method == "POST" else request.query
        for name, value in own:
            if name == "AccountSid" and value != self._account_sid:
                raise plugin.InvalidSignature(
                    f"it is signed, but for the account {value[:40]!r} instead of "
                    f"{self._account_sid!r}"
                )

    def _secrets(self, settings: str | None) -> tuple[Sequence[bytes], str]:
        """Give the secrets that may have signed, and the digest. What is not known is refused."""
        algorithm, key = _read_settings(settings)
        if algorithm not in _DIGESTS:
            raise plugin.InvalidSignature(
                f"it is signed by the unknown algorithm {algorithm[:40]!r}"
            )
        if algorithm == _SHA1:
            if not self._tokens:
                raise plugin.InvalidSignature(
                    "it is signed with an Auth Token, and the channel has no auth_token"
                )
            return self._tokens, _DIGESTS[algorithm]
        if key not in self._keys:
            raise plugin.InvalidSignature(
                f"it is signed with the SharedKey {(key or '')[:80]!r}, which is not among the "
                "channel's signing_keys"
            )
        return (self._keys[key],), _DIGESTS[algorithm]


def sign(url: str, fields: Fields, secret: bytes, digest: str = "sha1") -> bytes:
    """Give the signature of a request, in base64.

    :param url: as Twilio called it, its port included or left out.
    :param fields: of the form, decoded; in any order, a repeat counts once.
    """
    return _made(url, _joined(fields), secret, digest)


def spellings(url: str) -> tuple[str, ...]:
    """Give an address without its port, and with it: Twilio signs now the one, now the other.

    A question mark with nothing behind it is left out, as Twilio's own library does.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return (url,)
    scheme, host, port, tail = match.groups()
    if tail.endswith("?") and tail.index("?") == len(tail) - 1:
        tail = tail[:-1]
    port = port or (":443" if scheme == "https" else ":80")
    return f"{scheme}://{host}{tail}", f"{scheme}://{host}{port}{tail}"


def _joined(fields: Fields) -> str:
    return "".join(chain.from_iterable(sorted(set(fields))))


def _made(url: str, joined: str, secret: bytes, digest: str) -> bytes:
    return b64encode(hmac.digest(secret, (url + joined).encode(), digest))


def _matches(
    url: str, joined: str, secrets: Sequence[bytes], digest: str, signature: bytes
) -> bool:
    matches = False
    for spelling in spellings(url):
        for secret in secrets:  # all of them, so that time does not tell which one matched
            made = _made(spelling, joined, secret, digest)
            matches |= hmac.compare_digest(made, signature)
    return matches


def _signed_fields(request: plugin.WebhookRequest) -> tuple[tuple[str, str], ...]:
    """Give the fields that are signed beside the address; make sure of a body that is no form."""
    if request.method != "POST":
        return ()
    declared = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if declared != "application/x-www-form-urlencoded":
        stated = next((value for name, value in request.query if name == "bodySHA256"), None)
        if stated:
            actual = hashlib.sha256(request.body).hexdigest()
            if not hmac.compare_digest(actual.encode(), stated.encode("utf-8", "replace")):
                raise plugin.InvalidSignature("its body is not the one that bodySHA256 is of")
            return ()
        if declared:
            raise plugin.InvalidSignature(f"a body of {declared[:80]!r} comes with no bodySHA256")
    if len(request.body) > _LONGEST_FORM:
        raise plugin.InvalidSignature(
            f"its form of {len(request.body):,} bytes is longer than any of Twilio's"
        )
    try:
        return request.form
    except ValueError:
        raise plugin.InvalidSignature("its body is not a form") from None


def _read_settings(header: str | None) -> tuple[str, str | None]:
    """Give the algorithm and the key's id. Without either, an Auth Token signs with SHA-1."""
    found: dict[str, str] = {}
    for part in (header or "").split(","):
        name, _, value = part.partition("=")
        if value.strip():
            found.setdefault(name.strip(), value.strip())
    return found.get("algorithm", _SHA1).upper(), found.get("key")


def _refuse(
    request: plugin.WebhookRequest,
    joined: str,
    secrets: Sequence[bytes],
    digest: str,
    signature: bytes,
) -> NoReturn:
    """Raise, and say which address it was made for where that can be found out.

    Nine of ten wrong signatures are a wrong ``public_url``. Nothing is let through by this.
    """
    for url in _likely_addresses(request):
        if _matches(url, joined, secrets, digest, signature):
            raise plugin.InvalidSignature(
                f"Twilio signed {_shown(url)}, and the router is reached at "
                f"{_shown(request.url)}. Correct [router] public_url, or the webhook's address "
                "at Twilio"
            )
    known = "the secret" if len(secrets) == 1 else f"any of the {len(secrets)} secrets"
    raise plugin.InvalidSignature(
        f"the X-Twilio-Signature header was not made from {_shown(request.url)} and this body "
        f"with {known}. Compare both with what Twilio has; the Auth Token must be the primary one"
    )


def _likely_addresses(request: plugin.WebhookRequest) -> Iterator[str]:
    match = _URL.fullmatch(request.url)
    if match is None or len(request.body) > _LONGEST_EXPLAINED:
        return
    _, host, port, tail = match.groups()
    path, mark, query = tail.partition("?")
    turned = path[:-1] if path.endswith("/") else path + "/"
    said = [request.header(name) for name in ("host", "x-forwarded-host")]
    for name in dict.fromkeys([host + (port or ""), *filter(None, said)]):
        for scheme in ("https", "http"):
            for one in (path, turned):
                yield f"{scheme}://{name[:260]}{one}{mark}{query}"


def _shown(url: str) -> str:
    return repr(url.partition("?")[0])
