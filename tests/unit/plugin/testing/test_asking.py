"""The kit finds what is wrong with pollers, with answers on the spot, and with WebSockets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import httpx
import pytest
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import (
    AIBackendSuite,
    ChannelSuite,
    Closes,
    Complete,
    Dialogue,
    Drops,
    Expected,
    FakeContext,
    FakePeople,
    Hears,
    Poll,
    Receive,
    Refuses,
    Respond,
    Says,
    SocketServer,
)
from router.plugin.testing.cases import Suite
from router.plugin.testing.conformance import run_suite
from router.plugin.websockets import open_socket

ANA = plugin.Address("tel", "+525512345678")
ALSO_ANA = plugin.Address("tel", "+5215512345678")
URL = "https://api.example/news"
ITEM = {"id": "A1", "text": "hola"}
EVENT = plugin.MessageReceived("A1", ANA, "hola")


class Config(plugin.PluginConfig):
    token: plugin.Secret = SecretStr("s3cret-token")


class News(plugin.Poller):
    name = "news"
    every = timedelta(seconds=15)

    def __init__(self, channel: plugin.Channel[Config]) -> None:
        self.context = channel.context
        self.config = channel.config

    async def poll(self, cursor: str | None) -> plugin.Polled:
        response = await self.context.http.get(URL, params={"after": cursor or ""})
        plugin.raise_for_status(response)
        page = response.json()
        return plugin.Polled(
            events=[self.event(each) for each in page["items"]],
            cursor=page["next"],
            again=page.get("more", False),
        )

    def event(self, item: Mapping[str, str]) -> plugin.InboundEvent:
        return plugin.MessageReceived(item["id"], ANA, item["text"])


class Good(plugin.Channel[Config]):
    capabilities = plugin.Capabilities(responds=frozenset({"ringing"}))
    poller: type[News] = News

    def verify(self, request: plugin.WebhookRequest) -> None:
        if request.header("x-key") != self.config.token.get_secret_value():
            raise plugin.InvalidSignature("the X-Key header is missing or wrong")

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        if request.body != b"A1":
            raise ValueError("not understood")
        return [plugin.MessageReceived("A1", ANA, "hola")]

    def pollers(self) -> Sequence[plugin.Poller]:
        return [self.poller(self)]

    async def respond(
        self, request: plugin.WebhookRequest, people: plugin.People
    ) -> plugin.WebhookAnswer:
        try:
            caller = str(request.json()["caller"])
        except (ValueError, TypeError, LookupError):
            return self.default_response(request)
        return self.said(await people.lookup(plugin.Address("tel", caller)))

    def default_response(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer:
        return self.said(None)

    def said(self, card: plugin.Card | None) -> plugin.WebhookAnswer:
        name = None if card is None else card.name
        return plugin.WebhookAnswer(body=json.dumps({"name": name}).encode())

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        raise plugin.Refused("it sends nothing")


def page(*items: Mapping[str, str], after: str = "7", **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"items": items, "next": after, **more})


class GoodSuite(ChannelSuite):
    channel: ClassVar[Any] = Good
    config = Config()
    exempt: ClassVar[Mapping[str, str]] = {
        "tampered_body": "signs nothing",
        "any_bytes": "parse is not what this is about",
        "sends": "sends nothing",
        "provider_errors": "sends nothing",
    }
    receives = (Receive("one", b"A1", expect=[EVENT]),)
    polls: ClassVar[Sequence[Poll]] = (
        Poll(
            "one",
            "news",
            page(ITEM, more=True),
            cursor="6",
            expect=plugin.Polled(events=[EVENT], cursor="7", again=True),
            requests=[Expected("GET", f"{URL}?after=6")],
        ),
        Poll("none", "news", page(after="6"), cursor="6", expect=plugin.Polled(cursor="6")),
        Poll("down", "news", httpx.Response(503), raises=plugin.Unavailable),
    )
    responds: ClassVar[Sequence[Respond]] = (
        Respond(
            "known",
            "ringing",
            b'{"caller": "+5215512345678"}',
            people={ANA: plugin.Card(id="1", name="Ana")},
            json={"name": "Ana"},
            default=plugin.WebhookAnswer(body=b'{"name": null}'),
        ),
        Respond(
            "unknown",
            "ringing",
            b'{"caller": "+57"}',
            expect=plugin.WebhookAnswer(body=b'{"name": null}'),
        ),
    )

    def sign(self, request: plugin.WebhookRequest) -> plugin.WebhookRequest:
        return replace(request, headers={"X-Key": "s3cret-token"})


def failed(suite: type[Suite]) -> set[str]:
    return {result.check for result in run_suite(suite) if result.outcome == "failed"}


def reasons(suite: type[Suite]) -> str:
    return "\n".join(result.reason for result in run_suite(suite) if result.outcome == "failed")


def suite_of(**attributes: Any) -> type[GoodSuite]:
    return type("MutantSuite", (GoodSuite,), attributes)


def test_a_good_channel_passes_everything() -> None:
    results = list(run_suite(GoodSuite))

    assert [it for it in results if it.outcome not in ("passed", "exempt")] == []
    checks = [it.check for it in results]
    assert [checks.count(name) for name in ("pollers", "polls", "poll_is_repeatable")] == [1, 3, 2]
    assert checks.count("poll_errors") > 20
    assert [checks.count(name) for name in ("responds", "respond_any_bytes")] == [2, 1]


# Pollers ──────────────────────────────────────────────────────────────────────────────────────


class Swallows(News):
    async def poll(self, cursor: str | None) -> plugin.Polled:
        try:
            return await super().poll(cursor)
        except plugin.Unavailable:
            raise
        except (plugin.ProviderError, httpx.HTTPError, ValueError):
            return plugin.Polled(cursor=cursor)


class CallsItUnavailable(News):
    async def poll(self, cursor: str | None) -> plugin.Polled:
        try:
            return await super().poll(cursor)
        except plugin.Refused:
            raise plugin.Unavailable("not now") from None


class KeysByClock(News):
    def event(self, item: Mapping[str, str]) -> plugin.InboundEvent:
        return plugin.MessageReceived(f"{item['id']}-{self.context.clock.now()}", ANA, item["text"])


class GivesAList(News):
    async def poll(self, cursor: str | None) -> Any:
        return (await super().poll(cursor)).events


class GivesANumber(News):
    async def poll(self, cursor: str | None) -> plugin.Polled:
        found = await super().poll(cursor)
        return replace(found, cursor=int(found.cursor or 0))  # type: ignore[arg-type]


class ForEver(News):
    async def poll(self, cursor: str | None) -> plugin.Polled:
        return replace(await super().poll(cursor), again=True)


class TellsSecret(News):
    async def poll(self, cursor: str | None) -> plugin.Polled:
        try:
            return await super().poll(cursor)
        except plugin.Refused as error:
            token = self.config.token.get_secret_value()
            raise plugin.Refused(f"{token} is refused", code=error.code) from None


class Unnamed(News):
    name = "Not A Name"


class Restless(News):
    every = timedelta(0)


class Timeless(News):
    every = 15  # type: ignore[assignment]


ONE = (Poll("one", "news", page(ITEM), cursor="6"),)


@pytest.mark.parametrize(
    "poller, checks",
    [
        (Swallows, {"poll_errors"}),
        (CallsItUnavailable, {"poll_errors"}),
        (KeysByClock, {"polls", "poll_is_repeatable"}),
        (GivesAList, {"polls", "poll_is_repeatable"}),
        (GivesANumber, {"polls"}),
        (ForEver, {"polls"}),
        (TellsSecret, {"secrets"}),
        (Unnamed, {"pollers", "polls", "poll_is_repeatable", "poll_errors", "secrets"}),
        (Restless, {"pollers"}),
        (Timeless, {"pollers"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_mistake_of_a_poller_fails_the_check_that_is_named_for_it(
    poller: type[News], checks: set[str]
) -> None:
    class Mutant(Good):
        pass

    Mutant.poller = poller

    assert failed(suite_of(channel=Mutant)) == checks


class NoPollers(Good):
    def pollers(self) -> Sequence[plugin.Poller]:
        return ["news"]  # type: ignore[list-item]


class Broken(Good):
    def pollers(self) -> Sequence[plugin.Poller]:
        raise LookupError("no news")


class NotPolling(Good):
    pollers = plugin.Channel.pollers


@pytest.mark.parametrize(
    "attributes, words",
    [
        ({"channel": NoPollers, "polls": ()}, "pollers() has to give Pollers, not str"),
        ({"channel": Broken, "polls": ()}, "pollers() raised LookupError: no news"),
        ({"channel": NotPolling}, "it has no pollers, but rows in `polls`"),
        ({"polls": ()}, "give a row in `polls` where 'news' finds something"),
        ({"polls": (*ONE, Poll("x", "olds"))}, "there is no poller 'olds': ['news']"),
        (
            {"polls": (*ONE, Poll("x", "news", page(ITEM), page(ITEM)))},
            "1 of the scripted replies were never asked for",
        ),
    ],
)
def test_what_is_wrong_is_said(attributes: dict[str, Any], words: str) -> None:
    assert words in reasons(suite_of(**attributes))


# Answers on the spot ──────────────────────────────────────────────────────────────────────────


class BreaksOnStrangers(Good):
    async def respond(
        self, request: plugin.WebhookRequest, people: plugin.People
    ) -> plugin.WebhookAnswer:
        card = await people.lookup(plugin.Address("tel", request.json()["caller"]))
        return self.said(card)


class BreaksByDefault(Good):
    def default_response(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer:
        request.json()
        return self.said(None)


class Counts(Good):
    count = 0

    def default_response(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer:
        self.count += 1
        return plugin.WebhookAnswer(body=str(self.count).encode())


class GivesBytes(Good):
    def said(self, card: plugin.Card | None) -> Any:
        return super().said(card).body


class TrustsEverybody(Good):
    def verify(self, request: plugin.WebhookRequest) -> None:
        if request.endpoint != "ringing":
            super().verify(request)


class ClaimsNone(Good):
    capabilities = plugin.Capabilities()


class ClaimsMore(Good):
    capabilities = plugin.Capabilities(responds=frozenset({"ringing", "hanging_up"}))


class ClaimsReserved(Good):
    capabilities = plugin.Capabilities(responds=frozenset({"ringing", "test"}))


class DoesNotRespond(Good):
    respond = plugin.Channel.respond


@pytest.mark.parametrize(
    "channel, checks",
    [
        (BreaksOnStrangers, {"respond_any_bytes"}),
        (BreaksByDefault, {"respond_any_bytes"}),
        (Counts, {"respond_any_bytes", "responds"}),
        (GivesBytes, {"respond_any_bytes", "responds"}),
        (TrustsEverybody, {"unsigned_request", "malformed_signature"}),
        (ClaimsNone, {"capabilities"}),
        (ClaimsMore, {"capabilities"}),
        (ClaimsReserved, {"capabilities"}),
        (DoesNotRespond, {"capabilities", "respond_any_bytes", "responds"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_mistake_of_an_answer_fails_the_check_that_is_named_for_it(
    channel: type[Good], checks: set[str]
) -> None:
    assert failed(suite_of(channel=channel)) == checks


async def test_fake_people_know_a_person_by_every_address() -> None:
    ana = plugin.Card(id="1", name="Ana")
    people = FakePeople({ANA: ana})

    assert await people.lookup(ALSO_ANA) == ana
    assert await people.lookup(plugin.Address("tel", "+57")) is None
    assert people.asked == [ALSO_ANA, plugin.Address("tel", "+57")]


# WebSockets ───────────────────────────────────────────────────────────────────────────────────

AGENT = "wss://agent.example/talk?as=router"
PROMPT = plugin.Prompt(system="", turns=(plugin.PromptTurn("user", "¿Abren hoy?"),))
TALK = Dialogue(Hears("¿Abren hoy?"), Says({"answer": "Sí."}), url=AGENT)


class Agent(plugin.AIBackend[plugin.NoConfig]):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        async with self.context.websocket(AGENT) as socket:
            await socket.send(prompt.turns[-1].text)
            while True:
                try:
                    said = json.loads(await socket.receive())
                except ValueError:
                    raise plugin.OutcomeUnknown("not JSON") from None
                if isinstance(said, dict) and "answer" in said:
                    return plugin.Completion(str(said["answer"]))


class Reconnects(Agent):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        try:
            return await super().complete(prompt)
        except plugin.SocketClosed:
            return await super().complete(prompt)


class Silent(Agent):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        try:
            return await super().complete(prompt)
        except plugin.SocketClosed:
            return plugin.Completion("")


class CallsItRefused(Agent):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        try:
            return await super().complete(prompt)
        except plugin.SocketClosed as error:
            raise plugin.Refused(str(error)) from None


class NeverOpens(Agent):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        return plugin.Completion("Sí.")


class Elsewhere(Agent):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        async with self.context.websocket("wss://agent.example/") as socket:
            await socket.send(prompt.turns[-1].text)
            return plugin.Completion(json.loads(await socket.receive())["answer"])


class SaysElse(Agent):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        return await super().complete(replace(prompt, turns=(plugin.PromptTurn("user", "?"),)))


def agent_suite(backend: type[Agent], *rows: Complete) -> type[AIBackendSuite]:
    completes = (Complete("answer", PROMPT, sockets=[TALK]), *rows)
    attributes = {"backend": backend, "config": plugin.NoConfig(), "completes": completes}
    return type("Suite", (AIBackendSuite,), attributes)


@pytest.mark.parametrize(
    "backend, checks",
    [
        (Agent, set()),
        (Reconnects, {"socket_errors", "secrets"}),
        (Silent, {"socket_errors"}),
        (CallsItRefused, {"socket_errors"}),
        (NeverOpens, {"completes", "socket_errors"}),
        (Elsewhere, {"completes"}),
        (SaysElse, {"completes"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_mistake_with_a_websocket_fails_the_check_that_is_named_for_it(
    backend: type[Agent], checks: set[str]
) -> None:
    assert failed(agent_suite(backend)) == checks


def test_failures_of_a_websocket_can_be_rows() -> None:
    rows = (
        Complete("away", PROMPT, sockets=[Dialogue(Refuses(503))], raises=plugin.Unavailable),
        Complete(
            "gone",
            PROMPT,
            sockets=[Dialogue(Hears(), Closes(1002, "llm_timeout"))],
            raises=plugin.SocketClosed(1002),
        ),
        Complete("lost", PROMPT, sockets=[Dialogue(Drops())], raises=plugin.SocketClosed),
    )

    assert failed(agent_suite(Agent, *rows)) == set()


async def test_a_context_connects_every_address_to_its_own_server() -> None:
    talk = Dialogue(Says("hola"), headers={"X-Key": "k"})
    async with (
        FakeContext(sockets=[talk]) as context,
        context.websocket(AGENT, headers={"X-Key": "k"}) as socket,
    ):
        assert await socket.receive() == "hola"

    assert context.opened == [AGENT]
    assert context.server.connections[0].target == "/talk?as=router"
    assert (context.server.problems, context.server.unused) == ([], ())


@pytest.mark.parametrize("url, public", [("https://x.example", False), ("wss://10.0.0.1", True)])
async def test_a_context_refuses_the_addresses_that_the_host_refuses(
    url: str, public: bool
) -> None:
    async with FakeContext(sockets=[TALK]) as context:
        with pytest.raises(plugin.Refused):
            async with context.websocket(url, public=public):
                pass  # pragma: no cover

    assert context.opened == []


async def test_a_connection_too_many_is_not_served_and_stays_visible() -> None:
    async with FakeContext() as context:
        with pytest.raises(plugin.Unavailable):
            async with context.websocket(AGENT):
                pass  # pragma: no cover

    assert [each.target for each in context.server.unexpected] == ["/talk?as=router"]


async def test_the_server_says_what_it_heard_otherwise() -> None:
    async with SocketServer() as server:
        server.script(
            [
                Dialogue(Hears({"a": 1}), Hears("b"), headers={"X-Key": "k"}),
                Dialogue(Says("x"), Refuses(403)),
                Dialogue(Hears("something")),
            ]
        )
        async with open_socket(server.url) as socket:
            await socket.send('{"a": 2}')
            await socket.send("c")
            await socket.close()
        async with open_socket(server.url) as socket:
            await socket.receive()
        async with open_socket(server.url):
            pass
        await server.aclose()

    assert server.problems == [
        "header X-Key: expected 'k', got None",
        "the server expected to hear {'a': 1}, and heard {'a': 2}",
        "the server expected to hear 'b', and heard 'c'",
        "Refuses has to be the first step of a dialogue",
        "the client went before it said 'something'",
    ]


async def test_the_server_does_not_wait_for_ever() -> None:
    async with (
        SocketServer(Dialogue(Hears("x")), patience=0.05) as server,
        open_socket(server.url) as socket,
    ):
        with pytest.raises(plugin.SocketClosed):
            await socket.receive()

    assert server.problems == ["the server waited 0.05 s to hear 'x'"]


async def test_what_is_said_after_the_script_is_kept() -> None:
    async with SocketServer(Dialogue()) as server:
        await server.start()
        async with open_socket(server.url) as socket:
            await socket.send("one more thing")

    assert server.connections[0].heard == ["one more thing"]


def test_an_answer_that_is_not_json_is_shown() -> None:
    class Plain(Good):
        def said(self, card: plugin.Card | None) -> plugin.WebhookAnswer:
            return plugin.WebhookAnswer(body=b"nobody")

    assert "expected {'name': 'Ana'}, got b'nobody'" in reasons(suite_of(channel=Plain))


def test_an_answer_may_ask_the_provider() -> None:
    class Asks(Good):
        async def respond(
            self, request: plugin.WebhookRequest, people: plugin.People
        ) -> plugin.WebhookAnswer:
            response = await self.context.http.get(URL)
            return plugin.WebhookAnswer(body=response.content)

    row = Respond(
        "asks", "ringing", b"{}", httpx.Response(200, content=b'{"name": 1}'), json={"name": 1}
    )

    assert failed(suite_of(channel=Asks, responds=(row,))) == set()
