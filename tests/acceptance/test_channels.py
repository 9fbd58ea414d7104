"""The daemon between customers and each channel: in by webhook, out by API, told what became."""

import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance import gateway
from tests.acceptance.daemon import PATIENCE, Daemon, folder_of, wait_for
from tests.acceptance.gateway import Call, Gateway

PUBLIC = "https://desk.example"
HOOK = "/hooks/phone"

RULES = """
default.ignore = "nobody asked"

[[rule]]
id = "repeat"
when.text.starts_with = "repite"
then.reply = { text = "{{ text }}" }
"""

CONFIG = """
[router]
rules = ["rules.toml"]
public_url = "{public}"
language = "es"
timezone = "UTC"

[policy]
mode = "autopilot"
debounce = "0s"

[channels.phone]
base_url = "{url}"
breaker_pause = "1s"
{table}
"""


@contextmanager
def serving(folder: Path, table: str, answer: gateway.Answer) -> Iterator[tuple[Daemon, Gateway]]:
    """Run a provider, and a daemon whose channel ``phone`` is there."""
    env = "SECRET=secret-of-nobody\nTOKEN=123456:token-of-nobody\n"
    with gateway.running(answer) as provider:
        config = CONFIG.format(public=PUBLIC, url=provider.url, table=table)
        with folder_of(folder, config, {"rules.toml": RULES, ".env": env}) as daemon:
            daemon.start()
            yield daemon, provider
            assert daemon.stop() == 0
            assert "secret-of-nobody" not in daemon.log
            assert "token-of-nobody" not in daemon.log


def deliver(daemon: Daemon, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """Send a webhook as it is."""
    everything = {"Content-Type": "application/json", **headers}
    return httpx.post(f"{daemon.url}{HOOK}", content=body, headers=everything, timeout=PATIENCE)


Deliver = Callable[[Any], None]


def by_header(daemon: Daemon, name: str) -> Deliver:
    """Give how a provider delivers that sends a secret along."""

    def send(document: Any) -> None:
        body = json.dumps(document).encode()
        assert deliver(daemon, body, {name: "wrong"}).status_code == 403
        assert deliver(daemon, body, {name: "secret-of-nobody"}).status_code == 200

    return send


def by_signature(daemon: Daemon, name: str, algorithm: str, prefix: str = "") -> Deliver:
    """Give how a provider delivers that signs."""

    def send(document: Any) -> None:
        body = json.dumps(document).encode()
        mac = hmac.new(b"secret-of-nobody", body, algorithm).hexdigest()
        assert deliver(daemon, body + b" ", {name: prefix + mac}).status_code == 403
        assert deliver(daemon, body, {name: prefix + mac}).status_code == 200

    return send


def settled(daemon: Daemon) -> bool:
    ((events, items),) = daemon.rows(
        "SELECT (SELECT count(*) FROM inbox_event WHERE outcome IS NULL),"
        " (SELECT count(*) FROM outbox WHERE state IN ('waiting', 'started'))"
    )
    return (events, items) == (0, 0)


def settle(daemon: Daemon) -> None:
    wait_for(lambda: settled(daemon), "everything worked and sent")


def statuses(daemon: Daemon) -> list[str]:
    rows = daemon.rows("SELECT status FROM message WHERE direction = 'out' ORDER BY created_at")
    return [status for (status,) in rows]


def owners(daemon: Daemon) -> list[str]:
    return [owner for (owner,) in daemon.rows("SELECT owner FROM conversation")]


# --- builderbot

BOT = """
type = "builderbot"
bot_id = "0f8f-17"
api_key = { env = "SECRET" }
account_key = { env = "SECRET" }
"""


def incoming(id: str, text: str) -> dict[str, Any]:
    data = {"from": "5491155550100", "name": "Ana", "body": text, "key": {"id": id}}
    return {"eventName": "message.incoming", "data": data}


def outgoing(id: str, text: str) -> dict[str, Any]:
    data = {"from": "5491155559999", "to": "5491155550100", "answer": text, "key": {"id": id}}
    return {"eventName": "message.outgoing", "data": data}


def test_builderbot_answers_until_a_person_writes_on_the_telephone(tmp_path: Path) -> None:
    taken = {"message_id": "3EB0F1"}
    with serving(tmp_path, BOT, lambda _call: (200, taken)) as (daemon, provider):
        send = by_header(daemon, "X-Account-Key")

        send(incoming("M1", "repite hola"))
        send(incoming("M1", "repite hola"))
        settle(daemon)
        (call,) = provider.posted()
        assert call.path == "/api/v2/0f8f-17/messages"
        assert call.headers["x-api-builderbot"] == "secret-of-nobody"
        assert call.body == {
            "messages": {"content": "repite hola"},
            "number": "5491155550100",
            "checkIfExists": False,
        }

        # What the router sent comes back, and takes nothing over.
        send(outgoing("E1", "repite hola"))
        settle(daemon)
        assert owners(daemon) == ["bot"]

        # What a person writes does.
        send(outgoing("E2", "Hola, soy Eva."))
        send(incoming("M2", "repite algo"))
        settle(daemon)
        assert owners(daemon) != ["bot"]
        assert len(provider.posted()) == 1

        said = daemon.rows("SELECT direction, author, text FROM message ORDER BY created_at, id")
        assert ("out", "person", "Hola, soy Eva.") in said


def test_builderbot_tells_of_calls_and_of_its_own_state(tmp_path: Path) -> None:
    with serving(tmp_path, BOT, lambda _call: (200, {})) as (daemon, provider):
        send = by_header(daemon, "X-Account-Key")

        data = {"from": "5491155550100", "id": "C1", "timestamp": 1795197600}
        for _ in range(2):
            send({"eventName": "message.calling", "data": data})
        send({"eventName": "status.require_action", "data": {}})
        settle(daemon)

        assert daemon.rows("SELECT type, outcome FROM inbox_event") == [("call", "ignore")]
        assert provider.posted() == []
        wait_for(lambda: "waits for its QR code to be scanned" in daemon.log, "the alert")
        test = httpx.get(f"{daemon.url}{HOOK}/test", timeout=PATIENCE).json()
        (probe,) = [check for check in test["checks"] if check["check"] == "provider"]
        assert "waits for its QR code to be scanned" in probe["details"]


def test_builderbot_tries_again_when_the_bot_was_not_online(tmp_path: Path) -> None:
    answers = iter([(200, {"error": "Bot is not online"})])
    answer: gateway.Answer = lambda _call: next(answers, (200, {"message_id": "3EB0F1"}))  # noqa: E731
    with serving(tmp_path, BOT, answer) as (daemon, provider):
        by_header(daemon, "X-Account-Key")(incoming("M1", "repite hola"))
        wait_for(
            lambda: daemon.rows("SELECT state, attempt FROM outbox") == [("waiting", 1)],
            "known as not sent",
        )
        ((error,),) = daemon.rows("SELECT error FROM outbox")
        assert error.startswith("BuilderBot says: Bot is not online.")
        assert len(provider.posted()) == 1


# --- whatsapp_cloud

META = """
type = "whatsapp_cloud"
phone_number_id = "106540352242922"
access_token = { env = "SECRET" }
app_secret = { env = "SECRET" }
verify_token = { env = "SECRET" }
"""


def change(field: str, **value: Any) -> dict[str, Any]:
    metadata = {"phone_number_id": "106540352242922"}
    said = {"messaging_product": "whatsapp", "metadata": metadata, **value}
    entry = [{"id": "1", "changes": [{"field": field, "value": said}]}]
    return {"object": "whatsapp_business_account", "entry": entry}


def wrote(id: str, text: str) -> dict[str, Any]:
    message = {
        "from": "5491155550100",
        "id": id,
        "timestamp": "1795197600",
        "type": "text",
        "text": {"body": text},
    }
    contact = {"profile": {"name": "Ana"}, "wa_id": "5491155550100"}
    return change("messages", contacts=[contact], messages=[message])


def test_meta_registers_sends_and_reports(tmp_path: Path) -> None:
    taken = {"messages": [{"id": "wamid.OURS"}]}
    with serving(tmp_path, META, lambda _call: (200, taken)) as (daemon, provider):
        send = by_signature(daemon, "X-Hub-Signature-256", "sha256", "sha256=")
        query = {"hub.mode": "subscribe", "hub.challenge": "1158201444"}
        asked = [
            httpx.get(
                f"{daemon.url}{HOOK}",
                params={**query, "hub.verify_token": token},
                timeout=PATIENCE,
            )
            for token in ("secret-of-nobody", "another")
        ]
        assert [answer.status_code for answer in asked] == [200, 403]
        assert asked[0].text == "1158201444"

        send(wrote("wamid.THEIRS", "repite ¡hola!"))
        settle(daemon)
        (call,) = provider.posted()
        assert call.path == "/v25.0/106540352242922/messages"
        assert call.headers["authorization"] == "Bearer secret-of-nobody"
        item = call.body.pop("biz_opaque_callback_data")
        assert call.body == {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "5491155550100",
            "type": "text",
            "text": {"body": "repite ¡hola!", "preview_url": False},
        }
        assert daemon.rows("SELECT id, provider_ref, state FROM outbox") == [
            (item, "wamid.OURS", "done")
        ]

        for word in ("read", "sent", "delivered"):
            status = {"id": "wamid.OURS", "status": word, "recipient_id": "5491155550100"}
            send(change("messages", statuses=[status]))
        settle(daemon)
        assert statuses(daemon) == ["read"]

        # A person answers in the WhatsApp Business app.
        echo = {"to": "5491155550100", "id": "wamid.E", "type": "text", "text": {"body": "Soy Eva"}}
        send(change("smb_message_echoes", message_echoes=[echo]))
        send(wrote("wamid.2", "repite algo"))
        settle(daemon)
        assert owners(daemon) != ["bot"]
        assert len(provider.posted()) == 1


def test_meta_proves_by_a_report_what_a_lost_answer_left_open(tmp_path: Path) -> None:
    with serving(tmp_path, META, lambda _call: (500, {})) as (daemon, provider):
        send = by_signature(daemon, "X-Hub-Signature-256", "sha256", "sha256=")
        send(wrote("wamid.THEIRS", "repite hola"))
        wait_for(lambda: daemon.rows("SELECT state FROM outbox") == [("unknown",)], "unknown")

        (call,) = provider.posted()
        status = {
            "id": "wamid.OURS",
            "status": "delivered",
            "recipient_id": "5491155550100",
            "biz_opaque_callback_data": call.body["biz_opaque_callback_data"],
        }
        send(change("messages", statuses=[status]))
        wait_for(lambda: daemon.rows("SELECT state FROM outbox") == [("done",)], "known as sent")
        assert statuses(daemon) == ["delivered"]
        assert len(provider.posted()) == 1


# --- telegram

TELEGRAM = """
type = "telegram"
token = { env = "TOKEN" }
secret_token = { env = "SECRET" }
"""


def update(number: int, **more: Any) -> dict[str, Any]:
    chat = {"id": 77001, "type": "private"}
    if "text" in more:
        person = {"id": 77001, "is_bot": False, "first_name": "Ana", "language_code": "es"}
        said = {"message_id": number, "chat": chat, "from": person, "date": 1795197600, **more}
        return {"update_id": number, "message": said}
    return {"update_id": number, "my_chat_member": {"chat": chat, **more}}


def test_telegram_answers_until_it_is_blocked(tmp_path: Path) -> None:
    def answer(call: Call) -> tuple[int, Any]:
        if call.path.endswith("/getWebhookInfo"):  # the daemon asks now and then how things stand
            return 200, {"ok": True, "result": {"url": f"{PUBLIC}{HOOK}"}}
        number = len(call.body["text"])
        chat = {"id": int(call.body["chat_id"])}
        return 200, {"ok": True, "result": {"message_id": number, "chat": chat}}

    def sent(provider: Gateway) -> list[Call]:
        return [call for call in provider.posted() if not call.path.endswith("/getWebhookInfo")]

    with serving(tmp_path, TELEGRAM, answer) as (daemon, provider):
        send = by_header(daemon, "X-Telegram-Bot-Api-Secret-Token")

        send(update(5, text="repite ¡hola!"))
        send(update(5, text="repite ¡hola!"))
        settle(daemon)
        (call,) = sent(provider)
        assert call.path == "/bot123456:token-of-nobody/sendMessage"
        assert call.body == {"chat_id": "77001", "text": "repite ¡hola!"}
        assert daemon.rows("SELECT provider_ref, state FROM outbox") == [("77001:13", "done")]
        assert statuses(daemon) == ["sent"]

        send(update(6, new_chat_member={"status": "kicked"}))
        settle(daemon)
        assert daemon.rows("SELECT key, opted_out FROM contact") == [("telegram:77001", 1)]

        # Whoever writes again is answered.
        send(update(7, text="repite otra vez"))
        settle(daemon)
        assert [call.body["text"] for call in sent(provider)][1:] == ["repite otra vez"]


# --- waha

GATEWAY = """
type = "waha"
hmac_key = { env = "SECRET" }
api_key = { env = "SECRET" }
"""

CHAT = "5491155550100@c.us"


def event(name: str, /, **payload: Any) -> dict[str, Any]:
    return {"event": name, "session": "default", "payload": payload}


def heard(id: str, text: str) -> dict[str, Any]:
    named = {"id": f"false_{CHAT}_{id}", "from": CHAT, "fromMe": False, "body": text}
    return event("message", timestamp=1795197600, **named)


def test_waha_answers_reports_and_says_when_its_telephone_is_lost(tmp_path: Path) -> None:
    state = "WORKING"

    def answer(call: Call) -> tuple[int, Any]:
        if call.method == "GET":
            return 200, {"name": "default", "status": state}
        if state != "WORKING":
            return 422, {"error": "not as expected", "status": state, "expected": ["WORKING"]}
        return 201, {"id": f"true_{CHAT}_3EB0F1"}

    with serving(tmp_path, GATEWAY, answer) as (daemon, provider):
        send = by_signature(daemon, "X-Webhook-Hmac", "sha512")

        # A customer's message comes as `message` and as `message.any`.
        send(heard("M1", "repite hola"))
        send({**heard("M1", "repite hola"), "event": "message.any"})
        settle(daemon)
        (call,) = provider.posted()
        assert call.path == "/api/sendText"
        assert call.headers["x-api-key"] == "secret-of-nobody"
        assert call.body == {"session": "default", "chatId": CHAT, "text": "repite hola"}

        ours = {"id": f"true_{CHAT}_3EB0F1", "from": CHAT, "to": CHAT, "fromMe": True}
        send(event("message.any", **ours, body="repite hola"))
        for ack, word in ((3, "READ"), (2, "DEVICE")):
            send(event("message.ack", **ours, ack=ack, ackName=word))
        settle(daemon)
        assert owners(daemon) == ["bot"]
        assert statuses(daemon) == ["read"]

        # The telephone is lost: told at once; what has to be sent waits, and is not doubled.
        state = "SCAN_QR_CODE"
        send(event("session.status", name="default", status=state))
        wait_for(lambda: "has to be linked again" in daemon.log, "the alert")
        send(heard("M2", "repite luego"))
        wait_for(
            lambda: (
                daemon.rows("SELECT state, attempt FROM outbox WHERE provider_ref IS NULL")
                == [("waiting", 1)]
            ),
            "known as not sent",
        )
        state = "WORKING"
        send(event("session.status", name="default", status=state))

        # A person writes on the telephone: what waits is withdrawn.
        echo = {"id": f"true_{CHAT}_3EB0E1", "from": CHAT, "to": CHAT, "fromMe": True}
        send(event("message.any", **echo, body="Hola, soy Eva."))
        wait_for(
            lambda: (
                daemon.rows("SELECT state FROM outbox WHERE provider_ref IS NULL")
                == [("withdrawn",)]
            ),
            "withdrawn",
        )
        assert owners(daemon) != ["bot"]
