"""``router doctor`` on one request that was refused: why, and what to change."""

import base64
import hmac
import io
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from tests.integration.cli.doctor.desk import (
    CALLS,
    CLINIC,
    CONFIG,
    ENV,
    META,
    OTHER,
    PUBLIC,
    SID,
    SPARE,
    TOKEN,
    Desk,
)


def line_of(text: str, after: str) -> int:
    """Give the number of the first line with a text behind another one."""
    lines = CONFIG.splitlines()
    start = lines.index(after)
    return next(n for n, line in enumerate(lines, 1) if n > start and line.startswith(text))


FORM = {
    "AccountSid": SID,
    "MessageSid": "SM1",
    "From": "whatsapp:+573001234567",
    "To": "whatsapp:+14155238886",
    "Body": "¿Llegó el ñandú?",
    "NumMedia": "0",
}


def twilio(
    signed: str,
    path: str = "/hooks/whatsapp",
    *,
    token: str = TOKEN,
    sid: str = SID,
    headers: Sequence[str] = ("Host: desk.example.org",),
) -> bytes:
    """Give a webhook of Twilio's.

    :param signed: the address that Twilio signed.
    :param path: the one that stands in the saved request.
    """
    form = {**FORM, "AccountSid": sid}
    signature = RequestValidator(token).compute_signature(signed, form)
    body = urlencode(form).encode()
    head = [
        f"POST {path} HTTP/1.1",
        *headers,
        "Content-Type: application/x-www-form-urlencoded",
        f"X-Twilio-Signature: {signature}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def meta(body: bytes, secret: str = META, path: str = "/hooks/meta", saved: bytes = b"") -> bytes:
    """Give a webhook of Meta's, whose signature is the body's alone."""
    mac = hmac.digest(secret.encode(), body, "sha256").hex()
    head = f"POST {path} HTTP/1.1\nHost: desk.example.org\nX-Hub-Signature-256: sha256={mac}\n\n"
    return head.encode() + (saved or body)


def calls(at: datetime, secret: str = CALLS, **more: Any) -> bytes:
    """Give a webhook of ElevenLabs's, which says when it was signed."""
    body = '{"type": "post_call_transcription"}'
    stamp = int(at.timestamp())
    mac = hmac.new(secret.encode(), f"{stamp}.{body}".encode(), sha256).hexdigest()
    headers = {"ElevenLabs-Signature": f"t={stamp},v0={mac}"}
    request = {"method": "POST", "url": f"{PUBLIC}/hooks/calls", "headers": headers, "body": body}
    return json.dumps({**request, **more}).encode()


def test_a_request_that_passes_is_said_to_pass(desk: Desk) -> None:
    ran = desk.explain(twilio(f"{PUBLIC}/hooks/whatsapp"))

    assert ran.status == 0
    assert (ran.json["ok"], ran.json["verified"], ran.json["reason"]) == (True, True, None)
    assert [check["level"] for check in ran.json["checks"]] == ["ok"]


@pytest.mark.parametrize(
    "signed, path, headers, public_url",
    [
        pytest.param(
            "https://new.example.org/hooks/whatsapp",
            "/hooks/whatsapp",
            ("Host: new.example.org",),
            "https://new.example.org",
            id="another host",
        ),
        pytest.param(
            "https://new.example.org/hooks/whatsapp",
            "/hooks/whatsapp",
            ("Host: 127.0.0.1:8000", "X-Forwarded-Host: new.example.org"),
            "https://new.example.org",
            id="another host, which only the proxy tells",
        ),
        pytest.param(
            "https://new.example.org/hooks/whatsapp",
            "https://new.example.org/hooks/whatsapp",
            (),
            "https://new.example.org",
            id="another host, as the whole address tells",
        ),
        pytest.param(
            "https://desk.example.org:8443/hooks/whatsapp",
            "/hooks/whatsapp",
            ("Host: desk.example.org:8443",),
            "https://desk.example.org:8443",
            id="another port",
        ),
        pytest.param(
            "https://desk.example.org:8443/hooks/whatsapp",
            "/hooks/whatsapp",
            ("Host: desk.example.org", "X-Forwarded-Port: 8443"),
            "https://desk.example.org:8443",
            id="another port, which only the proxy tells",
        ),
        pytest.param(
            "https://desk.example.org/bot/hooks/whatsapp",
            "/bot/hooks/whatsapp",
            ("Host: desk.example.org",),
            "https://desk.example.org/bot",
            id="a prefix that the proxy takes away",
        ),
        pytest.param(
            "https://desk.example.org/bot/hooks/whatsapp",
            "/hooks/whatsapp",
            ("Host: desk.example.org", "X-Forwarded-Prefix: /bot"),
            "https://desk.example.org/bot",
            id="a prefix that only the proxy tells",
        ),
    ],
)
def test_a_wrong_public_url_is_named_with_its_line_and_the_right_one(
    desk: Desk, signed: str, path: str, headers: tuple[str, ...], public_url: str
) -> None:
    request = twilio(signed, path, headers=headers)

    ran = desk.explain(request)

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert (check["check"], check["level"]) == ("public_url", "wrong")
    assert check["change"] == f'public_url = "{public_url}"'
    assert check["place"] == f"{desk.file}:{line_of('public_url', '[router]')}"
    assert signed in check["says"]
    # The remedy helps.
    desk.write(CONFIG.replace(f'public_url = "{PUBLIC}"', check["change"]))
    assert desk.explain(request).json["verified"] is True


@pytest.mark.parametrize("host", ["desk.example.org", "old.example.org"])
def test_a_provider_that_has_an_address_without_https_is_to_be_corrected_itself(
    desk: Desk, host: str
) -> None:
    ran = desk.explain(twilio(f"http://{host}/hooks/whatsapp", headers=(f"Host: {host}",)))

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert (check["check"], check["level"]) == ("address", "wrong")
    assert check["change"] is None
    assert check["says"].endswith(f"Correct it there: {PUBLIC}/hooks/whatsapp")


def test_what_a_stranger_sent_to_keep_us_busy_is_explained_before_long(desk: Desk) -> None:
    hosts = ", ".join(f"h{number}.example" for number in range(2_000))
    ports = ", ".join(str(number) for number in range(1_000, 3_000))
    times = ", ".join(str(1_700_000_000 + number) for number in range(2_000))
    request = twilio(
        "https://nobody.example/hooks/whatsapp",
        headers=(f"X-Forwarded-Host: {hosts}", f"X-Forwarded-Port: {ports}", f"X-Times: {times}"),
    )

    ran = desk.explain(request)

    assert [check["check"] for check in ran.json["checks"]] == ["signature"]


def test_half_an_address_is_no_reason_to_fall_over(desk: Desk) -> None:
    ran = desk.explain(
        twilio(f"{PUBLIC}/hooks/whatsapp", "https://[oops/hooks/whatsapp", token=OTHER)
    )

    assert [check["check"] for check in ran.json["checks"]] == ["secret"]


@pytest.mark.parametrize(
    "signed, path, words",
    [
        (f"{PUBLIC}/hooks/whatsapp/", "/hooks/whatsapp", "a slash at its end"),
        (f"{PUBLIC}/hooks/whatsapp", "/hooks/whatsapp/", "a slash at its end"),
        (f"{PUBLIC}/hooks/whatsapp/status", "/hooks/whatsapp/status?item=1", "another query"),
    ],
)
def test_a_path_or_query_that_changed_on_the_way_is_told(
    desk: Desk, signed: str, path: str, words: str
) -> None:
    ran = desk.explain(twilio(signed, path))

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert check["check"] == "address"
    assert words in check["says"]
    assert "item=1" not in ran.out


@pytest.mark.parametrize(
    "token, where",
    [(OTHER, "[channels.ventas] auth_token"), (SPARE, "SPARE_TOKEN in .env")],
)
def test_a_secret_that_is_known_elsewhere_is_named_and_not_shown(
    desk: Desk, token: str, where: str
) -> None:
    ran = desk.explain(twilio(f"{PUBLIC}/hooks/whatsapp", token=token))

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert check["check"] == "secret"
    assert "[channels.whatsapp] auth_token is not the secret" in check["says"]
    assert where in check["says"]
    assert check["place"] == f"{desk.file}:{line_of('auth_token', '[channels.whatsapp]')}"


def test_two_secrets_of_a_table_that_changed_places_are_told(desk: Desk) -> None:
    desk.environment({**ENV, "META_TOKEN": META, "META_SECRET": "access-to-meta"})

    ran = desk.explain(meta(b"{}", META))

    (check,) = ran.json["checks"]
    assert check["check"] == "secret"
    assert "[channels.meta] app_secret is not" in check["says"]
    assert "The right one is known here: [channels.meta] access_token." in check["says"]
    assert check["place"] == f"{desk.file}:{line_of('app_secret', '[channels.meta]')}"


def test_of_several_secrets_none_is_blamed_alone(desk: Desk) -> None:
    ran = desk.explain(meta(b"{}", "nobody-knows-it"))

    (check,) = ran.json["checks"]
    assert "one of access_token, app_secret, verify_token is not what" in check["says"]
    assert check["place"] == f"{desk.file}:{line_of('[channels.meta]', '')}"


def test_a_secret_with_quotes_and_blanks_around_it_is_told(desk: Desk) -> None:
    desk.environment({**ENV, "META_SECRET": f' "{META}" '})

    ran = desk.explain(meta(b'{"entry": []}'))

    (check,) = ran.json["checks"]
    assert "app_secret without the blanks or quotes around it" in check["says"]
    assert check["place"] == f"{desk.file}:{line_of('app_secret', '[channels.meta]')}"


def test_a_wrong_secret_and_a_wrong_address_are_both_told(desk: Desk) -> None:
    ran = desk.explain(
        twilio(
            "https://new.example.org/hooks/whatsapp",
            token=SPARE,
            headers=["Host: new.example.org"],
        )
    )

    assert [check["check"] for check in ran.json["checks"]] == ["secret", "public_url"]


def test_a_request_for_another_channel_is_told(desk: Desk) -> None:
    ran = desk.explain(twilio(f"{PUBLIC}/hooks/whatsapp", token=OTHER, sid="AC1"))

    (check,) = ran.json["checks"]
    assert "It is signed as channels.ventas is" in check["says"]
    assert f"{PUBLIC}/hooks/ventas" in check["says"]


def test_a_request_of_a_tenant_is_told_from_the_top_levels(desk: Desk) -> None:
    mine = desk.explain(meta(b"{}", CLINIC, "/hooks/clinica/meta"))
    wrong = desk.explain(meta(b"{}", META, "/hooks/clinica/meta"))

    assert (mine.json["channel"], mine.json["verified"]) == ("clinica/channels.meta", True)
    (check,) = wrong.json["checks"]
    assert "[tenants.clinica.channels.meta] app_secret is not" in check["says"]
    assert "[channels.meta] app_secret" in check["says"]


@pytest.mark.parametrize(
    "signed, saved, words",
    [
        (b'{"a": 1}', b'{"a": 1}\n', "a line end was added to its end"),
        (b'{"a":\r\n1}', b'{"a":\n1}', "its line ends were changed to LF"),
        (b'{"a":\n1}', b'{"a":\r\n1}', "its line ends were changed to CR LF"),
    ],
)
def test_a_body_that_was_changed_is_told(
    desk: Desk, signed: bytes, saved: bytes, words: str
) -> None:
    ran = desk.explain(meta(signed, saved=saved))

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert check["check"] == "body"
    assert words in check["says"]


def test_an_old_request_is_no_mistake_where_nobody_knows_when_it_came(desk: Desk) -> None:
    ran = desk.explain(calls(datetime.now(UTC) - timedelta(days=3)))

    assert ran.status == 0
    assert ran.json["verified"] is False
    (check,) = ran.json["checks"]
    assert (check["check"], check["level"]) == ("age", "warning")


def test_a_clock_that_is_off_is_told_where_the_file_says_when_it_came(desk: Desk) -> None:
    came = datetime(2026, 3, 2, 12, tzinfo=UTC)

    ran = desk.explain(calls(came - timedelta(hours=5), received_at=came.isoformat()))

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert check["check"] == "clock"
    assert "18000 s" in check["says"]


def test_an_old_request_with_another_secret_is_explained(desk: Desk) -> None:
    ran = desk.explain(calls(datetime.now(UTC) - timedelta(days=3), secret=META))

    (check,) = ran.json["checks"]
    assert "[channels.calls] webhook_secret is not the secret" in check["says"]
    assert "[channels.meta] app_secret" in check["says"]


def test_what_nothing_explains_is_said_so_in_the_channels_words(desk: Desk) -> None:
    ran = desk.explain(twilio(f"{PUBLIC}/hooks/whatsapp", token="a-token-that-is-nowhere"))

    assert ran.status == 1
    assert "the X-Twilio-Signature header was not made from" in ran.json["reason"]
    (check,) = ran.json["checks"]
    assert "no secret that is known here, would have made it pass" in check["says"]
    assert check["place"] == f"{desk.file}:{line_of('auth_token', '[channels.whatsapp]')}"


def test_a_request_that_was_not_saved_whole_is_told(desk: Desk) -> None:
    whole = twilio(f"{PUBLIC}/hooks/whatsapp")

    ran = desk.explain(whole[:-5])

    assert [check["level"] for check in ran.json["checks"]] == ["wrong", "warning"]
    assert "Content-Length" in ran.json["checks"][1]["says"]


def test_people_get_lines_and_standard_input_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = twilio("https://new.example.org/hooks/whatsapp", headers=["Host: new.example.org"])
    stdin = io.TextIOWrapper(io.BytesIO(request))
    monkeypatch.setattr(sys, "stdin", stdin)

    ran = desk.doctor("--request", "-")

    first, _, wrong, place, _, last = ran.out.splitlines()
    assert first.startswith("channels.whatsapp refuses it: Twilio signed")
    assert wrong.startswith("wrong    channels.whatsapp, public_url: It is signed for https://new")
    line = line_of("public_url", "[router]")
    assert place == f'         {desk.file}:{line}: write public_url = "https://new.example.org"'
    assert last == "1 wrong, 0 warnings."


def test_a_tunnels_inspector_saves_what_is_understood(desk: Desk) -> None:
    raw = base64.b64encode(twilio(f"{PUBLIC}/hooks/whatsapp")).decode()
    saved = {"start": "2026-03-02T09:00:00-05:00", "request": {"method": "POST", "raw": raw}}

    assert desk.explain(json.dumps(saved).encode()).json["verified"] is True


def test_a_channel_is_named_where_the_path_tells_none(desk: Desk) -> None:
    request = twilio(f"{PUBLIC}/hooks/whatsapp", "/")

    unknown, named = desk.explain(request), desk.explain(request, "--channel", "whatsapp")

    assert unknown.status == 2
    assert '"/" is the address of no channel. Configured: calls, clinica/meta' in unknown.err
    assert named.json["channel"] == "channels.whatsapp"


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["--request", "nowhere.http"], "nowhere.http: No such file or directory"),
        (["--channel", "whatsapp"], "--channel goes with --request"),
    ],
)
def test_an_argument_that_cannot_be_is_a_mistake(
    desk: Desk, words: list[str], complaint: str
) -> None:
    ran = desk.doctor(*words)

    assert ran.status == 2
    assert complaint in ran.err


def test_a_mistake_in_the_files_comes_first(desk: Desk) -> None:
    desk.write(CONFIG.replace("account_sid", "acount_sid", 1))

    for ran in (desk.doctor(), desk.explain(twilio(f"{PUBLIC}/hooks/whatsapp"))):
        assert ran.status == 2
        assert "acount_sid" in ran.err
