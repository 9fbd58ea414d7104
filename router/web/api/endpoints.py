"""Declaring an endpoint: what the decorator of a function notes about it."""

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel

from router.web.api.call import Call

Function: TypeAlias = Callable[..., Awaitable[BaseModel]]
Declared = TypeVar("Declared", bound=Function)

_PARAMETER: Final = re.compile(r"\{([a-z_]+)(:path)?\}")
#: What a part of a path may be long; nothing that has a name has a longer one.
LONGEST: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path.

    :param path: below the API's prefix, with ``{name}`` for what differs, or ``{name:path}`` for
        what may hold slashes.
    :param scope: what a token must be good for; ``None``: any token.
    :param named: a token that is good for all of a kind is not enough: it has to have this one.
    :param names: what stands in the path.
    :param open_here: from the router's own machine no token is needed.
    """

    method: str
    path: str
    tag: str
    scope: str | None
    status: int
    function: Function
    names: tuple[str, ...]
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    answer: type[BaseModel]
    open_here: bool = False
    named: bool = False

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it."""
        return self.path.replace(":path}", "}")

    @property
    def id(self) -> str:
        """A name for programs."""
        return self.function.__name__

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def description(self) -> str:
        return (inspect.getdoc(self.function) or "").partition("\n")[2].strip()

    @property
    def pattern(self) -> re.Pattern[str]:
        """What the path matches, decoded."""
        text, at = "", 0
        for found in _PARAMETER.finditer(self.path):
            text += re.escape(self.path[at : found.start()])
            text += f"(?P<{found[1]}>{'.' if found[2] else '[^/]'}{{1,{LONGEST}}})"
            at = found.end()
        return re.compile(text + re.escape(self.path[at:]), re.DOTALL)


class Routes:
    """The endpoints of one resource.

    :param tag: its name, and the first word of its scopes.
    :param words: what it is, a sentence.
    :param named: its scopes have to be given by name, ``read`` and ``write`` are not enough.
    """

    def __init__(self, tag: str, words: str, *, named: bool = False) -> None:
        self.tag = tag
        self.words = words
        self.named = named
        self.endpoints: list[Endpoint] = []

    def get(
        self, path: str, *, scope: str | None = "", open_here: bool = False
    ) -> Callable[[Declared], Declared]:
        """Declare what a GET gives; it changes nothing.

        :param scope: default: ``<tag>:read``; ``None``: any token will do.
        """
        scope = f"{self.tag}:read" if scope == "" else scope
        return self._declare("GET", path, scope, 200, open_here=open_here)

    def post(
        self, path: str, *, scope: str = "", status: int = 200
    ) -> Callable[[Declared], Declared]:
        """Declare an act.

        :param scope: default: ``<tag>:write``.
        :param status: of the answer; 202 for what is only begun by it.
        """
        return self._declare("POST", path, scope or f"{self.tag}:write", status)

    def patch(self, path: str, *, scope: str = "") -> Callable[[Declared], Declared]:
        """Declare a change of some fields."""
        return self._declare("PATCH", path, scope or f"{self.tag}:write", 200)

    def delete(self, path: str, *, scope: str = "") -> Callable[[Declared], Declared]:
        """Declare that something goes. It takes no body: what else it needs is in the query."""
        return self._declare("DELETE", path, scope or f"{self.tag}:write", 200)

    def _declare(
        self, method: str, path: str, scope: str | None, status: int, *, open_here: bool = False
    ) -> Callable[[Declared], Declared]:
        def declare(function: Declared) -> Declared:
            names = tuple(found[1] for found in _PARAMETER.finditer(path))
            query, body, answer = _models(function, names)
            self.endpoints.append(
                Endpoint(
                    method=method,
                    path=path,
                    tag=self.tag,
                    scope=scope,
                    status=status,
                    function=function,
                    names=names,
                    query=query,
                    body=body,
                    answer=answer,
                    open_here=open_here,
                    named=self.named,
                )
            )
            return function

        return declare


def _models(
    function: Function, names: tuple[str, ...]
) -> tuple[type[BaseModel] | None, type[BaseModel] | None, type[BaseModel]]:
    """Read a function's signature: the models of its query, its body and its answer.

    :raises TypeError: if the signature is not that of an endpoint.
    """
    signature = inspect.signature(function, eval_str=True)
    first, *others = signature.parameters.values()
    kinds: dict[str, Any] = {each.name: each.annotation for each in others}
    query, body = kinds.pop("query", None), kinds.pop("body", None)
    right = first.annotation is Call and kinds == dict.fromkeys(names, str)
    for model in (query, body):
        right &= model is None or _is_model(model)
    if not right or not _is_model(signature.return_annotation):
        message = (
            f"{function.__qualname__} must take a Call, {', '.join(names) or 'nothing'} as texts, "
            "and query or body as models, and give a model"
        )
        raise TypeError(message)
    return query, body, signature.return_annotation


def _is_model(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, BaseModel)
