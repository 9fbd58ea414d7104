"""What a plugin's table in router.toml holds."""

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, WithJsonSchema

from router.clock import seconds

#: A value that never shows in a log, an error or a page. In router.toml it is a reference:
#: ``{ env = "NAME" }``, ``{ file = "path" }`` or ``{ credential = "name" }``; a bare string is
#: refused. ``config.key.get_secret_value()`` gives the text.
Secret: TypeAlias = SecretStr


def _read_duration(value: Any) -> Any:
    if isinstance(value, str):
        return seconds(value)
    message = 'must be a duration such as "15s", "2m", "24h" or "7d"'
    raise ValueError(message)


#: A stretch of time, in seconds as a ``float``. In router.toml it is written ``"500ms"``,
#: ``"15s"``, ``"2m"``, ``"24h"`` or ``"7d"``; a default in the model is written in seconds.
Duration: TypeAlias = Annotated[
    float,
    BeforeValidator(_read_duration),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$",
            "examples": ["15s", "2m", "24h", "7d"],
        }
    ),
]


class PluginConfig(BaseModel):
    """Base of every plugin's configuration; unknown keys are mistakes.

    The keys ``type``, ``enabled``, ``required`` and ``timeout`` of the table belong to the host
    and never reach this model; likewise ``on_unknown`` of a channel, and ``prompt`` of an AI
    backend.

    .. versionadded:: 1.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoConfig(PluginConfig):
    """The configuration of a kind that needs none."""
