"""A table that cannot work is refused in words, and secrets stay secret."""

import re
import tomllib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

import router_twilio
from router.plugin import RateLimit, WebhookRequest
from router.plugin.testing import FakeContext
from router_twilio import TwilioConfig, TwilioWhatsApp

README = Path(router_twilio.__file__).with_name("README.md").read_text(encoding="utf-8")

WHOLE: dict[str, Any] = {
    "account_sid": "AC0123",
    "auth_token": SecretStr("token-of-nobody"),
    "sender": "whatsapp:+14155550199",
}
KEYS: dict[str, Any] = {
    "api_key_sid": "SK0123",
    "api_key_secret": SecretStr("api-key-of-nobody"),
    "signing_keys": {"k1": SecretStr("shared-key-of-nobody")},
}
NOBODY_SENDS = (
    "Value error, sender and messaging_service_sid are both missing; messages need one of them to "
    "leave from"
)
NO_TOKEN_TO_CHECK = (
    "Value error, auth_token is missing; webhooks are checked with it, unless signing_keys are "
    "given"
)
NO_TOKEN_TO_SEND = (
    "Value error, auth_token is missing; messages are sent with it, unless api_key_sid and "
    "api_key_secret are given"
)
NO_NUMBER = 'Value error, write the number with its country code, such as "whatsapp:+14155238886"'
EMPTY = "Value error, it is empty; anybody could sign with it"


def _but(**changes: Any) -> dict[str, Any]:
    values = {**WHOLE, **changes}
    return {name: value for name, value in values.items() if value is not ...}


@pytest.mark.parametrize(
    "table, key, problem",
    [
        (_but(sender=...), "messaging_service_sid", NOBODY_SENDS),
        (_but(sender="4155550199"), "sender", NO_NUMBER),
        (_but(sender="whatsapp:desk"), "sender", NO_NUMBER),
        (_but(auth_token=...), "auth_token", NO_TOKEN_TO_CHECK),
        (_but(auth_token=()), "auth_token", NO_TOKEN_TO_CHECK),
        (_but(auth_token=..., signing_keys=KEYS["signing_keys"]), "auth_token", NO_TOKEN_TO_SEND),
        (_but(auth_token=..., **(KEYS | {"signing_keys": {}})), "auth_token", NO_TOKEN_TO_CHECK),
        (_but(**(KEYS | {"signing_keys": {"k1": SecretStr("")}})), "k1", EMPTY),
        (
            _but(api_key_sid="SK0123"),
            "api_key_secret",
            "Value error, api_key_secret is missing beside api_key_sid",
        ),
        (
            _but(api_key_secret=SecretStr("api-key-of-nobody")),
            "api_key_secret",
            "Value error, api_key_sid is missing beside api_key_secret",
        ),
        (
            _but(account_sid="SK0123"),
            "account_sid",
            "Value error, an account SID begins with AC and has letters and digits only",
        ),
        (
            _but(account_sid="AC01/../AC02"),
            "account_sid",
            "Value error, an account SID begins with AC and has letters and digits only",
        ),
        (
            _but(messaging_service_sid="PN01"),
            "messaging_service_sid",
            "Value error, a messaging service's SID begins with MG and has letters and digits only",
        ),
        (
            _but(api_key_sid="AC01", api_key_secret=SecretStr("api-key-of-nobody")),
            "api_key_sid",
            "Value error, an API key's SID begins with SK and has letters and digits only",
        ),
        (
            _but(base_url="api.twilio.com"),
            "base_url",
            "Value error, write a whole address, such as https://api.twilio.com",
        ),
        (
            _but(base_url="https://api.twilio.com/?a=b"),
            "base_url",
            "Value error, write a whole address, such as https://api.twilio.com",
        ),
        (
            _but(alias_fields=["Wa"]),
            "0",
            "Input should be 'WaId' or 'ExternalUserIdentifier'",
        ),
    ],
)
def test_a_table_that_cannot_work_is_refused(table: dict[str, Any], key: str, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TwilioConfig.model_validate(table)

    (error,) = caught.value.errors()
    assert str(error["loc"][-1]) == key
    assert error["msg"] == problem


def test_an_empty_auth_token_is_refused() -> None:
    for empty in (SecretStr(""), [SecretStr("token-of-nobody"), SecretStr("")]):
        with pytest.raises(ValidationError) as caught:
            TwilioConfig.model_validate(_but(auth_token=empty))

        assert EMPTY in {error["msg"] for error in caught.value.errors()}


@pytest.mark.parametrize(
    "written",
    ["whatsapp:+14155550199", "+14155550199"],
)
def test_the_sender_may_be_written_with_or_without_its_prefix(written: str) -> None:
    assert TwilioConfig.model_validate(_but(sender=written)).sender == "whatsapp:+14155550199"


@pytest.mark.parametrize(
    "written, url",
    [
        ("https://api.twilio.com", "https://api.twilio.com"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("https://api.dublin.ie1.twilio.com/2010-04-01", "https://api.dublin.ie1.twilio.com"),
        ("http://127.0.0.1:8080/twilio/2010-04-01/", "http://127.0.0.1:8080/twilio"),
    ],
)
def test_the_base_url_may_be_written_with_or_without_the_version(written: str, url: str) -> None:
    config = TwilioConfig.model_validate(_but(base_url=written))

    assert config.messages_url == f"{url}/2010-04-01/Accounts/AC0123/Messages.json"


def test_the_first_auth_token_sends_and_an_api_key_goes_before_it() -> None:
    tokens = (SecretStr("token-of-nobody"), SecretStr("old-token-of-nobody"))
    several = TwilioConfig.model_validate(_but(auth_token=tokens))
    by_key = TwilioConfig.model_validate(_but(**KEYS))
    without_token = TwilioConfig.model_validate(_but(auth_token=..., **KEYS))

    assert several.credentials == ("AC0123", "token-of-nobody")
    assert by_key.credentials == ("SK0123", "api-key-of-nobody")
    assert without_token.credentials == ("SK0123", "api-key-of-nobody")
    assert several.secrets == ("token-of-nobody", "old-token-of-nobody")
    assert set(by_key.secrets) == {"token-of-nobody", "api-key-of-nobody", "shared-key-of-nobody"}


async def test_a_listing_is_complete_only_where_the_operator_says_so() -> None:
    async with FakeContext() as context:
        usual = TwilioWhatsApp(TwilioConfig.model_validate(WHOLE), context)
        believing = TwilioWhatsApp(
            TwilioConfig.model_validate(_but(listing_is_complete=True)), context
        )

    assert not usual.capabilities.complete_listing
    assert believing.capabilities.complete_listing
    assert not TwilioWhatsApp.capabilities.complete_listing


async def test_whatsapp_s_limits_are_declared_and_can_be_set() -> None:
    async with FakeContext() as context:
        usual = TwilioWhatsApp(TwilioConfig.model_validate(WHOLE), context).capabilities
        slow = _but(messages_per_second=2, pair_interval="10s", pair_burst=1)
        slower = TwilioWhatsApp(TwilioConfig.model_validate(slow), context).capabilities

    assert (usual.sender_limit, usual.pair_limit) == (RateLimit(1 / 80, 8), RateLimit(6, 45))
    assert (slower.sender_limit, slower.pair_limit) == (RateLimit(0.5), RateLimit(10))
    assert usual.window == timedelta(hours=24)


async def test_other_fields_become_aliases_only_where_the_operator_says_so() -> None:
    body = (
        b"MessageSid=SM1&From=whatsapp:%2B525512345678&To=whatsapp:%2B1415&WaId=5215512345678"
        b"&ExternalUserIdentifier=whatsapp:MX.77"
    )
    found = {}
    for fields in (
        (),
        ("WaId",),
        ("WaId", "ExternalUserIdentifier"),
        ("ExternalUserIdentifier",),
    ):
        config = TwilioConfig.model_validate(_but(alias_fields=fields))
        async with FakeContext() as context:
            channel = TwilioWhatsApp(config, context)
            (event,) = channel.parse(_request(context, body))
        found[fields] = [str(alias) for alias in getattr(event, "aliases", ())]

    assert found == {
        (): [],
        ("WaId",): ["tel:+5215512345678"],
        ("WaId", "ExternalUserIdentifier"): ["tel:+5215512345678", "bsuid:MX.77"],
        ("ExternalUserIdentifier",): ["bsuid:MX.77"],
    }


@pytest.mark.parametrize("value", ["ana@example.org", "whatsapp:", ""])
async def test_an_external_identifier_of_unknown_sort_is_no_alias(value: str) -> None:
    body = f"MessageSid=SM1&From=whatsapp:MX.77&To=whatsapp:x&ExternalUserIdentifier={value}"
    config = TwilioConfig.model_validate(_but(alias_fields=["ExternalUserIdentifier"]))
    async with FakeContext() as context:
        (event,) = TwilioWhatsApp(config, context).parse(_request(context, body.encode()))

    assert getattr(event, "aliases", None) == ()


def _request(context: FakeContext, body: bytes) -> WebhookRequest:
    return WebhookRequest(url=context.webhook_url(), body=body, received_at=context.clock.now())


async def test_a_get_is_verified_and_has_no_answer() -> None:
    async with FakeContext() as context:
        channel = TwilioWhatsApp(TwilioConfig.model_validate(WHOLE), context)

        assert channel.acknowledge(replace(_request(context, b""), method="GET")) is None


def test_the_readme_names_every_setting_with_its_default() -> None:
    table = README.split("| --- | --- | --- |")[1].partition("\n\n")[0]
    defaults: dict[str, str] = {}
    for names, default in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.*?) ?\|", table, re.MULTILINE):
        defaults |= dict.fromkeys(re.findall(r"\w+", names), default)
    written = {None: "none", (): "none", False: "`false`"}

    assert defaults.pop("account_sid") == ""
    assert defaults.pop("alias_fields") == '`["WaId"]`'
    assert defaults.pop("media_hosts") == '`["*.twiliocdn.com", "s3-external-1.amazonaws.com"]`'
    assert defaults.pop("base_url") == "`https://api.twilio.com`"
    assert defaults.pop("content_url") == "`https://content.twilio.com`"
    assert defaults.pop("signing_keys") == "none"
    assert defaults.pop("messages_per_second") == "`80`"
    assert defaults.pop("pair_interval") == '`"6s"`'
    assert defaults.pop("pair_burst") == "`45`"
    apart = {"account_sid", "alias_fields", "media_hosts", "base_url", "signing_keys"}
    apart |= {"content_url", "messages_per_second", "pair_interval", "pair_burst"}
    assert defaults == {
        name: written[info.default]
        for name, info in TwilioConfig.model_fields.items()
        if name not in apart
    }
    config = TwilioConfig.model_validate(WHOLE)
    assert config.alias_fields == ("WaId",)
    assert config.media_hosts == ("*.twiliocdn.com", "s3-external-1.amazonaws.com")


def test_the_examples_of_the_readme_load() -> None:
    examples = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

    def secret(value: Any) -> Any:
        if isinstance(value, dict):
            if set(value) & {"env", "file", "credential"}:
                return SecretStr("secret-of-nobody")
            return {name: secret(one) for name, one in value.items()}
        return value

    assert len(examples) == 2
    for example in examples:
        for table in tomllib.loads(example)["channels"].values():
            assert table.pop("type") == "twilio_whatsapp"
            TwilioConfig.model_validate(secret(table))
