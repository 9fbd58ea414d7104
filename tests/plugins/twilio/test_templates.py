"""Templates are listed by Twilio's Content API, page by page, with their approval."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from router.plugin import OutcomeUnknown, ProviderError, Refused, TemplateInfo, Unavailable
from router.plugin.testing import FakeContext
from router_twilio import TwilioConfig, TwilioWhatsApp

URL = "https://content.twilio.com/v1/ContentAndApprovals"
ONE: dict[str, Any] = {
    "sid": "HXaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "account_sid": "AC1",
    "friendly_name": "Seguimiento",
    "language": "es",
    "variables": {"1": "Ana"},
    "types": {"twilio/text": {"body": "Hola {{1}}. Hablamos de: {{ 2 }}"}},
    "approval_requests": {
        "name": "seguimiento",
        "category": "UTILITY",
        "content_type": "twilio/text",
        "status": "approved",
        "rejection_reason": "",
        "allow_category_change": True,
    },
}
INFO = TemplateInfo(
    ref="HXaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    name="seguimiento",
    language="es",
    status="approved",
    category="utility",
    variables=frozenset({"1", "2"}),
    in_window=True,
)


def page(*contents: Any, following: str | None = None) -> httpx.Response:
    meta = {"page": 0, "page_size": 500, "next_page_url": following, "key": "contents"}
    return httpx.Response(200, json={"contents": list(contents), "meta": meta})


async def ask(*replies: httpx.Response) -> tuple[Any, list[str]]:
    config = TwilioConfig.model_validate(
        {"account_sid": "AC1", "auth_token": SecretStr("nobody"), "sender": "+14155550199"}
    )
    async with FakeContext(*replies) as context:
        channel = TwilioWhatsApp(config, context)
        outcome: Any
        try:
            outcome = await channel.templates()
        except ProviderError as error:
            outcome = error
        assert context.unused == ()
        assert all(one.headers["Authorization"].startswith("Basic ") for one in context.requests)
        return outcome, [str(one.url) for one in context.requests]


@pytest.mark.parametrize(
    "listed, info",
    [
        (ONE, INFO),
        (
            {"sid": "HX2", "friendly_name": "Nuevo", "language": "en", "approval_requests": None},
            TemplateInfo(ref="HX2", name="Nuevo", language="en", status="unsubmitted"),
        ),
        (
            {
                "sid": "HX3",
                "language": "pt_BR",
                "variables": {"nome": "Ana"},
                "approval_requests": {"status": "REJECTED", "rejection_reason": "promotional"},
            },
            TemplateInfo(
                ref="HX3",
                name="",
                language="pt_BR",
                status="rejected",
                variables=frozenset({"nome"}),
                reason="promotional",
            ),
        ),
        (
            {**ONE, "types": {**ONE["types"], "twilio/call-to-action": {"body": "x"}}},
            replace(INFO, variables=frozenset({"1", "2"}), in_window=False),
        ),
        (
            {**ONE, "types": {"twilio/list-picker": {}}, "variables": None},
            replace(INFO, variables=frozenset()),
        ),
    ],
)
async def test_a_template_is_read(listed: dict[str, Any], info: TemplateInfo) -> None:
    outcome, asked = await ask(page(listed))

    assert outcome == [info]
    assert asked == [f"{URL}?PageSize=500"]


async def test_every_page_is_read() -> None:
    further = f"{URL}?PageSize=500&Page=1&PageToken=x"

    outcome, asked = await ask(page(ONE, following=further), page(ONE))

    assert outcome == [INFO, INFO]
    assert asked == [f"{URL}?PageSize=500", further]


@pytest.mark.parametrize(
    "reply, error",
    [
        (httpx.Response(401, json={"code": 20003, "message": "no"}), Refused),
        (httpx.Response(429), Unavailable),
        (httpx.Response(500), OutcomeUnknown),
        (httpx.Response(200, content=b"<html>"), OutcomeUnknown),
        (httpx.Response(200, json={"contents": 1}), OutcomeUnknown),
        (httpx.Response(200, json={"contents": [], "meta": []}), OutcomeUnknown),
        (page(following="https://evil.example/v1/ContentAndApprovals"), OutcomeUnknown),
    ],
)
async def test_what_does_not_tell_is_an_error(
    reply: httpx.Response, error: type[ProviderError]
) -> None:
    outcome, asked = await ask(reply)

    assert isinstance(outcome, error)
    assert len(asked) == 1
    assert "nobody" not in str(outcome)
