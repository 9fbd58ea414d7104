"""Ten thousand requests, signed rightly and wrongly: the official validator agrees with ours."""

import hashlib
import json
import random
import string
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import pytest
from twilio.request_validator import RequestValidator, get_signature_algorithm

from router.plugin import InvalidSignature, WebhookRequest
from router_twilio.signatures import Signatures

HOW_MANY = 10_000
SEED = 20261120
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)

ACCOUNT = "AC00000000000000000000000000000001"
TOKENS = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")
KEY_ID, KEY = "webhooks_sharedkey_1", "shared-key-secret"
STRANGER = "somebody-elses-secret"

NAMES = ("Body", "From", "To", "a", "A", "B", "b", "ñ", "MediaUrl0", "x y", "", "a&b", "k=v", "é́")
VALUES = (
    "",
    " ",
    "  padded  ",
    "whatsapp:+5491155550100",
    "Hola, ¿tienen stock? 👍",
    "a+b%20c&d=e;f",
    "línea\r\nnueva\t",
    "0",
    "\x00",
    "𝕏ñandú e\u0301",
    "https://x.example/?a=b#c",
)
SAFE = string.ascii_letters + string.digits


class Fields(dict[str, list[str]]):
    """A form, as a web framework hands it to the official validator."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


@dataclass(frozen=True)
class Exchange:
    """One request, and what the official validator is told about it.

    :param params: the fields of a form, the text of any other body.
    """

    request: WebhookRequest
    params: Fields | str
    sort: str


def _text(chance: random.Random) -> str:
    if chance.random() < 0.7:
        return chance.choice(VALUES)
    return "".join(chr(chance.choice((chance.randrange(32, 127), chance.randrange(161, 0xD7FF))))
                   for _ in range(chance.randrange(1, 12)))  # fmt: skip


def _pairs(chance: random.Random) -> list[tuple[str, str]]:
    pairs = [(chance.choice(NAMES), _text(chance)) for _ in range(chance.randrange(12))]
    if pairs and chance.random() < 0.4:  # repeats, some of them with the same value
        pairs += [chance.choice(pairs), (chance.choice(pairs)[0], _text(chance))]
    if chance.random() < 0.5:
        pairs.append(("AccountSid", ACCOUNT))
    # A pair whose name and value are empty cannot be written down.
    pairs = [pair for pair in pairs if pair != ("", "")]
    chance.shuffle(pairs)
    return pairs


def _encoded(chance: random.Random, pairs: list[tuple[str, str]]) -> bytes:
    """Write a form down in one of the ways in which it may be."""
    plus = chance.random() < 0.5

    def code(text: str) -> str:
        return quote_plus(text, safe="*-._") if plus else quote(text, safe="~:/")

    parts = []
    for name, value in pairs:
        bare = value == "" and chance.random() < 0.3
        parts.append(code(name) if bare else f"{code(name)}={code(value)}")
    return "&".join(parts).encode()


def _address(chance: random.Random) -> str:
    scheme = chance.choice(("https", "https", "https", "http"))
    port = chance.choice(("", "", "", ":443", ":80", ":8443", ":8080"))
    host = chance.choice(
        ("router.example.com", "ROUTER.example", "203.0.113.7", "xn--and-6ma.example")
    )
    path = "".join(
        "/" + chance.choice(("hooks", "a%20b", "%C3%B1", "x:y", "a+b", "whatsapp", "~", "%2F"))
        for _ in range(chance.randrange(4))
    )
    path += chance.choice(("", "", "/"))
    query = "&".join(
        chance.choice(("a=b", "item=01k7", "e=", "k=a%20b", "k=a+b", "k=%C3%B1", "flag", "a=b=c"))
        for _ in range(chance.randrange(4))
    )
    mark = "?" if query or (path and chance.random() < 0.05) else ""
    return f"{scheme}://{host}{port}{path}{mark}{query}"


def _with_hash(url: str, body: bytes) -> str:
    join = "&" if "?" in url else "?"
    return f"{url}{join}bodySHA256={hashlib.sha256(body).hexdigest()}"


def _spelling(chance: random.Random, url: str) -> str:
    """Give an address as Twilio might sign it, and now and then as it would not."""
    turn = chance.random()
    scheme, _, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    if turn < 0.35 or not slash:
        return url
    if turn < 0.6:
        return f"{scheme}://{authority.partition(':')[0]}/{tail}"
    if turn < 0.8:
        host, _, port = authority.partition(":")
        return f"{scheme}://{host}:{port or ('443' if scheme == 'https' else '80')}/{tail}"
    return chance.choice(
        (
            f"{'http' if scheme == 'https' else 'https'}://{rest}",
            url + "/",
            url.rstrip("/"),
            url.rstrip("?"),
            url.partition("?")[0],
            url.lower(),
            url + "#rc=3&rp=all",
            f"{scheme}://{authority.partition(':')[0]}:8444/{tail}",
        )
    )


def _tampered(chance: random.Random, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    changed = list(pairs)
    turn = chance.randrange(5)
    if turn == 0 or not changed:
        changed.append(("Extra", "1"))
    elif turn == 1:
        changed.pop(chance.randrange(len(changed)))
    elif turn == 2:
        changed.append(chance.choice(changed))  # a repeat, which nobody signs twice
    elif turn == 3:
        place = chance.randrange(len(changed))
        changed[place] = (changed[place][0], changed[place][1].strip() + "x")
    else:
        chance.shuffle(changed)
    return changed


def _fields(pairs: list[tuple[str, str]]) -> Fields:
    fields = Fields()
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _exchange(chance: random.Random) -> Exchange:
    sort = chance.choice(("form", "form", "form", "json", "get"))
    url = _address(chance)
    headers: dict[str, str] = {}
    params: Fields | str = Fields()
    signed: Fields = Fields()
    body = b""
    if sort == "form":
        pairs = _pairs(chance)
        if chance.random() < 0.05:
            url = _with_hash(url, b"of something else")
        signed = _fields(pairs)
        sent = _tampered(chance, pairs) if chance.random() < 0.3 else pairs
        body, params = _encoded(chance, sent), _fields(sent)
        headers["content-type"] = chance.choice(
            (
                "application/x-www-form-urlencoded",
                "application/x-www-form-urlencoded; charset=UTF-8",
                "APPLICATION/X-WWW-FORM-URLENCODED",
            )
        )
    elif sort == "json":
        text = json.dumps(dict(_pairs(chance)), ensure_ascii=chance.random() < 0.5)
        body = text.encode()
        if chance.random() < 0.9:
            url = _with_hash(url, body)
        if chance.random() < 0.2:
            text += " "
            body = text.encode()
        params = text
        headers["content-type"] = "application/json"
    secret, settings = chance.choice(TOKENS), None
    if chance.random() < 0.4:
        secret = KEY
        settings = chance.choice(
            (
                f"key={KEY_ID},algorithm=HMAC_SHA256",
                f" algorithm = HMAC_SHA256 , key = {KEY_ID} ",
                f"key={KEY_ID},algorithm=hmac_sha256",
            )
        )
    if chance.random() < 0.05:
        settings = chance.choice(
            (None, "", f"key={KEY_ID}", "algorithm=", f"key={KEY_ID},algorithm=HMAC_MD5")
        )
    if chance.random() < 0.05:
        secret = STRANGER
    algorithm = get_signature_algorithm(settings)
    signature = RequestValidator(secret).compute_signature(
        _spelling(chance, url),
        signed,
        algorithm if algorithm.upper() in {"HMAC_SHA1", "HMAC_SHA256"} else None,
    )
    if chance.random() < 0.05:
        signature = chance.choice(
            (signature[:-1], signature.lower(), "", signature + "=", signature.replace("=", ""))
        )
    headers["x-twilio-signature"] = signature
    if settings is not None:
        headers["x-twilio-webhooks-signature-settings"] = settings
    method = "GET" if sort == "get" else "POST"
    return Exchange(
        WebhookRequest(method=method, url=url, headers=headers, body=body, received_at=NOW),
        params,
        sort,
    )


def _officially(exchange: Exchange) -> bool:
    request = exchange.request
    algorithm = get_signature_algorithm(request.header("x-twilio-webhooks-signature-settings"))
    secrets = (KEY,) if algorithm.upper() == "HMAC_SHA256" else TOKENS
    signature = request.header("x-twilio-signature")
    try:
        return any(
            RequestValidator(secret).validate(request.url, exchange.params, signature, algorithm)
            for secret in secrets
        )
    except TypeError:  # a body that is no form, without its hash
        return False


@pytest.mark.timeout(60)
def test_the_official_validator_agrees_on_ten_thousand_requests() -> None:
    chance = random.Random(SEED)
    ours = Signatures(ACCOUNT, TOKENS, {KEY_ID: KEY})
    counted: Counter[tuple[str, bool]] = Counter()
    differences = []
    for _ in range(HOW_MANY):
        exchange = _exchange(chance)
        official = _officially(exchange)
        try:
            ours.verify(exchange.request)
        except InvalidSignature:
            accepted = False
        else:
            accepted = True
        counted[exchange.sort, official] += 1
        if accepted is not official:
            differences.append((official, exchange))

    assert differences == []
    assert sum(counted.values()) == HOW_MANY
    assert all(
        counted[sort, said] > 400 for sort in ("form", "json", "get") for said in (True, False)
    )
