"""``/api/…``: from a request to the function that answers it, and its answer or problem back."""

import hashlib
import json
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from router.errors import ActRefused, NotFound, StorageUnavailable
from router.pipeline.people.tokens import Bearer, NoToken, bearer_of
from router.storage.idempotency import KeyReused, RequestKey
from router.web import asgi
from router.web.api import PREFIX, RESOURCES
from router.web.api.call import Call
from router.web.api.endpoints import Endpoint, Routes
from router.web.api.openapi import KEY_FORM, document
from router.web.api.problems import Mistake, Wrong, in_body, in_query, pointer
from router.web.host import WebHost
from router.web.problem import problem

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENT: Final = "/api/openapi.json"
DOCS: Final = "/api/docs"

_KEY: Final = re.compile(KEY_FORM)
_JSON: Final = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json")
#: More parameters than these are in no query.
_FIELDS: Final = 100


def resources() -> list[Routes]:
    """Give every resource with its endpoints, in the order of the document."""
    return [import_module(f"router.web.api.{name}").routes for name in RESOURCES]


def scopes() -> list[str]:
    """Give every scope that an endpoint asks for, and the two that stand for all of a kind."""
    named = {each.scope for routes in resources() for each in routes.endpoints}
    return ["read", "write", *sorted(name for name in named if name is not None)]


class Api:
    """The ASGI app of everything below ``/api/``.

    :param patience: how long a client may take to send a body, in seconds.
    """

    def __init__(self, host: WebHost, patience: float = asgi.PATIENCE) -> None:
        self._host = host
        self._patience = patience
        self.resources: Sequence[Routes] = resources()
        self._routes: dict[re.Pattern[str], dict[str, Endpoint]] = {}
        for routes in self.resources:
            for each in routes.endpoints:
                self._routes.setdefault(each.pattern, {})[each.method] = each
        self._pages: dict[tuple[str, str], bytes] = {}

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        method: str = scope["method"]
        path: str = scope["path"]
        if path in (DOCUMENT, DOCS):
            await self._describe(path, method, send)
            return
        endpoint: Endpoint | None = None
        try:
            endpoint, names = self._find(method, path)
            status, body, headers = await self._answer(endpoint, names, scope, receive)
        except Mistake as mistake:
            status = mistake.status
            await _say(send, mistake, method)
        else:
            await asgi.answer(
                send,
                status,
                body,
                content_type=asgi.JSON,
                headers=headers,
                without_body=method == "HEAD",
            )
        template = "" if endpoint is None else endpoint.template
        counted = method if endpoint is not None else ""
        self._host.metrics.api_requests.count(counted, template, str(status))

    def _find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """Give the endpoint that a path means, and what stands in the path."""
        below = path.removeprefix(PREFIX)
        if below != path and "\0" not in path:
            for pattern, methods in self._routes.items():
                match = pattern.fullmatch(below)
                if match is None:
                    continue
                endpoint = methods.get("GET" if method == "HEAD" else method)
                if endpoint is not None:
                    return endpoint, match.groupdict()
                known = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
                raise Mistake(405, detail=f"This path knows {known}.", headers={"Allow": known})
        raise Mistake(404, detail="The API has no such path.")

    async def _answer(
        self, endpoint: Endpoint, names: dict[str, str], scope: asgi.Scope, receive: asgi.Receive
    ) -> tuple[int, bytes, list[asgi.RawHeader]]:
        headers = asgi.headers_of(scope)
        try:
            bearer = await self._bearer(headers.get("authorization"), endpoint)
            given: dict[str, Any] = dict(names)
            if endpoint.query is not None:
                given["query"] = _query(endpoint.query, scope)
            elif scope.get("query_string"):
                raise Mistake(400, [Wrong("this takes none", parameter="query")])
            call = Call(host=self._host, bearer=bearer)
            if endpoint.writes:
                body = await self._body(headers, receive)
                if endpoint.body is not None:
                    given["body"] = _parsed(endpoint.body, body)
                call.key = _request_key(endpoint, call, given, headers.get("idempotency-key"))
            answer = await endpoint.function(call, **given)
        except KeyReused as error:
            raise Mistake(422, [Wrong(_sentence(error), header="Idempotency-Key")]) from None
        except NotFound as error:
            raise Mistake(404, detail=_sentence(error)) from None
        except ActRefused as error:
            raise Mistake(409, detail=_sentence(error)) from None
        except StorageUnavailable:
            raise Mistake(
                503,
                detail="The database is away. Nothing was changed; try again.",
                headers={"Retry-After": "5"},
            ) from None
        more: list[asgi.RawHeader] = []
        if call.replayed:
            more.append((b"idempotency-replayed", b"true"))
        return endpoint.status, answer.model_dump_json().encode(), more

    async def _bearer(self, authorization: str | None, endpoint: Endpoint) -> Bearer:
        """Tell who asks, and see that they may."""
        kind, _, text = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not text.strip():
            raise _unknown("send a token: Authorization: Bearer TOKEN", code=None)
        now = self._host.clock.now()
        try:
            bearer = await self._host.store.read(lambda it: bearer_of(it, text.strip(), now))
        except NoToken as error:
            raise _unknown(str(error)) from None
        if bearer.tenant not in self._host.settings.tenants:
            raise _unknown("the token's tenant is not in router.toml any more")
        if endpoint.scope is not None and not bearer.may(endpoint.scope, named=endpoint.named):
            challenge = f'Bearer error="insufficient_scope", scope="{endpoint.scope}"'
            raise Mistake(
                403,
                detail=f'This needs the scope "{endpoint.scope}", which the token has not.',
                headers={"WWW-Authenticate": challenge},
            )
        return bearer

    async def _body(self, headers: dict[str, str], receive: asgi.Receive) -> bytes:
        kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        limit = self._host.settings.server.max_body
        close = {"Connection": "close"}
        try:
            body = await asgi.read_body(
                receive,
                announced=headers.get("content-length"),
                limit=limit,
                patience=self._patience,
            )
        except asgi.BodyTooLarge as error:
            if error.more:
                most = limit * asgi.EXCESS
                await asgi.discard(receive, limit=most, patience=self._patience)
            detail = "The request is too large."
            raise Mistake(413, detail=detail, headers=close) from None
        except asgi.BodyTooSlow:
            detail = "The request came too slowly."
            raise Mistake(408, detail=detail, headers=close) from None
        except asgi.ClientGone:
            raise Mistake(400, detail="The request was not finished.") from None
        if body and not _JSON.fullmatch(kind):
            raise Mistake(415, [Wrong("send application/json", header="Content-Type")])
        return body

    async def _describe(self, path: str, method: str, send: asgi.Send) -> None:
        """Give the document, as JSON or as a page."""
        if method not in ("GET", "HEAD"):
            headers = [(b"allow", b"GET, HEAD")]
            await problem(send, 405, "It is asked for by GET.", headers=headers)
            return
        server = self._host.settings.router.public_url
        body = self._pages.get((path, server))
        page = path == DOCS
        if body is None:
            described = document(self.resources, server)
            if page:
                from router.web.api.docs import page_of

                body = page_of(described).encode()
            else:
                body = json.dumps(described, ensure_ascii=False, indent=1).encode()
            self._pages[path, server] = body
        if page:
            from router.web.api.docs import send_page

            await send_page(send, body, without_body=method == "HEAD")
        else:
            await asgi.answer(
                send, 200, body, content_type=asgi.JSON, without_body=method == "HEAD"
            )


def _query(model: type[BaseModel], scope: asgi.Scope) -> BaseModel:
    text = scope.get("query_string", b"").decode("latin-1")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise Mistake(400, detail="The query has too many parameters.") from None
    several = {
        name for name, field in model.model_fields.items() if get_origin(field.annotation) is list
    }
    given: dict[str, Any] = {}
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise Mistake(400, [Wrong("it holds a NUL", parameter=name.replace("\0", ""))])
        if name in several:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise Mistake(400, [Wrong("it is given twice", parameter=name)])
        else:
            given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise in_query(error) from None


def _parsed(model: type[BaseModel], body: bytes) -> BaseModel:
    """Read a body; an empty one is an object without anything in it."""
    try:
        parsed = model.model_validate_json(body or b"{}")
    except ValidationError as error:
        if any(it["type"] == "json_invalid" for it in error.errors()):
            raise Mistake(400, [Wrong("it is no JSON", pointer="")]) from None
        raise in_body(error) from None
    nul = _first_nul(parsed.model_dump())
    if nul is not None:
        raise Mistake(422, [Wrong("a text may hold no NUL", pointer=pointer(nul))])
    return parsed


def _first_nul(value: Any, at: tuple[str | int, ...] = ()) -> tuple[str | int, ...] | None:
    """Give where a text holds a NUL, which PostgreSQL takes nowhere."""
    if isinstance(value, str):
        return at if "\0" in value else None
    if isinstance(value, dict):
        pairs: Any = value.items()
    elif isinstance(value, list | tuple):
        pairs = enumerate(value)
    else:
        return None
    for key, inner in pairs:
        found = at if isinstance(key, str) and "\0" in key else _first_nul(inner, (*at, key))
        if found is not None:
            return found
    return None


def _request_key(
    endpoint: Endpoint, call: Call, given: dict[str, Any], key: str | None
) -> RequestKey | None:
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Mistake(
            400, [Wrong("it is 1 to 255 visible ASCII characters", header="Idempotency-Key")]
        )
    said = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        for name, value in given.items()
    }
    text = json.dumps(said, sort_keys=True, ensure_ascii=False)
    return RequestKey(
        tenant=call.tenant,
        token=call.bearer.id,
        route=f"{endpoint.method} {endpoint.path}",
        key=key,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _unknown(words: str, *, code: str | None = "invalid_token") -> Mistake:
    challenge = "Bearer" if code is None else f'Bearer error="{code}"'
    return Mistake(401, detail=_sentence(words), headers={"WWW-Authenticate": challenge})


def _sentence(words: object) -> str:
    text = str(words)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '…')) else '.'}"


async def _say(send: asgi.Send, mistake: Mistake, method: str) -> None:
    headers = [(name.lower().encode(), it.encode()) for name, it in mistake.headers.items()]
    await problem(
        send,
        mistake.status,
        mistake.detail,
        errors=[each.as_values() for each in mistake.wrong],
        headers=headers,
        without_body=method == "HEAD",
    )
