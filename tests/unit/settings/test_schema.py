"""The JSON schema says of every file what the router says of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli
from jsonschema import Draft202012Validator

from router import plugin
from router.data import data_path
from router.plugin.loading import load_plugins
from router.settings.schema import json_schema
from tests.unit.settings.kinds import Acme, kinds

BROKEN = Path(__file__).parent / "broken"

#: What is in the surroundings, or in how two tables stand together: no schema knows of it.
BEYOND_A_SCHEMA = {
    "bare_secret_that_may_be_a_text",
    "credential_with_a_path",
    "credential_without_systemd",
    "database_in_memory",
    "database_of_another_sort",
    "database_on_no_port",
    "quiet_hours_of_a_day_twice",
    "quiet_hours_without_end",
    "database_with_an_open_bracket",
    "database_with_password",
    "duration_of_centuries",
    "failing_example",
    "include_of_nothing",
    "kept_for_too_short",
    "media_store_that_is_none",
    "missing_knowledge_folder",
    "missing_plugin_file",
    "missing_prompt",
    "missing_rules_file",
    "mistake_in_a_tenants_rules",
    "mistake_in_an_included_file",
    "name_of_the_self_test",
    "no_timeout",
    "plugin_date_that_is_none",
    "plugin_refuses_a_value",
    "plugin_refuses_the_table",
    "plugin_that_quotes_a_secret",
    "policy_in_two_files",
    "proxy_that_is_no_network",
    "prompt_that_is_the_text_itself",
    "action_that_nothing_configures",
    "queue_that_notifies_nobody",
    "same_channel_in_two_files",
    "secret_file_that_is_empty",
    "secret_file_that_is_missing",
    "secret_file_that_is_no_text",
    "secret_that_is_not_set",
    "secret_without_quotes",
    "tenant_called_like_a_channel",
    "tenant_called_main",
    "tenant_called_test",
    "tool_that_is_no_action",
    "tool_that_may_change_something",
    "tool_that_nothing_configures",
    "tool_without_a_description",
    "tools_for_a_backend_that_uses_none",
    "transcribe_names_no_backend",
    "transcribe_without_any_backend",
    "unclosed_string",
    "unknown_category",
    "unknown_timezone",
}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema(kinds())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def messages(validator: Any, text: str) -> list[str]:
    try:
        values = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return []
    return [error.message for error in validator.iter_errors(values)]


@pytest.mark.parametrize(
    "path",
    [data_path("router.toml"), data_path("config", "starter", "router.toml")],
    ids=["shipped", "starter"],
)
def test_the_files_that_ship_validate_with_the_plugins_that_ship(path: Path) -> None:
    schema = json_schema(load_plugins())
    Draft202012Validator.check_schema(schema)

    assert messages(Draft202012Validator(schema), path.read_text(encoding="utf-8")) == []


def test_everything_that_may_be_written_validates(validator: Draft202012Validator) -> None:
    text = """
        include = ["tenants/*.toml"]
        [router]
        public_url = "https://desk.example.org"
        database = { env = "DATABASE_URL" }
        trusted_proxies = ["10.0.0.0/8"]
        [server]
        max_body = "1 MiB"
        drain = "20s"
        [policy]
        mode = "autopilot"
        confidence_threshold = 0.7
        silence_alarm = "never"
        apology = { es = "Lo sentimos.", pt = "Desculpe." }
        [channels.sms]
        type = "acme"
        account = "AC1"
        token = { file = "token" }
        spare_tokens = [{ env = "A" }]
        headers = { authorization = { credential = "a" } }
        agents = [{ name = "ana", key = { env = "E" } }]
        poll = "2m"
        limit = 3
        timeout = "5s"
        [ai.assistant]
        type = "answers"
        prompt = "prompt.md"
        [queues.billing]
        notify = ["pager"]
        [tenants.clinica]
        rules = ["clinica.toml"]
        policy.mode = "assisted"
        knowledge.folders = ["clinica"]
        channels.phone = { type = "simulator" }
    """

    assert messages(validator, text) == []


@pytest.mark.parametrize("name", sorted(path.name for path in BROKEN.iterdir() if path.is_dir()))
def test_a_mistake_that_a_schema_can_know_of_does_not_validate(
    name: str, validator: Draft202012Validator
) -> None:
    text = (BROKEN / name / "router.toml").read_text(encoding="utf-8")

    assert bool(messages(validator, text)) is (name not in BEYOND_A_SCHEMA)


def test_what_json_schema_cannot_say_is_left_to_the_router() -> None:
    class Odd(plugin.PluginConfig):
        """Takes a callable."""

        call: Callable[[], int]

    registry = plugin.Registry()
    registry.channel("odd", Acme, config=Odd)

    definition = json_schema(registry)["$defs"]["channels.odd"]

    assert definition["description"] == "Takes a callable."
    assert "timeout" in definition["properties"]
    assert "additionalProperties" not in definition


def test_the_schema_describes_every_key() -> None:
    definitions = json_schema(kinds())["$defs"]

    nameless = [
        f"{table}.{key}"
        for table in ("router", "server", "policy", "knowledge", "queue", "channels", "ai")
        for key, value in definitions[table]["properties"].items()
        if not value.get("description")
    ]
    assert nameless == []
    assert definitions["channels.acme"]["description"] == "Acme SMS."
    assert definitions["channels.acme"]["properties"]["level"]["description"] == "How loud."
    assert definitions["channels.acme"]["properties"]["poll"]["default"] == "15s"
    assert definitions["policy"]["properties"]["idle_close"]["default"] == "24h"
