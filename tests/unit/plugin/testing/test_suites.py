"""The conformance kit finds each way of breaking the contract, under the name of its check.

Each row is a plugin with one mistake that real plugins make.
"""

import asyncio
import hmac
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

import router
from router import plugin
from router.plugin.testing import (
    ActionSuite,
    AIBackendSuite,
    ChannelSuite,
    CheckResult,
    Complete,
    Expected,
    Find,
    Receive,
    Run,
    Send,
    conformance,
)
from router.plugin.testing.bodies import any_bytes, mangled
from router.plugin.testing.cases import Suite
from router.plugin.testing.conformance import run_suite

ANA = plugin.Address("tel", "+573001234567")
HELLO = plugin.OutboundMessage(id="01k7", recipient=ANA, text="hello")
URL = "https://api.example/messages"
SINCE = datetime(2026, 3, 2, tzinfo=UTC)


class Account(BaseModel):
    keys: Mapping[str, Sequence[plugin.Secret]] = {"old": [SecretStr("older-token")]}


class Config(plugin.PluginConfig):
    token: plugin.Secret = SecretStr("s3cret-token")
    account: Account = Account()


class Good(plugin.Channel[Config]):
    def verify(self, request: plugin.WebhookRequest) -> None:
        plugin.verify_hmac_sha256(request, header="X-Signature", key=self.config.token)

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        item = request.json()
        match item:
            case {"id": str(identifier), **rest}:
                return [plugin.MessageReceived(identifier, ANA, str(rest.get("text", "")))]
            case _:
                raise ValueError("no id")

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        body = {"id": message.id, "to": message.recipient.value, "text": message.text}
        response = await self.context.http.post(URL, json=body)
        plugin.raise_for_status(response)
        return plugin.SendReceipt(response.json()["id"])


class GoodSuite(ChannelSuite):
    channel = Good
    config = Config()
    receives: ClassVar[Sequence[Receive]] = (
        Receive(
            "text", b'{"id": "A1", "text": "hi"}', expect=[plugin.MessageReceived("A1", ANA, "hi")]
        ),
        Receive("unsigned", b"{}", rejects=plugin.InvalidSignature),
        Receive("no id", b"{}", rejects=ValueError),
    )
    sends: ClassVar[Sequence[Send]] = (
        Send(
            "accepted",
            HELLO,
            httpx.Response(201, json={"id": "A2"}),
            expect=plugin.SendReceipt("A2"),
            requests=[
                Expected(
                    "POST",
                    URL,
                    headers={"Content-Type": "application/json"},
                    json={"id": "01k7", "to": ANA.value, "text": "hello"},
                )
            ],
        ),
        Send("blocked", HELLO, httpx.Response(403), raises=plugin.Refused(code="403")),
        Send("down", HELLO, httpx.ConnectError("refused"), raises=plugin.Unavailable),
    )

    def sign(self, request: plugin.WebhookRequest) -> plugin.WebhookRequest:
        mac = hmac.new(b"s3cret-token", request.body, "sha256").hexdigest()
        return replace(request, headers={"X-Signature": mac})


def failed(suite: type[Suite]) -> set[str]:
    return {result.check for result in run_suite(suite) if result.outcome == "failed"}


def suite_of(channel: type[plugin.Channel[Any]], **attributes: Any) -> type[GoodSuite]:
    if channel is not TrustsShape and "receives" not in attributes:
        # Its half a second is only spent where parse is what is wrong.
        exempt = {"any_bytes": "parse is the good one's", **attributes.get("exempt", {})}
        attributes = {**attributes, "exempt": exempt}
    return type("MutantSuite", (GoodSuite,), {"channel": channel, **attributes})


def test_a_good_channel_passes_everything() -> None:
    results = list(run_suite(GoodSuite))

    assert [result for result in results if result.outcome != "passed"] == []
    assert len(results) > 40


class AcceptsAll(Good):
    def verify(self, request: plugin.WebhookRequest) -> None: ...


class SaysYes(Good):
    def verify(self, request: plugin.WebhookRequest) -> None:
        super().verify(request)
        return True  # type: ignore[return-value]


class ChecksPresence(Good):
    def verify(self, request: plugin.WebhookRequest) -> None:
        if not request.header("X-Signature"):
            raise plugin.InvalidSignature("no signature")


class BreaksOnSignature(Good):
    def verify(self, request: plugin.WebhookRequest) -> None:
        bytes.fromhex(request.header("X-Signature") or "")
        super().verify(request)


class TellsSignature(Good):
    def verify(self, request: plugin.WebhookRequest) -> None:
        mac = hmac.new(b"s3cret-token", request.body, "sha256").hexdigest()
        if request.header("X-Signature") != mac:
            raise plugin.InvalidSignature(f"expected {mac}")


class TellsKey(Good):
    def verify(self, request: plugin.WebhookRequest) -> None:
        try:
            super().verify(request)
        except plugin.InvalidSignature:
            raise plugin.InvalidSignature("not signed with older-token") from None


class TrustsShape(Good):
    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        item = request.json()
        if item == {}:
            raise ValueError("no id")
        return [plugin.MessageReceived(item["id"], ANA, item["text"])]


class CountsEvents(Good):
    count = 0

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        (event,) = super().parse(request)
        assert isinstance(event, plugin.MessageReceived)
        type(self).count += 1
        return [replace(event, metadata={"count": str(self.count)})]


class KeysByClock(Good):
    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        (event,) = super().parse(request)
        assert isinstance(event, plugin.MessageReceived)
        return [replace(event, id=f"{event.id}-{request.received_at.timestamp()}")]


class NotAcknowledging(Good):
    def acknowledge(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer | None:
        return plugin.WebhookAnswer(status=302)


class AllUnavailable(Good):
    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        try:
            return await super().send(message)
        except (plugin.ProviderError, httpx.HTTPError) as error:
            if getattr(error, "code", None) == "403":
                raise
            raise plugin.Unavailable(str(error)) from error


class Repeats(Good):
    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        try:
            return await super().send(message)
        except plugin.OutcomeUnknown:
            return await super().send(message)


class ReadsBeforeStatus(Good):
    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        body = {"id": message.id, "to": message.recipient.value, "text": message.text}
        response = await self.context.http.post(URL, json=body)
        if response.content:
            response.json()
        plugin.raise_for_status(response)
        return plugin.SendReceipt(response.json()["id"])


class ShortTexts(Good):
    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        if len(message.text) > 1600:
            raise plugin.Refused("too long")
        return await super().send(message)


class ClaimsReceipts(Good):
    capabilities = plugin.Capabilities(receipts=True)


class ClaimsMedia(Good):
    capabilities = plugin.Capabilities(media=True)


class ClaimsTypes(Good):
    capabilities = plugin.Capabilities(media_types=frozenset({"image/jpeg"}))


class ClaimsFinding(Good):
    capabilities = plugin.Capabilities(find_sent=True)


class ClaimsListing(Good):
    capabilities = plugin.Capabilities(complete_listing=True)


class ClaimsIdempotence(Good):
    capabilities = plugin.Capabilities(idempotent_send=True)

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        return await super().send(replace(message, id="anything"))


class ReportsWithoutClaim(Good):
    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        (event,) = super().parse(request)
        return [event, plugin.DeliveryReported("A2", ANA, "sent")]


class FindsWithoutClaim(Good):
    async def find_sent(
        self, message: plugin.OutboundMessage, since: datetime
    ) -> Sequence[plugin.SentMessage]:
        return []


class LogsSecret(Good):
    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        self.context.log.info("sending", token=self.config.token.get_secret_value())
        return await super().send(message)


class LogsElsewhere(Good):
    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        logging.getLogger("acme").debug("with %s", self.config.token.get_secret_value())
        return await super().send(message)


class RaisesSecret(Good):
    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        try:
            return await super().send(message)
        except plugin.Refused as error:
            raise plugin.Refused("refused older-token", code=error.code) from None


class ShowsSecret(Good):
    def __repr__(self) -> str:
        return f"Channel({self.config.token.get_secret_value()})"


class UsesNetwork(Good):
    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        async with httpx.AsyncClient() as client:
            response = await client.post("http://192.0.2.1/", timeout=1)
        return plugin.SendReceipt(response.json()["id"])


class GivesNothing(Good):
    async def send(self, message: plugin.OutboundMessage) -> Any:
        await super().send(message)


class WrongRequest(Good):
    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        return await super().send(replace(message, text=message.text.upper()))


class BreaksInLifespan(Good):
    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        await self.context.http.get("https://api.example/me")
        yield


class Lenient(plugin.PluginConfig):
    model_config = ConfigDict(extra="ignore", frozen=True)
    token: plugin.Secret = SecretStr("s3cret-token")


@pytest.mark.parametrize(
    "channel, checks",
    [
        (
            AcceptsAll,
            {"receives", "unsigned_request", "tampered_body", "malformed_signature"},
        ),
        (SaysYes, {"receives"}),
        (ChecksPresence, {"tampered_body", "malformed_signature"}),
        (BreaksOnSignature, {"malformed_signature"}),
        (TellsSignature, {"secrets"}),
        (TellsKey, {"secrets"}),
        (TrustsShape, {"any_bytes"}),
        (CountsEvents, {"receives", "parse_is_repeatable"}),
        (KeysByClock, {"receives", "dedupe_keys"}),
        (NotAcknowledging, {"receives"}),
        (AllUnavailable, {"provider_errors"}),
        (Repeats, {"provider_errors", "secrets"}),
        (ReadsBeforeStatus, {"provider_errors"}),
        (ShortTexts, {"capabilities"}),
        (ClaimsReceipts, {"capabilities"}),
        (ClaimsMedia, {"capabilities"}),
        (ClaimsTypes, {"capabilities"}),
        (ClaimsFinding, {"capabilities"}),
        (ClaimsListing, {"capabilities"}),
        (ClaimsIdempotence, {"sends", "capabilities"}),
        (ReportsWithoutClaim, {"receives", "capabilities"}),
        (FindsWithoutClaim, {"capabilities"}),
        (LogsSecret, {"secrets"}),
        (LogsElsewhere, {"secrets"}),
        (RaisesSecret, {"secrets"}),
        (ShowsSecret, {"secrets"}),
        (UsesNetwork, {"sends", "provider_errors", "capabilities", "secrets"}),
        (GivesNothing, {"sends"}),
        (WrongRequest, {"sends"}),
        (BreaksInLifespan, {"sends", "provider_errors", "capabilities", "secrets"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_mistake_fails_the_check_that_is_named_for_it(
    channel: type[plugin.Channel[Any]], checks: set[str]
) -> None:
    assert failed(suite_of(channel)) == checks


@pytest.mark.parametrize(
    "attributes, checks",
    [
        ({"config": Lenient()}, {"unknown_config_key"}),
        ({"config": Config(token=SecretStr("abc"))}, {"receives", "secrets"}),
        ({"sign": ChannelSuite.sign}, {"malformed_signature", "receives"}),
        ({"exempt": {"tampered_body": " "}}, {"exemptions"}),
        ({"exempt": {"tampred_body": "signs nothing"}}, {"exemptions"}),
        ({"exempt": {"tampered_body": "signs nothing"}}, set()),
        (
            {"receives": ()},
            {
                "receives",
                "unsigned_request",
                "tampered_body",
                "malformed_signature",
                "parse_is_repeatable",
                "dedupe_keys",
                "any_bytes",
            },
        ),
        ({"sends": ()}, {"sends", "provider_errors", "capabilities"}),
        (
            {"sends": (*GoodSuite.sends, Send("one too many", HELLO, *[httpx.Response(403)] * 2))},
            {"sends"},
        ),
        (
            {"sends": (*GoodSuite.sends, Send("no reply", HELLO))},
            {"sends", "secrets"},
        ),
    ],
)
def test_a_suite_that_proves_nothing_fails(attributes: dict[str, Any], checks: set[str]) -> None:
    assert failed(suite_of(Good, **attributes)) == checks


FILE = plugin.Attachment(kind="image", url="https://shop.example/a.jpg")


@pytest.mark.parametrize(
    "types, text, words",
    [
        (None, "", None),
        ({"image/jpeg", "audio/x-wav"}, "", None),
        (None, "a caption", "with one attachment and no text"),
        (set(), "", "media_types is empty"),
        ({"JPEG"}, "", "write them as image/jpeg, in lower case, not ['JPEG']"),
    ],
)
def test_what_is_claimed_of_files_is_shown_as_the_host_sends_them(
    types: set[str] | None, text: str, words: str | None
) -> None:
    known = None if types is None else frozenset(types)
    claims = plugin.Capabilities(media=True, media_types=known)
    channel = type("SendsFiles", (Good,), {"capabilities": claims})
    message = replace(HELLO, text=text, media=(FILE,))
    row = Send("file", message, httpx.Response(201, json={"id": "A2"}))

    found = list(run_suite(suite_of(channel, sends=(*GoodSuite.sends, row))))

    reasons = [it.reason for it in found if it.outcome == "failed"]
    assert len(reasons) == (words is not None)
    assert all(words is not None and words in reason for reason in reasons)


class Finder(Good):
    capabilities = plugin.Capabilities(find_sent=True, complete_listing=True, idempotent_send=True)

    async def find_sent(
        self, message: plugin.OutboundMessage, since: datetime
    ) -> Sequence[plugin.SentMessage]:
        response = await self.context.http.get(URL, params={"since": since.isoformat()})
        plugin.raise_for_status(response)
        return [plugin.SentMessage(item["id"]) for item in response.json()]


def test_a_channel_that_finds_what_it_sent_passes_with_rows_for_it() -> None:
    found = Find(
        "found",
        HELLO,
        SINCE,
        httpx.Response(200, json=[{"id": "A2"}]),
        expect=[plugin.SentMessage("A2")],
        requests=[Expected("GET", f"{URL}?since=2026-03-02T00%3A00%3A00%2B00%3A00")],
    )
    wrong = Find("wrong", HELLO, SINCE, httpx.Response(200, json=[]), expect=found.expect)
    down = Find("down", HELLO, SINCE, httpx.Response(503), raises=plugin.Unavailable)

    assert failed(suite_of(Finder, finds=(found, down))) == set()
    assert failed(suite_of(Finder, finds=(wrong,))) == {"finds"}


PROMPT = plugin.Prompt(
    system="Be brief.",
    turns=(plugin.PromptTurn("user", "When?"),),
    passages=(plugin.Passage("hours#1", "Hours", "Nine to six."),),
    categories=("INFO",),
)


class Oracle(plugin.AIBackend[plugin.NoConfig]):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        response = await self.context.http.post("https://ai.example/", content=b"?")
        plugin.raise_for_status(response)
        given = response.json()
        return plugin.Completion(
            given["text"],
            given.get("confidence"),
            given.get("category"),
            tuple(given.get("citations", ())),
            tuple(plugin.ProposedAction(name, {}) for name in given.get("proposals", ())),
        )


class Forgetful(Oracle):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        return replace(await super().complete(prompt), text=str(id(self)))


class Speechless(Oracle):
    async def complete(self, prompt: plugin.Prompt) -> Any:
        return (await super().complete(prompt)).text


@pytest.mark.parametrize(
    "backend, given, checks",
    [
        (Oracle, {"confidence": 0.8, "category": "INFO", "citations": ["hours#1"]}, set()),
        (Oracle, {"confidence": 80}, {"sound_completion"}),
        (Oracle, {"category": "SALES"}, {"sound_completion"}),
        (Oracle, {"citations": ["hours#2"]}, {"sound_completion"}),
        (Oracle, {"proposals": ["refund"]}, {"sound_completion"}),
        (Speechless, {}, {"sound_completion"}),
    ],
)
def test_a_backend_says_nothing_that_its_prompt_did_not_offer(
    backend: type[plugin.AIBackend[Any]], given: dict[str, Any], checks: set[str]
) -> None:
    reply = httpx.Response(200, json={"text": "At nine.", **given})
    rows = (
        Complete("answer", PROMPT, reply),
        Complete("down", PROMPT, httpx.Response(500), raises=plugin.OutcomeUnknown),
    )
    attributes = {"backend": backend, "config": plugin.NoConfig(), "completes": rows}

    assert failed(type("Suite", (AIBackendSuite,), attributes)) == checks


class Params(plugin.ActionParams):
    order: int


class LenientParams(BaseModel):
    order: int


class Track(plugin.Action[plugin.NoConfig]):
    idempotent = True

    async def run(self, call: plugin.ActionCall) -> plugin.ActionResult | None:
        response = await self.context.http.post(URL, json=call.as_json())
        plugin.raise_for_status(response)
        return plugin.ActionResult("done")


class Untraceable(Track):
    async def run(self, call: plugin.ActionCall) -> plugin.ActionResult | None:
        return await super().run(replace(call, id=""))


class Undecided(Track):
    repeat_is_harmless = True


class Chatty(Track):
    async def run(self, call: plugin.ActionCall) -> Any:
        await super().run(call)
        return "done"


@pytest.mark.parametrize(
    "action, params, checks",
    [
        (Track, Params, set()),
        (Track, LenientParams, {"unknown_param"}),
        (Untraceable, Params, {"repeat"}),
        (Undecided, Params, {"repeat"}),
        (Chatty, Params, {"runs"}),
    ],
)
def test_an_action_keeps_what_it_declares(
    action: type[plugin.Action[Any]], params: type[BaseModel], checks: set[str]
) -> None:
    rows = (
        Run("done", {"order": 7}, httpx.Response(200)),
        Run("gone", {"order": 7}, httpx.Response(410), raises=plugin.Refused(code="410")),
    )
    attributes = {"action": action, "config": plugin.NoConfig(), "params": params, "runs": rows}

    assert failed(type("Suite", (ActionSuite,), attributes)) == checks


def test_a_difference_is_said_in_words() -> None:
    wrong = Send("wrong", HELLO, httpx.Response(201, json={"id": "A2"}), raises=plugin.Refused)
    results = list(run_suite(suite_of(Good, sends=(*GoodSuite.sends, wrong))))

    assert [result for result in results if result.outcome == "failed"] == [
        CheckResult(
            "sends", "wrong", "failed", "expected Refused, got SendReceipt(provider_id='A2')"
        )
    ]


def test_each_case_is_a_method_that_pytest_collects() -> None:
    names = {name for name in dir(GoodSuite) if name.startswith("test_")}

    assert "test_receives[text]" in names
    assert "test_provider_errors[HTTP 429]" in names
    assert "test_secrets" in names


def test_a_subclass_has_its_own_rows_and_none_of_its_parents() -> None:
    suite = suite_of(Good, receives=(GoodSuite.receives[0],), exempt={"secrets": "has none"})

    assert callable(getattr(suite, "test_receives[text]"))
    assert getattr(suite, "test_receives[no id]") is None
    assert suite.test_secrets is None  # type: ignore[attr-defined]
    assert callable(getattr(GoodSuite, "test_receives[no id]"))


def test_a_kind_without_a_suite_says_where_to_write_one() -> None:
    registry = plugin.Registry()
    registry.channel("good", Good, config=Config)

    (result,) = conformance(registry.channels["good"])

    assert result.outcome == "missing"
    assert result.reason.startswith("no suite for 'good'; write one in ")


def test_a_form_and_raw_bytes_can_be_expected() -> None:
    request = httpx.Request("POST", URL, data={"To": "+1", "Body": "ñ"})

    assert Expected("POST", URL, form={"Body": "ñ", "To": "+1"}).difference(request) is None
    assert Expected("POST", URL, content=b"To=%2B1&Body=%C3%B1").difference(request) is None
    assert Expected("POST", URL, form={"To": "+1"}).difference(request) == (
        "form: expected [('To', '+1')], got [('Body', 'ñ'), ('To', '+1')]"
    )
    assert Expected("POST", URL, json={}).difference(request) == (
        "JSON: expected {}, got b'To=%2B1&Body=%C3%B1'"
    )
    assert Expected("GET", URL).difference(request) == "method: expected 'GET', got 'POST'"


class Hangs(Good):
    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        await asyncio.sleep(60)
        return plugin.SendReceipt()


def test_a_call_that_does_not_end_fails() -> None:
    rows = (GoodSuite.sends[0],)
    suite = suite_of(Hangs, sends=rows, time_limit=0.01)

    assert [result for result in run_suite(suite) if result.check == "sends"] == [
        CheckResult(
            "sends",
            "accepted",
            "failed",
            "it did not end within 0.01 s, though its provider answers",
        )
    ]


class Listener(plugin.Channel[Config]):
    """Only listens: signed by a token in the URL, with a challenge and a form."""

    capabilities = plugin.Capabilities(receipts=True)

    def verify(self, request: plugin.WebhookRequest) -> None:
        given = dict(request.query).get("token", "")
        if not hmac.compare_digest(given.encode(), b"s3cret-token"):
            raise plugin.InvalidSignature("the token in the URL is missing or wrong")

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        if request.method == "GET":
            return []
        fields = dict(request.form)
        if "Status" in fields and fields.get("Id"):
            return [plugin.DeliveryReported(fields["Id"], ANA, fields["Status"])]
        raise ValueError("no status")

    def acknowledge(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer | None:
        if request.method == "GET":
            return plugin.WebhookAnswer(body=dict(request.query)["challenge"].encode())
        return super().acknowledge(request)

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        raise plugin.Refused("this channel only listens")


class ListenerSuite(ChannelSuite):
    channel = Listener
    config = Config()
    exempt: ClassVar[Mapping[str, str]] = {
        "tampered_body": "signs nothing; the secret is in the URL",
        "sends": "only listens",
        "provider_errors": "calls no provider",
    }
    receives = (
        Receive(
            "challenge",
            method="GET",
            query={"challenge": "42"},
            expect=[],
            answer=plugin.WebhookAnswer(body=b"42"),
        ),
        Receive(
            "status",
            plugin.WebhookRequest(
                url="https://router.example/hooks/test/status?x=1",
                body=b"Id=A2&Status=sent",
                endpoint="status",
                received_at=SINCE,
            ),
            expect=[plugin.DeliveryReported("A2", ANA, "sent")],
        ),
        Receive("not UTF-8", b"Id=\xff", endpoint="status", rejects=ValueError),
    )

    def sign(self, request: plugin.WebhookRequest) -> plugin.WebhookRequest:
        separator = "&" if "?" in request.url else "?"
        return replace(request, url=f"{request.url}{separator}token=s3cret-token")


def test_a_channel_without_headers_sends_or_json_can_keep_the_contract() -> None:
    results = list(run_suite(ListenerSuite))

    assert [result for result in results if result.outcome == "failed"] == []
    assert [result.check for result in results if result.outcome == "exempt"] == [
        "tampered_body",
        "sends",
        "provider_errors",
    ]


class RepeatsDifferently(Good):
    capabilities = plugin.Capabilities(idempotent_send=True)
    count = 0

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        type(self).count += 1
        return await super().send(replace(message, text=f"{message.text} ({self.count})"))


def test_an_idempotent_send_makes_the_same_request_again() -> None:
    rows = (replace_requests(GoodSuite.sends[0]),)
    results = list(run_suite(suite_of(RepeatsDifferently, sends=rows)))

    assert [result.reason for result in results if result.outcome == "failed"] == [
        "idempotent_send: a repeat of one message made another request"
    ]


def replace_requests(row: Send) -> Send:
    return Send(row.label, row.message, *row.replies, expect=row.expect)


def test_max_text_needs_a_row_with_a_text() -> None:
    template = plugin.OutboundMessage(id="01k7", recipient=ANA, template=plugin.Template("hi"))
    row = Send("template", template, *GoodSuite.sends[0].replies)

    assert failed(suite_of(Good, sends=(row,))) == {"capabilities"}


class CountsBytes(Good):
    """Claims a limit in characters, and goes by bytes."""

    capabilities = plugin.Capabilities(max_text=100)

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        if len(message.text.encode()) > 100:
            raise plugin.Refused("too long")
        return await super().send(message)


class CountsInWords(Good):
    capabilities = plugin.Capabilities(text_unit="words")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "channel, reason",
    [
        (
            CountsBytes,
            "a text of max_text (100 characters), of 100 times 😀: Refused('too long')",
        ),
        (CountsInWords, "text_unit is characters, utf16 or bytes, not 'words'"),
    ],
)
def test_a_longest_text_that_is_counted_otherwise_than_claimed_is_found(
    channel: type[plugin.Channel[Any]], reason: str
) -> None:
    results = list(run_suite(suite_of(channel)))

    assert [result.reason for result in results if result.outcome == "failed"] == [reason]


class CountsBytesAndSaysSo(CountsBytes):
    capabilities = plugin.Capabilities(max_text=100, text_unit="bytes")


def test_a_channel_may_count_bytes() -> None:
    assert failed(suite_of(CountsBytesAndSaysSo)) == set()


@pytest.mark.parametrize(
    "body", [b'{"a": [1, {"b": "c"}]}', b"A=1&B=2", b"", b"\xff\xfe", b'"text"']
)
def test_mangled_bodies_are_many_and_none_is_the_good_one(body: bytes) -> None:
    variants = list(mangled(body))

    assert len(set(variants)) >= 10
    assert all(isinstance(variant, bytes) for variant in variants)
    if len(body) > 2:
        assert body not in variants


def test_mangled_json_lacks_and_retypes_each_value() -> None:
    variants = [json.loads(one) for one in mangled(b'{"a": [1], "b": 2}') if one[-1:] == b"}"]

    assert {"b": 2} in variants
    assert {"a": [1]} in variants
    assert {"a": [None], "b": 2} in variants
    assert {"a": [1], "b": []} in variants


def test_without_hypothesis_random_bytes_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    seen: list[bytes] = []

    any_bytes(seen.append)

    assert len(seen) == 300
    assert len(set(seen)) > 290


FIXTURE_TESTS = """
import httpx


async def test_left(plugin_context):
    plugin_context.script([httpx.Response(200)])


async def test_missing(plugin_context):
    try:
        await plugin_context.http.get("https://api.example")
    except AssertionError:
        pass
"""


def test_the_context_fixture_fails_a_test_that_leaves_the_script(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(FIXTURE_TESTS, encoding="utf-8")

    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-o", "anyio_mode=auto", "--rootdir", str(tmp_path), str(tmp_path)),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(router.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "1 scripted replies were never asked for" in ran.stdout
    assert "no reply was scripted for" in ran.stdout
    assert ran.returncode == 1
