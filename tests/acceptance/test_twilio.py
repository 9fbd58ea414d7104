"""The daemon between a customer on WhatsApp and Twilio: each answer once, nothing forged taken."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from router.domain.message import DeliveryStatus
from tests.acceptance.daemon import Daemon, folder_of, wait_for
from tests.acceptance.twilio_provider import (
    CUSTOMER,
    HOOK,
    PUBLIC,
    SENDER,
    Taken,
    Twilio,
    call,
    files,
    question,
    report,
    router_toml,
    row_counts,
    running,
    signed,
    worked_for,
)


@pytest.fixture
def twilio() -> Iterator[Twilio]:
    with running() as twilio:
        yield twilio


@pytest.fixture
def daemon(tmp_path: Path, twilio: Twilio) -> Iterator[Daemon]:
    with folder_of(tmp_path, router_toml(twilio), files()) as daemon:
        daemon.start()
        yield daemon


def settled(daemon: Daemon) -> bool:
    ((open_events, open_items),) = daemon.rows(
        "SELECT (SELECT count(*) FROM inbox_event WHERE outcome IS NULL),"
        " (SELECT count(*) FROM outbox WHERE state IN ('waiting', 'started'))"
    )
    return (open_events, open_items) == (0, 0)


def settle(daemon: Daemon) -> None:
    wait_for(lambda: settled(daemon), "everything worked and sent")


def items(daemon: Daemon) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(
        daemon.command("outbox", "list", "--kind", "message", "--limit", "1000", "--json")
    )
    return listed


def write(daemon: Daemon, id: str, text: str, sender: str = CUSTOMER) -> None:
    answer = call(daemon, HOOK, question(id, Body=text, From=sender))
    assert (answer.status_code, answer.text) == (200, "<Response/>"), (answer.text, daemon.log)


def test_an_answer_reaches_twilio_with_what_its_api_asks_for(
    daemon: Daemon, twilio: Twilio
) -> None:
    write(daemon, "SM1", "repite ¡Hola! ¿Tienen stock? 👍")
    write(daemon, "SM2", "repite hola", "whatsapp:US.13491208655302741918")
    settle(daemon)

    by_customer = {message.to: message for message in twilio.taken()}
    assert len(twilio.posted()) == len(by_customer) == 2
    for item in items(daemon):
        message = by_customer.pop(
            {"SM1": CUSTOMER, "SM2": "whatsapp:US.13491208655302741918"}[
                item["body"]["in_reply_to"]
            ]
        )
        assert message.form == {
            "To": message.to,
            "From": SENDER,
            "Body": item["text"],
            "StatusCallback": f"{PUBLIC}/hooks/whatsapp/status?item={item['id']}",
        }
        assert (item["state"], item["provider_ref"]) == ("done", message.sid)
    assert by_customer == {}
    assert daemon.stop() == 0


# --- repeats


def test_a_repeated_webhook_is_acknowledged_and_changes_nothing(
    daemon: Daemon, twilio: Twilio
) -> None:
    form = question("SM1", Body="repite hola")
    # A provider that is impatient delivers the same message several times at once.
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: call(daemon, HOOK, form), range(8)))
    settle(daemon)
    assert [(one.status_code, one.text) for one in answers] == [(200, "<Response/>")] * 8
    assert [message.text for message in twilio.taken()] == ["repite hola"]
    before = row_counts(daemon)
    assert (before["inbox_event"], before["outbox"], before["message"]) == (1, 1, 2)

    def repeat() -> None:
        signature = {"X-Twilio-Signature": signed(PUBLIC + HOOK, form)}
        token = {**signature, "I-Twilio-Idempotency-Token": "0000-1111"}
        later = {**form, "ProfileName": "Ana P.", "NewField": "x"}
        for answer in (
            call(daemon, HOOK, form),
            call(daemon, HOOK, form, headers=token),
            call(daemon, HOOK, later),
        ):
            assert (answer.status_code, answer.text) == (200, "<Response/>")
            assert answer.headers["Content-Type"].startswith("text/xml")
        settle(daemon)

    repeat()
    assert row_counts(daemon) == before
    # Neither does it after a restart, which has nothing in memory.
    assert daemon.stop() == 0
    daemon.start()
    before = row_counts(daemon)
    repeat()
    assert row_counts(daemon) == before
    assert len(twilio.posted()) == 1
    assert daemon.stop() == 0


# --- forgeries

_FORM = question("SM9", Body="repite hola")
_SIGNATURE = signed(PUBLIC + HOOK, _FORM)
_OTHER_TOKEN = "another-token-of-another-account"
_TURNED = {"A": "B"}.get(_SIGNATURE[0], "A")


def _without(name: str) -> dict[str, str]:
    return {key: value for key, value in _FORM.items() if key != name}


def _header(signature: str, **more: str) -> dict[str, str]:
    return {"X-Twilio-Signature": signature, **more}


@pytest.mark.parametrize(
    "tampering",
    [
        # The body.
        (HOOK, {**_FORM, "Body": "repite adiós"}, _header(_SIGNATURE)),
        (HOOK, {**_FORM, "Body": "repite hola "}, _header(_SIGNATURE)),
        (HOOK, {**_FORM, "From": "whatsapp:+573009999999"}, _header(_SIGNATURE)),
        (HOOK, {**_FORM, "MessageSid": "SM10"}, _header(_SIGNATURE)),
        (HOOK, {**_FORM, "Extra": ""}, _header(_SIGNATURE)),
        (HOOK, _without("ProfileName"), _header(_SIGNATURE)),
        (HOOK, {}, _header(_SIGNATURE)),
        # The address.
        (f"{HOOK}?x=1", _FORM, _header(_SIGNATURE)),
        (f"{HOOK}/status", _FORM, _header(_SIGNATURE)),
        (HOOK, _FORM, _header(signed(PUBLIC + HOOK + "/", _FORM))),
        (HOOK, _FORM, _header(signed(PUBLIC.replace("https", "http") + HOOK, _FORM))),
        (HOOK, _FORM, _header(signed("https://elsewhere.example" + HOOK, _FORM))),
        # The signature.
        (HOOK, _FORM, _header(_TURNED + _SIGNATURE[1:])),
        (HOOK, _FORM, _header(_SIGNATURE.lower())),
        (HOOK, _FORM, _header("")),
        (HOOK, _FORM, {}),
        # The secret.
        (HOOK, _FORM, _header(signed(PUBLIC + HOOK, _FORM, _OTHER_TOKEN))),
        (HOOK, _FORM, _header(signed(PUBLIC + HOOK, _FORM, ""))),
        (
            HOOK,
            _FORM,
            _header(
                _SIGNATURE,
                **{"X-Twilio-Webhooks-Signature-Settings": "key=unknown,algorithm=HMAC_SHA256"},
            ),
        ),
        (
            HOOK,
            _FORM,
            _header(_SIGNATURE, **{"X-Twilio-Webhooks-Signature-Settings": "algorithm=none"}),
        ),
        # The account: signed, and yet not for us.
        (HOOK, {**_FORM, "AccountSid": "AC" + "1" * 32}, None),
    ],
)
def test_what_twilio_did_not_sign_is_refused_without_a_trace(
    forgeries: "Forgeries", tampering: tuple[str, Mapping[str, str], Mapping[str, str] | None]
) -> None:
    path, form, headers = tampering
    before = row_counts(forgeries.daemon)

    answer = call(forgeries.daemon, path, form, headers=headers)

    assert answer.status_code == 403, answer.text
    assert row_counts(forgeries.daemon) == before
    assert [message.text for message in forgeries.twilio.posted()] == ["repite uno"]


class Forgeries:
    """A daemon that has one conversation, for everything that it is to refuse."""

    def __init__(self, daemon: Daemon, twilio: Twilio) -> None:
        self.daemon = daemon
        self.twilio = twilio


@pytest.fixture(scope="module")
def forgeries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forgeries]:
    folder = tmp_path_factory.mktemp("forgeries")
    with running() as twilio, folder_of(folder, router_toml(twilio), files()) as daemon:
        daemon.start()
        write(daemon, "SM1", "repite uno")
        settle(daemon)
        yield Forgeries(daemon, twilio)


def test_a_forged_report_does_not_move_a_message(forgeries: Forgeries) -> None:
    daemon, [sent] = forgeries.daemon, forgeries.twilio.taken()
    before = row_counts(daemon)
    form = report(sent, "read")
    signature = _header(signed(PUBLIC + sent.callback, form))
    failed = {**form, "MessageStatus": "failed"}

    forged = [
        call(daemon, sent.callback, failed, headers=signature),
        call(daemon, f"{sent.callback}0", form, headers=signature),
        call(daemon, f"{HOOK}/status", form, headers=signature),
        call(daemon, sent.callback, form, headers={}),
    ]

    assert [answer.status_code for answer in forged] == [403] * 4
    assert row_counts(daemon) == before
    assert statuses(daemon)[sent.sid] == ("sent", None)


# --- status callbacks


def statuses(daemon: Daemon) -> dict[str, tuple[str, str | None]]:
    """Give the state of each message that was sent, and its failure if there was one."""
    rows = daemon.rows("SELECT provider_id, status, failure FROM message WHERE direction = 'out'")
    return {sid: (status, failure) for sid, status, failure in rows}


#: What is shown of a message never goes down this list. That it failed is a fact of its own
#: beside it, and is what is shown until somebody is known to have got it.
_STEPS = ["queued", "sent", "failed", "delivered", "read"]
_SHOWN = {"sending": "queued", "undelivered": "failed"}
_FAILURES = {"failed", "undelivered"}


def expected(told: Sequence[str]) -> tuple[str, bool]:
    """Give what is to be shown of a sent message after these callbacks, and whether it failed."""
    words = ["sent", *(_SHOWN.get(word, word) for word in told)]
    return max(words, key=_STEPS.index), not _FAILURES.isdisjoint(told)


def found_of(shown: tuple[str, str | None]) -> tuple[str, bool]:
    """Give the same of what the daemon shows."""
    status, failure = shown
    return status, failure is not None


_ORDERS = [
    *permutations(["sending", "sent", "delivered", "read"]),
    *permutations(["sent", "delivered", "read", "undelivered"]),
    *permutations(["queued", "sent", "failed"]),
]


def test_callbacks_in_any_order_and_doubled_move_a_message_forward_only(
    daemon: Daemon, twilio: Twilio
) -> None:
    assert set(DeliveryStatus) == {*_STEPS} - {"failed"}
    customers = {f"whatsapp:+5730011{number:05}": order for number, order in enumerate(_ORDERS)}
    for customer in customers:
        write(daemon, f"SM-of-{customer[-5:]}", f"repite {customer}", customer)
    settle(daemon)
    sent = {message.to: message for message in twilio.taken()}
    assert sent.keys() == customers.keys()

    def tell(message: Taken, status: str) -> None:
        more = {"ErrorCode": "63024"} if status in _FAILURES else {}
        answer = call(daemon, message.callback, report(message, status, **more))
        assert (answer.status_code, answer.content) == (204, b""), (answer.text, daemon.log)

    def look(step: int) -> None:
        settle(daemon)
        shown = statuses(daemon)
        found, wanted = {}, {}
        for customer, order in customers.items():
            found[order] = found_of(shown[sent[customer].sid])
            wanted[order] = expected(order[:step])
        assert found == wanted

    look(0)
    for step in range(1, 5):
        for customer, order in customers.items():
            for status in order[step - 1 : step] * 2:
                tell(sent[customer], status)
        look(step)

    # All over again, from the last to the first.
    before = row_counts(daemon)
    for customer, order in customers.items():
        for status in reversed(order):
            tell(sent[customer], status)
    look(4)
    assert row_counts(daemon) == before
    assert len(twilio.posted()) == len(customers)
    assert {item["state"] for item in items(daemon)} == {"done"}
    assert daemon.stop() == 0


_EARLY = [
    ["read"],
    ["sent", "delivered", "read"],
    ["read", "delivered", "sent"],
    ["delivered", "delivered", "read", "sending"],
    ["undelivered", "sent"],
    ["undelivered", "read"],
    ["read", "undelivered"],
]


@pytest.mark.parametrize("worked", [True, False], ids=["worked", "perhaps not worked"])
@pytest.mark.parametrize("with_item", [True, False], ids=["with our id", "at an address by hand"])
def test_callbacks_before_our_own_commit_of_the_result_are_not_lost(
    daemon: Daemon, twilio: Twilio, *, worked: bool, with_item: bool
) -> None:
    told = {f"repite {number}": words for number, words in enumerate(_EARLY)}

    def tell(message: Taken) -> None:
        """Call while the sender still waits for the answer to its request."""
        path = message.callback if with_item else f"{HOOK}/status"
        for status in told[message.text]:
            assert call(daemon, path, report(message, status)).status_code == 204
        if worked:
            wait_for(lambda: worked_for(daemon, message.to), "the callbacks worked")
        answered.append(message.text)

    answered: list[str] = []
    twilio.on_taken = tell
    for number, text in enumerate(told):
        write(daemon, f"SM{number}", text, f"whatsapp:+57300220000{number}")
    wait_for(lambda: len(answered) == len(told), "Twilio's own answers")
    settle(daemon)

    shown = statuses(daemon)
    assert {message.text: found_of(shown[message.sid]) for message in twilio.taken()} == {
        text: expected(words) for text, words in told.items()
    }
    assert len(twilio.posted()) == len(told)
    by_item = {item["id"]: (item["state"], item["provider_ref"]) for item in items(daemon)}
    assert by_item == {message.item: ("done", message.sid) for message in twilio.taken()}
    assert daemon.rows("SELECT count(*) FROM early_report") == [(0,)]
    assert daemon.stop() == 0
