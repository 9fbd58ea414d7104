"""What ``router plugins check`` runs for ``elevenlabs_calls`` and ``elevenlabs_batch``."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import httpx
from pydantic import SecretStr

from router import plugin
from router.plugin import WebhookRequest
from router.plugin.testing import ActionSuite, ChannelSuite, Expected, Fetch, Poll, Respond, Run
from router_elevenlabs_calls.channel import ElevenLabsCalls
from router_elevenlabs_calls.config import ElevenLabsBatchConfig, ElevenLabsCallsConfig
from router_elevenlabs_calls.conformance_calls import AGENT, ANA, CALLS
from router_elevenlabs_calls.conformance_polls import POLLS
from router_elevenlabs_calls.conformance_recordings import FETCHES
from router_elevenlabs_calls.dialling import BatchParams, ElevenLabsBatch
from router_elevenlabs_calls.personalization import ENDPOINT
from router_elevenlabs_calls.signatures import sign

SECRET = "wsec_fictional_0001"  # noqa: S105 - it is nobody's
OLD_SECRET = "wsec_fictional_0000"  # noqa: S105 - it is nobody's
ACCOUNT_KEY = "account-key-of-nobody"

_CALLER = {
    "caller_id": "+5491155550100",
    "agent_id": AGENT,
    "called_number": "+14155550199",
    "call_sid": "CA00000000000000000000000000000001",
}
_UNKNOWN = {
    "contact_id": "",
    "contact_name": "cliente",
    "contact_language": "",
    "history_summary": "",
    "last_call_summary": "",
    "open_tickets": "0",
    "shop": "La Esquina",
}


def _told(**variables: str) -> dict[str, object]:
    return {
        "type": "conversation_initiation_client_data",
        "dynamic_variables": {**_UNKNOWN, **variables},
    }


def _asking(**fields: object) -> bytes:
    return json.dumps({**_CALLER, **fields}).encode()


class ElevenLabsCallsConformance(ChannelSuite):
    """The rows of the channel ``elevenlabs_calls``."""

    channel = ElevenLabsCalls
    config = ElevenLabsCallsConfig(
        api_key=SecretStr("xi-key-of-nobody"),
        webhook_secret=(SecretStr(SECRET), SecretStr(OLD_SECRET)),
        account_key=SecretStr(ACCOUNT_KEY),
        agents=(AGENT,),
        variables={"contact_name": "cliente", "shop": "La Esquina"},
    )
    exempt: ClassVar = {
        "sends": "a call that is over takes no text; what is sent here is refused",
        "provider_errors": "nothing is sent to the provider",
    }

    receives = CALLS
    fetches: ClassVar[Sequence[Fetch]] = FETCHES
    credential_hosts = ("api.elevenlabs.io",)
    polls: ClassVar[Sequence[Poll]] = POLLS
    responds: ClassVar[Sequence[Respond]] = (
        Respond(
            "somebody known",
            ENDPOINT,
            _asking(),
            people={
                ANA: plugin.Card(id="42", name="Ana", language="es", open_tickets=1),
            },
            json=_told(
                contact_id="42", contact_name="Ana", contact_language="es", open_tickets="1"
            ),
        ),
        Respond("somebody unknown", ENDPOINT, _asking(), json=_told()),
        Respond("another's agent", ENDPOINT, _asking(agent_id="agent_9"), json=_told()),
        Respond("a hidden number", ENDPOINT, _asking(caller_id="anonymous"), json=_told()),
        Respond("no JSON", ENDPOINT, b"<xml/>", json=_told()),
    )

    def sign(self, request: WebhookRequest) -> WebhookRequest:
        """Sign as ElevenLabs does, or say the key that its personalization webhook is given."""
        if request.endpoint == ENDPOINT:
            return replace(request, headers={"X-Account-Key": ACCOUNT_KEY})
        signature = sign(request.body, SECRET, int(request.received_at.timestamp()))
        return replace(request, headers={"ElevenLabs-Signature": signature})


#: A batch as ElevenLabs describes one that it has just taken.
_TAKEN = {
    "id": "btcal_0001",
    "name": "Noviembre [01k7conformancecall0000000]",
    "agent_id": AGENT,
    "phone_number_id": "phnum_0001",
    "created_at_unix": 1_763_600_000,
    "scheduled_time_unix": 1_763_600_000,
    "total_calls_dispatched": 0,
    "total_calls_scheduled": 2,
    "total_calls_finished": 0,
    "last_updated_at_unix": 1_763_600_000,
    "status": "pending",
    "retry_count": 0,
}
_DONE = plugin.ActionResult("batch btcal_0001", {"id": "btcal_0001"}, "btcal_0001")
_BATCH_API = "https://api.elevenlabs.io/v1/convai/batch-calling"
_BATCH_KEY = {"xi-api-key": "xi-key-of-nobody"}


class ElevenLabsBatchConformance(ActionSuite):
    """The rows of the action ``elevenlabs_batch``."""

    action = ElevenLabsBatch
    config = ElevenLabsBatchConfig(
        api_key=SecretStr("xi-key-of-nobody"),
        agent=AGENT,
        phone_number_id="phnum_0001",
        concurrency=5,
    )
    params = BatchParams
    exempt: ClassVar = {
        "repeat": "what ends a batch, or looks for one, has no id of ours to carry; a batch's "
        "name has"
    }
    runs: ClassVar[Sequence[Run]] = (
        Run(
            "a batch",
            {
                "name": "Noviembre",
                "at": "2026-12-01T09:00:00-05:00",
                "recipients": [
                    {"phone_number": "+573001234567", "variables": {"client_name": "Ana"}},
                    {"phone_number": "+573009876543"},
                ],
            },
            httpx.Response(200, json=_TAKEN),
            expect=_DONE,
            requests=[
                Expected(
                    "POST",
                    f"{_BATCH_API}/submit",
                    headers=_BATCH_KEY,
                    json={
                        "call_name": "Noviembre [01k7conformancecall0000000]",
                        "agent_id": AGENT,
                        "agent_phone_number_id": "phnum_0001",
                        "scheduled_time_unix": 1_796_133_600,
                        "target_concurrency_limit": 5,
                        "telephony_call_config": {"ringing_timeout_secs": 60},
                        "recipients": [
                            {
                                "phone_number": "+573001234567",
                                "conversation_initiation_client_data": {
                                    "dynamic_variables": {"client_name": "Ana"}
                                },
                            },
                            {"phone_number": "+573009876543"},
                        ],
                    },
                )
            ],
        ),
        Run(
            "a batch is ended",
            {"cancel": "btcal_0001"},
            httpx.Response(200, json={**_TAKEN, "status": "cancelled"}),
            expect=_DONE,
            requests=[Expected("POST", f"{_BATCH_API}/btcal_0001/cancel", headers=_BATCH_KEY)],
        ),
        Run(
            "no money",
            {"recipients": [{"phone_number": "+573001234567"}]},
            httpx.Response(402, json={"detail": {"status": "quota_exceeded", "message": "no"}}),
            raises=plugin.Refused,
        ),
        Run(
            "an answer that names no batch",
            {"recipients": [{"phone_number": "+573001234567"}]},
            httpx.Response(200, json={}),
            raises=plugin.OutcomeUnknown,
        ),
    )
