"""A repeat of BuilderBot's is known as one, and the same words said again are not."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import FakeContext
from router_builderbot import Builderbot, BuilderbotConfig

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
CONFIG = BuilderbotConfig(
    bot_id="0f8f-17", api_key=SecretStr("bb-key-of-nobody"), account_key=SecretStr("account-key")
)
TOKEN = "_event_media__0a1b2c3d-0000-4000-8000-00000000000"


def _keys(at: datetime = NOON, /, **data: Any) -> list[str]:
    event = data.pop("event", "message.incoming")
    values = {"from": "5491155550100", "projectId": "p", "body": "sí", **data}
    body = json.dumps({"eventName": event, "data": values}).encode()
    context = FakeContext()
    request = plugin.WebhookRequest(url=context.webhook_url(), body=body, received_at=at)
    return [it.dedupe_key for it in Builderbot(CONFIG, context).parse(request)]


@pytest.mark.parametrize(
    "name",
    [
        {"key": {"id": "3EB0"}},
        {"id": "3EB0"},
        {"messageId": "3EB0"},
        {"message_id": "3EB0"},
        {"key": {"id": "3EB0"}, "id": "other", "messageTimestamp": 1},
    ],
)
def test_an_id_is_the_name_whenever_it_comes(name: dict[str, Any]) -> None:
    assert _keys(**name) == ["message:3EB0"]
    assert _keys(NOON + timedelta(days=3), **name, body="another text") == ["message:3EB0"]


@pytest.mark.parametrize(
    "time",
    [
        {"messageTimestamp": 1795197600},
        {"messageTimestamp": {"low": 1795197600, "high": 0}},
        {"timestamp": "1795197600"},
    ],
)
def test_without_an_id_the_stated_time_tells_repeats_from_the_same_words(
    time: dict[str, Any],
) -> None:
    first = _keys(**time)

    assert first == _keys(NOON + timedelta(days=3), **time)
    assert first != _keys(messageTimestamp=1795197601)
    assert first != _keys(**time, body="no")
    assert first != _keys(**time, **{"from": "573001234567"})
    assert first != _keys(**time, projectId="q")


def test_without_either_a_repeat_has_to_come_soon() -> None:
    first = _keys()

    assert first == _keys(NOON + timedelta(seconds=119))
    # The same word an hour later is a customer who is answered, and not a repeat.
    assert first != _keys(NOON + timedelta(hours=1))
    # What nobody can tell apart, said as it is: a repeat in the next step of the window.
    assert first != _keys(NOON + timedelta(seconds=120))


def test_a_file_is_known_by_the_number_in_its_token() -> None:
    first = _keys(body=TOKEN + "1")

    assert first == _keys(NOON + timedelta(days=3), body=TOKEN + "1")
    assert first != _keys(body=TOKEN + "2")


def test_a_signature_of_a_files_address_may_be_made_anew() -> None:
    file = "https://files.builderbot.cloud/a.jpg?signature="
    with_time: dict[str, Any] = {"messageTimestamp": 1795197600, "body": ""}

    first = _keys(**with_time, urlTempFile=file + "x")

    assert first == _keys(**with_time, urlTempFile=file + "y")
    assert first != _keys(**with_time, urlTempFile="https://files.builderbot.cloud/b.jpg")


def test_a_message_and_its_echo_are_two_things() -> None:
    (said,), (echoed,) = _keys(timestamp=1), _keys(event="message.outgoing", timestamp=1)

    assert said.partition(":")[2] != echoed.partition(":")[2]


def test_the_operator_may_name_where_the_id_stands() -> None:
    config = CONFIG.model_copy(update={"id_fields": ("wa.message",)})
    body = {"eventName": "message.incoming", "data": {"from": "5491155550100", "id": "no"}}
    body["data"]["wa"] = {"message": "3EB0"}  # type: ignore[index]
    context = FakeContext()
    request = plugin.WebhookRequest(
        url=context.webhook_url(), body=json.dumps(body).encode(), received_at=NOON
    )

    (event,) = Builderbot(config, context).parse(request)

    assert event.dedupe_key == "message:3EB0"
