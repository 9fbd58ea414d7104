"""Mistakes in the tables of the channels are named where they are made."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from router import plugin
from router_builderbot import BuilderbotConfig
from router_telegram import TelegramConfig
from router_waha import WahaConfig
from router_whatsapp_cloud import WhatsAppCloudConfig

SECRET = SecretStr("secret-of-nobody")
EMPTY = SecretStr("")

WHOLE: dict[type[plugin.PluginConfig], dict[str, Any]] = {
    BuilderbotConfig: {"bot_id": "0f8f-17", "api_key": SECRET, "account_key": SECRET},
    TelegramConfig: {"token": SecretStr("123456:token-of-nobody"), "secret_token": SECRET},
    WahaConfig: {"base_url": "http://127.0.0.1:3000", "hmac_key": SECRET},
    WhatsAppCloudConfig: {
        "phone_number_id": "106540352242922",
        "access_token": SECRET,
        "app_secret": SECRET,
        "verify_token": SECRET,
    },
}


@pytest.mark.parametrize("model", WHOLE, ids=lambda model: model.__name__)
def test_what_is_needed_is_enough(model: type[plugin.PluginConfig]) -> None:
    model.model_validate(WHOLE[model])


@pytest.mark.parametrize(
    "model, changes, where, message",
    [
        (BuilderbotConfig, {"bot_id": "a/b"}, "bot_id", "the project's id has letters, digits"),
        (BuilderbotConfig, {"api_key": EMPTY}, "api_key", "it is empty"),
        (BuilderbotConfig, {"account_key": (SECRET, EMPTY)}, "account_key", "it is empty"),
        (BuilderbotConfig, {"account_key": None}, "url_secret", "account_key and url_secret are"),
        (BuilderbotConfig, {"account_key": ()}, "url_secret", "account_key and url_secret are"),
        (BuilderbotConfig, {"base_url": "app.builderbot.cloud"}, "base_url", "write a whole addr"),
        (BuilderbotConfig, {"base_url": "https://x.example?a=1"}, "base_url", "write a whole addr"),
        (
            BuilderbotConfig,
            {"messages_path": "/v2/messages"},
            "messages_path",
            "begin with a slash",
        ),
        (BuilderbotConfig, {"deploy_path": "{bot_id}"}, "deploy_path", "begin with a slash"),
        (BuilderbotConfig, {"api_key_header": "x key"}, "api_key_header", "the name of a header"),
        (BuilderbotConfig, {"event_names": {"a": "b"}}, "event_names.a", "Input should be 'mess"),
        (BuilderbotConfig, {"repeat_window": "0s"}, "repeat_window", "Input should be greater"),
        (TelegramConfig, {"token": SECRET}, "token", "it is no bot's token"),
        (TelegramConfig, {"secret_token": SecretStr("a b")}, "secret_token", "Telegram takes 1 to"),
        (TelegramConfig, {"secret_token": EMPTY}, "secret_token", "Telegram takes 1 to"),
        (TelegramConfig, {"base_url": "https://"}, "base_url", "write a whole address"),
        (TelegramConfig, {"edits": "drop"}, "edits", "Input should be 'ignore' or 'message'"),
        (WahaConfig, {"base_url": "127.0.0.1:3000"}, "base_url", "write a whole address"),
        (WahaConfig, {"hmac_key": EMPTY}, "hmac_key", "it is empty"),
        (WahaConfig, {"session": "a/../b"}, "session", "a session's name has letters"),
        (
            WhatsAppCloudConfig,
            {"phone_number_id": "+5491"},
            "phone_number_id",
            "it has digits only",
        ),
        (
            WhatsAppCloudConfig,
            {"business_account_id": "mi cuenta"},
            "business_account_id",
            "it has digits only",
        ),
        (WhatsAppCloudConfig, {"app_secret": EMPTY}, "app_secret", "it is empty"),
        (WhatsAppCloudConfig, {"verify_token": EMPTY}, "verify_token", "it is empty"),
        (WhatsAppCloudConfig, {"edits": "drop"}, "edits", "Input should be 'ignore' or 'message'"),
        (WhatsAppCloudConfig, {"api_version": "25"}, "api_version", "write the version as Meta"),
        (
            WhatsAppCloudConfig,
            {"template_language": "Español"},
            "template_language",
            "write the la",
        ),
        (WhatsAppCloudConfig, {"base_url": "ftp://x.example"}, "base_url", "write a whole address"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    model: type[plugin.PluginConfig], changes: dict[str, Any], where: str, message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({**WHOLE[model], **changes})

    told = {".".join(map(str, it["loc"])): it["msg"] for it in caught.value.errors()}
    (found,) = {words for place, words in told.items() if place.startswith(where)} & {
        words for words in told.values() if words.removeprefix("Value error, ").startswith(message)
    }
    assert found


def test_an_address_may_end_with_a_slash() -> None:
    values = {**WHOLE[WahaConfig], "base_url": "http://127.0.0.1:3000/"}

    assert WahaConfig.model_validate(values).method("sendText") == (
        "http://127.0.0.1:3000/api/sendText"
    )
