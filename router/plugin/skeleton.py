"""The beginning of a plugin package: what ``router plugins new`` writes."""

import re
from pathlib import Path
from string import Template

from router.errors import PluginError
from router.plugin.registry import API_VERSION

_NAME = re.compile(r"[a-z][a-z0-9_]*")

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "router-${dashed}"
version = "0.1.0"
description = "${title} for Channel Router."
requires-python = ">=3.11"
dependencies = ["channel-router"]

[project.entry-points."router.plugins"]
${name} = "router_${name}"

[tool.hatch.build.targets.wheel]
packages = ["router_${name}"]

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
"""

_INIT = '''\
"""${title} for Channel Router."""

from router_${name}.channel import router_register

router_api = ${api}

__all__ = ["router_api", "router_register"]
'''

_CHANNEL = '''\
"""${title}: one signed JSON webhook in, one JSON call out. Make it your provider's."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from router import plugin


class ${title}Config(plugin.PluginConfig):
    """The keys of a table with ``type = "${name}"`` in router.toml."""

    token: plugin.Secret
    sender: str
    base_url: str = "https://api.${host}.example"


class Inbound(BaseModel):
    """A message as the webhook brings it."""

    id: str = Field(min_length=1)
    sender: str = Field(alias="from", min_length=1)
    text: str = ""


class ${title}Channel(plugin.Channel[${title}Config]):
    """Customers of ${title}."""

    def verify(self, request: plugin.WebhookRequest) -> None:
        plugin.verify_hmac_sha256(request, header="X-Signature", key=self.config.token)

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        item = Inbound.model_validate_json(request.body)
        return [plugin.MessageReceived(item.id, plugin.Address("tel", item.sender), item.text)]

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        body = {"from": self.config.sender, "to": message.recipient.value, "text": message.text}
        url = f"{self.config.base_url}/messages"
        response = await self.context.http.post(url, json=body)
        plugin.raise_for_status(response)
        return plugin.SendReceipt(response.json()["id"])


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``${name}``."""
    registry.channel("${name}", ${title}Channel, config=${title}Config)
'''

_CONFORMANCE = '''\
"""What ``router plugins check ${name}`` runs, and the tests too."""

import hmac
from dataclasses import replace

import httpx
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import ChannelSuite, Expected, Receive, Send
from router_${name}.channel import ${title}Channel, ${title}Config

ANA = plugin.Address("tel", "+573001234567")
HELLO = plugin.OutboundMessage(id="01k7", recipient=ANA, text="hello")


class ${title}Conformance(ChannelSuite):
    """The rows of ${title}: one for each thing that the provider's pages mention."""

    channel = ${title}Channel
    config = ${title}Config(token=SecretStr("s3cret"), sender="+15550000")

    def sign(self, request: plugin.WebhookRequest) -> plugin.WebhookRequest:
        mac = hmac.new(b"s3cret", request.body, "sha256").hexdigest()
        return replace(request, headers={"X-Signature": mac})

    receives = (
        Receive(
            "text",
            b'{"id": "in-1", "from": "+573001234567", "text": "hi"}',
            expect=[plugin.MessageReceived("in-1", ANA, "hi")],
        ),
        Receive("not JSON", b"<xml/>", rejects=ValueError),
    )

    sends = (
        Send(
            "accepted",
            HELLO,
            httpx.Response(201, json={"id": "out-1"}),
            expect=plugin.SendReceipt("out-1"),
            requests=[
                Expected(
                    "POST",
                    "https://api.${host}.example/messages",
                    json={"from": "+15550000", "to": "+573001234567", "text": "hello"},
                )
            ],
        ),
    )
'''

_TEST = '''\
"""${title} keeps the contract; see router.plugin.testing for what is checked."""

from router_${name}.conformance import ${title}Conformance


class Test${title}(${title}Conformance):
    pass
'''


def write_skeleton(directory: Path, name: str) -> list[Path]:
    """Write a channel plugin that works and is tested, to be changed into a real one.

    :param directory: made if it does not exist. Nothing in it is overwritten.
    :param name: the plugin's name and its kind: lower-case letters, digits, underscores.
    :returns: the files, in the order in which to read them.
    :raises PluginError: if the name cannot be one, or a file exists already; then nothing is
        written.
    """
    if not _NAME.fullmatch(name):
        raise PluginError(
            f"{name!r} cannot name a plugin. Use lower-case letters, digits and underscores, and "
            "begin with a letter"
        )
    package = directory / f"router_{name}"
    texts = {
        directory / "pyproject.toml": _PYPROJECT,
        package / "__init__.py": _INIT,
        package / "channel.py": _CHANNEL,
        package / "conformance.py": _CONFORMANCE,
        package / "py.typed": "",
        directory / "tests" / f"test_{name}.py": _TEST,
    }
    if taken := [str(path) for path in texts if path.exists()]:
        raise PluginError(f"{', '.join(taken)} exists already. Choose another directory")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        filled = Template(text).substitute(
            name=name,
            dashed=name.replace("_", "-"),
            host=name.replace("_", "-"),
            title="".join(word.capitalize() for word in name.split("_")),
            api=API_VERSION,
        )
        path.write_text(filled, encoding="utf-8")
    return list(texts)
