"""``GET /api/docs``: the document of the API as a page that people read. It needs no script."""

import json
from dataclasses import dataclass
from typing import Any, Final

from router.web import asgi
from router.web.templates import render

_CONTENT_SECURITY_POLICY: Final = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)

_HEADERS: Final[tuple[asgi.RawHeader, ...]] = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", _CONTENT_SECURITY_POLICY),
    (b"referrer-policy", b"no-referrer"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A parameter, or a field of a body or an answer."""

    name: str
    kind: str
    required: bool
    words: str
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path, as the page shows it."""

    id: str
    method: str
    path: str
    tag: str
    scope: str | None
    open_here: bool
    summary: str
    paragraphs: tuple[str, ...]
    parameters: tuple[Row, ...]
    body: tuple[Row, ...]
    status: str
    answer: tuple[Row, ...]
    errors: tuple[tuple[str, str], ...]


def page_of(document: dict[str, Any]) -> str:
    """Give the page of an OpenAPI document of ours."""
    operations = [
        _operation(path, method, operation, document)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    info = document["info"]
    return render(
        "api_docs.html",
        title=info["title"],
        version=info["version"],
        paragraphs=_marked(info["description"]),
        server=document["servers"][0]["url"],
        tags=[
            (tag["name"], tag["description"], [it for it in operations if it.tag == tag["name"]])
            for tag in document["tags"]
        ],
        schemas=[
            (name, schema.get("description", ""), _fields(schema))
            for name, schema in sorted(document["components"]["schemas"].items())
        ],
    )


async def send_page(send: asgi.Send, page: bytes, *, without_body: bool) -> None:
    """Send the page. Not as other answers are: it may load its style sheet."""
    headers = [*_HEADERS, (b"content-length", str(len(page)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if without_body else page})


def _operation(
    path: str, method: str, operation: dict[str, Any], document: dict[str, Any]
) -> Operation:
    responses = operation["responses"]
    done = min(status for status in responses if status < "300")
    common = document["components"]["responses"]
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        tag=operation["tags"][0],
        scope=operation.get("x-scope"),
        open_here={} in operation.get("security", []),
        summary=operation["summary"],
        paragraphs=_marked(operation.get("description", "")),
        parameters=tuple(
            Row(
                name=it["name"],
                kind=kind_of(it["schema"]),
                required=it["required"],
                words=it.get("description", ""),
                place=it["in"],
            )
            for it in operation.get("parameters", ())
        ),
        body=_fields(_resolved(operation.get("requestBody"), document)),
        status=done,
        answer=_fields(_resolved(responses[done], document)),
        errors=tuple(
            (status, common[status]["description"]) for status in responses if status != done
        ),
    )


def _resolved(holder: dict[str, Any] | None, document: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of a body or an answer."""
    if holder is None:
        return {}
    schema: dict[str, Any] = holder["content"]["application/json"]["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"].get(name, schema)
    return found


def _fields(schema: dict[str, Any]) -> tuple[Row, ...]:
    required = schema.get("required", ())
    return tuple(
        Row(
            name=name,
            kind=kind_of(value),
            required=name in required,
            words=value.get("description", ""),
        )
        for name, value in schema.get("properties", {}).items()
    )


def kind_of(schema: dict[str, Any]) -> str:
    """Say in a few words what may stand somewhere."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    ways = schema.get("anyOf") or schema.get("allOf")
    if ways:
        return " or ".join(kind_of(way) for way in ways)
    if "enum" in schema:
        return ", ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    if schema.get("format") == "date-time":
        return "moment"
    return {"object": "object", "string": "text", "null": "null"}.get(kind, kind)


def _marked(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split("\n\n") if part.strip())
