"""What plugins declare, and what they may not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from router import plugin
from router.plugin.registry import Source


class Sms(plugin.Channel[plugin.NoConfig]):
    def verify(self, request: plugin.WebhookRequest) -> None: ...

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        return []

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        return plugin.SendReceipt()


class Backend(plugin.AIBackend[plugin.NoConfig]):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        return plugin.Completion("")


class Bell(plugin.Action[plugin.NoConfig]):
    async def run(self, call: plugin.ActionCall) -> None: ...


def register_channel(registry: plugin.Registry, kind: str = "acme") -> None:
    registry.channel(kind, Sms, config=plugin.NoConfig)


def register_backend(registry: plugin.Registry, kind: str = "acme") -> None:
    registry.ai_backend(kind, Backend, config=plugin.NoConfig)


def register_action(registry: plugin.Registry, kind: str = "acme") -> None:
    registry.action(kind, Bell, config=plugin.NoConfig)


def register_twice(registry: plugin.Registry) -> None:
    register_channel(registry)
    register_channel(registry)


REGISTER = [
    pytest.param(register_channel, "channels", "channel", id="channel"),
    pytest.param(register_backend, "ai_backends", "AI backend", id="AI backend"),
    pytest.param(register_action, "actions", "action", id="action"),
]

ACME = Source(plugin="acme", distribution="router-acme", version="1.2")
OTHER = Source(plugin="other", file=Path("other.py"))

Register = Callable[[plugin.Registry], None]


@pytest.mark.parametrize("register, kinds, noun", REGISTER)
def test_a_registration_says_who_made_it(register: Register, kinds: str, noun: str) -> None:
    registry = plugin.Registry()

    with registry.registering(ACME):
        register(registry)

    (registration,) = getattr(registry, kinds).values()
    assert registration.kind == "acme", noun
    assert registration.config is plugin.NoConfig
    assert registration.source == ACME
    assert str(registration.source) == "'acme' (router-acme 1.2)"


@pytest.mark.parametrize("register, kinds, noun", REGISTER)
def test_a_kind_that_is_taken_names_both_plugins(register: Register, kinds: str, noun: str) -> None:
    registry = plugin.Registry()
    with registry.registering(ACME):
        register(registry)

    with pytest.raises(plugin.PluginError) as caught, registry.registering(OTHER):
        register(registry)

    assert str(caught.value) == (
        f"{noun} kind 'acme' is registered by plugin 'acme' (router-acme 1.2) and by plugin "
        "'other' (other.py). Uninstall one of them"
    )
    assert getattr(registry, kinds)["acme"].plugin == "acme"


def test_channels_backends_and_actions_have_kinds_of_their_own() -> None:
    registry = plugin.Registry()

    for register in (register_channel, register_backend, register_action):
        register(registry)

    assert list(registry.channels) == list(registry.ai_backends) == list(registry.actions)


def test_an_action_takes_notices_unless_it_says_otherwise() -> None:
    class Params(plugin.ActionParams):
        order: int

    registry = plugin.Registry()
    registry.action("bell", Bell, config=plugin.NoConfig)
    registry.action("order", Bell, config=plugin.NoConfig, params=Params)

    assert registry.actions["bell"].params is plugin.NoticeParams
    assert registry.actions["order"].params is Params


@pytest.mark.parametrize("kind", ["", "Acme", "acme-sms", "1acme", "acme sms", "ácme"])
def test_a_kind_has_to_be_a_plain_word(kind: str) -> None:
    with pytest.raises(plugin.PluginError) as caught:
        register_channel(plugin.Registry(), kind)

    assert str(caught.value) == (
        f"plugin 'unnamed': {kind!r} cannot name a kind. Use lower-case letters, digits and "
        "underscores, and begin with a letter"
    )


@pytest.mark.parametrize("config", [dict, plugin.NoticeParams, "NoConfig", None])
def test_a_config_that_is_no_model_is_refused(config: Any) -> None:
    with pytest.raises(plugin.PluginError) as caught:
        plugin.Registry().channel("acme", Sms, config=config)

    assert str(caught.value) == ("plugin 'unnamed': config of channel 'acme' is not a PluginConfig")


def test_params_that_are_no_model_are_refused() -> None:
    params: Any = dict

    with pytest.raises(plugin.PluginError) as caught:
        plugin.Registry().action("bell", Bell, config=plugin.NoConfig, params=params)

    assert str(caught.value) == "plugin 'unnamed': params of action 'bell' is not a pydantic model"


def test_a_plugin_that_breaks_half_way_leaves_nothing() -> None:
    registry = plugin.Registry()

    with pytest.raises(plugin.PluginError), registry.registering(ACME):
        register_twice(registry)

    assert not registry.channels
    with registry.registering(OTHER):
        register_channel(registry)
    assert registry.channels["acme"].plugin == "other"
