"""What ``router plugins check webhook`` runs."""

import httpx
from pydantic import SecretStr

from router.plugin import ActionResult, Refused, Unavailable
from router.plugin.testing import ActionSuite, Expected, Run
from router_webhook.action import Webhook, WebhookConfig, WebhookParams

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
        url=URL, secret=SecretStr("sign-with-this"), headers={"X-Team": "support"}
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
                        "X-Team": "support",
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
