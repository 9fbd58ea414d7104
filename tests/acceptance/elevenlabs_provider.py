"""ElevenLabs on this machine: conversations, batches, and its signed post-call webhooks."""

import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.acceptance.daemon import PATIENCE, TLS, Daemon
from tests.acceptance.provider import Handler, Whim, serving

AGENT = "agent_0001"
API_KEY = "xi-0123456789abcdef-never-shown"
SECRET = "wsec_0123456789abcdef_never_shown"
ACCOUNT_KEY = "account-key-0123456789-never-shown"
HOOK = "/hooks/calls"

_ROOT = "/v1/convai"


def conversation(
    name: str,
    number: str,
    *,
    status: str = "done",
    summary: str = "Quiere la factura de marzo.",
    client: str = "Ana",
    batch: str | None = None,
    direction: str = "outbound",
) -> dict[str, Any]:
    """Give a conversation as the API and the webhook show it."""
    return {
        "agent_id": AGENT,
        "conversation_id": name,
        "status": status,
        "transcript": [
            {
                "role": "agent",
                "message": "Hola, le llamamos de La Esquina.",
                "time_in_call_secs": 0,
            },
            {"role": "user", "message": "Necesito la factura.", "time_in_call_secs": 4},
        ],
        "metadata": {
            "start_time_unix_secs": int(time.time()) - 60,
            "call_duration_secs": 42,
            "termination_reason": "end_call tool",
            "main_language": "es",
            "cost_fiat": None,
            "phone_call": {
                "type": "twilio",
                "direction": direction,
                "phone_number_id": "phnum_0001",
                "agent_number": "+14155550199",
                "external_number": number,
                "call_sid": f"CA{name}",
                "stream_sid": f"MZ{name}",
            },
            "batch_call": batch
            and {"batch_call_id": batch, "batch_call_recipient_id": f"rcpt_{name}"},
        },
        "analysis": {
            "call_successful": "success",
            "transcript_summary": summary,
            "evaluation_criteria_results": {},
            "data_collection_results": {
                "mes": {"data_collection_id": "mes", "value": "marzo", "rationale": ""}
            },
        },
        "conversation_initiation_client_data": {"dynamic_variables": {"client_name": client}},
        "has_audio": True,
        "has_user_audio": True,
        "has_response_audio": True,
        "has_auxiliary_audio": False,
    }


def webhook(data: Any, kind: str = "post_call_transcription") -> bytes:
    """Give the body of a webhook."""
    at = int(time.time())
    return json.dumps({"type": kind, "event_timestamp": at, "data": data}).encode()


def signature(body: bytes, *, secret: str = SECRET, at: float | None = None) -> str:
    """Sign as ElevenLabs does: this is not the plugin's own code."""
    stamp = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, "sha256").hexdigest()
    return f"t={stamp},v0={mac}"


def call(
    daemon: Daemon, body: bytes, *, headers: Mapping[str, str] | None = None, path: str = HOOK
) -> httpx.Response:
    """Call a webhook.

    :param headers: in place of the signature.
    """
    if headers is None:
        headers = {"ElevenLabs-Signature": signature(body)}
    common = {"Content-Type": "application/json"}
    return httpx.post(
        daemon.url + path,
        content=body,
        headers={**common, **headers},
        timeout=PATIENCE,
        verify=TLS,
    )


class ElevenLabs:
    """What the tests know of it.

    :ivar mood: asked for each batch that is submitted, with how many came before.
    :ivar recordings: what the recording of each conversation is, as far as it is there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._conversations: dict[str, dict[str, Any]] = {}
        self._batches: dict[str, dict[str, Any]] = {}
        self._asked: list[str] = []
        self.submitted: list[dict[str, Any]] = []
        self.recordings: dict[str, bytes] = {}
        self.mood: Callable[[int], Whim | None] = lambda _number: None
        self.url = ""

    def asked(self) -> list[str]:
        """Give the paths that were asked for, in order, queries included."""
        with self._lock:
            return list(self._asked)

    def ended(self, *conversations: dict[str, Any]) -> None:
        """Let conversations be listed."""
        with self._lock:
            for each in conversations:
                self._conversations[each["conversation_id"]] = each

    def finish(self, batch: str, *conversations: dict[str, Any]) -> None:
        """Let somebody of a batch have been called, each the next one who was not."""
        self.ended(*conversations)
        with self._lock:
            here = self._batches[batch]
            waiting = [it for it in here["recipients"] if it["conversation_id"] is None]
            for recipient, each in zip(waiting, conversations, strict=False):
                recipient["conversation_id"] = each["conversation_id"]
                recipient["status"] = "completed"
                recipient["updated_at_unix"] = int(time.time())
            here["last_updated_at_unix"] = int(time.time())
            left = [it for it in here["recipients"] if it["conversation_id"] is None]
            here["status"] = "in_progress" if left else "completed"

    def batches(self) -> list[str]:
        with self._lock:
            return list(self._batches)

    # --- answering

    def get(self, path: str, query: Mapping[str, str]) -> Any:
        with self._lock:
            parts = path.removeprefix(_ROOT).strip("/").split("/")
            match parts:
                case ["agents", name]:
                    return {"agent_id": name} if name == AGENT else None
                case ["conversations"]:
                    return self._page(query)
                case ["conversations", name]:
                    return self._conversations.get(name)
                case ["batch-calling", "workspace"]:
                    found = [_without_recipients(it) for it in reversed(self._batches.values())]
                    return {"batch_calls": found, "next_doc": None, "has_more": False}
                case ["batch-calling", name]:
                    return self._batches.get(name)
            return None

    def _page(self, query: Mapping[str, str]) -> dict[str, Any]:
        after = int(query.get("call_start_after_unix", "0"))
        found = [
            {
                "agent_id": it["agent_id"],
                "conversation_id": it["conversation_id"],
                "start_time_unix_secs": it["metadata"]["start_time_unix_secs"],
                "call_duration_secs": it["metadata"]["call_duration_secs"],
                "message_count": len(it["transcript"]),
                "status": it["status"],
                "call_successful": "success",
            }
            for it in reversed(self._conversations.values())
            if it["agent_id"] == query["agent_id"]
            and it["metadata"]["start_time_unix_secs"] > after
        ]
        size, begin = int(query.get("page_size", "30")), int(query.get("cursor", "0"))
        more = len(found) > begin + size
        return {
            "conversations": found[begin : begin + size],
            "has_more": more,
            "next_cursor": str(begin + size) if more else None,
        }

    def submit(self, body: dict[str, Any]) -> tuple[dict[str, Any] | None, Whim]:
        with self._lock:
            whim = self.mood(len(self.submitted)) or Whim()
            self.submitted.append(body)
            if not whim.taken:
                return None, whim
            name, now = f"btcal_{len(self._batches) + 1:04}", int(time.time())
            batch = {
                "id": name,
                "name": body["call_name"],
                "agent_id": body["agent_id"],
                "phone_number_id": body["agent_phone_number_id"],
                "created_at_unix": now,
                "scheduled_time_unix": body.get("scheduled_time_unix", now),
                "total_calls_dispatched": 0,
                "total_calls_scheduled": len(body["recipients"]),
                "total_calls_finished": 0,
                "last_updated_at_unix": now,
                "status": "in_progress",
                "retry_count": 0,
                "recipients": [
                    {
                        "id": f"rcpt_{number}",
                        "phone_number": it["phone_number"],
                        "status": "pending",
                        "created_at_unix": now,
                        "updated_at_unix": now,
                        "conversation_id": None,
                    }
                    for number, it in enumerate(body["recipients"])
                ],
            }
            self._batches[name] = batch
            return _without_recipients(batch), whim

    def cancel(self, name: str) -> dict[str, Any] | None:
        with self._lock:
            batch = self._batches.get(name)
            if batch is not None:
                batch["status"], batch["last_updated_at_unix"] = "cancelled", int(time.time())
            return batch and _without_recipients(batch)

    def note(self, path: str) -> None:
        with self._lock:
            self._asked.append(path)

    def wait(self, seconds: float) -> None:
        self._awake.wait(seconds)

    def close(self) -> None:
        self._awake.set()


def _without_recipients(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in batch.items() if name != "recipients"}


class _ElevenLabsHandler(Handler):
    def __init__(self, elevenlabs: ElevenLabs, *arguments: Any) -> None:
        self._elevenlabs = elevenlabs
        super().__init__(*arguments)

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self._elevenlabs.note(self.path)
        parts = urlsplit(self.path)
        query = {name: value for name, (value, *_) in parse_qs(parts.query).items()}
        if not self._is_known():
            return
        *_, name, last = parts.path.split("/")
        recording = self._elevenlabs.recordings.get(name)
        if last == "audio" and recording is not None:
            self.answer(200, recording, Content_Type="audio/mpeg")
        else:
            self._json(self._elevenlabs.get(parts.path, query))

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        self._elevenlabs.note(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if not self._is_known():
            return
        if self.path == f"{_ROOT}/batch-calling/submit":
            batch, whim = self._elevenlabs.submit(json.loads(body))
            if whim.seconds:
                self._elevenlabs.wait(whim.seconds)
            if whim.hang_up:
                self.hang_up()
            elif batch is None:
                self.answer(whim.status, b'{"detail": {"message": "no"}}')
            else:
                self._json(batch)
        elif self.path.endswith("/cancel"):
            self._json(self._elevenlabs.cancel(self.path.split("/")[-2]))
        else:
            self._json(None)

    def _is_known(self) -> bool:
        if self.headers["xi-api-key"] == API_KEY:
            return True
        self.answer(401, b'{"detail": {"status": "invalid_api_key", "message": "no"}}')
        return False

    def _json(self, body: object) -> None:
        status = 200 if body is not None else 404
        content = body if body is not None else {"detail": {"status": "not_found"}}
        self.answer(status, json.dumps(content).encode(), Content_Type="application/json")


@contextmanager
def running() -> Iterator[ElevenLabs]:
    """Run ElevenLabs until the context is left."""
    elevenlabs = ElevenLabs()
    with serving(partial(_ElevenLabsHandler, elevenlabs)) as server:
        elevenlabs.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield elevenlabs
        finally:
            elevenlabs.close()
