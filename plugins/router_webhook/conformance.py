"""What ``router plugins check webhook`` runs."""

import httpx
from pydantic import SecretStr

from router.plugin import ActionResult, OutcomeUnknown, Refused, Unavailable
from router.plugin.testing import ActionSuite, Expected, Run
from router_webhook.action import Webhook, WebhookConfig, WebhookParams
from router_webhook.lookup import Lookup, LookupParams

URL = "https://crm.example/hooks/router"

CALL: dict[str, object] = {
    "id": ActionSuite.call_id,
    "action": "test",
    "tenant": "main",
    "conversation": None,
    "contact": {},
    "because": "",
}


class WebhookConformance(ActionSuite):
    """The webhook's rows."""

    action = Webhook
    config = WebhookConfig(
        url=URL,
        secret=SecretStr("sign-with-this"),
        bearer_token=SecretStr("bearer-only-here"),
        headers={"X-Team": "support"},
        secret_headers={"X-Api-Key": SecretStr("key-only-here")},
    )
    params = WebhookParams

    runs = (
        Run(
            "notice and data",
            {"title": "Juicio", "text": "Nos vemos en juicio.", "data": {"order": 7}},
            httpx.Response(202),
            expect=ActionResult("crm.example answered 202", {"status": 202}),
            requests=[
                Expected(
                    "POST",
                    URL,
                    headers={
                        "Content-Type": "application/json",
                        "Idempotency-Key": ActionSuite.call_id,
                        "Authorization": "Bearer bearer-only-here",
                        "X-Team": "support",
                        "X-Api-Key": "key-only-here",
                        "X-Router-Timestamp": "1772442000",
                        "X-Router-Signature": (
                            "t=1772442000,v1="
                            "9ba3d4a3eddb846a0406106ac294ed3a3d4d164f293495c43a007ff74390f31d"
                        ),
                    },
                    json={
                        **CALL,
                        "params": {
                            "title": "Juicio",
                            "text": "Nos vemos en juicio.",
                            "url": None,
                            "data": {"order": 7},
                        },
                    },
                )
            ],
        ),
        Run(
            "throttled",
            {"title": "Juicio"},
            httpx.Response(429, headers={"Retry-After": "30"}),
            raises=Unavailable(code="429", retry_after=30.0),
        ),
        Run("gone", {"title": "Juicio"}, httpx.Response(410), raises=Refused(code="410")),
    )


class LookupConformance(ActionSuite):
    """The lookup's rows."""

    action = Lookup
    config = WebhookConfig(url=URL, bearer_token=SecretStr("bearer-only-here"))
    params = LookupParams

    runs = (
        Run(
            "an object",
            {"query": "A-17"},
            httpx.Response(200, json={"state": "on its way"}),
            expect=ActionResult(data={"state": "on its way"}),
            requests=[
                Expected(
                    "POST",
                    URL,
                    headers={
                        "Content-Type": "application/json",
                        "Idempotency-Key": ActionSuite.call_id,
                        "Authorization": "Bearer bearer-only-here",
                        "X-Router-Timestamp": "1772442000",
                    },
                    json={**CALL, "params": {"query": "A-17"}},
                )
            ],
        ),
        Run(
            "a list",
            {"query": "A-17"},
            httpx.Response(200, json=[{"state": "on its way"}]),
            expect=ActionResult(data={"found": [{"state": "on its way"}]}),
        ),
        Run(
            "a text",
            {"query": "A-17"},
            httpx.Response(200, text=" Llega mañana.\n"),
            expect=ActionResult("Llega mañana."),
        ),
        Run("nothing", {"query": "A-17"}, httpx.Response(204), expect=ActionResult()),
        Run(
            "JSON that is none",
            {"query": "A-17"},
            httpx.Response(200, text="{", headers={"Content-Type": "application/json"}),
            raises=OutcomeUnknown,
        ),
        Run(
            "too large", {"query": "A-17"}, httpx.Response(200, text="x" * 300_000), raises=Refused
        ),
        Run("not there", {"query": "A-17"}, httpx.Response(404), raises=Refused(code="404")),
    )
