"""Our signature check agrees with the official one, and is surer of itself."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from router.plugin import InvalidSignature, WebhookRequest
from router_twilio.signatures import Signatures, sign, spellings

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
TOKEN = "12345678901234567890123456789012"
KEY_ID = "webhooks_sharedkey_fictional"
ACCOUNT = "AC00000000000000000000000000000001"
SHA256 = f"key={KEY_ID},algorithm=HMAC_SHA256"

HOOK = "https://router.example.com/webhooks/twilio/whatsapp"
T1 = {
    "SmsMessageSid": "SM00000000000000000000000000000001",
    "NumMedia": "0",
    "ProfileName": "Ana Pérez",
    "MessageType": "text",
    "SmsSid": "SM00000000000000000000000000000001",
    "WaId": "5491155550100",
    "SmsStatus": "received",
    "Body": "Hola, ¿tienen stock? 👍",
    "To": "whatsapp:+14155550199",
    "NumSegments": "1",
    "MessageSid": "SM00000000000000000000000000000001",
    "AccountSid": ACCOUNT,
    "From": "whatsapp:+5491155550100",
    "ApiVersion": "2010-04-01",
}
T1_BODY = (
    b"SmsMessageSid=SM00000000000000000000000000000001&NumMedia=0&ProfileName=Ana+P%C3%A9rez"
    b"&MessageType=text&SmsSid=SM00000000000000000000000000000001&WaId=5491155550100"
    b"&SmsStatus=received&Body=Hola%2C+%C2%BFtienen+stock%3F+%F0%9F%91%8D"
    b"&To=whatsapp%3A%2B14155550199&NumSegments=1"
    b"&MessageSid=SM00000000000000000000000000000001"
    b"&AccountSid=AC00000000000000000000000000000001&From=whatsapp%3A%2B5491155550100"
    b"&ApiVersion=2010-04-01"
)
T1_SIGNATURE = "Xv3cFXMEoYYIKei4NzHzxA7/kJA="

T4_URL = (
    "https://router.example.com/webhooks/twilio/events?bodySHA256="
    "48d78f5c5b957756ad675de989a4c474ed4c834a1deb77a42671d7723240bcb4"
)
T4_BODY = b'{"EventType":"onMessageAdded","Body":"hi"}'
T4_SIGNATURE = "Up4BDxvdqzoKpyYSPthx/AcAbVk="

T7 = {
    "From": "whatsapp:+5491155550100",
    "Body": "  padded text  ",
    "NumMedia": "0",
    "MessageSid": "SM00000000000000000000000000000003",
}
T7_SIGNATURE = "nzIh63j8XWZPqrTWx9aM0cVyQg8="

T10 = {
    "MessageSid": "SM00000000000000000000000000000002",
    "SmsSid": "SM00000000000000000000000000000002",
    "AccountSid": ACCOUNT,
    "From": "whatsapp:+14155550199",
    "To": "whatsapp:+5491155550100",
    "MessageStatus": "read",
    "SmsStatus": "read",
    "ChannelPrefix": "whatsapp",
    "EventType": "READ",
    "ApiVersion": "2010-04-01",
}
T11 = {
    "From": "whatsapp:US.13491208655302741918",
    "Body": "hola",
    "MessageSid": "SM00000000000000000000000000000004",
}
T11_SIGNATURE = "WUfllZg+fgqI4CLRoUGkDSsUI/g="

FORM = "application/x-www-form-urlencoded"


def request(
    url: str,
    body: bytes | dict[str, Any] = b"",
    signature: str | None = None,
    *,
    settings: str | None = None,
    content_type: str | None = FORM,
    method: str = "POST",
    **headers: str,
) -> WebhookRequest:
    given = {
        "content-type": content_type,
        "x-twilio-signature": signature,
        "x-twilio-webhooks-signature-settings": settings,
        **headers,
    }
    return WebhookRequest(
        method=method,
        url=url,
        headers={name: value for name, value in given.items() if value is not None},
        body=body if isinstance(body, bytes) else urlencode(body, doseq=True).encode(),
        received_at=NOW,
    )


def ours(*tokens: str, keys: dict[str, str] | None = None) -> Signatures:
    return Signatures(ACCOUNT, tokens or (TOKEN,), {KEY_ID: TOKEN} if keys is None else keys)


@pytest.mark.parametrize(
    "accepted",
    [
        pytest.param(request(HOOK, T1_BODY, T1_SIGNATURE), id="T1 form, UTF-8"),
        pytest.param(request(HOOK, T1, T1_SIGNATURE), id="T1 in another encoder's words"),
        pytest.param(
            request(
                HOOK,
                T1_BODY,
                "SopaQM4VJ0Mw3GcB8ShhuA2vfgL9qX/nciE2jUk1TBo=",
                settings=SHA256,
            ),
            id="T1b SharedKey, HMAC-SHA256",
        ),
        pytest.param(
            request(HOOK, T1_BODY, "jK4pFmq6woUYkZpijrj5UOFo4b8="),
            id="T1p signed with the default port",
        ),
        pytest.param(
            request(HOOK + "?tenant=acme&k=a%20b", T1_BODY, "60rMBFww/H5gSsGOn5k+TfnKfYU="),
            id="T2 query string kept as sent",
        ),
        pytest.param(
            request(
                "https://router.example.com:8443/webhooks/twilio/whatsapp",
                T1_BODY,
                "hVc+YAhO8hQTb4bAsirZ8a30no4=",
            ),
            id="T3 another port",
        ),
        pytest.param(
            request(
                "https://router.example.com:8443/webhooks/twilio/whatsapp", T1_BODY, T1_SIGNATURE
            ),
            id="T3 another port, signed without it",
        ),
        pytest.param(
            request(T4_URL, T4_BODY, T4_SIGNATURE, content_type="application/json"),
            id="T4 JSON",
        ),
        pytest.param(
            request(T4_URL, T4_BODY, T4_SIGNATURE, content_type=None),
            id="T4 JSON that is not called so",
        ),
        pytest.param(
            request(
                "https://router.example.com/m",
                {"A": ["2", "1", "2"], "B": ["x"]},
                "eLMoBr00MBFA2ckF6zidgtwXDVQ=",
            ),
            id="T5 repeated parameter",
        ),
        pytest.param(
            request(
                "https://router.example.com/m",
                {"Body": "", "From": "whatsapp:+15550100"},
                "hKEtg9bppS4ece53ImCSQ2DD8Yg=",
            ),
            id="T6 empty value",
        ),
        pytest.param(request(HOOK, T7, T7_SIGNATURE), id="T7 spaces at both ends"),
        pytest.param(
            request(
                "https://router.example.com/m",
                {"b": "1", "A": "2", "a": "3", "B": "4"},
                "H8499yEEWT482xkQ+U3KzXa47oA=",
            ),
            id="T8 order A, B, a, b",
        ),
        pytest.param(
            request(
                "https://router.example.com/status?MessageSid=SM1&MessageStatus=read",
                signature="ZVxrO3e8L8ZtAJdmvSmCWVoY1Jc=",
                method="GET",
                content_type=None,
            ),
            id="T9 GET",
        ),
        pytest.param(
            request(
                "https://router.example.com/webhooks/twilio/status",
                T10,
                "CTmgVpX/MCu8orVAitjWnmq7p2g=",
            ),
            id="T10 status callback",
        ),
        pytest.param(request(HOOK, T11, T11_SIGNATURE), id="T11 business-scoped user id"),
        pytest.param(
            request(HOOK, T1_BODY, T1_SIGNATURE, settings="key=whatever"),
            id="no algorithm means an Auth Token",
        ),
        pytest.param(
            request(
                HOOK, T1_BODY, T1_SIGNATURE, content_type="Application/X-WWW-Form-URLencoded ;x"
            ),
            id="content type in capitals",
        ),
        pytest.param(
            request(
                "https://user:pw@router.example.com:8443/m",
                T11,
                sign("https://user:pw@router.example.com/m", T11.items(), TOKEN.encode()).decode(),
            ),
            id="user and password before host and port, where the official check gives up",
        ),
    ],
)
def test_what_twilio_signed_passes(accepted: WebhookRequest) -> None:
    ours().verify(accepted)


SIGNED_FOR = (
    "Twilio signed {}, and the router is reached at {}. Correct [router] public_url, or the "
    "webhook's address at Twilio"
)
NOT_MADE_FROM = (
    "the X-Twilio-Signature header was not made from {} and this body with the secret. Compare "
    "both with what Twilio has; the Auth Token must be the primary one"
)


@pytest.mark.parametrize(
    "refused, reason",
    [
        (
            request(HOOK.replace("https", "http"), T1_BODY, T1_SIGNATURE),
            SIGNED_FOR.format(repr(HOOK), repr(HOOK.replace("https", "http"))),
        ),
        (
            request(HOOK + "/", T1_BODY, T1_SIGNATURE),
            SIGNED_FOR.format(repr(HOOK), repr(HOOK + "/")),
        ),
        (
            request(
                "https://old.example/webhooks/twilio/whatsapp",
                T1_BODY,
                T1_SIGNATURE,
                host="router.example.com",
            ),
            SIGNED_FOR.format(repr(HOOK), repr("https://old.example/webhooks/twilio/whatsapp")),
        ),
        *(
            (
                request(HOOK, {name: T1[name] for name in T1 if name != left_out}, T1_SIGNATURE),
                NOT_MADE_FROM.format(repr(HOOK)),
            )
            for left_out in T1
        ),
        (
            request(T4_URL, T4_BODY + b" ", T4_SIGNATURE, content_type="application/json"),
            "its body is not the one that bodySHA256 is of",
        ),
        (
            request(HOOK, T7 | {"Body": "padded text"}, T7_SIGNATURE),
            NOT_MADE_FROM.format(repr(HOOK)),
        ),
        (
            request(HOOK + "#rc=3&rp=all", T11, T11_SIGNATURE),
            NOT_MADE_FROM.format(repr(HOOK + "#rc=3&rp=all")),
        ),
        (
            request(T4_URL.partition("?")[0], T4_BODY, T4_SIGNATURE, content_type="text/json"),
            "a body of 'text/json' comes with no bodySHA256",
        ),
        (request(HOOK, T1_BODY), "the request has no X-Twilio-Signature header"),
        (
            request(HOOK, T1_BODY, T1_SIGNATURE, settings=SHA256),
            NOT_MADE_FROM.format(repr(HOOK)),
        ),
        (
            request(HOOK, T1_BODY, T1_SIGNATURE, settings="key=new,algorithm=HMAC_SHA256"),
            "it is signed with the SharedKey 'new', which is not among the channel's signing_keys",
        ),
        (
            request(HOOK, T1_BODY, T1_SIGNATURE, settings="algorithm=HMAC_SHA256"),
            "it is signed with the SharedKey '', which is not among the channel's signing_keys",
        ),
        (
            request(HOOK, T1_BODY, T1_SIGNATURE, settings=f"key={KEY_ID},algorithm=none"),
            "it is signed by the unknown algorithm 'NONE'",
        ),
        (request(HOOK, b"a=%ff", "x"), "its body is not a form"),
        (request(HOOK, b"&".join([b"a=b"] * 1001), "x"), "its body is not a form"),
        (request("https://x/\ud800", b"a=b", "x"), "its address is no Unicode text"),
        (request("\ud800", b"a=b", "x"), "its address is no Unicode text"),
        (request("nonsense", b"a=b", "\ud800ñ"), NOT_MADE_FROM.format(repr("nonsense"))),
    ],
)
def test_what_twilio_did_not_sign_is_refused_and_the_operator_told_why(
    refused: WebhookRequest, reason: str
) -> None:
    with pytest.raises(InvalidSignature) as caught:
        ours().verify(refused)

    assert str(caught.value) == reason


def test_a_long_body_is_refused_without_looking_for_the_reason() -> None:
    fields = {"Body": "x" * 40_000}
    signature = sign(HOOK, fields.items(), TOKEN.encode()).decode()

    with pytest.raises(InvalidSignature) as caught:
        ours().verify(request(HOOK + "/", fields, signature))

    assert str(caught.value) == NOT_MADE_FROM.format(repr(HOOK + "/"))


def test_a_form_longer_than_any_of_twilios_is_refused_before_it_is_taken_apart() -> None:
    fields = {"Body": "x" * 66_000}
    signature = sign(HOOK, fields.items(), TOKEN.encode()).decode()
    given = request(HOOK, fields, signature)

    with pytest.raises(InvalidSignature) as caught:
        ours().verify(given)

    assert str(caught.value) == "its form of 66,005 bytes is longer than any of Twilio's"
    assert "form" not in vars(given)


def test_any_of_several_auth_tokens_may_have_signed() -> None:
    several = ours("old-token", TOKEN, "next-token")

    several.verify(request(HOOK, T1_BODY, T1_SIGNATURE))
    with pytest.raises(InvalidSignature) as caught:
        ours("old-token", "next-token").verify(request(HOOK, T1_BODY, T1_SIGNATURE))

    assert "any of the 2 secrets" in str(caught.value)


def test_an_auth_token_is_not_accepted_where_only_shared_keys_are_configured() -> None:
    only_keys = Signatures(ACCOUNT, (), {KEY_ID: TOKEN})

    with pytest.raises(InvalidSignature) as caught:
        only_keys.verify(request(HOOK, T1_BODY, T1_SIGNATURE))

    assert str(caught.value) == "it is signed with an Auth Token, and the channel has no auth_token"


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_another_account_is_refused_though_it_is_signed(method: str) -> None:
    fields = [("AccountSid", ACCOUNT), ("AccountSid", "AC00000000000000000000000000000002")]
    url = HOOK if method == "POST" else f"{HOOK}?{urlencode(fields)}"
    body = urlencode(fields).encode() if method == "POST" else b""
    signature = sign(url, fields if body else (), TOKEN.encode()).decode()

    with pytest.raises(InvalidSignature) as caught:
        ours().verify(request(url, body, signature, method=method))

    assert str(caught.value) == (
        "it is signed, but for the account 'AC00000000000000000000000000000002' instead of "
        f"'{ACCOUNT}'"
    )


@pytest.mark.parametrize(
    "url, both",
    [
        ("https://a.example/x", ("https://a.example/x", "https://a.example:443/x")),
        ("http://a.example", ("http://a.example", "http://a.example:80")),
        ("https://a.example:8443/x:1", ("https://a.example/x:1", "https://a.example:8443/x:1")),
        ("https://[::1]/?a=b:1", ("https://[::1]/?a=b:1", "https://[::1]:443/?a=b:1")),
        ("https://[::1]:99/", ("https://[::1]/", "https://[::1]:99/")),
        ("https://u:p@a.example:99/", ("https://u:p@a.example/", "https://u:p@a.example:99/")),
        ("https://a.example/x?", ("https://a.example/x", "https://a.example:443/x")),
        ("https://a.example/x??", ("https://a.example/x??", "https://a.example:443/x??")),
        ("ftp://a.example/", ("ftp://a.example/",)),
    ],
)
def test_an_address_is_tried_without_its_port_and_with_it(url: str, both: tuple[str, ...]) -> None:
    assert spellings(url) == both


def test_what_is_signed_is_the_algorithm_that_twilio_documents() -> None:
    signed = "https://router.example.com/mA1A2Bx"
    mac = hmac.new(TOKEN.encode(), signed.encode(), hashlib.sha1).digest()

    assert sign(
        "https://router.example.com/m",
        [("B", "x"), ("A", "2"), ("A", "1"), ("A", "2")],
        TOKEN.encode(),
    ) == base64.b64encode(mac)


def test_json_is_never_read_as_a_form() -> None:
    body = json.dumps({"AccountSid": "AC2"}).encode()
    url = f"{HOOK}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = sign(url, (), TOKEN.encode()).decode()

    ours().verify(request(url, body, signature, content_type="application/json"))
    with pytest.raises(InvalidSignature):
        ours().verify(request(url, body, signature, content_type=FORM))
