"""What Meta's error codes mean, and that the README says the same."""

from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import FakeContext
from router_whatsapp_cloud import WhatsAppCloud, WhatsAppCloudConfig
from router_whatsapp_cloud.codes import CODES, row_for

README = Path(__file__).parents[3] / "plugins/router_whatsapp_cloud/README.md"
HELLO = plugin.OutboundMessage(id="01k7a", recipient=plugin.Address("tel", "+54911"), text="hola")


def _channel(context: FakeContext) -> WhatsAppCloud:
    secret = SecretStr("secret-of-nobody")
    config = WhatsAppCloudConfig(
        phone_number_id="1", access_token=secret, app_secret=secret, verify_token=secret
    )
    return WhatsAppCloud(config, context)


def _reaction(wait: float | None) -> str:
    if wait is None:
        return "refused"
    number, unit = wait, "s"
    for size, name in ((3600, "h"), (60, "min")):
        if wait >= size:
            number, unit = wait / size, name
            break
    return f"sent again after {number:g} {unit}"


def test_the_readme_lists_every_code() -> None:
    text = README.read_text(encoding="utf-8")
    table = text.split("| code | what happened | reaction |")[1].partition("\n\n")[0]
    stated = [line for line in table.splitlines()[2:] if line]

    assert stated == [
        f"| {code} | {row.note} | {_reaction(row.wait)} |" for code, row in sorted(CODES.items())
    ]


@pytest.mark.parametrize("code", sorted(CODES))
async def test_a_known_code_is_told_in_our_words(code: int) -> None:
    reply = httpx.Response(400, json={"error": {"code": code, "message": "English"}})
    async with FakeContext(reply) as context:
        with pytest.raises(plugin.ProviderError) as caught:
            await _channel(context).send(HELLO)

    error, row = caught.value, CODES[code]
    assert error.reason == row.words
    assert error.code == str(code)
    if row.wait is None:
        assert isinstance(error, plugin.Refused)
        assert error.why is row.why
    else:
        assert isinstance(error, plugin.Unavailable)
        assert error.retry_after == row.wait


def test_only_a_closed_window_says_something_about_the_customer() -> None:
    assert {code: row.why for code, row in CODES.items() if row.why is not None} == {
        131047: plugin.Refusal.WINDOW_CLOSED
    }


def test_every_sentence_says_what_to_do_and_fits_an_inbox() -> None:
    for row in CODES.values():
        assert row.sentence.endswith("."), row
        assert len(row.note) <= 40, row


@pytest.mark.parametrize("code", ["", "x", "٣", "1" * 12, None, "999999"])
def test_what_is_no_known_code_has_no_row(code: object) -> None:
    assert row_for(code) is None


async def test_a_secret_in_metas_words_is_blanked_out() -> None:
    error = {"code": 999999, "message": "Bad secret-of-nobody."}
    async with FakeContext(httpx.Response(400, json={"error": error})) as context:
        with pytest.raises(plugin.Refused) as caught:
            await _channel(context).send(HELLO)

    assert str(caught.value).startswith("Bad ***. See https://developers.facebook.com/")
