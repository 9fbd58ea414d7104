"""The whole story: called, written to, answered by the agent that called, and angry in the end."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from tests.acceptance import agent_provider as agents
from tests.acceptance import elevenlabs_provider as calling
from tests.acceptance import twilio_provider as writing
from tests.acceptance.agent_provider import GREETING, Agent, Spoken
from tests.acceptance.daemon import Daemon, folder_of, wait_for
from tests.acceptance.elevenlabs_provider import (
    ACCOUNT_KEY,
    AGENT,
    API_KEY,
    SECRET,
    ElevenLabs,
    conversation,
    webhook,
)
from tests.acceptance.twilio_provider import CUSTOMER, Twilio

ANA = CUSTOMER.removeprefix("whatsapp:")
OTHER = "+573007654321"
CALL, ANOTHER = "conv_0001", "conv_0002"
SUMMARY = "Quiere la factura de marzo."
TEMPLATE = "HX00000000000000000000000000000001"
PAGER_KEY = "pager-key-0123456789-never-shown"

RULES = f"""
default.answer = "caller"

[category.INFO]
risk = "low"

[template.seguimiento]
ref = "{TEMPLATE}"
text = "Hola {{{{1}}}}, sobre su llamada: {{{{2}}}}"

[[rule]]
id = "follow-up"
on = "call.ended"
when.call.outcome = "success"
[rule.then.message]
channel = "whatsapp"
text = "Hola {{{{ contact.name }}}}, ¿seguimos por aquí?"
template = "seguimiento"
variables = {{ 1 = "{{{{ contact.name or 'cliente' }}}}", 2 = "{{{{ call.summary }}}}" }}

[[rule]]
id = "had-enough"
when.frustration.above = 0.6
then.escalate = {{ to = "people", because = "out of patience", say = "Ya le escribe una persona." }}

[[rule]]
id = "what-the-agent-may-say"
then.set = {{ category = "INFO", risk = "low" }}
"""

TABLES = """
[channels.calls]
type = "elevenlabs_calls"
api_key = {{ env = "ELEVENLABS_API_KEY" }}
webhook_secret = {{ env = "ELEVENLABS_WEBHOOK_SECRET" }}
agents = ["{agent}"]
base_url = "{elevenlabs}"
poll = "200ms"
safety_net = "200ms"

[actions.dial]
type = "elevenlabs_batch"
api_key = {{ env = "ELEVENLABS_API_KEY" }}
agent = "{agent}"
phone_number_id = "phnum_0001"
base_url = "{elevenlabs}"

[ai.caller]
type = "elevenlabs_agent"
api_key = {{ env = "ELEVENLABS_API_KEY" }}
agent_id = "{agent}"
base_url = "{talks}"

[queues.people]
notify = ["pager"]

[actions.pager]
type = "webhook"
url = "{pager}"
secret = {{ env = "PAGER_KEY" }}
"""

ENVIRONMENT = (
    f"TWILIO_AUTH_TOKEN={writing.TOKEN}\nELEVENLABS_API_KEY={API_KEY}\n"
    f"ELEVENLABS_WEBHOOK_SECRET={SECRET}\nPAGER_KEY={PAGER_KEY}\n"
)
SECRETS = (writing.TOKEN, API_KEY, SECRET, ACCOUNT_KEY, PAGER_KEY, agents.SIGNATURE)


def answered(spoken: Spoken) -> str:
    """Answer as an agent whose prompt names the dynamic variables."""
    told = spoken.variables
    return f"{told['contact_name']}, sobre su llamada ({told['last_call_summary']}): va en camino."


@dataclass(frozen=True, slots=True)
class Story:
    """The daemon and everybody that it has to do with."""

    daemon: Daemon
    elevenlabs: ElevenLabs
    twilio: Twilio
    agent: Agent
    pager: HTTPServer

    def told(self, *arguments: str) -> Any:
        return json.loads(self.daemon.command(*arguments, "--json"))

    def shown(self) -> Any:
        return self.told("conversations", "show", f"tel:{ANA}")

    def report(self, *calls: dict[str, Any]) -> None:
        """Call the post-call webhook."""
        for each in calls:
            assert calling.call(self.daemon, webhook(each)).status_code == 200

    def write(self, number: int, text: str) -> None:
        """Let the customer write."""
        form = writing.question(f"SM{number:032d}", Body=text)
        assert writing.call(self.daemon, writing.HOOK, form).status_code == 200

    def poll_again(self) -> None:
        """Wait until both pollers began twice more: whatever the first saw is told by then."""

        def polls() -> tuple[int, int]:
            asked = self.elevenlabs.asked()
            return (
                sum("/conversations?" in path for path in asked),
                sum("batch-calling/workspace" in path for path in asked),
            )

        listings, batches = polls()
        wait_for(lambda: polls() >= (listings + 2, batches), "two more listings")
        wait_for(lambda: polls()[1] >= batches + 2, "two more looks at the batches")

    def settle(self) -> None:
        def settled() -> bool:
            rows = self.daemon.rows(
                "SELECT (SELECT count(*) FROM inbox_event WHERE outcome IS NULL),"
                " (SELECT count(*) FROM outbox WHERE state IN ('waiting', 'started'))"
            )
            return bool(rows == [(0, 0)])

        wait_for(settled, "everything worked and sent")


@pytest.fixture
def story(tmp_path: Path, httpserver: HTTPServer) -> Iterator[Story]:
    httpserver.expect_request("/notice").respond_with_data("")
    with ExitStack() as stack:
        twilio = stack.enter_context(writing.running())
        elevenlabs = stack.enter_context(calling.running())
        agent = stack.enter_context(agents.running(AGENT, API_KEY, answered))
        tables = TABLES.format(
            agent=AGENT,
            elevenlabs=elevenlabs.url,
            talks=agent.url,
            pager=httpserver.url_for("/notice"),
        )
        files = {"rules.toml": RULES, ".env": ENVIRONMENT}
        # Autopilot would only tell of what comes while a person has the conversation.
        drafting = '[policy]\nwhile_owned = "draft"'
        config = writing.router_toml(twilio).replace("[policy]", drafting, 1) + tables
        daemon = stack.enter_context(folder_of(tmp_path, config, files))
        daemon.start()
        yield Story(daemon, elevenlabs, twilio, agent, httpserver)


def chat_of(spoken: Spoken) -> dict[str, Any]:
    """Give what ElevenLabs keeps of a conversation in writing, which it lists like any other."""
    chat = conversation(spoken.id, "", summary="Preguntó por la factura.")
    chat["metadata"]["phone_call"] = None
    chat["metadata"]["text_only"] = True
    chat["has_audio"] = False
    return chat


@pytest.mark.parametrize("first", ["webhook", "poll"])
def test_a_batch_is_called_followed_up_answered_by_its_agent_and_handed_to_a_person(
    story: Story, tmp_path: Path, first: str
) -> None:
    daemon, elevenlabs, twilio, agent = story.daemon, story.elevenlabs, story.twilio, story.agent

    # A batch is submitted: two customers are called.
    people = tmp_path / "clientes.csv"
    people.write_text(f"phone_number,client_name\n{ANA},Ana\n{OTHER},Luis\n", encoding="utf-8")
    story.told("calls", "submit", str(people), "--name", "Noviembre")
    wait_for(lambda: elevenlabs.batches() == ["btcal_0001"], "the batch is taken")
    assert len(elevenlabs.submitted) == 1
    spoken = conversation(CALL, ANA, batch="btcal_0001", client="Ana", summary=SUMMARY)
    missed = conversation(ANOTHER, OTHER, batch="btcal_0001", client="Luis")
    missed["analysis"]["call_successful"] = "failure"

    # Their calls end, and the router learns of it twice.
    if first == "webhook":
        story.report(spoken, missed)
        wait_for(lambda: bool(twilio.taken()), "the message")
        elevenlabs.finish("btcal_0001", spoken, missed)
        story.poll_again()
    else:
        elevenlabs.finish("btcal_0001", spoken, missed)
        wait_for(lambda: bool(twilio.taken()), "the message")
        story.report(spoken, missed)
    story.report(spoken)
    story.settle()
    (followed,) = twilio.posted()
    assert (followed.to, followed.form["ContentSid"]) == (CUSTOMER, TEMPLATE)
    assert json.loads(followed.form["ContentVariables"]) == {"1": "Ana", "2": SUMMARY}
    assert agent.spoken() == []

    # The customer answers, and the agent that called them goes on.
    question = "Sí, ¿cuándo me llega?"
    story.write(1, question)
    wait_for(lambda: len(twilio.taken()) == 2, "the agent's answer")
    (chat,) = agent.spoken()
    assert chat.asked == [question]
    assert chat.variables["contact_name"].startswith("Ana")
    assert chat.variables["last_call_summary"] == SUMMARY
    assert chat.variables["last_call_id"] == CALL
    assert chat.variables["last_call_mes"] == "marzo"
    assert SUMMARY in chat.variables["history"]
    (update,) = chat.updates
    assert f"ended with success: {SUMMARY} (mes: marzo)" in update
    answer = twilio.posted()[1]
    assert (answer.to, answer.text) == (CUSTOMER, answered(chat))
    assert SUMMARY in answer.text
    assert "ContentSid" not in answer.form
    assert GREETING not in answer.text

    # What the agent wrote is a conversation at ElevenLabs, too, and no call.
    elevenlabs.ended(chat_of(chat))
    story.report(chat_of(chat))
    story.poll_again()
    story.settle()
    assert len(twilio.posted()) == 2

    # The customer has had enough: a person is called, and the bot is silent.
    angry = "¡¡Esto es una vergüenza, son unos ladrones, SIGO ESPERANDO!!"
    story.write(2, angry)
    wait_for(lambda: len(twilio.taken()) == 3, "what the rule says")
    wait_for(lambda: bool(story.pager.log), "the notice")
    assert twilio.posted()[2].text == "Ya le escribe una persona."
    story.write(3, "¿Hay alguien?")
    # What the agent would say waits for that person; the customer is not sent it.
    drafted = "SELECT count(*) FROM draft WHERE state = 'pending'"
    wait_for(lambda: daemon.rows(drafted) == [(1,)], "the draft")
    story.settle()
    assert len(twilio.posted()) == 3
    (draft,) = story.told("drafts", "list")
    assert (draft["author"], draft["text"]) == ("bot", answered(agent.spoken()[-1]))
    assert draft["because"] == "the conversation waits for a person"
    notices = [json.loads(request.data)["params"] for request, _ in story.pager.log]
    assert "out of patience" in notices[0]["title"]
    assert angry in notices[0]["text"]

    # All of it is one conversation.
    shown = story.shown()
    here = shown["conversation"]
    assert (here["status"], here["owner"], here["channel"]) == ("escalated", "nobody", "whatsapp")
    (kept,) = shown["calls"]
    assert (kept["id"], kept["outcome"], kept["summary"]) == (CALL, "success", SUMMARY)
    assert (kept["batch"], kept["conversation"]) == ("btcal_0001", here["id"])
    assert [(line["author"], line["text"]) for line in shown["messages"]] == [
        ("rule", f"Hola Ana, sobre su llamada: {SUMMARY}"),
        ("customer", question),
        ("bot", answered(chat)),
        ("customer", angry),
        ("rule", "Ya le escribe una persona."),
        ("customer", "¿Hay alguien?"),
    ]
    (escalation,) = story.told("escalations", "list", "--all")
    assert escalation["conversation"] == draft["conversation"] == here["id"]
    rows = daemon.rows("SELECT id FROM conversation WHERE id IN (SELECT conversation FROM message)")
    assert rows == [(here["id"],)]
    assert not daemon.rows("SELECT 1 FROM outbox WHERE state NOT IN ('done')")

    assert daemon.stop() == 0
    output = daemon.log + "".join(daemon.printed)
    assert not [secret for secret in SECRETS if secret in output]
