"""The API keeps what its document promises, whatever it is sent."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, settings
from schemathesis.generation import GenerationMode

from router.pipeline.people.acts import perform
from router.web.api.app import resources
from router.web.api.openapi import KEY_FORM, document
from tests.integration.web.api_site import EVERYTHING
from tests.integration.web.daemon import running

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = count(1)
schema = schemathesis.openapi.from_dict(document(resources(), "http://127.0.0.1"))
# 400 as well: no schema says which texts are cursors.
schema.config.checks.positive_data_acceptance.expected_statuses = [
    *("2xx", "400", "401", "403", "404", "409")
]
# One method that no path has will do.
schema.config.phases.coverage.unexpected_methods = {"delete"}
schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


@dataclass(frozen=True)
class Site:
    """A running router and a token for everything in it."""

    url: str
    token: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve on a port, in a loop of its own: schemathesis sends as programs elsewhere do."""
    folder: Path = tmp_path_factory.mktemp("api")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            portal.call(lambda: _async(running(folder, engine="hypercorn")))
        ) as daemon,
    ):
        given: dict[str, Any] = {"name": "s", "scopes": EVERYTHING, "expires": 3600.0}
        router = daemon.router
        made = portal.call(
            perform, router.store, "tokens.create", {**given, "by": "eva"}, router.surroundings
        )
        for number, text in enumerate(("reembolso", "horario", "factura", "mi abogado")):
            body = {"id": str(number), "from": f"+57300000000{number}", "text": text}
            httpx.post(f"{daemon.url}/hooks/phone", json=body, timeout=30).raise_for_status()
        yield Site(daemon.url, made["text"])


async def _async(thing: Any) -> Any:
    return thing


@schema.parametrize()
@settings(
    max_examples=5,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_names(case: Any, site: Site) -> None:
    key = (case.headers or {}).get("Idempotency-Key", "")
    if re.fullmatch(KEY_FORM, key) and len(key) < 200:
        # Generated keys repeat, and one that comes with something else is refused by right.
        case.headers["Idempotency-Key"] = f"{key}-{next(NUMBERS)}"
    case.call_and_validate(
        base_url=site.url, headers={"Authorization": f"Bearer {site.token}"}, timeout=100
    )
