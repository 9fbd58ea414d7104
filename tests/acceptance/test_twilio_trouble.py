"""Twilio in trouble: each customer has each answer once, and what nobody can know is named."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.daemon import Daemon, folder_of, wait_for
from tests.acceptance.provider import BROKEN, HANGS_UP, SILENT, Whim
from tests.acceptance.twilio_provider import (
    HOOK,
    Mood,
    Posted,
    Taken,
    Twilio,
    call,
    files,
    question,
    report,
    router_toml,
    running,
    worked_for,
)

#: What a provider may do to a first attempt so that its sender cannot know what became of it.
UNCERTAIN = {
    "is silent, and has it": SILENT,
    "answers 500, and has it": BROKEN,
    "answers 500, and does not have it": Whim(taken=False, status=500),
    "hangs up, and has it": HANGS_UP,
    "hangs up, and does not have it": Whim(taken=False, hang_up=True),
}

#: What it may do so that its sender knows that it does not have it.
CERTAIN = {
    "429": Whim(taken=False, status=429),
    "429, in 4 s": Whim(taken=False, status=429, retry_after=4),
    "503": Whim(taken=False, status=503),
    "503, in 4 s": Whim(taken=False, status=503, retry_after=4),
}

#: Customers for each of them.
SEVERAL = 3

#: Looking for what is lost takes a router that does so minutes, not seconds.
LONG = 240.0


@contextmanager
def standing(folder: Path, *, timeout: str = "20s") -> Iterator[tuple[Twilio, Daemon]]:
    with running() as twilio:
        config = router_toml(twilio, timeout=timeout)
        with folder_of(folder, config, files()) as daemon:
            daemon.start()
            yield twilio, daemon


def customers_of(troubles: Mapping[str, Whim]) -> dict[str, str]:
    """Give several customers for each trouble, and which one each has."""
    everybody = [trouble for trouble in troubles for _ in range(SEVERAL)]
    return {f"whatsapp:+5730011000{number:02}": one for number, one in enumerate(everybody)}


def first_time(troubles: Mapping[str, Whim], customers: Mapping[str, str]) -> Mood:
    """Trouble the first attempt of each customer's first message."""

    def mood(posted: Posted, number: int) -> Whim | None:
        if number == 0 and posted.text.startswith("repite uno"):
            return troubles[customers[posted.to]]
        return None

    return mood


def texts_for(customer: str) -> list[str]:
    return [f"repite uno {customer[-4:]}", f"repite dos {customer[-4:]}"]


def write(daemon: Daemon, customer: str) -> None:
    """Let a customer write two messages, each of which will be answered."""
    for text in texts_for(customer):
        name = f"SM-{text.replace(' ', '-')}"
        answer = call(daemon, HOOK, question(name, Body=text, From=customer))
        assert answer.status_code == 200, (answer.text, daemon.log)


def tell(daemon: Daemon, message: Taken) -> None:
    answer = call(daemon, message.callback, report(message, "delivered"))
    assert answer.status_code == 204, (answer.text, daemon.log)


# --- looking with the daemon's own commands


def listed(daemon: Daemon, *arguments: str) -> list[dict[str, Any]]:
    words = ("outbox", "list", "--kind", "message", "--limit", "1000", "--json", *arguments)
    found: list[dict[str, Any]] = json.loads(daemon.command(*words))
    return found


def texts(daemon: Daemon, state: str) -> set[str]:
    return {item["text"] for item in listed(daemon, "--state", state)}


def at_rest(daemon: Daemon, count: int) -> bool:
    """Tell whether all of them were decided, and none is leaving or about to.

    What waits does so behind an unknown one of the same customer.
    """
    items = listed(daemon)
    held = {item["lane"] for item in items if item["state"] == "unknown"}
    return len(items) == count and all(
        item["state"] in {"done", "unknown"}
        or (item["state"] == "waiting" and item["lane"] in held)
        for item in items
    )


def tickets(daemon: Daemon) -> str:
    return daemon.command("tickets", "list", "--limit", "1000", "--json")


def named(daemon: Daemon) -> bool:
    """Tell whether each message of which nobody knows has a ticket."""
    unknown = listed(daemon, "--state", "unknown")
    titles = [ticket["title"] for ticket in json.loads(tickets(daemon))]
    return all(any(item["text"] in title for title in titles) for item in unknown)


def counted(daemon: Daemon) -> int:
    """Give how many unknown ones ``router status`` tells of."""
    [tenant] = json.loads(daemon.command("status", "--json"))["tenants"]
    count: int = tenant["outbox"].get("unknown", 0)
    return count


def check_honest(daemon: Daemon, twilio: Twilio) -> None:
    """See that nobody got anything twice, and that the daemon claims nothing that is not so."""
    # Some may leave while we look: only those count that stand after the provider was looked at
    # as they stood before.
    before = {item["id"]: item for item in listed(daemon)}
    taken: dict[str, list[str]] = defaultdict(list)
    for message in twilio.taken():
        taken[message.item].append(message.sid)
    assert {item: sids for item, sids in taken.items() if len(sids) > 1} == {}
    after = {item["id"]: item for item in listed(daemon)}
    assert taken.keys() <= after.keys()
    for name, item in before.items():
        if after[name]["state"] != item["state"]:
            continue
        match item["state"]:
            case "done":
                assert taken[name] == [item["provider_ref"]]
            case "waiting":
                assert taken[name] == []
            case state:
                assert state == "unknown", item


def check_everybody_answered(
    daemon: Daemon, twilio: Twilio, customers: Mapping[str, str] | list[str]
) -> None:
    """See that each customer got each answer once, in order, and nothing else."""
    got: dict[str, list[str]] = defaultdict(list)
    for message in twilio.taken():
        got[message.to].append(message.text)
    assert got == {customer: texts_for(customer) for customer in customers}
    assert {item["state"] for item in listed(daemon)} == {"done"}
    assert listed(daemon, "--trouble") == []
    assert counted(daemon) == 0


def attempts(twilio: Twilio) -> dict[str, int]:
    posted = [one.item for one in twilio.posted()]
    return {item: posted.count(item) for item in posted}


# --- the troubles


@pytest.mark.timeout(60 + 2 * LONG)
def test_what_nobody_can_know_is_named_and_never_sent_again_by_itself(tmp_path: Path) -> None:
    customers = customers_of(UNCERTAIN)
    with standing(tmp_path, timeout="4s") as (twilio, daemon):
        twilio.mood = first_time(UNCERTAIN, customers)
        for customer in customers:
            write(daemon, customer)
        wait_for(lambda: at_rest(daemon, 2 * len(customers)), "at rest", LONG)
        check_honest(daemon, twilio)
        # Each customer's first answer was tried once, whatever became of it.
        assert set(attempts(twilio).values()) == {1}

        # A restart changes nothing about that.
        assert daemon.stop() == 0
        daemon.start()
        wait_for(lambda: at_rest(daemon, 2 * len(customers)), "at rest again", LONG)
        assert set(attempts(twilio).values()) == {1}
        check_honest(daemon, twilio)

        # What Twilio has, it reports some day; so nobody has to be asked about it.
        lost = {to for to, one in customers.items() if not UNCERTAIN[one].taken}
        doubtful = {texts_for(one)[0] for one in lost}
        told = 0

        def proved() -> bool:
            nonlocal told
            taken = twilio.taken()
            # On a loaded machine one that follows may be late for its answer, too.
            for message in taken[told:]:
                tell(daemon, message)
            told = len(taken)
            return texts(daemon, "unknown") == doubtful

        wait_for(proved, "what was taken is proved", LONG)
        wait_for(lambda: at_rest(daemon, 2 * len(customers)), "at rest", LONG)
        unknown = listed(daemon, "--state", "unknown")
        check_honest(daemon, twilio)
        assert set(attempts(twilio).values()) == {1}
        table = daemon.command("outbox", "list", "--state", "unknown")
        assert [item["id"] for item in unknown if item["id"] not in table] == []
        wait_for(lambda: named(daemon), "named to a person", LONG)
        assert counted(daemon) == len(lost)
        assert texts(daemon, "unknown") == doubtful

        # The rest a person looks up at Twilio.
        for item in unknown:
            daemon.command("outbox", "resolve", item["id"], "--not-sent", "--by", "ana")
        wait_for(lambda: len(twilio.taken()) == 2 * len(customers), "sent", LONG)
        wait_for(lambda: at_rest(daemon, 2 * len(customers)), "at rest", LONG)
        check_honest(daemon, twilio)
        check_everybody_answered(daemon, twilio, customers)
        again = {item["id"] for item in unknown}
        assert attempts(twilio) == {
            message.item: 2 if message.item in again else 1 for message in twilio.taken()
        }
        assert daemon.stop() == 0


@pytest.mark.timeout(60 + LONG)
def test_what_twilio_certainly_does_not_have_is_sent_again_until_it_does(tmp_path: Path) -> None:
    customers = customers_of(CERTAIN)
    with standing(tmp_path) as (twilio, daemon):
        twilio.mood = first_time(CERTAIN, customers)
        for customer in customers:
            write(daemon, customer)
        wait_for(lambda: len(twilio.taken()) == 2 * len(customers), "sent", LONG)
        wait_for(lambda: at_rest(daemon, 2 * len(customers)), "at rest")

        check_honest(daemon, twilio)
        check_everybody_answered(daemon, twilio, customers)
        assert json.loads(tickets(daemon)) == []
        for customer, trouble in customers.items():
            one, two, _ = (posted for posted in twilio.posted() if posted.to == customer)
            assert one.item == two.item
            # Not before Twilio wanted to hear of it again.
            assert two.at - one.at >= (CERTAIN[trouble].retry_after or 0)
        assert daemon.stop() == 0


@pytest.mark.timeout(60 + LONG)
def test_everybody_is_answered_when_twilio_is_back(tmp_path: Path) -> None:
    customers = [f"whatsapp:+5730022000{number:02}" for number in range(6)]
    interrupted, *others = customers
    with standing(tmp_path) as (twilio, daemon):
        # One answer is on its way when it happens: taken, and never confirmed.
        twilio.mood = lambda _posted, _number: SILENT
        write(daemon, interrupted)
        wait_for(lambda: len(twilio.taken()) == 1, "leaving")
        twilio.leave()
        twilio.mood = lambda _posted, _number: None
        for customer in others:
            write(daemon, customer)
        wait_for(lambda: _tried(daemon, 2) == len(others), "tried twice in vain", LONG)
        assert len(twilio.posted()) == 1
        assert daemon.health() == (200, [])

        twilio.start()
        wait_for(lambda: len(twilio.taken()) >= 1 + 2 * len(others), "sent", LONG)
        tell(daemon, twilio.taken()[0])
        wait_for(lambda: len(twilio.taken()) == 2 * len(customers), "everything sent", LONG)
        wait_for(lambda: at_rest(daemon, 2 * len(customers)), "at rest", LONG)
        check_honest(daemon, twilio)
        check_everybody_answered(daemon, twilio, customers)
        # Nothing was lost on the way, so nothing was sent twice.
        assert set(attempts(twilio).values()) == {1}
        assert daemon.stop() == 0


def _tried(daemon: Daemon, times: int) -> int:
    """Give how many answers that wait were tried so often."""
    waiting = listed(daemon, "--state", "waiting")
    return sum(item["attempt"] >= times for item in waiting)


@pytest.mark.timeout(60 + LONG)
def test_a_report_proves_what_got_through_although_the_answer_was_lost(tmp_path: Path) -> None:
    lost = {one: whim for one, whim in UNCERTAIN.items() if whim.taken}
    customers = customers_of(lost)
    with standing(tmp_path, timeout="4s") as (twilio, daemon):
        twilio.mood = first_time(lost, customers)

        def tell_at_once(message: Taken) -> None:
            """Report before the answer, which then does not come."""
            tell(daemon, message)
            wait_for(lambda: worked_for(daemon, message.to), "the report worked")

        twilio.on_taken = tell_at_once
        for customer in customers:
            write(daemon, customer)
        wait_for(lambda: len(twilio.taken()) == 2 * len(customers), "sent", LONG)
        wait_for(lambda: at_rest(daemon, 2 * len(customers)), "at rest")
        # The attempts that hear nothing end later, which a stop waits for.
        assert daemon.stop() == 0
        daemon.start()

        check_honest(daemon, twilio)
        check_everybody_answered(daemon, twilio, customers)
        assert json.loads(tickets(daemon)) == []
        assert set(attempts(twilio).values()) == {1}
        assert daemon.stop() == 0
