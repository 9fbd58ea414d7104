"""Post-call reports as they come: shuffled, doubled, split, late, stale, or never."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance import elevenlabs_provider as calling
from tests.acceptance import twilio_provider as writing
from tests.acceptance.daemon import PATIENCE, Daemon, folder_of, wait_for
from tests.acceptance.elevenlabs_provider import (
    AGENT,
    API_KEY,
    SECRET,
    ElevenLabs,
    conversation,
    signature,
    webhook,
)
from tests.acceptance.provider import Whim
from tests.acceptance.twilio_provider import Twilio

DELIVERIES = 500
CALLS = 120

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

[[rule]]
id = "went-wrong"
on = "call.ended"
then.ticket = { title = "Salió mal: {{ call.summary }}" }

[[rule]]
id = "unreached"
on = "call.failed"
then.ignore = "nobody was reached"
"""

CHANNEL = """
[channels.calls]
type = "elevenlabs_calls"
api_key = {{ env = "ELEVENLABS_API_KEY" }}
webhook_secret = {{ env = "ELEVENLABS_WEBHOOK_SECRET" }}
agents = ["{agent}"]
base_url = "{url}"
poll = "1h"
safety_net = "200ms"
"""

ENVIRONMENT = (
    f"TWILIO_AUTH_TOKEN={writing.TOKEN}\nELEVENLABS_API_KEY={API_KEY}\n"
    f"ELEVENLABS_WEBHOOK_SECRET={SECRET}\n"
)

#: What becomes of a call. A refused one is a good call whose customer Twilio does not know.
FATES = ("followed", "followed", "followed", "followed", "refused", "wrong", "unreached")
#: How its report comes. Whoever is listed is found by the safety net.
WAYS = ("webhook", "both", "late", "missing", "stale")


@dataclass(frozen=True, slots=True)
class Called:
    """One call, what becomes of it, and how the router hears of it."""

    number: int
    fate: str
    way: str
    about: dict[str, Any] = field(compare=False)

    @property
    def id(self) -> str:
        return str(self.about["conversation_id"])

    @property
    def party(self) -> str:
        return f"+57300888{self.number:04}"

    @property
    def summary(self) -> str:
        return str(self.about["analysis"]["transcript_summary"])

    def bodies(self) -> Iterator[bytes]:
        """Give the bodies of which each delivery is one; the first one tells of the call."""
        if self.fate == "unreached":
            body = {} if self.unnamed else {"To": self.party}
            yield webhook(
                {
                    "agent_id": AGENT,
                    "conversation_id": self.id,
                    "failure_reason": "busy",
                    "metadata": {"type": "twilio", "body": body},
                },
                "call_initiation_failure",
            )
            return
        yield webhook(self.about)
        audio = {"agent_id": AGENT, "conversation_id": self.id, "full_audio": "SUQz"}
        yield webhook(audio, "post_call_audio")

    @property
    def unnamed(self) -> bool:
        """Whether its report does not tell who was called."""
        return self.fate == "unreached" and self.number % 2 == 0

    @property
    def accepted(self) -> bool:
        """Whether a report comes, and in time."""
        return self.way in {"webhook", "both", "late"}

    @property
    def listed(self) -> bool:
        return self.way != "webhook" or self.unnamed


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call of the webhook.

    :param age: how long ago it was signed, in seconds.
    """

    body: bytes
    age: float
    late: bool


def calls(chance: random.Random) -> list[Called]:
    ways = [(fate, way) for fate in FATES for way in WAYS]
    chosen = [ways[number % len(ways)] for number in range(CALLS)]
    chance.shuffle(chosen)
    made = []
    for number, (fate, way) in enumerate(chosen):
        status = "failed" if fate == "unreached" else "done"
        about = conversation(
            f"conv_{number:04}",
            f"+57300888{number:04}",
            status=status,
            summary=f"Asunto {number}.",
            client=f"Cliente {number}",
        )
        if fate == "wrong":
            about["analysis"]["call_successful"] = "failure"
        made.append(Called(number, fate, way, about))
    return made


def deliveries(made: Sequence[Called], chance: random.Random) -> list[Delivery]:
    """Give as many deliveries as there are to be, of the calls that are delivered at all."""
    given: list[Delivery] = []
    told = [(each, list(each.bodies())) for each in made if each.way != "missing"]
    for each, (first, *_) in told:
        given.append(_delivery(each, first, chance))
    while len(given) < DELIVERIES:
        each, bodies = chance.choice(told)
        given.append(_delivery(each, chance.choice(bodies), chance))
    chance.shuffle(given)
    return given


def _delivery(each: Called, body: bytes, chance: random.Random) -> Delivery:
    age = 7200.0 if each.way == "stale" else chance.choice([0.0, 60.0, 1200.0])
    return Delivery(body, age, each.way == "late")


@pytest.fixture
def twilio() -> Iterator[Twilio]:
    with writing.running() as twilio:
        yield twilio


@pytest.fixture
def elevenlabs() -> Iterator[ElevenLabs]:
    with calling.running() as elevenlabs:
        yield elevenlabs


@pytest.fixture
def daemon(tmp_path: Path, twilio: Twilio, elevenlabs: ElevenLabs) -> Iterator[Daemon]:
    config = writing.router_toml(twilio) + CHANNEL.format(agent=AGENT, url=elevenlabs.url)
    with folder_of(tmp_path, config, {"rules.toml": RULES, ".env": ENVIRONMENT}) as daemon:
        daemon.start()
        yield daemon


def deliver(daemon: Daemon, given: Sequence[Delivery]) -> list[tuple[Delivery, int]]:
    """Deliver several at a time; give each with the status of its answer."""
    with httpx.Client(base_url=daemon.url, timeout=PATIENCE) as client:

        def one(each: Delivery) -> int:
            signed = signature(each.body, at=time.time() - each.age)
            headers = {"ElevenLabs-Signature": signed, "Content-Type": "application/json"}
            answer = client.post(calling.HOOK, content=each.body, headers=headers)
            return answer.status_code

        with ThreadPoolExecutor(8) as pool:
            return list(zip(given, pool.map(one, given), strict=True))


def listings(elevenlabs: ElevenLabs) -> int:
    return sum("/conversations?" in path for path in elevenlabs.asked())


def settle(daemon: Daemon) -> None:
    """Wait until nothing is left to do; what is only looked for has an error and may be."""

    def settled() -> bool:
        rows = daemon.rows(
            "SELECT (SELECT count(*) FROM inbox_event WHERE outcome IS NULL),"
            " (SELECT count(*) FROM outbox WHERE state = 'started'"
            " OR state = 'waiting' AND error IS NULL)"
        )
        return bool(rows == [(0, 0)])

    wait_for(settled, "everything worked and sent")


@pytest.mark.parametrize("dies", [False, True], ids=["it lives", "it dies in between"])
def test_each_of_many_calls_is_followed_up_once_or_parked_with_a_reason(
    daemon: Daemon, twilio: Twilio, elevenlabs: ElevenLabs, dies: bool
) -> None:
    chance = random.Random(6)
    made = calls(chance)
    by_fate = {fate: [each for each in made if each.fate == fate] for fate in FATES}
    unknown = {f"whatsapp:{each.party}" for each in by_fate["refused"]}
    twilio.mood = lambda posted, _: Whim(taken=False, status=400) if posted.to in unknown else None
    given = deliveries(made, chance)
    assert len(given) == DELIVERIES
    listed = [each for each in made if each.listed]
    chance.shuffle(listed)
    in_time = [each for each in given if not each.late]

    # A part of them is delivered while another part is listed, and so on.
    answers = []
    for part in range(5):
        elevenlabs.ended(*(each.about for each in listed[part::5]))
        answers += deliver(daemon, in_time[part::5])
        if dies and part == 1:
            daemon.kill()
            daemon.start()
    wait_for(
        lambda: (
            {f"/v1/convai/conversations/{each.id}" for each in listed} <= set(elevenlabs.asked())
        ),
        "all that are listed are looked up",
    )
    answers += deliver(daemon, [each for each in given if each.late])
    before = listings(elevenlabs)
    wait_for(lambda: listings(elevenlabs) >= before + 2, "two more listings")
    settle(daemon)

    assert len(answers) == DELIVERIES
    assert [each for each, status in answers if status != (403 if each.age > 1800 else 200)] == []
    # What was being sent when the router died may be with its customer: it is not sent again.
    undone = daemon.rows(
        "SELECT call.id, outbox.code, outbox.error FROM outbox JOIN call"
        " ON call.conversation = outbox.conversation WHERE outbox.state <> 'done'"
    )
    broken_off = {name: error for name, code, error in undone if code is None}
    assert all(broken_off.values())
    assert dies or not broken_off
    # Once each: nobody is written to twice, nobody who should be is left out.
    sent = Counter(message.to.removeprefix("whatsapp:") for message in twilio.taken())
    followed = {each.party for each in by_fate["followed"] if each.id not in broken_off}
    assert followed <= set(sent) <= {each.party for each in by_fate["followed"]}
    assert set(sent.values()) == {1}
    said = {
        message.to.removeprefix("whatsapp:"): json.loads(message.form["ContentVariables"])["2"]
        for message in twilio.taken()
    }
    summaries = {each.party: each.summary for each in made}
    assert said == {party: summaries[party] for party in sent}
    # Each call is known once, and one event of its own was decided on; the rest only added to it.
    known = daemon.rows("SELECT id, party FROM call")
    assert sorted(known) == sorted((each.id, f"tel:{each.party}") for each in made)
    decided = daemon.rows(
        "SELECT call.id, decision.rule, decision.outcome FROM call JOIN decision"
        " ON decision.conversation = call.conversation AND decision.rule IS NOT NULL"
    )
    rules = {"wrong": ("went-wrong", "ticket"), "unreached": ("unreached", "ignore")}
    assert sorted(decided) == sorted(
        (each.id, *rules.get(each.fate, ("follow-up", "reply"))) for each in made
    )
    # What could not be followed up waits for a person, or says why it does not.
    tickets = daemon.rows(
        "SELECT call.id, ticket.title FROM ticket JOIN call"
        " ON call.conversation = ticket.conversation"
    )
    refused = "El proveedor lo rechazó: Hola {}, sobre su llamada: {}"
    waiting = [(each.id, f"Salió mal: {each.summary}") for each in by_fate["wrong"]]
    waiting += [
        (each.id, refused.format(f"Cliente {each.number}", each.summary))
        for each in by_fate["refused"]
        if each.id not in broken_off
    ]
    assert sorted(each for each in tickets if each[0] not in broken_off) == sorted(waiting)
    given_up = {name for name, code, _ in undone if code == "21604"}
    assert given_up == {it.id for it in by_fate["refused"] if it.id not in broken_off}
    reasons = daemon.rows("SELECT body FROM decision WHERE outcome = 'ignore'")
    assert {json.loads(body)["because"] for (body,) in reasons} == {"nobody was reached"}
    # A report that names nobody is kept for a look, once, and its call was found all the same.
    nobody = [each for each in by_fate["unreached"] if each.unnamed and each.accepted]
    unparsed = "SELECT count(*) FROM inbox_event WHERE type = 'unparsed'"
    assert nobody
    assert daemon.rows(unparsed) == [(len(nobody),)]
