"""The kit finds what is wrong with how a channel lists templates, and with one that sends none."""

from collections.abc import Sequence
from typing import Any, ClassVar

import httpx
import pytest

from router import plugin
from router.plugin.testing import ChannelSuite, Expected, ListTemplates, Receive, Send
from router.plugin.testing.cases import Suite
from router.plugin.testing.conformance import run_suite

URL = "https://shop.example/templates"
ANA = plugin.Address("tel", "+573001234567")
LISTED = httpx.Response(200, json=[{"ref": "HX1", "status": "APPROVED"}])
INFO = plugin.TemplateInfo(ref="HX1", name="HX1", language="es", status="approved")


class Good(plugin.Channel[plugin.NoConfig]):
    """Keeps the contract: it lists templates, and sends nothing."""

    capabilities = plugin.Capabilities(lists_templates=True, sends=False)

    def verify(self, request: plugin.WebhookRequest) -> None:
        if request.header("X-Key") != "us" or not request.body.isdigit():
            raise plugin.InvalidSignature("it is not ours")

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        if not request.body.isdigit():
            raise ValueError("no number")
        return [plugin.MessageReceived(request.body.decode(), ANA, "hola")]

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        raise plugin.Refused("nothing is sent here")

    async def templates(self) -> Sequence[plugin.TemplateInfo]:
        response = await self.context.http.get(URL)
        plugin.raise_for_status(response)
        return [self.read(each) for each in response.json()]

    def read(self, each: dict[str, str]) -> plugin.TemplateInfo:
        ref, status = each["ref"], each["status"].lower()
        return plugin.TemplateInfo(ref=ref, name=ref, language="es", status=status)


class GoodSuite(ChannelSuite):
    channel: ClassVar[Any] = Good
    config = plugin.NoConfig()
    exempt: ClassVar = {
        "sends": "nothing is sent",
        "provider_errors": "nothing is sent",
        "tampered_body": "the secret is in a header",
    }
    receives: ClassVar[Sequence[Receive]] = (Receive("a number", b"7"),)
    lists: ClassVar[Sequence[ListTemplates]] = (
        ListTemplates("one", LISTED, expect=[INFO], requests=[Expected("GET", URL)]),
        ListTemplates("denied", httpx.Response(401), raises=plugin.Refused),
    )

    def sign(self, request: plugin.WebhookRequest) -> plugin.WebhookRequest:
        return plugin.WebhookRequest(
            method=request.method,
            url=request.url,
            headers={"x-key": "us"},
            body=request.body,
            received_at=request.received_at,
            endpoint=request.endpoint,
        )


def results(suite: type[Suite]) -> dict[str, str]:
    found = [it for it in run_suite(suite) if it.outcome == "failed"]
    return {it.check: it.reason for it in found}


def suite_of(**attributes: Any) -> type[GoodSuite]:
    return type("MutantSuite", (GoodSuite,), attributes)


def test_a_channel_that_lists_templates_passes_everything() -> None:
    checks = [it.check for it in run_suite(GoodSuite) if it.outcome == "passed"]

    assert results(GoodSuite) == {}
    assert checks.count("lists") == 2
    assert checks.count("list_errors") > 20


class Swallows(Good):
    async def templates(self) -> Sequence[plugin.TemplateInfo]:
        try:
            return await super().templates()
        except Exception:  # noqa: BLE001 - that is the mistake
            return []


class Shouts(Good):
    def read(self, each: dict[str, str]) -> plugin.TemplateInfo:
        ref = each["ref"]
        return plugin.TemplateInfo(ref=ref, name=ref, language="es", status=each["status"])


class Doubles(Good):
    async def templates(self) -> Sequence[plugin.TemplateInfo]:
        return [*await super().templates(), INFO]


class Claims(Good):
    templates = plugin.Channel.templates


class Modest(Good):
    capabilities = plugin.Capabilities(sends=False)


class Sends(Good):
    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        return plugin.SendReceipt(message.id)


HELLO = plugin.OutboundMessage(id="1", recipient=ANA, text="hola")


@pytest.mark.parametrize(
    "attributes, check, words",
    [
        ({"channel": Swallows}, "list_errors", "a failure was swallowed"),
        ({"channel": Shouts}, "lists", "has to be in lower case"),
        ({"channel": Doubles}, "lists", "sent by the same reference: ['HX1']"),
        ({"channel": Claims, "lists": ()}, "capabilities", "is claimed; implement templates()"),
        ({"channel": Modest}, "capabilities", "but lists_templates is not claimed"),
        ({"lists": ()}, "capabilities", "give a row in `lists`"),
        ({"channel": Sends}, "capabilities", "sends is False: send() has to be Refused"),
        (
            {"channel": Sends, "sends": (Send("a text", HELLO),)},
            "capabilities",
            "sends is False, but a row in `sends` succeeds",
        ),
    ],
)
def test_a_mistake_is_found_by_the_check_that_is_named_for_it(
    attributes: dict[str, Any], check: str, words: str
) -> None:
    assert words in results(suite_of(**attributes))[check]


def test_a_channel_whose_table_names_no_account_need_not_list() -> None:
    assert results(suite_of(channel=Modest, lists=())) == {}
