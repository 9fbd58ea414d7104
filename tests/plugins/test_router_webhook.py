"""The webhook action keeps the contract, and its receivers can check what it sends."""

import hmac
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from router import plugin
from router.errors import ConfigError
from router.plugin.testing import FakeContext, conformance
from router.settings.loading import load_settings
from router.toml import Problem
from router_webhook import Webhook, WebhookConfig, WebhookParams, router_register
from router_webhook.conformance import LookupConformance, WebhookConformance

ROOT = Path(__file__).parents[2]
README = (ROOT / "plugins" / "router_webhook" / "README.md").read_text(encoding="utf-8")

NOT_SENDABLE = "the secret has to be printable ASCII: it is sent as a header"


class TestWebhook(WebhookConformance):
    pass


class TestLookup(LookupConformance):
    pass


@pytest.mark.parametrize("kind", ["webhook", "lookup"])
def test_ships_what_router_plugins_check_runs(kind: str) -> None:
    registry = plugin.Registry()
    router_register(registry)

    results = conformance(registry.actions[kind])

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
        url="https://crm.example/hook",
        headers={"idempotency-key": "mine", "X-Team": "a"},
        secret_headers={"CONTENT-TYPE": SecretStr("text/plain")},
    )
    call = plugin.ActionCall(id="c1", action="crm", tenant="main", params=WebhookParams())
    async with FakeContext(httpx.Response(204)) as context:
        await Webhook(config, context).run(call)

    (request,) = context.requests
    assert request.headers.get_list("Idempotency-Key") == ["c1"]
    assert request.headers.get_list("Content-Type") == ["application/json"]
    assert request.headers["X-Team"] == "a"
    assert "Authorization" not in request.headers
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
        (
            {"url": "https://crm.example", "bearer_token": "one\ntwo"},
            f"bearer_token: Value error, {NOT_SENDABLE}",
        ),
        (
            {"url": "https://crm.example", "headers": {"X Team": "a"}},
            "headers.X Team.[key]: Value error, 'X Team' cannot be the name of a header",
        ),
        (
            {"url": "https://crm.example", "headers": {"X-Team": "ñ"}},
            "headers.X-Team: Value error, a header has to be printable ASCII",
        ),
        (
            {"url": "https://crm.example", "secret_headers": {"X-Key": ""}},
            f"secret_headers.X-Key: Value error, {NOT_SENDABLE}",
        ),
        (
            {
                "url": "https://crm.example",
                "headers": {"X-Key": "a"},
                "secret_headers": {"x-key": "b"},
            },
            "secret_headers: Value error, x-key is given twice",
        ),
        (
            {
                "url": "https://crm.example",
                "bearer_token": "a",
                "secret_headers": {"authorization": "b"},
            },
            "secret_headers: Value error, authorization is given twice",
        ),
        (
            {
                "url": "https://crm.example",
                "bearer_token": "a",
                "headers": {"Authorization": "b"},
            },
            "headers: Value error, Authorization is given twice",
        ),
    ],
)
def test_a_table_that_cannot_work_is_refused(table: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WebhookConfig.model_validate(table)

    (error,) = caught.value.errors()
    assert f"{'.'.join(map(str, error['loc']))}: {error['msg']}" == problem


def test_the_examples_of_its_guide_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "gateway"
    key.write_text("key-of-nobody\n", encoding="utf-8")
    monkeypatch.setenv("CRM_SIGNING_SECRET", "signs-for-nobody")
    monkeypatch.setenv("GATEWAY_TOKEN", "token-of-nobody")
    monkeypatch.setenv("ERP_TOKEN", "erp-of-nobody")
    blocks = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    text = "\n".join(blocks).replace("/run/secrets/gateway", str(key))
    (tmp_path / "router.toml").write_text(text, encoding="utf-8")

    registry = plugin.Registry()
    router_register(registry)
    settings = load_settings(tmp_path / "router.toml", registry, run=True)

    config = settings.actions["gateway"].config
    assert isinstance(config, WebhookConfig)
    assert config.sent_headers == {
        "X-Team": "support",
        "Authorization": "Bearer token-of-nobody",
        "X-Api-Key": "key-of-nobody",
    }
    assert settings.actions["order_status"].description.startswith("Says where an order is")
    assert "of-nobody" not in repr(settings)
    assert {"token-of-nobody", "key-of-nobody", "signs-for-nobody"} <= settings.secrets


@pytest.mark.parametrize(
    "line", ['bearer_token = "abc-in-the-open"', 'secret_headers = { X-Key = "abc-in-the-open" }']
)
def test_a_token_that_stands_in_the_file_is_refused_and_not_repeated(
    tmp_path: Path, line: str
) -> None:
    table = f'[actions.crm]\ntype = "webhook"\nurl = "https://crm.example"\n{line}\n'
    (tmp_path / "router.toml").write_text(table, encoding="utf-8")
    registry = plugin.Registry()
    router_register(registry)

    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "router.toml", registry, run=False)

    (problem,) = caught.value.problems
    assert isinstance(problem, Problem)
    assert "is a secret, and must not stand here itself" in problem.message
    assert "in-the-open" not in problem.render()


def test_its_guide_names_every_setting() -> None:
    table = README.split("| setting | default | meaning |")[1].partition("\n\n")[0]

    stated = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(stated) == sorted(WebhookConfig.model_fields)
