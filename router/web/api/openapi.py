"""The document of the API, OpenAPI 3.1, made from its endpoints."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from router import __version__
from router.web.api import PREFIX
from router.web.api.endpoints import LONGEST, Endpoint, Routes
from router.web.api.models import Output
from router.web.problem import PROBLEM

#: What may stand in an Idempotency-Key.
KEY_FORM: Final = "[!-~]{1,255}"

_REF: Final = "#/components/schemas/{model}"
#: A text without a NUL, which PostgreSQL takes nowhere.
_NO_NUL: Final = r"^[^\x00]*$"

_DESCRIPTION: Final = (
    "Conversations, drafts, tickets and what the router does, for the programs of one business.\n\n"
    "Every request carries a token, `Authorization: Bearer …`, made by `router token create`. It "
    "belongs to one tenant and sees nothing of another. A request that writes may carry an "
    "`Idempotency-Key`: whoever does not know whether a request arrived sends it again with the "
    "same key, and it has its effect once; the answer is kept for 24 hours. Lists come in pages: "
    "`next` is the `cursor` of the next one. Errors are `application/problem+json` (RFC 9457); "
    "`errors` names each mistake's place."
)


class Place(Output):
    """One mistake of a request."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None


class Problem(Output):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Place] = Field(default_factory=list)


#: What any request may be answered besides what it asked for.
_ALWAYS: Final = {
    "400": "The request cannot be read: its query, a header, or its body.",
    "401": "No token came, or none that is worth anything (any more).",
    "403": "The token is not good for this.",
    "404": "There is no such thing, or it is not this tenant's.",
    "503": "The database is away. Try again; a write with the same `Idempotency-Key`.",
}
_WRITES: Final = {
    "409": "It cannot be done as things stand. Nothing was changed.",
    "408": "The body came too slowly.",
    "413": "The body is too large.",
    "415": "The body is no JSON.",
    "422": "The body does not fit; or the `Idempotency-Key` was used for something else.",
}


def document(resources: Sequence[Routes], server: str) -> dict[str, Any]:
    """Give the whole document.

    :param server: where the API is reached, without a slash at the end.
    """
    endpoints = [each for routes in resources for each in routes.endpoints]
    wanted = list(_models(endpoints))
    refs, definitions = models_json_schema(wanted, ref_template=_REF, by_alias=True)
    schemas = definitions.get("$defs", {})
    for model, mode in wanted:
        if mode == "validation":
            _without_nul(refs[model, mode], schemas)
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        operation = _operation(each, refs)
        paths.setdefault(PREFIX + each.template, {})[each.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Channel Router",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "tags": [{"name": it.tag, "description": it.words} for it in resources],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                status: _problem(words, refs)
                for status, words in sorted({**_ALWAYS, **_WRITES}.items())
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token of `router token create`. Each operation names the "
                    "scope that it needs, as `x-scope`.",
                }
            },
        },
    }


def _models(endpoints: Sequence[Endpoint]) -> Iterator[tuple[type[BaseModel], JsonSchemaMode]]:
    seen = set()
    found: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Problem, "serialization")]
    for each in endpoints:
        found.append((each.answer, "serialization"))
        if each.body is not None:
            found.append((each.body, "validation"))
    for one in found:
        if one not in seen:
            seen.add(one)
            yield one


def _operation(endpoint: Endpoint, refs: Any) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(endpoint.status): {
            "description": "It was done." if endpoint.writes else "What was asked for.",
            "content": {"application/json": {"schema": refs[endpoint.answer, "serialization"]}},
        }
    }
    if endpoint.writes:
        responses[str(endpoint.status)]["headers"] = {
            "Idempotency-Replayed": {
                "description": "`true` where this is the answer of an earlier request.",
                "schema": {"type": "string", "const": "true"},
            }
        }
    others = {**_ALWAYS, **(_WRITES if endpoint.writes else {})}
    for status in sorted(others):
        responses[status] = {"$ref": f"#/components/responses/{status}"}
    operation: dict[str, Any] = {
        "operationId": endpoint.id,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": endpoint.description,
        "x-scope": endpoint.scope,
        "parameters": list(_parameters(endpoint)),
        "responses": responses,
    }
    if endpoint.open_here:
        operation["security"] = [{"token": []}, {}]
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": _needed(endpoint.body),
            "content": {"application/json": {"schema": refs[endpoint.body, "validation"]}},
        }
    return {key: value for key, value in operation.items() if value not in ("", None, [])}


def _needed(model: type[BaseModel]) -> bool:
    return any(field.is_required() for field in model.model_fields.values())


def _parameters(endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    for name in endpoint.names:
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST},
        }
    if endpoint.query is not None:
        schema = endpoint.query.model_json_schema()
        required = schema.get("required", ())
        for name, value in schema["properties"].items():
            words = value.pop("description", None)
            shape = _without_null(value, schema.get("$defs", {}))
            found = {"name": name, "in": "query", "required": name in required, "schema": shape}
            yield found if words is None else {**found, "description": words}
    if endpoint.writes:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "What you call this request: a UUID, say. With the same key it has its "
            "effect once, however often it is sent.",
            "schema": {"type": "string", "pattern": f"^{KEY_FORM}$"},
        }


def _without_null(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of a parameter: it is there, or it is not, but never null."""
    schema = {key: value for key, value in schema.items() if key != "title"}
    for key in ("anyOf", "allOf"):
        ways = [it for it in schema.pop(key, ()) if it.get("type") != "null"]
        for way in ways[:1]:
            schema |= way
    reference = schema.pop("$ref", None)
    if reference is not None:
        schema |= definitions[reference.rpartition("/")[2]]
        schema.pop("title", None)
    if schema.get("default", ...) is None:
        del schema["default"]
    if "items" in schema:
        schema["items"] = _without_null(schema["items"], definitions)
    return schema


def _without_nul(schema: dict[str, Any], schemas: dict[str, dict[str, Any]]) -> None:
    """Say of each text in a body that it may hold no NUL, as the check of bodies has it.

    :param schemas: what it may refer to, by name.
    """
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if schema.get("type") == "string" and not schema.keys() & {"enum", "const", "pattern"}:
        schema["pattern"] = _NO_NUL
    parts = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    values, items = schema.get("additionalProperties"), schema.get("items")
    if isinstance(values, dict):
        schema["propertyNames"] = {"pattern": _NO_NUL}
        parts.append(values)
    if isinstance(items, dict):
        parts.append(items)
    for part in parts:
        _without_nul(part, schemas)


def _problem(words: str, refs: Any) -> dict[str, Any]:
    return {
        "description": words,
        "content": {PROBLEM: {"schema": refs[Problem, "serialization"]}},
    }
