"""The JSON schema of router.toml, for editors: the host's keys, and those of every plugin."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

from router.plugin.registry import Registration, Registry
from router.settings.tables import (
    INSTANCES,
    KnowledgeTable,
    MediaTable,
    PolicyTable,
    QueueTable,
    RouterTable,
    ServerTable,
    TenantTable,
)
from router.settings.values import NAME, Rate, duration_text

_SECRET = {
    "description": "A reference to a secret; the secret itself never stands in the file.",
    "type": "object",
    "properties": {
        "env": {"type": "string", "description": "A variable of the environment or of .env."},
        "file": {"type": "string", "description": "A file that holds nothing else."},
        "credential": {"type": "string", "description": "A credential that systemd hands over."},
    },
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}
_NAMES = {"pattern": f"^{NAME.pattern}$"}


def json_schema(registry: Registry) -> dict[str, Any]:
    """Give the schema, in JSON Schema 2020-12.

    :param registry: the kinds whose keys it has; a table of another kind does not validate.
    """
    kinds: Mapping[str, Mapping[str, Registration[Any]]] = {
        "channels": registry.channels,
        "ai": registry.ai_backends,
        "actions": registry.actions,
    }
    definitions: dict[str, Any] = {"secret": _SECRET}
    for group, registrations in kinds.items():
        definitions[group] = _group(group, registrations, definitions)
    tables: dict[str, type[BaseModel]] = {
        "router": RouterTable,
        "server": ServerTable,
        "policy": PolicyTable,
        "knowledge": KnowledgeTable,
        "media": MediaTable,
        "queue": QueueTable,
        "tenant": TenantTable,
    }
    for name, model in tables.items():
        definitions[name] = _model(model, name, definitions)
    definitions["tenant"]["properties"] |= {
        "policy": {"$ref": "#/$defs/policy"},
        "knowledge": {"$ref": "#/$defs/knowledge"},
        "channels": _named("channels", "The tenant's channels."),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "router.toml",
        "description": "The configuration of Channel Router.",
        "type": "object",
        "properties": {
            "include": {
                "description": "More files with these tables; patterns, relative to this file.",
                "type": "array",
                "items": {"type": "string"},
            },
            "router": {"$ref": "#/$defs/router"},
            "server": {"$ref": "#/$defs/server"},
            "policy": {"$ref": "#/$defs/policy"},
            "knowledge": {"$ref": "#/$defs/knowledge"},
            "media": {"$ref": "#/$defs/media"},
            "channels": _named("channels", "Ways to customers and back."),
            "ai": _named("ai", "What writes answers."),
            "actions": _named("actions", "What the router can do besides talking."),
            "queues": _named("queue", "Where tickets wait for people."),
            "tenants": _named("tenant", "Client businesses."),
        },
        "additionalProperties": False,
        "$defs": definitions,
    }


def _named(definition: str, description: str) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "propertyNames": _NAMES,
        "additionalProperties": {"$ref": f"#/$defs/{definition}"},
    }


def _group(
    group: str, registrations: Mapping[str, Registration[Any]], definitions: dict[str, Any]
) -> dict[str, Any]:
    """Give the schema of one group's tables: what a table may hold depends on its ``type``."""
    host = _model(INSTANCES[group], group, definitions)
    choices = []
    for kind, registration in sorted(registrations.items()):
        name = f"{group}.{kind}"
        plugin = _model(registration.config, name, definitions)
        # The host's keys win, as they do when the file is read.
        plugin["properties"] = plugin.get("properties", {}) | host["properties"]
        plugin["required"] = sorted({*plugin.get("required", []), "type"})
        definitions[name] = plugin
        choices.append(
            {
                "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
                "then": {"$ref": f"#/$defs/{name}"},
            }
        )
    kinds = {**host["properties"]["type"], "enum": sorted(registrations)}
    return {
        "description": host["description"],
        "type": "object",
        "properties": {**host["properties"], "type": kinds},
        "required": ["type"],
        "allOf": choices,
    }


def _model(model: type[BaseModel], name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Give a model's schema; what it refers to goes to the definitions, under the model's name."""
    try:
        schema = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    except PydanticInvalidForJsonSchema:
        # A plugin may check what JSON Schema cannot say; an editor then says nothing either.
        return {"type": "object", "description": model.__doc__ or ""}
    for inner, definition in schema.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = _adapted(definition)
    adapted: dict[str, Any] = _adapted(schema)
    return adapted


def _adapted(schema: Any) -> Any:
    """Turn what pydantic says of a value in memory into what may be written in the file."""
    if isinstance(schema, list):
        return [_adapted(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "password":
        kept = {key: schema[key] for key in ("description",) if key in schema}
        return {**kept, "$ref": "#/$defs/secret"}
    if "anyOf" in schema:
        # TOML has no null: what may be None is left out of the file.
        choices = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        schema = {**rest, **choices[0]} if len(choices) == 1 else {**rest, "anyOf": choices}
        if schema.get("format") == "password":
            return _adapted(schema)
    adapted = {
        key: {name: _adapted(value) for name, value in content.items()}
        if key == "properties"
        else _adapted(content)
        for key, content in schema.items()
        if key != "title" or not isinstance(content, str)
    }
    default = adapted.get("default")
    if adapted.get("type") == "string" and isinstance(default, int | float):
        adapted["default"] = duration_text(default)
    elif isinstance(default, dict) and set(default) == {"count", "period"}:
        adapted["default"] = str(Rate(**default))
    elif "default" in adapted and default is None:
        del adapted["default"]
    return adapted
