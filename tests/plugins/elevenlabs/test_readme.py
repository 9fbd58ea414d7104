"""What the guide says is so."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from router_elevenlabs_calls import ElevenLabsBatchConfig, ElevenLabsCallsConfig

README = (Path(__file__).parents[3] / "plugins/router_elevenlabs_calls/README.md").read_text(
    encoding="utf-8"
)
TABLES = README.split("| setting of ")[1:]


@pytest.mark.parametrize(
    "model, table", list(zip([ElevenLabsCallsConfig, ElevenLabsBatchConfig], TABLES, strict=True))
)
def test_every_setting_is_documented_and_no_other(model: type[BaseModel], table: str) -> None:
    documented = re.findall(r"^\| `([a-z_]+)` \|", table.partition("\n\n")[0], re.MULTILINE)

    assert documented == [*dict.fromkeys(documented)]
    assert set(documented) == set(model.model_fields)


def test_the_example_is_a_configuration() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    tables = tomllib.loads(block)
    secret = SecretStr("x" * 8)

    for table, model in (
        (tables["channels"]["calls"], ElevenLabsCallsConfig),
        (tables["actions"]["dial"], ElevenLabsBatchConfig),
    ):
        values = {name: secret if isinstance(it, dict) else it for name, it in table.items()}
        values.pop("type")
        model.model_validate(values)
