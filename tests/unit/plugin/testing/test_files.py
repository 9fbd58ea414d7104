"""The kit finds what is wrong with how a channel fetches files."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import httpx
import pytest
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import ChannelSuite, Expected, Fetch, Send
from router.plugin.testing.cases import Suite
from router.plugin.testing.conformance import run_suite

API = "https://api.acme.example"
STORE = "https://files.acme.example/a"
TOKEN = "s3cret-token"
ANA = plugin.Address("tel", "+525512345678")
PICTURE = plugin.Attachment(kind="image", url=f"{API}/files/1")
MOVED = httpx.Response(302, headers={"Location": STORE})
JPEG = httpx.Response(200, headers={"Content-Type": "image/jpeg"}, content=b"\xff\xd8\xff")
FILE = plugin.File("image/jpeg", b"\xff\xd8\xff")
KEY = {"X-Token": TOKEN}


class Config(plugin.PluginConfig):
    token: plugin.Secret = SecretStr(TOKEN)


class Good(plugin.Channel[Config]):
    """Keeps the contract: its own address with the token, then a store without."""

    capabilities = plugin.Capabilities(fetch=True)

    def verify(self, request: plugin.WebhookRequest) -> None:
        return

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        return []

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        response = await self.context.http.post(f"{API}/messages", json={"text": message.text})
        plugin.raise_for_status(response)
        return plugin.SendReceipt(str(response.json()["id"]))

    @property
    def token(self) -> str:
        return self.config.token.get_secret_value()

    def is_own(self, url: str) -> bool:
        return plugin.origin_of(url) == plugin.origin_of(API)

    def trusts(self, url: str) -> bool:
        return plugin.is_trusted(url, ["files.acme.example"], API)

    def headers(self, url: str) -> dict[str, str]:
        return {"X-Token": self.token} if self.is_own(url) else {}

    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        url = attachment.url or ""
        if not self.is_own(url):
            raise plugin.Refused("it is not here")
        for _ in range(2):
            headers = self.headers(url)
            async with self.context.http.stream("GET", url, headers=headers) as response:
                if not response.is_redirect:
                    await self.judge(response)
                    return await self.read(response, limit)
                url = response.headers["Location"]
                if not self.trusts(url):
                    raise plugin.Refused("it is nowhere that is trusted")
        raise plugin.Refused("sent on and on")

    async def judge(self, response: httpx.Response) -> None:
        plugin.raise_for_status(response)

    async def read(self, response: httpx.Response, limit: int) -> plugin.File:
        return await plugin.read_file(response, limit)


class GoodSuite(ChannelSuite):
    channel: ClassVar[Any] = Good
    config = Config()
    exempt: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "receives",
            "unsigned_request",
            "tampered_body",
            "malformed_signature",
            "parse_is_repeatable",
            "dedupe_keys",
            "any_bytes",
        ),
        "it receives nothing",
    )
    sends = (
        Send(
            "sent",
            plugin.OutboundMessage(id="1", recipient=ANA, text="hola"),
            httpx.Response(200, json={"id": "1"}),
        ),
    )
    fetches: ClassVar[Sequence[Fetch]] = (
        Fetch(
            "sent on",
            PICTURE,
            MOVED,
            JPEG,
            expect=FILE,
            requests=[Expected("GET", f"{API}/files/1", headers=KEY), Expected("GET", STORE)],
        ),
        Fetch("gone", PICTURE, httpx.Response(410), raises=plugin.Refused(code="410")),
    )


def failed(suite: type[Suite]) -> set[str]:
    return {result.check for result in run_suite(suite) if result.outcome == "failed"}


def reasons(suite: type[Suite]) -> str:
    return "\n".join(result.reason for result in run_suite(suite) if result.outcome == "failed")


def suite_of(**attributes: Any) -> type[GoodSuite]:
    return type("MutantSuite", (GoodSuite,), attributes)


def test_a_channel_that_fetches_well_passes_everything() -> None:
    results = list(run_suite(GoodSuite))

    assert [it for it in results if it.outcome not in ("passed", "exempt")] == []
    checks = [it.check for it in results]
    assert [checks.count(f"fetch{it}") for it in ("es", "_credentials", "_limit")] == [2, 1, 5]
    assert checks.count("fetch_redirects") == 2 * 5 * 2
    assert checks.count("fetch_address") >= 9
    assert checks.count("fetch_errors") > 20


class AsksAnybody(Good):
    def is_own(self, url: str) -> bool:
        return url.startswith("http")


class AsksWhatLooksAlike(Good):
    def is_own(self, url: str) -> bool:
        return url.startswith(API)


class FollowsAnything(Good):
    def trusts(self, url: str) -> bool:
        return True


class TellsTheStore(Good):
    def headers(self, url: str) -> dict[str, str]:
        return {"X-Token": self.token}


class TellsTheStoreByBasic(Good):
    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        self.context.http.auth = httpx.BasicAuth("acme", self.token)
        return await super().fetch(attachment, limit)


class ReadsEverything(Good):
    async def read(self, response: httpx.Response, limit: int) -> plugin.File:
        data = await response.aread()
        if len(data) > limit:
            raise plugin.Refused("it is too large")
        return plugin.File(response.headers.get("Content-Type", ""), data)


class ReadsNoEnd(Good):
    async def read(self, response: httpx.Response, limit: int) -> plugin.File:
        data = await response.aread()
        return plugin.File(response.headers.get("Content-Type", ""), data)


class ReadsAllOfAFailure(Good):
    async def judge(self, response: httpx.Response) -> None:
        if response.is_error:
            await response.aread()
        await super().judge(response)


class ReadsTheBeginningOfAFailure(Good):
    async def judge(self, response: httpx.Response) -> None:
        if response.is_error:
            await super().judge(await plugin.read_failure(response))


class AByteTooFew(Good):
    async def read(self, response: httpx.Response, limit: int) -> plugin.File:
        return await super().read(response, limit - 1)


class CallsItUnavailable(Good):
    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        try:
            return await super().fetch(attachment, limit)
        except plugin.Refused as error:
            raise plugin.Unavailable(error.reason, code=error.code) from None


class GivesNothing(Good):
    async def fetch(self, attachment: plugin.Attachment, limit: int) -> Any:
        try:
            return await super().fetch(attachment, limit)
        except (plugin.Unavailable, plugin.OutcomeUnknown):
            return None


class GivesBytes(Good):
    async def fetch(self, attachment: plugin.Attachment, limit: int) -> Any:
        return (await super().fetch(attachment, limit)).data


class TellsSecret(Good):
    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        try:
            return await super().fetch(attachment, limit)
        except plugin.Refused as error:
            raise plugin.Refused(f"{self.token}: no", code=error.code) from None


class ClaimsNothing(Good):
    capabilities = plugin.Capabilities()


class FetchesNothing(Good):
    fetch = plugin.Channel.fetch


@pytest.mark.parametrize(
    "channel, checks",
    [
        (AsksAnybody, {"fetch_address", "fetch_credentials"}),
        (AsksWhatLooksAlike, {"fetch_address"}),
        (FollowsAnything, {"fetch_redirects"}),
        (TellsTheStore, {"fetch_credentials"}),
        (TellsTheStoreByBasic, {"fetch_credentials"}),
        (ReadsEverything, {"fetch_limit"}),
        (ReadsNoEnd, {"fetch_limit"}),
        (ReadsAllOfAFailure, {"fetch_limit"}),
        (ReadsTheBeginningOfAFailure, set()),
        (AByteTooFew, {"fetch_limit"}),
        (
            CallsItUnavailable,
            {"fetches", "fetch_address", "fetch_redirects", "fetch_limit", "fetch_errors"},
        ),
        (GivesNothing, {"fetch_errors"}),
        (GivesBytes, {"fetches"}),
        (TellsSecret, {"secrets"}),
        (ClaimsNothing, {"capabilities"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_mistake_of_fetching_fails_the_check_that_is_named_for_it(
    channel: type[Good], checks: set[str]
) -> None:
    assert failed(suite_of(channel=channel)) == checks


@pytest.mark.parametrize(
    "attributes, words",
    [
        ({"fetches": ()}, "fetch is claimed; give a row in `fetches` that succeeds"),
        ({"fetches": GoodSuite.fetches[1:]}, "give a row in `fetches` that succeeds"),
        ({"channel": ClaimsNothing}, "fetch: implement it and claim it, or neither"),
        ({"channel": FetchesNothing, "fetches": ()}, "implement it and claim it, or neither"),
        (
            {"channel": type("Neither", (FetchesNothing, ClaimsNothing), {})},
            "there are rows in `fetches`, but fetch is not claimed",
        ),
        ({"channel": TellsTheStore}, "files.acme.example is told a secret; if that is right"),
        ({"channel": ReadsEverything}, "with a limit of 100,000 bytes it read 4,"),
        (
            {"fetches": (*GoodSuite.fetches, Fetch("x", PICTURE, JPEG, JPEG))},
            "1 of the scripted replies were never asked for",
        ),
    ],
)
def test_what_is_wrong_with_a_fetch_is_said(attributes: dict[str, Any], words: str) -> None:
    assert words in reasons(suite_of(**attributes))


def test_a_store_that_takes_the_credentials_may_be_named() -> None:
    suite = suite_of(channel=TellsTheStore, credential_hosts=("files.acme.example",))

    assert failed(suite) == set()


def test_an_attachment_without_a_web_address_is_checked_as_well() -> None:
    class ById(Good):
        async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
            name = (attachment.url or "").removeprefix("acme-file:")
            if not name.isalnum():
                raise plugin.Refused("it is no file of ours")
            own = replace(attachment, url=f"{API}/files/{name}")
            return await super().fetch(own, limit)

    row = Fetch("by id", replace(PICTURE, url="acme-file:1"), MOVED, JPEG, expect=FILE)

    assert failed(suite_of(channel=ById, fetches=(row,))) == set()
