"""Telling ElevenLabs's webhooks from everybody else's, more strictly than its own helper."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import plugin
from router_elevenlabs_calls.signatures import sign, verify_account_key, verify_signature

SECRET = "wsec_fictional_0001"
OLD = "wsec_fictional_0000"
BODY = (
    b'{"type":"post_call_transcription","event_timestamp":1763600000,"data":'
    b'{"agent_id":"agent_0001","conversation_id":"conv_0001","status":"done"}}'
)
AT = 1_763_600_000
#: Made with ElevenLabs's own library, 2.78.0.
GOOD = "1f473b6de103422652740ed61be3d2a5a4ddf3e44692529bffc291e9b3eafc8b"
FUTURE = "4f939f2c6545e127fa2a0434878e6c2060ade093510899844438d42cf864e798"


def request(header: str | None, *, late: int = 0, body: bytes = BODY) -> plugin.WebhookRequest:
    headers = {} if header is None else {"elevenlabs-signature": header}
    return plugin.WebhookRequest(
        url="https://example.org/hooks/calls",
        headers=headers,
        body=body,
        received_at=datetime.fromtimestamp(AT, UTC) + timedelta(seconds=late),
    )


@pytest.mark.parametrize("late", [0, 60, 1800, -1800])
@pytest.mark.parametrize(
    "header",
    [
        f"t={AT},v0={GOOD}",
        f"t={AT}, v0={GOOD}",
        f"v0={GOOD},t={AT}",
        f"t={AT},v0={GOOD.upper()}",
        f"t={AT},v0={GOOD},v0=00",
        f"t={AT},v0=00,v0={GOOD}",
        f"t={AT},v1=whatever,v0={GOOD}",
    ],
)
def test_what_was_signed_lately_passes(header: str, late: int) -> None:
    verify_signature(request(header, late=late), (SECRET,))


@pytest.mark.parametrize("secrets", [(SECRET, OLD), (OLD, SECRET)])
def test_any_of_several_secrets_may_have_signed(secrets: tuple[str, ...]) -> None:
    verify_signature(request(f"t={AT},v0={GOOD}"), secrets)


@pytest.mark.parametrize(
    "header, late, why",
    [
        (None, 0, "no ElevenLabs-Signature header"),
        (f"t={AT},v0={GOOD}", 1801, "1801 s old"),
        (f"t={AT},v0={GOOD}", -1801, "1801 s in the future"),
        (f"t={AT + 7200},v0={FUTURE}", 60, "in the future"),
        (f"t={AT},v0={FUTURE}", 0, "not made from this body"),
        (f"t={AT + 1},v0={GOOD}", 0, "not made from this body"),
        (f"t={AT},v0={GOOD[:-2]}", 0, "not made from this body"),
        (f"t={AT},v0=", 0, "not made from this body"),
        ("", 0, "malformed"),
        ("t=abc,v0=00", 0, "malformed"),
        (f"v0={GOOD}", 0, "malformed"),
        (f"t={AT}", 0, "malformed"),
        (f"t={AT},t={AT},v0={GOOD}", 0, "malformed"),
        (f"t={AT},{GOOD}", 0, "malformed"),
        (f"t=-{AT},v0={GOOD}", 0, "malformed"),
        (f"t={'9' * 40},v0={GOOD}", 0, "malformed"),
        (f"t=١٧٦٣٦٠٠٠٠٠,v0={GOOD}", 0, "malformed"),
        (f"t={AT}" + f",v0={GOOD}" * 9, 0, "malformed"),
    ],
)
def test_everything_else_is_refused(header: str | None, late: int, why: str) -> None:
    with pytest.raises(plugin.InvalidSignature, match=why) as caught:
        verify_signature(request(header, late=late), (SECRET,))

    assert SECRET not in str(caught.value)
    assert GOOD not in str(caught.value)


@given(st.text(max_size=300))
def test_no_header_breaks_the_verifier(header: str) -> None:
    with pytest.raises(plugin.InvalidSignature):
        verify_signature(request(header), (SECRET,))


@given(st.binary(max_size=200), st.integers(min_value=AT - 1800, max_value=AT + 1800))
def test_what_we_sign_passes_and_no_other_body_does(body: bytes, at: int) -> None:
    header = sign(body, SECRET, at)

    verify_signature(request(header, body=body), (SECRET,))
    with pytest.raises(plugin.InvalidSignature):
        verify_signature(request(header, body=body + b" "), (SECRET,))


@pytest.mark.parametrize(
    "given_key, keys", [(None, ("k",)), ("k", ()), ("K", ("k",)), ("é", ("k",))]
)
def test_an_account_key_is_all_or_nothing(given_key: str | None, keys: tuple[str, ...]) -> None:
    headers = {} if given_key is None else {"x-account-key": given_key}
    asked = plugin.WebhookRequest(url="u", headers=headers, received_at=datetime.now(UTC))

    with pytest.raises(plugin.InvalidSignature):
        verify_account_key(asked, keys)


def test_an_account_key_may_be_one_of_several() -> None:
    asked = plugin.WebhookRequest(
        url="u", headers={"x-account-key": "new"}, received_at=datetime.now(UTC)
    )

    verify_account_key(asked, ("old", "new"))
