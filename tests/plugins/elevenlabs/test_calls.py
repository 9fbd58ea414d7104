"""What polls, the ringing call, the batch and the configuration do beyond their rows."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from router import plugin
from router.plugin.testing import FakeContext
from router_elevenlabs_calls import (
    ElevenLabsBatch,
    ElevenLabsBatchConfig,
    ElevenLabsCalls,
    ElevenLabsCallsConfig,
    api,
)
from router_elevenlabs_calls.batches import BatchesPoller
from router_elevenlabs_calls.calls import TRIES, UNREAD, CallsPoller
from router_elevenlabs_calls.conformance_calls import AGENT, CALL, CONVERSATION, changed
from router_elevenlabs_calls.conversations import Conversation, address_of, call_of
from router_elevenlabs_calls.dialling import BatchParams
from router_elevenlabs_calls.personalization import answer_for, caller_in

KEY = "xi-key-of-nobody"
AT = 1_763_600_000


def config(**keys: Any) -> ElevenLabsCallsConfig:
    values = {"api_key": SecretStr(KEY), "webhook_secret": SecretStr("wsec_1"), "agents": [AGENT]}
    return ElevenLabsCallsConfig.model_validate({**values, **keys})


class World:
    """ElevenLabs, as a transport: conversations and batches, and what was asked of it."""

    def __init__(self, conversations: dict[str, dict[str, Any]]) -> None:
        self.conversations = conversations
        self.batches: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.page = 100
        #: What is answered in place of a conversation.
        self.broken: dict[str, int | Exception] = {}
        #: What listings have besides.
        self.entries: list[Any] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/convai/")
        self.asked.append(path)
        assert request.headers["xi-api-key"] == KEY
        if path == "conversations":
            return httpx.Response(200, json=self._page(request.url.params))
        if path == "batch-calling/workspace":
            found = [{k: v for k, v in it.items() if k != "recipients"} for it in self._newest()]
            found += self.entries
            return httpx.Response(200, json={"batch_calls": found, "has_more": False})
        kind, _, name = path.partition("/")
        match self.broken.get(name):
            case int(status):
                return httpx.Response(status, json={"detail": {"message": "cannot read this one"}})
            case Exception() as error:
                raise error
        there = {"conversations": self.conversations, "batch-calling": self.batches}[kind]
        if name in there:
            return httpx.Response(200, json=there[name])
        return httpx.Response(404, json={"detail": {"status": "not_found", "message": "gone"}})

    def _newest(self) -> list[dict[str, Any]]:
        return sorted(self.batches.values(), key=lambda it: -it["last_updated_at_unix"])

    def _page(self, query: httpx.QueryParams) -> dict[str, Any]:
        found = [
            {
                "conversation_id": name,
                "start_time_unix_secs": it["metadata"]["start_time_unix_secs"],
                "status": it["status"],
            }
            for name, it in self.conversations.items()
            if it["metadata"]["start_time_unix_secs"] > int(query["call_start_after_unix"])
        ]
        found.sort(key=lambda it: -int(it["start_time_unix_secs"]))
        begin = int(query.get("cursor", "0"))
        more = len(found) > begin + self.page
        cursor = str(begin + self.page) if more else None
        return {
            "conversations": found[begin : begin + self.page] + self.entries,
            "has_more": more,
            "next_cursor": cursor,
        }


class Context(FakeContext):
    """A context whose provider is a world."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(world))


def spoken(number: int, at: int, status: str = "done") -> dict[str, Any]:
    return changed(
        CONVERSATION,
        conversation_id=f"conv_{number:04}",
        status=status,
        metadata__start_time_unix_secs=at,
    )


async def everything(
    poller: plugin.Poller, cursor: str | None
) -> tuple[list[str], str | None, int]:
    """Poll until there is no more; give the calls' ids, the cursor, and how many polls it took."""
    found: list[str] = []
    for count in range(1, 100):
        polled = await poller.poll(cursor)
        cursor = polled.cursor
        assert cursor is not None
        assert len(cursor) <= 65_536
        found += [event.dedupe_key.removeprefix("call:") for event in polled.events]
        if not polled.again:
            return found, cursor, count
    raise AssertionError("it never ends")


async def test_every_call_is_found_once_however_many_and_however_long_they_take() -> None:
    calls = {f"conv_{it:04}": spoken(it, AT + it) for it in range(130)}
    calls["conv_0007"]["status"] = "in-progress"
    world = World(calls)
    world.page = 50
    context = Context(world)
    context.clock.set(datetime.fromtimestamp(AT + 500, UTC))
    poller = CallsPoller(config(), context)

    found, cursor, polls = await everything(poller, None)

    assert sorted(found) == sorted(set(calls) - {"conv_0007"})
    assert polls > 6
    world.asked.clear()
    assert await everything(poller, cursor) == ([], cursor, 3)
    assert all("/" not in path for path in world.asked)
    calls["conv_0007"]["status"] = "done"
    calls["conv_0200"] = spoken(200, AT + 600)
    found, cursor, _ = await everything(poller, cursor)
    assert sorted(found) == ["conv_0007", "conv_0200"]


async def test_a_listing_begins_well_before_the_newest_call_of_the_last_one() -> None:
    world = World({"conv_0001": spoken(1, AT)})
    poller = CallsPoller(config(overlap="10m"), Context(world))
    _, cursor, _ = await everything(poller, json.dumps({"v": 1, "newest": AT - 60}))

    world.conversations["conv_0002"] = spoken(2, AT - 300)
    world.conversations["conv_0003"] = spoken(3, AT - 900)
    found, _, _ = await everything(poller, cursor)

    assert found == ["conv_0002"]


@pytest.mark.parametrize("start", [AT + 400_000, AT * 1000])
async def test_a_call_that_begins_in_the_future_hides_none_of_now(start: int) -> None:
    world = World({"conv_0001": spoken(1, AT), "conv_0002": spoken(2, start)})
    context = Context(world)
    context.clock.set(datetime.fromtimestamp(AT + 500, UTC))
    poller = CallsPoller(config(), context)
    found, cursor, _ = await everything(poller, None)
    assert "conv_0001" in found

    world.conversations["conv_0003"] = spoken(3, AT + 600)
    context.clock.advance(600)
    found, _, _ = await everything(poller, cursor)

    assert found == ["conv_0003"]


@pytest.mark.parametrize("first", [None, json.dumps({"v": 1, "newest": AT - 60})])
async def test_calls_of_a_time_when_the_clock_was_ahead_are_found_when_it_is_right(
    first: str | None,
) -> None:
    world = World({"conv_0001": spoken(1, AT)})
    context = Context(world)
    ahead = timedelta(days=7)
    context.clock.set(datetime.fromtimestamp(AT + 60, UTC) + ahead)
    poller = CallsPoller(config(), context)
    found, cursor, _ = await everything(poller, first)
    for hour in range(1, 4):
        world.conversations[f"conv_1{hour:03}"] = spoken(1000 + hour, AT + hour * 3600)
        context.clock.advance(3600)
        more, cursor, _ = await everything(poller, cursor)
        found += more

    context.clock.set(context.clock.now() - ahead)
    more, cursor, _ = await everything(poller, cursor)

    assert sorted(found + more) == sorted(world.conversations)
    world.asked.clear()
    assert await everything(poller, cursor) == ([], cursor, 1)
    assert world.asked == ["conversations"]


async def test_a_call_that_cannot_be_read_hides_no_other_and_is_said() -> None:
    calls = {f"conv_{it:04}": spoken(it, AT + it) for it in range(3)}
    calls["conv_0001"]["metadata"]["call_duration_secs"] = "a while"
    context = Context(World(calls))
    poller = CallsPoller(config(), context)

    found, _, _ = await everything(poller, json.dumps({"v": 1, "newest": AT}))

    assert found == ["conv_0002", "conv_0000"]
    assert [entry.event for entry in context.log.entries] == ["call not read"]


REFUSED = [400, 403, 405, 422]
FAILED = [408, 429, 500, 503, httpx.ReadTimeout("slow"), httpx.ConnectError("away")]


@pytest.mark.parametrize("status", REFUSED)
async def test_a_call_that_is_refused_hides_no_other_and_is_said(status: int) -> None:
    world = World({f"conv_{it:04}": spoken(it, AT + it) for it in range(3)})
    world.broken["conv_0001"] = status
    context = Context(world)
    poller = CallsPoller(config(), context)

    found, cursor, _ = await everything(poller, json.dumps({"v": 1, "newest": AT}))

    assert found == ["conv_0002", "conv_0000"]
    (entry,) = context.log.entries
    assert entry.event == "call not read"
    assert "cannot read this one" in entry.values["reason"]
    world.asked.clear()
    assert (await everything(poller, cursor))[0] == []
    assert world.asked == ["conversations"]


@pytest.mark.parametrize("failure", FAILED, ids=str)
async def test_a_call_that_fails_holds_up_no_other_and_is_asked_for_again(
    failure: int | Exception,
) -> None:
    world = World({f"conv_{it:04}": spoken(it, AT + it) for it in range(3)})
    world.broken["conv_0001"] = failure
    context = Context(world)
    poller = CallsPoller(config(), context)

    first, cursor, count = await everything(poller, json.dumps({"v": 1, "newest": AT}))
    second, cursor, _ = await everything(poller, cursor)
    world.conversations["conv_0003"] = spoken(3, AT + 8000)
    third, cursor, _ = await everything(poller, cursor)
    world.broken.clear()
    fourth, cursor, _ = await everything(poller, cursor)

    assert (first, second, third, fourth) == (
        ["conv_0002"],
        ["conv_0000"],
        ["conv_0003"],
        ["conv_0001"],
    )
    # The provider is left alone after a failure.
    assert count == 1
    assert {entry.event for entry in context.log.entries} == {"call not read, and asked for again"}
    world.asked.clear()
    assert (await everything(poller, cursor))[0] == []
    assert world.asked == ["conversations"]


async def test_a_call_that_goes_on_failing_is_given_up_and_said() -> None:
    world = World({"conv_0001": spoken(1, AT + 1)})
    world.broken["conv_0001"] = 500
    context = Context(world)
    poller = CallsPoller(config(), context)
    cursor: str | None = json.dumps({"v": 1, "newest": AT})
    for _ in range(TRIES + 5):
        _, cursor, _ = await everything(poller, cursor)

    assert world.asked.count("conversations/conv_0001") == TRIES
    last = context.log.entries[-1]
    assert (last.level, last.event) == ("error", "call given up: it could not be read")
    assert last.values["call"] == "conv_0001"


async def test_of_the_calls_that_fail_no_more_are_kept_than_fit() -> None:
    world = World({f"conv_{it:04}": spoken(it, AT + it) for it in range(UNREAD + 20)})
    world.broken = dict.fromkeys(world.conversations, 503)
    context = Context(world)
    poller = CallsPoller(config(), context)
    cursor: str | None = json.dumps({"v": 1, "newest": AT})
    for _ in world.conversations:
        _, cursor, _ = await everything(poller, cursor)

    given_up = [it.values["call"] for it in context.log.entries if it.level == "error"]
    assert len(given_up) == 20
    world.broken.clear()
    found: list[str] = []
    for _ in range(10):
        more, cursor, _ = await everything(poller, cursor)
        found += more
    assert sorted([*found, *given_up]) == sorted(world.conversations)


async def test_a_key_that_is_not_accepted_stops_the_listing() -> None:
    world = World({"conv_0001": spoken(1, AT + 1)})
    world.broken["conv_0001"] = 401

    with pytest.raises(plugin.Refused):
        await everything(CallsPoller(config(), Context(world)), json.dumps({"v": 1, "newest": AT}))


@pytest.mark.parametrize("failure", [*REFUSED, *FAILED], ids=str)
async def test_a_call_of_a_batch_that_cannot_be_read_holds_up_no_other(
    failure: int | Exception,
) -> None:
    world = World({f"conv_{it:04}": spoken(it, AT + it) for it in range(3)})
    recipients = [
        {"status": "completed", "updated_at_unix": AT + it, "conversation_id": f"conv_{it:04}"}
        for it in range(3)
    ]
    world.batches["b1"] = {
        "id": "b1",
        "agent_id": AGENT,
        "status": "completed",
        "last_updated_at_unix": AT,
        "recipients": recipients,
    }
    world.broken["conv_0001"] = failure
    context = Context(world)
    poller = BatchesPoller(config(), context)

    found, cursor, _ = await everything(poller, json.dumps({"v": 1, "at": AT - 10}))
    more, cursor, _ = await everything(poller, cursor)

    assert [*found, *more] == ["conv_0000", "conv_0002"]
    assert world.asked.count("conversations/conv_0001") == 1
    assert json.loads(cursor or "")["open"] == {}
    (entry,) = context.log.entries
    assert entry.event.startswith("call not read")


@pytest.mark.parametrize(
    "odd",
    [
        {"start_time_unix_secs": None},
        {"start_time_unix_secs": AT + 0.5},
        {"status": None},
        {"conversation_id": ""},
        None,
    ],
    ids=str,
)
async def test_an_entry_of_a_listing_that_cannot_be_read_hides_no_call(
    odd: dict[str, Any] | None,
) -> None:
    world = World({"conv_0001": spoken(1, AT + 1)})
    listed = {"conversation_id": "conv_0002", "start_time_unix_secs": AT, "status": "done"}
    world.entries = [None if odd is None else {**listed, **odd}]
    context = Context(world)

    found, _, _ = await everything(
        CallsPoller(config(), context), json.dumps({"v": 1, "newest": AT})
    )

    assert found == ["conv_0001"]
    assert [entry.event for entry in context.log.entries] == ["entry of a listing not read"]


async def test_a_listing_of_which_nothing_can_be_read_is_no_empty_one() -> None:
    world = World({})
    world.entries = [{"conversation_id": f"conv_{n}", "status": None} for n in range(2)]

    with pytest.raises(plugin.ProviderError):
        await everything(CallsPoller(config(), Context(world)), json.dumps({"v": 1, "newest": AT}))


@pytest.mark.parametrize("where", ["batches", "recipients"])
async def test_a_batch_or_recipient_that_cannot_be_read_hides_no_call(where: str) -> None:
    world = World({"conv_0001": spoken(1, AT + 1)})
    done = {"status": "completed", "updated_at_unix": AT, "conversation_id": "conv_0001"}
    world.batches["b1"] = {
        "id": "b1",
        "agent_id": AGENT,
        "status": "in_progress",
        "last_updated_at_unix": AT,
        "recipients": [done],
    }
    if where == "batches":
        world.entries = [{"id": "b2", "agent_id": "another's", "last_updated_at_unix": None}]
    else:
        world.batches["b1"]["recipients"] = [{**done, "updated_at_unix": None}, done]
    context = Context(world)
    context.clock.set(datetime.fromtimestamp(AT, UTC))

    found, _, _ = await everything(BatchesPoller(config(), context), None)

    assert found == ["conv_0001"]
    assert [entry.event for entry in context.log.entries] == ["entry of a listing not read"]


async def test_a_call_that_was_deleted_is_passed_over() -> None:
    world = World({"conv_0001": spoken(1, AT + 1)})
    context = Context(world)
    poller = CallsPoller(config(), context)
    listed = world._page

    def vanish(query: httpx.QueryParams) -> dict[str, Any]:
        page = listed(query)
        world.conversations.clear()
        return page

    world._page = vanish  # type: ignore[method-assign]

    found, _, _ = await everything(poller, json.dumps({"v": 1, "newest": AT}))

    assert found == []


async def test_every_call_of_a_batch_is_told_once_while_it_runs_and_after() -> None:
    calls = {f"conv_{it:04}": spoken(it, AT + it) for it in range(60)}
    world = World(calls)
    recipients = [
        {"id": f"r{it}", "status": "pending", "updated_at_unix": AT, "conversation_id": None}
        for it in range(60)
    ]
    batch = {
        "id": "btcal_1",
        "name": "x",
        "agent_id": AGENT,
        "status": "in_progress",
        "last_updated_at_unix": AT,
        "recipients": recipients,
    }
    world.batches["btcal_1"] = batch
    poller = BatchesPoller(config(), Context(world))
    found: list[str] = []
    cursor: str | None = json.dumps({"v": 1, "at": AT - 10, "open": {}, "closed": {}})
    for step in range(6):
        for number in range(step * 10, step * 10 + 10):
            recipients[number] |= {
                "status": "completed" if number % 7 else "voicemail",
                "updated_at_unix": AT + step * 100,
                "conversation_id": f"conv_{number:04}",
            }
        batch["last_updated_at_unix"] = AT + step * 100
        batch["status"] = "completed" if step == 5 else "in_progress"
        more, cursor, _ = await everything(poller, cursor)
        found += more

    assert sorted(found) == sorted(calls)
    assert json.loads(cursor or "")["open"] == {}
    world.asked.clear()
    assert (await everything(poller, cursor))[0] == []
    assert world.asked == ["batch-calling/workspace"]


async def test_a_batch_that_may_have_been_taken_is_looked_for_and_not_submitted() -> None:
    world = World({})
    action = ElevenLabsBatch(
        ElevenLabsBatchConfig(api_key=SecretStr(KEY), agent=AGENT, phone_number_id="phnum_1"),
        Context(world),
    )
    params = BatchParams.model_validate({"recipients": [{"phone_number": "+573001234567"}]})
    call = plugin.ActionCall(id="01k7", action="dial", tenant="main", params=params, unsure=True)

    with pytest.raises(plugin.OutcomeUnknown, match="does not list it"):
        await action.run(call)
    world.batches["b"] = {"id": "b", "name": "Noviembre [01k7]", "last_updated_at_unix": AT}
    done = await action.run(call)

    assert done.ref == "b"
    assert set(world.asked) == {"batch-calling/workspace"}


@pytest.mark.parametrize(
    "values, why",
    [
        ({}, "state the recipients"),
        (
            {"cancel": "b", "recipients": [{"phone_number": "+573001234567"}]},
            "state the recipients",
        ),
        ({"recipients": [{"phone_number": "3001234567"}]}, "pattern"),
        ({"recipients": [{"phone_number": "+573001234567"}] * 2}, "twice"),
        (
            {"recipients": [{"phone_number": "+573001234567"}], "at": "2026-12-01T09:00:00"},
            "offset",
        ),
        ({"cancel": "../agents"}, "letters, digits"),
    ],
)
def test_a_batch_that_cannot_be_meant_is_refused(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        BatchParams.model_validate(values)


async def test_a_text_is_refused_in_words_that_say_what_to_do() -> None:
    async with FakeContext() as context:
        channel = ElevenLabsCalls(config(), context)

        with pytest.raises(plugin.Refused, match=r"then\.message") as caught:
            await channel.send(plugin.OutboundMessage(id="1", recipient=CALL.party, text="hola"))

    assert caught.value.code == "no_text"


@pytest.mark.parametrize(
    "status, why",
    [(401, "does not accept api_key"), (403, "may not read agents"), (404, "no agent agent_0001")],
)
async def test_check_names_the_setting_that_is_wrong(status: int, why: str) -> None:
    async with FakeContext(httpx.Response(status, json={"detail": "no"})) as context:
        with pytest.raises(plugin.Refused, match=why):
            await ElevenLabsCalls(config(), context).check()


@pytest.mark.parametrize("secret", [KEY, "wsec_1"])
async def test_no_secret_is_repeated_of_what_the_provider_says(secret: str) -> None:
    said = {"detail": {"message": f"no quota for {secret}"}}
    async with FakeContext(httpx.Response(402, json=said)) as context:
        with pytest.raises(plugin.Refused) as caught:
            await api.ask(context.http, config(), "agents/a1")

    assert caught.value.reason.endswith(": no quota for ***")


@pytest.mark.parametrize(
    "keys, why",
    [
        ({"webhook_secret": None}, "both missing"),
        ({"webhook_secret": SecretStr("")}, "it is empty"),
        ({"agents": []}, "at least 1"),
        ({"agents": ["a/b"]}, "letters, digits"),
        ({"base_url": "api.elevenlabs.io"}, "whole address"),
        ({"poll": "0s"}, "greater than 0"),
    ],
)
def test_a_table_that_cannot_work_is_refused(keys: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        config(**keys)


def test_an_account_key_alone_will_do() -> None:
    made = config(webhook_secret=None, account_key=SecretStr("k"))

    assert (made.webhook_secrets, made.account_keys) == ((), ("k",))


def test_an_address_may_name_the_version_or_not() -> None:
    assert config(base_url="http://127.0.0.1:1/v1/").url("agents/x") == (
        "http://127.0.0.1:1/v1/convai/agents/x"
    )


@pytest.mark.parametrize(
    "number, address",
    [
        ("+5491155550100", "tel:+5491155550100"),
        ("+54 9 11 (5555)-0100", "tel:+5491155550100"),
        ("whatsapp:+5491155550100", "tel:+5491155550100"),
        ("whatsapp:5491155550100", "tel:+5491155550100"),
        # Of no country that anybody knows, or of none at all: nobody else's.
        ("3001234567", "phone:3001234567"),
        ("11 5555-0100", "phone:1155550100"),
        ("03001234567", "phone:03001234567"),
        ("00573001234567", "phone:00573001234567"),
        ("5491155550100", "phone:5491155550100"),
        ("100200", "phone:100200"),
        ("+03001234567", None),
        ("anonymous", None),
        ("whatsapp:anonymous", None),
        ("", None),
        (None, None),
        ("+12", None),
    ],
)
def test_a_number_is_believed_only_behind_its_country(
    number: str | None, address: str | None
) -> None:
    wanted = None if address is None else plugin.Address.from_text(address)

    assert address_of(number) == wanted


@pytest.mark.parametrize(
    "number, address",
    [
        ("5491155550100", "tel:+5491155550100"),
        ("+5491155550100", "tel:+5491155550100"),
        ("03001234567", "phone:03001234567"),
        ("anonymous", "None"),
    ],
)
def test_a_deployer_may_know_that_numbers_have_their_country(number: str, address: str) -> None:
    made = config(international_numbers=True)
    called = {**CONVERSATION["metadata"], "phone_call": {"external_number": number}}
    found = call_of(Conversation.model_validate({**CONVERSATION, "metadata": called}), made)
    calling, _ = caller_in(json.dumps({"caller_id": number}).encode(), made)

    assert str(found and found.party) == str(calling) == address


@pytest.mark.parametrize(
    "user, address",
    [
        ("5491155550100", "tel:+5491155550100"),
        ("+5491155550100", "tel:+5491155550100"),
        ("US.13491208655", "bsuid:US.13491208655"),
    ],
)
def test_a_number_at_whatsapp_is_always_behind_its_country(user: str, address: str) -> None:
    called = {
        **CONVERSATION["metadata"],
        "phone_call": None,
        "whatsapp": {"whatsapp_user_id": user},
    }
    call = call_of(
        Conversation.model_validate({**CONVERSATION, "metadata": called}),
        config(),
    )

    assert call is not None
    assert str(call.party) == address


def test_a_card_is_summed_up_oldest_first_and_never_long() -> None:
    day = datetime(2026, 11, 20, tzinfo=UTC)
    card = plugin.Card(
        id="42",
        name="Ana",
        turns=tuple(
            plugin.CardTurn(author="customer", text=f"mensaje {it} " + "x" * 500, at=day)
            for it in range(20)
        ),
        calls=(plugin.CallSummary(day - timedelta(days=1), "Pidió la\nfactura."),),
        open_tickets=2,
    )

    told = json.loads(answer_for(card, {}).body)["dynamic_variables"]

    assert told["history_summary"].startswith("Llamada del 2026-11-19: Pidió la factura.\nCliente:")
    assert len(told["history_summary"]) < 2_500
    assert (told["last_call_summary"], told["open_tickets"]) == ("Pidió la factura.", "2")
