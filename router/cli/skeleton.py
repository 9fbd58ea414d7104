"""What ``router plugins new`` writes: a plugin that works, passes its suite, and is yours."""

from pathlib import Path
from typing import Final, Literal, TypeAlias

Sort: TypeAlias = Literal["channel", "ai", "action"]

_PROJECT: Final = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "router-NAME"
version = "0.1.0"
description = "NAME for Channel Router."
requires-python = ">=3.11"
dependencies = ["channel-router"]

[project.entry-points."router.plugins"]
NAME = "router_NAME"

[tool.hatch.build.targets.wheel]
packages = ["router_NAME"]
"""

_README: Final = """\
# NAME

A plugin of Channel Router.

    pip install -e .
    router plugins check NAME      # the conformance table
    pytest                         # the same, and your own tests

Then in router.toml:

TABLE
"""

_TEST: Final = """\
from router_NAME.conformance import CLASSConformance


class TestCLASS(CLASSConformance):
    \"\"\"The contract, row by row.\"\"\"
"""

_TABLES: Final[dict[Sort, str]] = {
    "channel": """\
    [channels.NAME]
    type = "NAME"
    token = { env = "NAME_TOKEN" }
    base_url = "https://api.example.org"
""",
    "ai": """\
    [ai.NAME]
    type = "NAME"
    base_url = "https://api.example.org"
""",
    "action": """\
    [actions.NAME]
    type = "NAME"
    url = { env = "NAME_URL" }
""",
}

_PLUGINS: Final[dict[Sort, str]] = {
    "channel": '''\
"""NAME: one signed JSON webhook in, one JSON call out."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from router import plugin

router_api = (1, 0)


class CLASSConfig(plugin.PluginConfig):
    token: plugin.Secret
    base_url: str


class Inbound(BaseModel):
    id: str = Field(min_length=1)
    sender: str = Field(alias="from", min_length=1)
    text: str = ""


class CLASSChannel(plugin.Channel[CLASSConfig]):
    capabilities = plugin.Capabilities(max_text=1600)

    def verify(self, request: plugin.WebhookRequest) -> None:
        plugin.verify_hmac_sha256(request, header="X-Signature", key=self.config.token)

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        item = Inbound.model_validate_json(request.body)
        return [plugin.MessageReceived(item.id, plugin.Address("tel", item.sender), item.text)]

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        response = await self.context.http.post(
            f"{self.config.base_url}/messages",
            json={"to": message.recipient.value, "text": message.text},
            headers={"Authorization": f"Bearer {self.config.token.get_secret_value()}"},
        )
        plugin.raise_for_status(response)
        return plugin.SendReceipt(response.json()["id"])


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.channel("NAME", CLASSChannel, config=CLASSConfig)
''',
    "ai": '''\
"""NAME: an AI backend that speaks the chat-completions protocol."""

from router import plugin

router_api = (1, 0)


class CLASSConfig(plugin.PluginConfig):
    base_url: str


class CLASSBackend(plugin.AIBackend[CLASSConfig]):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        turns = [{"role": "system", "content": prompt.system}]
        turns += [{"role": turn.role, "content": turn.text} for turn in prompt.turns]
        response = await self.context.http.post(
            f"{self.config.base_url}/chat/completions", json={"messages": turns}
        )
        plugin.raise_for_status(response)
        return plugin.Completion(response.json()["choices"][0]["message"]["content"])


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.ai_backend("NAME", CLASSBackend, config=CLASSConfig)
''',
    "action": '''\
"""NAME: tells somebody, through any JSON webhook."""

from router import plugin

router_api = (1, 0)


class CLASSConfig(plugin.PluginConfig):
    url: plugin.Secret


class CLASSAction(plugin.Action[CLASSConfig]):
    async def run(self, call: plugin.ActionCall) -> None:
        response = await self.context.http.post(
            self.config.url.get_secret_value(), json=call.as_json()
        )
        plugin.raise_for_status(response)


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.action("NAME", CLASSAction, config=CLASSConfig)
''',
}

_SUITES: Final[dict[Sort, str]] = {
    "channel": '''\
"""What ``router plugins check NAME`` runs. Add a row for each thing that your provider does."""

import hmac
from dataclasses import replace

import httpx
from pydantic import SecretStr

from router.plugin import Address, MessageReceived, OutboundMessage, SendReceipt, WebhookRequest
from router.plugin.testing import ChannelSuite, Expected, Receive, Send
from router_NAME import CLASSChannel, CLASSConfig

ANA = Address("tel", "+573001234567")


class CLASSConformance(ChannelSuite):
    channel = CLASSChannel
    config = CLASSConfig(token=SecretStr("a-made-up-token"), base_url="https://api.example.org")

    def sign(self, request: WebhookRequest) -> WebhookRequest:
        mac = hmac.new(b"a-made-up-token", request.body, "sha256").hexdigest()
        return replace(request, headers={**request.headers, "x-signature": mac})

    receives = (
        Receive(
            "text",
            b'{"id": "m1", "from": "+573001234567", "text": "hola"}',
            expect=[MessageReceived("m1", ANA, "hola")],
        ),
        Receive("not JSON", b"<xml/>", rejects=ValueError),
    )
    sends = (
        Send(
            "text",
            OutboundMessage(id="o1", recipient=ANA, text="hello"),
            httpx.Response(201, json={"id": "p1"}),
            expect=SendReceipt("p1"),
            requests=[
                Expected(
                    "POST",
                    "https://api.example.org/messages",
                    json={"to": "+573001234567", "text": "hello"},
                )
            ],
        ),
    )
''',
    "ai": '''\
"""What ``router plugins check NAME`` runs. Add a row for each thing that your provider does."""

import httpx

from router.plugin import Completion, Prompt, PromptTurn
from router.plugin.testing import AIBackendSuite, Complete
from router_NAME import CLASSBackend, CLASSConfig

PROMPT = Prompt(system="Be brief.", turns=(PromptTurn("user", "hola"),))


class CLASSConformance(AIBackendSuite):
    backend = CLASSBackend
    config = CLASSConfig(base_url="https://api.example.org")

    completes = (
        Complete(
            "answer",
            PROMPT,
            httpx.Response(200, json={"choices": [{"message": {"content": "Buenas."}}]}),
            expect=Completion("Buenas."),
        ),
    )
''',
    "action": '''\
"""What ``router plugins check NAME`` runs. Add a row for each thing that your provider does."""

import httpx
from pydantic import SecretStr

from router.plugin.testing import ActionSuite, Run
from router_NAME import CLASSAction, CLASSConfig


class CLASSConformance(ActionSuite):
    action = CLASSAction
    config = CLASSConfig(url=SecretStr("https://example.org/hook-that-is-secret"))

    runs = (Run("notice", {"title": "Hola"}, httpx.Response(204)),)
''',
}


def skeleton(name: str, sort: Sort) -> dict[str, str]:
    """Give the files of a new plugin package, by their paths in it.

    :param name: lower-case letters, digits and underscores; the kind's and the plugin's name.
    """
    package = f"router_{name}"
    files = {
        "pyproject.toml": _PROJECT,
        "README.md": _README.replace("TABLE\n", _TABLES[sort]),
        f"{package}/__init__.py": _PLUGINS[sort],
        f"{package}/conformance.py": _SUITES[sort],
        f"tests/test_{name}.py": _TEST,
    }
    camel = "".join(part.capitalize() for part in name.split("_"))
    return {
        path: text.replace("NAME_TOKEN", f"{name.upper()}_TOKEN")
        .replace("NAME_URL", f"{name.upper()}_URL")
        .replace("CLASS", camel)
        .replace("NAME", name)
        for path, text in files.items()
    }


def write(folder: Path, files: dict[str, str]) -> None:
    """Write the files of a skeleton into a folder that is not there yet.

    :raises FileExistsError: if it is.
    """
    folder.mkdir(parents=True, exist_ok=False)
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
