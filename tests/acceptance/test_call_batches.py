"""Programs have many called, and recordings of calls are kept: with a real daemon."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance import elevenlabs_provider as calling
from tests.acceptance.daemon import PATIENCE, Daemon, folder_of, wait_for
from tests.acceptance.elevenlabs_provider import (
    AGENT,
    API_KEY,
    SECRET,
    ElevenLabs,
    conversation,
    webhook,
)
from tests.acceptance.provider import HANGS_UP

CONFIG = """
[router]
rules = ["rules.toml"]
timezone = "UTC"

[channels.calls]
type = "elevenlabs_calls"
api_key = {{ env = "ELEVENLABS_API_KEY" }}
webhook_secret = {{ env = "ELEVENLABS_WEBHOOK_SECRET" }}
agents = ["{agent}"]
base_url = "{url}"
recordings = true

[actions.dial]
type = "elevenlabs_batch"
api_key = {{ env = "ELEVENLABS_API_KEY" }}
agent = "{agent}"
phone_number_id = "phnum_0001"
base_url = "{url}"
breaker_pause = "1s"
"""

FILES = {
    "rules.toml": 'default.ignore = "nobody asked"\n',
    ".env": f"ELEVENLABS_API_KEY={API_KEY}\nELEVENLABS_WEBHOOK_SECRET={SECRET}\n",
}
ANA = "+573001234567"
BATCH: dict[str, Any] = {
    "name": "Noviembre",
    "recipients": [{"phone_number": "+57 300 123 4567", "variables": {"client_name": "Ana"}}],
}
MP3 = b"ID3\x04" + b"la llamada" * 100


@pytest.fixture
def elevenlabs() -> Iterator[ElevenLabs]:
    with calling.running() as elevenlabs:
        yield elevenlabs


@pytest.fixture
def daemon(tmp_path: Path, elevenlabs: ElevenLabs) -> Iterator[Daemon]:
    config = CONFIG.format(agent=AGENT, url=elevenlabs.url)
    with folder_of(tmp_path, config, FILES) as daemon:
        daemon.start()
        yield daemon


def told(daemon: Daemon, *arguments: str) -> Any:
    return json.loads(daemon.command(*arguments, "--json"))


def test_a_program_submits_a_batch_once_whatever_is_lost_on_the_way(
    daemon: Daemon, elevenlabs: ElevenLabs
) -> None:
    elevenlabs.mood = lambda _number: HANGS_UP  # it has the batch, and its answer is lost
    token = told(daemon, "token", "create", "--name", "crm", "--scopes", "calls:read,calls:write")

    def post(path: str, body: Any = None, **headers: str) -> httpx.Response:
        return httpx.post(
            f"{daemon.url}/api/v1/{path}",
            json=body,
            headers={"Authorization": f"Bearer {token['text']}", **headers},
            timeout=PATIENCE,
        )

    def batch() -> Any:
        (found,) = told(daemon, "calls", "batches")
        return found

    key = {"Idempotency-Key": "crm-1"}
    first = post("call-batches", BATCH, **key)
    assert first.status_code == 202, first.text
    wait_for(lambda: len(elevenlabs.submitted) > 0, "it is submitted")
    daemon.kill()
    daemon.start()
    again = post("call-batches", BATCH, **key)
    without = post("call-batches", BATCH)
    wait_for(lambda: batch()["batch"] == "btcal_0001", "it is found there")
    ended = [post(f"call-batches/{name}/cancel") for name in (batch()["id"], "btcal_0001")]
    wait_for(lambda: batch()["cancel_state"] == "done", "it is cancelled")

    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert without.status_code == 409
    assert without.headers["Content-Type"] == "application/problem+json"
    assert len(elevenlabs.submitted) == 1
    assert [it["phone_number"] for it in elevenlabs.submitted[0]["recipients"]] == [ANA]
    assert {it.status_code for it in ended} == {202}
    assert len({it.json()["item"] for it in ended}) == 1
    assert elevenlabs.get("/v1/convai/batch-calling/btcal_0001", {})["status"] == "cancelled"


def test_a_recording_is_kept_with_its_call_once_it_is_there(
    daemon: Daemon, elevenlabs: ElevenLabs, tmp_path: Path
) -> None:
    assert calling.call(daemon, webhook(conversation("conv_0001", ANA))).status_code == 200
    place = "/v1/convai/conversations/conv_0001/audio"
    wait_for(lambda: place in elevenlabs.asked(), "it is asked for")
    elevenlabs.recordings["conv_0001"] = MP3

    def size() -> Any:
        return told(daemon, "calls", "show", "conv_0001")["recording"].get("size")

    wait_for(lambda: size() == len(MP3), "it is kept")
    target = tmp_path / "llamada.mp3"
    daemon.command("calls", "recording", "conv_0001", str(target))

    assert target.read_bytes() == MP3
    assert API_KEY not in daemon.log + "".join(daemon.printed)
