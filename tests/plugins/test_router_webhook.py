"""The webhook action keeps the contract, and its receivers can check what it sends."""

import hmac
import json

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from router import plugin
from router.plugin.testing import FakeContext, conformance
from router_webhook import Webhook, WebhookConfig, WebhookParams, router_register
from router_webhook.conformance import WebhookConformance


class TestWebhook(WebhookConformance):
    pass


def test_ships_what_router_plugins_check_runs() -> None:
    registry = plugin.Registry()
    router_register(registry)

    results = conformance(registry.actions["webhook"])

    assert {result.outcome for result in results} == {"passed"}


def test_takes_notices_so_that_it_can_be_escalated_to() -> None:
    registry = plugin.Registry()

    router_register(registry)

    assert registry.actions["webhook"].params is WebhookParams
    notice = WebhookParams.model_validate({"title": "a", "text": "b", "url": "c"})
    assert notice.data == {}


async def test_a_receiver_can_check_the_signature_and_a_repeat_carries_the_same_key() -> None:
    config = WebhookConfig(url="http://127.0.0.1:9/hook", secret=SecretStr("sign-with-this"))
    call = plugin.ActionCall(
        id="c1", action="crm", tenant="main", params=WebhookParams(title="ñandú")
    )
    async with FakeContext(httpx.Response(200), httpx.Response(200)) as context:
        action = Webhook(config, context)
        await action.run(call)
        context.clock.advance(60)
        await action.run(call)

    first, second = context.requests
    assert json.loads(first.content) == call.as_json()
    assert first.content == second.content
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == "c1"
    for request in (first, second):
        timestamp = request.headers["X-Router-Timestamp"]
        mac = hmac.new(b"sign-with-this", f"{timestamp}.".encode() + request.content, "sha256")
        assert request.headers["X-Router-Signature"] == f"t={timestamp},v1={mac.hexdigest()}"
    assert first.headers["X-Router-Timestamp"] != second.headers["X-Router-Timestamp"]


async def test_without_a_secret_nothing_is_signed_and_its_own_headers_win() -> None:
    config = WebhookConfig(
        url="https://crm.example/hook", headers={"Idempotency-Key": "mine", "X-Team": "a"}
    )
    call = plugin.ActionCall(id="c1", action="crm", tenant="main", params=WebhookParams())
    async with FakeContext(httpx.Response(204)) as context:
        await Webhook(config, context).run(call)

    (request,) = context.requests
    assert request.headers["Idempotency-Key"] == "c1"
    assert request.headers["X-Team"] == "a"
    assert "X-Router-Signature" not in request.headers


@pytest.mark.parametrize(
    "table, problem",
    [
        ({}, "url: Field required"),
        (
            {"url": "crm.example/hook"},
            "url: Value error, write a whole address, such as https://example.org/hook",
        ),
        (
            {"url": "ftp://crm.example/hook"},
            "url: Value error, write a whole address, such as https://example.org/hook",
        ),
        (
            {"url": "https://crm.example", "secret": ""},
            "secret: Value error, the secret is empty; anybody could sign with it",
        ),
        (
            {"url": "https://crm.example", "sekret": "x"},
            "sekret: Extra inputs are not permitted",
        ),
    ],
)
def test_a_table_that_cannot_work_is_refused(table: dict[str, str], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WebhookConfig.model_validate(table)

    (error,) = caught.value.errors()
    assert f"{error['loc'][0]}: {error['msg']}" == problem
