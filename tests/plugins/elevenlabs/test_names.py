"""What leaves for ElevenLabs has the names and types that its published description knows.

The table is from its OpenAPI document of August 2026; what it reads is in the rows of the suite.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import FakeContext
from router_elevenlabs_calls import (
    ElevenLabsBatch,
    ElevenLabsBatchConfig,
    ElevenLabsCallsConfig,
    api,
)
from router_elevenlabs_calls.conformance_calls import AGENT
from router_elevenlabs_calls.dialling import BatchParams

KEY = "xi-key-of-nobody"


@dataclass(frozen=True)
class Described:
    """One operation.

    :param query: the parameters that are sent, with their types.
    :param body: the fields that are sent, with their types; those with a star are required.
    """

    method: str
    path: str
    query: Mapping[str, type] = field(default_factory=dict)
    body: Mapping[str, type] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


DESCRIBED = {
    "agent": Described("GET", "/v1/convai/agents/{agent_id}"),
    "conversation": Described("GET", "/v1/convai/conversations/{conversation_id}"),
    "listing": Described(
        "GET",
        "/v1/convai/conversations",
        {
            "agent_id": str,
            "call_start_after_unix": int,
            "page_size": int,
            "text_only": bool,
            "cursor": str,
        },
    ),
    "batches": Described(
        "GET", "/v1/convai/batch-calling/workspace", {"limit": int, "last_doc": str}
    ),
    "batch": Described("GET", "/v1/convai/batch-calling/{batch_id}"),
    "cancel": Described("POST", "/v1/convai/batch-calling/{batch_id}/cancel"),
    "submit": Described(
        "POST",
        "/v1/convai/batch-calling/submit",
        body={
            "call_name": str,
            "agent_id": str,
            "recipients": list,
            "agent_phone_number_id": str,
            "scheduled_time_unix": int,
            "target_concurrency_limit": int,
            "telephony_call_config": dict,
        },
        required=frozenset({"call_name", "agent_id", "recipients"}),
    ),
}
#: Of each recipient, and of how it rings.
RECIPIENT = {"phone_number": str, "conversation_initiation_client_data": dict}
INITIATION = {"dynamic_variables": dict}
RINGING = {"ringing_timeout_secs": int}


def calls_config() -> ElevenLabsCallsConfig:
    return ElevenLabsCallsConfig(
        api_key=SecretStr(KEY), webhook_secret=SecretStr("wsec_1"), agents=(AGENT,)
    )


async def made(name: str) -> httpx.Request:
    """Let the plugin make a request, with everything that it ever sends in it."""
    reply = {"id": "b1", "conversation_id": "c1"}
    config = calls_config()
    async with FakeContext(httpx.Response(200, json=reply)) as context:
        match name:
            case "agent":
                await api.ask(context.http, config, f"agents/{AGENT}")
            case "conversation":
                await api.readable(context, config, "c1")
            case "listing":
                await api.listing(context, config, AGENT, after=1, cursor="p2")
            case "batches":
                await api.batches(context, config, "d2")
            case "batch":
                await api.batch(context, config, "b1")
            case _:
                await _act(context, name)
        (request,) = context.requests
        return request


async def _act(context: FakeContext, name: str) -> None:
    action = ElevenLabsBatch(
        ElevenLabsBatchConfig(
            api_key=SecretStr(KEY), agent=AGENT, phone_number_id="phnum_1", concurrency=2
        ),
        context,
    )
    values: dict[str, Any] = {"cancel": "b1"}
    if name == "submit":
        person = {"phone_number": "+573001234567", "variables": {"client_name": "Ana"}}
        values = {"name": "x", "recipients": [person], "at": "2026-12-01T09:00:00-05:00"}
    params = BatchParams.model_validate(values)
    await action.run(plugin.ActionCall(id="01k7", action="dial", tenant="main", params=params))


def of_type(text: str, wanted: type) -> bool:
    if wanted is bool:
        return text in {"true", "false"}
    return wanted is str or bool(re.fullmatch(r"[0-9]+", text))


def fits(values: Mapping[str, Any], types: Mapping[str, type]) -> bool:
    return all(name in types and type(value) is types[name] for name, value in values.items())


@pytest.mark.parametrize("name", DESCRIBED)
async def test_every_name_and_type_is_one_that_is_described(name: str) -> None:
    described, request = DESCRIBED[name], await made(name)

    path = re.sub(r"\{[a-z_]+\}", "[^/]+", described.path)
    assert request.method == described.method
    assert re.fullmatch(path, request.url.path)
    assert request.headers["xi-api-key"] == KEY
    assert set(request.url.params) == set(described.query)
    for parameter, value in request.url.params.items():
        assert of_type(value, described.query[parameter]), parameter
    body = json.loads(request.content) if described.body else {}
    assert set(body) == set(described.body)
    assert fits(body, described.body)
    assert described.required <= set(body)
    assert fits(body.get("telephony_call_config", {}), RINGING)
    for recipient in body.get("recipients", ()):
        assert fits(recipient, RECIPIENT)
        assert fits(recipient["conversation_initiation_client_data"], INITIATION)
