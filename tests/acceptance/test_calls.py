"""A call is over: one message at Twilio, whichever way the router learns of it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance import elevenlabs_provider as calling
from tests.acceptance import twilio_provider as writing
from tests.acceptance.daemon import Daemon, folder_of, wait_for
from tests.acceptance.elevenlabs_provider import (
    ACCOUNT_KEY,
    AGENT,
    API_KEY,
    SECRET,
    ElevenLabs,
    conversation,
    signature,
    webhook,
)
from tests.acceptance.provider import HANGS_UP, Whim
from tests.acceptance.twilio_provider import Twilio

ANA = "+573001234567"
OTHERS = [f"+57300765432{number}" for number in range(4)]

RULES = """
default.ignore = "nobody asked"

[template.seguimiento]
ref = "HX00000000000000000000000000000001"
text = "Hola {{1}}, sobre su llamada: {{2}}"

[[rule]]
id = "follow-up"
on = "call.ended"
when.call.outcome = "success"
[rule.then.message]
channel = "whatsapp"
text = "Hola {{ contact.name }}, ¿seguimos por aquí?"
template = "seguimiento"
variables = { 1 = "{{ contact.name or 'cliente' }}", 2 = "{{ call.summary }}" }
"""

CALLS = """
[channels.calls]
type = "elevenlabs_calls"
api_key = {{ env = "ELEVENLABS_API_KEY" }}
webhook_secret = {{ env = "ELEVENLABS_WEBHOOK_SECRET" }}
account_key = {{ env = "ACCOUNT_KEY" }}
agents = ["{agent}"]
base_url = "{url}"
poll = "{poll}"
safety_net = "{poll}"
breaker_pause = "1s"

[actions.dial]
type = "elevenlabs_batch"
api_key = {{ env = "ELEVENLABS_API_KEY" }}
agent = "{agent}"
phone_number_id = "phnum_0001"
base_url = "{url}"
breaker_pause = "1s"
"""

ENVIRONMENT = (
    f"TWILIO_AUTH_TOKEN={writing.TOKEN}\nELEVENLABS_API_KEY={API_KEY}\n"
    f"ELEVENLABS_WEBHOOK_SECRET={SECRET}\nACCOUNT_KEY={ACCOUNT_KEY}\n"
)


@pytest.fixture
def twilio() -> Iterator[Twilio]:
    with writing.running() as twilio:
        yield twilio


@pytest.fixture
def elevenlabs() -> Iterator[ElevenLabs]:
    with calling.running() as elevenlabs:
        yield elevenlabs


@pytest.fixture
def poll() -> str:
    return "200ms"


@pytest.fixture
def daemon(tmp_path: Path, twilio: Twilio, elevenlabs: ElevenLabs, poll: str) -> Iterator[Daemon]:
    calls = CALLS.format(agent=AGENT, url=elevenlabs.url, poll=poll)
    files = {"rules.toml": RULES, ".env": ENVIRONMENT}
    with folder_of(tmp_path, writing.router_toml(twilio) + calls, files) as daemon:
        daemon.start()
        yield daemon


def told(daemon: Daemon, *arguments: str) -> Any:
    return json.loads(daemon.command(*arguments, "--json"))


def polls(elevenlabs: ElevenLabs) -> int:
    return sum("/conversations?" in path for path in elevenlabs.asked())


def poll_again(elevenlabs: ElevenLabs) -> None:
    """Wait until the safety net has been cast twice more: the second one began after this."""
    before = polls(elevenlabs)
    wait_for(lambda: polls(elevenlabs) >= before + 2, "two more listings")


def settle(daemon: Daemon) -> None:
    def settled() -> bool:
        rows = daemon.rows(
            "SELECT (SELECT count(*) FROM inbox_event WHERE outcome IS NULL),"
            " (SELECT count(*) FROM outbox WHERE state IN ('waiting', 'started'))"
        )
        return bool(rows == [(0, 0)])

    wait_for(settled, "everything worked and sent")


def looked_up(elevenlabs: ElevenLabs, name: str) -> int:
    return sum(path.endswith(f"/conversations/{name}") for path in elevenlabs.asked())


@pytest.mark.parametrize("first", ["webhook", "poll"])
def test_a_call_that_webhook_and_poll_report_is_one_template_at_twilio(
    daemon: Daemon, twilio: Twilio, elevenlabs: ElevenLabs, first: str
) -> None:
    ended = conversation("conv_0001", ANA)
    if first == "webhook":
        assert calling.call(daemon, webhook(ended)).status_code == 200
        settle(daemon)
        elevenlabs.ended(ended)
        wait_for(lambda: looked_up(elevenlabs, "conv_0001") > 0, "the poll finds it")
    else:
        elevenlabs.ended(ended)
        wait_for(lambda: bool(twilio.taken()), "the message")
        assert calling.call(daemon, webhook(ended)).status_code == 200
    # Doubled, and split: a recording comes in an event of its own.
    assert calling.call(daemon, webhook(ended)).status_code == 200
    audio = {"agent_id": AGENT, "conversation_id": "conv_0001", "full_audio": "SUQz"}
    assert calling.call(daemon, webhook(audio, "post_call_audio")).status_code == 200
    poll_again(elevenlabs)
    settle(daemon)

    (message,) = twilio.posted()
    assert message.form["To"] == f"whatsapp:{ANA}"
    assert message.form["ContentSid"] == "HX00000000000000000000000000000001"
    assert json.loads(message.form["ContentVariables"]) == {
        "1": "Ana",
        "2": "Quiere la factura de marzo.",
    }
    assert looked_up(elevenlabs, "conv_0001") <= 1
    shown = told(daemon, "conversations", "show", f"tel:{ANA}")
    (spoken,) = shown["calls"]
    assert (spoken["id"], spoken["outcome"], spoken["data"]) == (
        "conv_0001",
        "success",
        {"mes": "marzo"},
    )
    assert shown["conversation"]["channel"] == "whatsapp"
    assert "call (outbound, 42 s, success): Quiere la factura" in daemon.command(
        "conversations", "show", f"tel:{ANA}"
    )
    assert "the template is sent" in daemon.command("explain", "conv_0001")
    assert daemon.stop() == 0


def test_the_customer_who_answers_is_in_the_same_conversation(
    daemon: Daemon, twilio: Twilio, elevenlabs: ElevenLabs
) -> None:
    calling.call(daemon, webhook(conversation("conv_0001", ANA)))
    settle(daemon)
    answer = writing.call(
        daemon, writing.HOOK, writing.question("SM1", Body="Sí", From=f"whatsapp:{ANA}")
    )
    assert answer.status_code == 200
    calling.call(daemon, webhook(conversation("conv_0002", ANA)))
    settle(daemon)

    texts = [message.form.get("Body", "") for message in twilio.posted()]
    assert [("ContentSid" in message.form) for message in twilio.posted()] == [True, False]
    # The name that the call gave, and not the one of the WhatsApp profile.
    assert texts[-1] == "Hola Ana, ¿seguimos por aquí?"
    assert len(told(daemon, "conversations", "list")) == 1


def test_another_system_that_reports_the_call_starts_the_same_follow_up_once(
    daemon: Daemon, twilio: Twilio, elevenlabs: ElevenLabs
) -> None:
    token = told(daemon, "token", "create", "--name", "crm", "--scopes", "conversations:write")[
        "text"
    ]
    body = {
        "phoneNumber": "+57 300 123 4567",
        "clientName": "Ana",
        "callSummary": "Quiere la factura.",
        "agentId": AGENT,
        "conversationId": "conv_0001",
        "somethingElse": 1,
    }

    def start(**more: Any) -> httpx.Response:
        return httpx.post(
            f"{daemon.url}/api/v1/conversations/start-post-call",
            json={**body, **more},
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )

    answers = [start(), start(), start(callSummary="Otra cosa.")]
    elevenlabs.ended(conversation("conv_0001", ANA))
    wait_for(lambda: looked_up(elevenlabs, "conv_0001") > 0, "the poll finds it")
    poll_again(elevenlabs)
    settle(daemon)

    assert [each.status_code for each in answers] == [202] * 3
    assert len({each.text for each in answers}) == 1
    assert answers[0].json()["conversation_id"] == "conv_0001"
    (message,) = twilio.posted()
    assert json.loads(message.form["ContentVariables"])["2"] == "Quiere la factura."
    (kept,) = told(daemon, "calls", "list")
    assert (kept["origin"], kept["outcome"]) == ("provider", "success")


def test_a_batch_leaves_once_and_each_of_its_calls_is_followed_up_once(
    daemon: Daemon, twilio: Twilio, elevenlabs: ElevenLabs, tmp_path: Path
) -> None:
    people = tmp_path / "clientes.csv"
    rows = "".join(f"{number},Cliente {at}\n" for at, number in enumerate(OTHERS))
    people.write_text(f"phone_number,client_name\n{rows}", encoding="utf-8")
    item = told(daemon, "calls", "submit", str(people), "--name", "Noviembre")["item"]
    wait_for(lambda: elevenlabs.batches() == ["btcal_0001"], "the batch is taken")
    spoken = [
        conversation(f"conv_b{at}", number, batch="btcal_0001", client=f"Cliente {at}")
        for at, number in enumerate(OTHERS)
    ]

    elevenlabs.finish("btcal_0001", *spoken[:2])
    wait_for(lambda: len(twilio.posted()) == 2, "two of them are followed up")
    for each in spoken:
        calling.call(daemon, webhook(each))
    elevenlabs.finish("btcal_0001", *spoken[2:])
    poll_again(elevenlabs)
    settle(daemon)

    (body,) = elevenlabs.submitted
    assert body["call_name"] == f"Noviembre [{item}]"
    assert [it["phone_number"] for it in body["recipients"]] == OTHERS
    assert sorted(message.to for message in twilio.posted()) == [f"whatsapp:{it}" for it in OTHERS]
    (batch,) = told(daemon, "calls", "batches")
    assert (batch["state"], batch["batch"], batch["done"]) == ("done", "btcal_0001", 4)
    cancelled = told(daemon, "calls", "cancel", item)
    assert cancelled["batch"] == "btcal_0001"
    wait_for(
        lambda: elevenlabs.get("/v1/convai/batch-calling/btcal_0001", {})["status"] == "cancelled",
        "the batch is cancelled",
    )


@pytest.mark.parametrize(
    "whim", [HANGS_UP, Whim(status=500), Whim(taken=False, hang_up=True)], ids=str
)
def test_a_batch_of_which_nobody_knows_is_looked_for_and_never_submitted_again(
    daemon: Daemon, elevenlabs: ElevenLabs, tmp_path: Path, whim: Whim
) -> None:
    elevenlabs.mood = lambda _number: whim
    people = tmp_path / "clientes.csv"
    people.write_text(f"phone_number\n{ANA}\n", encoding="utf-8")
    item = told(daemon, "calls", "submit", str(people))["item"]

    def listings() -> int:
        return sum("batch-calling/workspace" in path for path in elevenlabs.asked())

    def state() -> tuple[str, str | None]:
        shown = told(daemon, "outbox", "show", item)
        shown = shown.get("item", shown)
        return shown["state"], shown["provider_ref"]

    if whim.taken:
        wait_for(lambda: state()[0] == "done", "it is found", seconds=60)
        assert state() == ("done", "btcal_0001")
    else:
        wait_for(lambda: told(daemon, "outbox", "show", item)["attempt"] >= 3, "it is looked for")
        assert state()[0] == "waiting"
    assert len(elevenlabs.submitted) == 1


def _stale() -> float:
    return time.time() - 3600


FORGED: dict[str, Callable[[bytes], tuple[dict[str, Any], int]]] = {
    "forged": lambda body: ({"ElevenLabs-Signature": signature(body, secret="wsec_wrong")}, 403),
    "stale": lambda body: ({"ElevenLabs-Signature": signature(body, at=_stale())}, 403),
    "future": lambda body: (
        {"ElevenLabs-Signature": signature(body, at=time.time() + 7200)},
        403,
    ),
    "unsigned": lambda _body: ({"X-Account-Key": ACCOUNT_KEY}, 403),
    "malformed": lambda _body: ({"ElevenLabs-Signature": "t=abc,v0=é".encode("latin-1")}, 403),
    "truncated": lambda body: ({"ElevenLabs-Signature": signature(body + b" ")}, 403),
}


@pytest.mark.parametrize("poll", ["1h"])
def test_what_is_forged_stale_or_too_large_does_no_harm_and_shows_no_secret(
    daemon: Daemon, elevenlabs: ElevenLabs
) -> None:
    wait_for(lambda: polls(elevenlabs) > 0, "the first listing")
    before = writing.row_counts(daemon)
    body = webhook(conversation("conv_0001", ANA))
    for name, make in FORGED.items():
        headers, status = make(body)
        assert calling.call(daemon, body, headers=headers).status_code == status, name
    huge = b'{"type":"post_call_audio","data":{"full_audio":"' + b"A" * 50_000_000 + b'"}}'
    try:
        answer = calling.call(daemon, huge)
        assert answer.status_code == 413
    except httpx.TransportError:
        pass  # it was cut off while it was still being sent
    path = f"{calling.HOOK}/personalization"
    for headers in ({}, {"X-Account-Key": "wrong"}, {"ElevenLabs-Signature": signature(body)}):
        assert calling.call(daemon, body, headers=headers, path=path).status_code == 403

    assert writing.row_counts(daemon) == before
    assert daemon.ready
    # Cut off on its way, and signed as it was: kept for a look, and nothing comes of it.
    cut = body[: len(body) // 2]
    assert calling.call(daemon, cut).status_code == 200
    assert told(daemon, "events", "list")[0]["kind"] == "unparsed"
    assert daemon.stop() == 0
    output = daemon.log + "".join(daemon.printed)
    for secret in (API_KEY, SECRET, ACCOUNT_KEY, writing.TOKEN):
        assert secret not in output


@pytest.mark.parametrize("poll", ["1h"])
def test_a_ringing_call_is_told_who_calls(daemon: Daemon, elevenlabs: ElevenLabs) -> None:
    calling.call(daemon, webhook(conversation("conv_0001", ANA)))
    settle(daemon)

    def ring(caller: str) -> dict[str, Any]:
        asking = {"caller_id": caller, "agent_id": AGENT, "called_number": "+1", "call_sid": "CA1"}
        answer = calling.call(
            daemon,
            json.dumps(asking).encode(),
            headers={"X-Account-Key": ACCOUNT_KEY},
            path=f"{calling.HOOK}/personalization",
        )
        assert answer.status_code == 200
        told: dict[str, Any] = answer.json()
        return dict(told["dynamic_variables"])

    known, unknown = ring(ANA), ring(OTHERS[0])

    assert (known["contact_name"], known["last_call_summary"]) == (
        "Ana",
        "Quiere la factura de marzo.",
    )
    assert "Llamada del" in known["history_summary"]
    assert (unknown["contact_name"], unknown["open_tickets"]) == ("", "0")
    assert set(known) == set(unknown)
