"""Every error code that matters has a row: a reaction, and a sentence for the operator."""

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from router import plugin
from router.plugin import Refused, Unavailable
from router.plugin.testing import FakeContext
from router_twilio import TwilioConfig, TwilioWhatsApp
from router_twilio.codes import CODES, row_for
from router_twilio.errors import failure, words_for

README = (Path(__file__).parents[3] / "plugins/router_twilio/README.md").read_text(encoding="utf-8")
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

DAY_LEFT = 12 * 3600.0
REACTIONS = [
    (63016, Refused, None, "window closed"),
    (63018, Unavailable, 7200.0, "WhatsApp's limit reached"),
    (63017, Unavailable, 30.0, "account's rate limit reached"),
    (63021, Refused, None, "content rejected"),
    (63019, Unavailable, 60.0, "media could not be fetched"),
    (63012, Unavailable, 60.0, "WhatsApp had an internal error"),
    (63020, Refused, None, "WhatsApp does not accept the sender"),
    (63001, Refused, None, "WhatsApp does not accept the channel"),
    (63024, Refused, None, "recipient is not valid"),
    (63003, Refused, None, "recipient not found"),
    (63032, Refused, None, "Meta holds messages to this customer back"),
    (63013, Refused, None, "policy violation"),
    (63027, Refused, None, "template not found"),
    (63028, Refused, None, "template's variables do not fit"),
    (63038, Unavailable, DAY_LEFT, "day's messages used up"),
    (63023, Unavailable, 60.0, "WhatsApp failed"),
    (21610, Refused, None, "customer opted out"),
    (21211, Refused, None, "recipient is not valid"),
    (21614, Refused, None, "recipient is not a mobile"),
    (21617, Refused, None, "text too long"),
    (21620, Refused, None, "media address is not valid"),
    (21656, Refused, None, "template's variables are not valid"),
    (63007, Refused, None, "sender unknown"),
    (63015, Refused, None, "sandbox not joined"),
    (20429, Unavailable, None, "too many calls at once"),
    (20003, Refused, None, "credentials not accepted"),
    (11200, Refused, None, "our webhook did not answer"),
    (12300, Refused, None, "our webhook answered the wrong content type"),
    (57012, Refused, None, "our webhook's signature check failed"),
    (11751, Refused, None, "media too large"),
]
ONCE = {63012, 63019, 63023}
WHY = {63016: plugin.Refusal.WINDOW_CLOSED, 21610: plugin.Refusal.OPTED_OUT}


def test_two_codes_say_something_about_the_customer() -> None:
    assert {row.code: row.why for row in CODES.values() if row.why is not None} == WHY


@pytest.mark.parametrize("code", [63016, 21610, 63027])
def test_a_refusal_says_what_its_code_says_about_the_customer(code: int) -> None:
    request = httpx.Request("POST", "https://api.twilio.com/")
    body = {"code": code, "message": "no", "status": 400}

    error = failure(httpx.Response(400, json=body, request=request), NOON)

    assert isinstance(error, Refused)
    assert error.why is WHY.get(code)


def test_there_is_a_row_for_each_code_and_for_no_other() -> None:
    assert sorted(CODES) == sorted(code for code, *_ in REACTIONS)
    assert {row.code for row in CODES.values() if row.once} == ONCE


def test_the_readme_has_the_same_table() -> None:
    rows = [line for line in README.splitlines() if line.startswith(("| 1", "| 2", "| 5", "| 6"))]
    waits = {None: "", "tomorrow": " at midnight UTC", 30.0: " after 30 s", 60.0: " after 1 min"}
    waits[7200.0] = " after 2 h"
    shown = []
    for row in sorted(CODES.values(), key=lambda row: row.code):
        again = "sent again" + waits[row.wait] + (", once" if row.once else "")
        reaction = again if row.reaction is Unavailable else "refused"
        shown.append(f"| {row.code} | {row.note} | {reaction} |")

    assert rows == shown


@pytest.mark.parametrize("status", [400, 429])
@pytest.mark.parametrize("newer", [False, True], ids=["classic", "RFC 9457"])
@pytest.mark.parametrize("code, kind, wait, note", REACTIONS)
def test_what_a_code_means(
    code: int,
    kind: type[plugin.ProviderError],
    wait: float | None,
    note: str,
    *,
    newer: bool,
    status: int,
) -> None:
    body = {"code": code, "message": "x", "more_info": "x", "status": status}
    if newer:
        body = {"type": "x", "title": "x", "status": status, "code": str(code)}

    error = failure(httpx.Response(status, json=body), NOON)

    # 429 says by itself that it was not taken, and may be sent again.
    assert type(error) is (Unavailable if status == 429 else kind)
    assert error.code == str(code)
    assert getattr(error, "retry_after", None) == wait
    assert error.reason.startswith(f"{note}: ")
    assert error.reason.endswith(f". See https://www.twilio.com/docs/errors/{code}")


@pytest.mark.parametrize("status", [500, 502, 504])
@pytest.mark.parametrize("code", sorted(CODES))
def test_no_code_makes_a_5xx_certain(code: int, status: int) -> None:
    error = failure(httpx.Response(status, json={"code": code, "message": "x"}), NOON)

    assert type(error) is plugin.OutcomeUnknown
    assert error.code == str(code)


@pytest.mark.parametrize(
    "body, code, words",
    [
        (
            {"code": 99999, "message": "It is\n broken."},
            "99999",
            "It is broken. See https://www.twilio.com/docs/errors/99999",
        ),
        (
            {"code": "99999", "title": "Bad", "detail": "So bad"},
            "99999",
            "So bad. See https://www.twilio.com/docs/errors/99999",
        ),
        (
            {"code": "99999", "title": "Bad"},
            "99999",
            "Bad. See https://www.twilio.com/docs/errors/99999",
        ),
        (
            {"code": 99999, "message": None},
            "99999",
            "Twilio gives no reason. See https://www.twilio.com/docs/errors/99999",
        ),
        (
            {"code": 99999, "message": "user AC1 with s3cret-token is wrong"},
            "99999",
            "user AC1 with *** is wrong. See https://www.twilio.com/docs/errors/99999",
        ),
        ({"code": None, "message": "x"}, "400", "the provider answered 400 Bad Request"),
        ({"code": True, "message": "x"}, "400", "the provider answered 400 Bad Request"),
        ({"code": [], "message": "x"}, "400", "the provider answered 400 Bad Request"),
        ({"code": " ", "message": "x"}, "400", "the provider answered 400 Bad Request"),
        ({"message": "x"}, "400", "the provider answered 400 Bad Request"),
        ([], "400", "the provider answered 400 Bad Request"),
    ],
)
def test_an_unknown_code_keeps_twilios_words_and_the_statuss_meaning(
    body: object, code: str, words: str
) -> None:
    error = failure(httpx.Response(400, json=body), NOON, ["s3cret-token"])

    assert type(error) is Refused
    assert (error.code, error.reason) == (code, words)


def test_an_unknown_code_of_a_429_waits_as_long_as_its_header_says() -> None:
    response = httpx.Response(429, json={"code": 99999}, headers={"Retry-After": "9"})

    error = failure(response, NOON)

    assert isinstance(error, Unavailable)
    assert (error.code, error.retry_after) == ("99999", 9.0)


def test_a_redirect_is_refused_whatever_its_body_says() -> None:
    error = failure(httpx.Response(302, json={"code": 63018, "message": "x"}), NOON)

    assert type(error) is Refused
    assert error.code == "63018"


def test_success_is_no_failure() -> None:
    assert failure(httpx.Response(201, json={"code": 20003}), NOON) is None


@pytest.mark.parametrize("code", [None, "", "x", "²", "-1", "9" * 5000, 1.5, [], True])
def test_what_is_no_code_has_no_row(code: object) -> None:
    assert row_for(code) is None
    assert words_for(code, "x").startswith("x. See ")


async def test_what_is_worth_one_more_try_gets_one_for_each_message() -> None:
    config = TwilioConfig(
        account_sid="AC1", auth_token=SecretStr("token-of-nobody"), sender="+14155550199"
    )
    ana = plugin.Address("tel", "+5491155550100")
    reply = httpx.Response(400, json={"code": 63023, "message": "x"})
    async with FakeContext(*[reply] * 1004) as context:
        channel = TwilioWhatsApp(config, context)

        async def outcome(id: str) -> str:
            with pytest.raises(plugin.ProviderError) as caught:
                await channel.send(plugin.OutboundMessage(id=id, recipient=ana, text="hi"))
            assert caught.value.code == "63023"
            return type(caught.value).__name__

        outcomes = [await outcome(name) for name in ("m1", "m2", "m1")]
        others = {await outcome(f"n{number}") for number in range(1000)}

        assert outcomes == ["Unavailable", "Unavailable", "Refused"]
        assert others == {"Unavailable"}
        assert await outcome("m1") == "Unavailable"  # forgotten by now
