"""The API without a daemon: how endpoints are declared, and what is said when nothing works."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from router.errors import StorageUnavailable
from router.web import asgi
from router.web.api.app import Api
from router.web.api.call import Call
from router.web.api.endpoints import Routes
from router.web.api.models import Input, Output, Page
from tests.unit.web.world import FakeHost


class Away:
    """A database that is away."""

    async def read(self, function: Callable[[Any], Any]) -> Any:
        raise StorageUnavailable


class Thing(Output):
    name: str


class NewThing(Input):
    name: str


async def test_while_the_database_is_away_a_request_may_come_again() -> None:
    host = FakeHost(store=Away())
    async with host.client() as client:
        answer = await client.get("/api/v1/drafts", headers={"Authorization": "Bearer a.b.c"})

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["detail"] == "The database is away. Nothing was changed; try again."
    assert host.metrics.api_requests.values == {("GET", "/drafts", "503"): 1}


async def test_a_request_writes_once() -> None:
    class Store:
        async def write(self, function: Callable[[Any], Any]) -> Any:
            return function(None)

    host: Any = SimpleNamespace(store=Store())
    bearer: Any = SimpleNamespace(tenant="main")
    call = Call(host=host, bearer=bearer)

    assert await call.write(lambda _: {"n": 1}) == {"n": 1}
    with pytest.raises(RuntimeError, match="writes once"):
        await call.write(lambda _: {"n": 2})


def test_what_an_endpoint_takes_and_gives_is_read_from_its_signature() -> None:
    routes = Routes("things", "Things.")

    @routes.post("/things/{id}/parts/{part:path}", status=202)
    async def make_part(call: Call, id: str, part: str, body: NewThing) -> Page[Thing]:
        """Make a part.

        It takes long.
        """
        raise NotImplementedError

    (endpoint,) = routes.endpoints
    assert (endpoint.method, endpoint.status, endpoint.scope) == ("POST", 202, "things:write")
    assert (endpoint.names, endpoint.template) == (("id", "part"), "/things/{id}/parts/{part}")
    assert (endpoint.body, endpoint.query, endpoint.answer) == (NewThing, None, Page[Thing])
    assert (endpoint.summary, endpoint.description) == ("Make a part.", "It takes long.")
    match = endpoint.pattern.fullmatch("/things/a b/parts/c/d#1")
    assert match is not None
    assert match.groupdict() == {"id": "a b", "part": "c/d#1"}
    assert endpoint.pattern.fullmatch("/things/a/b/parts/c") is None
    assert endpoint.pattern.fullmatch("/things//parts/c") is None


async def no_path_parameter(call: Call) -> Thing:
    raise NotImplementedError


async def a_number_in_the_path(call: Call, id: int) -> Thing:
    raise NotImplementedError


async def another_one_besides(call: Call, id: str, more: str) -> Thing:
    raise NotImplementedError


async def no_call(request: str, id: str) -> Thing:
    raise NotImplementedError


async def a_body_that_is_no_model(call: Call, id: str, body: dict[str, str]) -> Thing:
    raise NotImplementedError


async def no_model_as_answer(call: Call, id: str) -> dict[str, str]:
    raise NotImplementedError


@pytest.mark.parametrize(
    "function",
    [
        no_path_parameter,
        a_number_in_the_path,
        another_one_besides,
        no_call,
        a_body_that_is_no_model,
        no_model_as_answer,
    ],
    ids=lambda it: it.__name__,
)
def test_what_is_no_endpoint_is_told_at_once(function: Any) -> None:
    with pytest.raises(TypeError) as caught:
        Routes("things", "Things.").get("/things/{id}")(function)

    assert str(caught.value) == (
        f"{function.__name__} must take a Call, id as texts, and query or body as models, "
        "and give a model"
    )


@pytest.mark.parametrize("how", ["slow", "gone"])
async def test_a_body_that_does_not_come_to_its_end(how: str) -> None:
    """Read without a bearer in front: what matters is the connection."""
    api = Api(cast("Any", FakeHost()), patience=0.05)

    async def receive() -> asgi.Message:
        if how == "gone":
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        raise AssertionError

    from router.web.api.problems import Mistake

    with pytest.raises(Mistake) as caught:
        await api._body({}, receive)
    assert caught.value.status == (400 if how == "gone" else 408)


def test_models_that_come_in_take_nothing_that_is_not_known() -> None:
    from router.web.api.app import resources

    loose = {"StartPostCall"}  # existing callers send more than that
    for routes in resources():
        for endpoint in routes.endpoints:
            for model in filter(None, (endpoint.query, endpoint.body)):
                if model.__name__ not in loose:
                    assert model.model_config.get("extra") == "forbid", model
