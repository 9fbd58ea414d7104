"""What whoever is told of a decision reads: the tenant's language, and a link that opens."""

import json
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from router import plugin
from router.pipeline.people import acts
from router.pipeline.people.surroundings import Configured
from router.storage.links import find_link
from router.storage.privacy.export import export
from router.storage.tables import conversation
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

TABLES = """
[queues.default]
notify = ["pager"]
"""

RULES = """
[[rule]]
id = "queja"
when.text.words = "queja"
then.ticket = { title = "Se queja" }
"""


class Opened(Protocol):
    """Gives the router of a business that speaks a language."""

    def __call__(self, *, language: str) -> AbstractAsyncContextManager[Pipeline]: ...


@pytest.fixture(params=list(DATABASES))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    return partial(running, request.param, tmp_path, debounce="0s", tables=TABLES, rules=RULES)


async def told(pipeline: Pipeline, text: str) -> plugin.ActionCall:
    """Let the customer write; give the notice of it."""
    await pipeline.engine.accept(pipeline.engine.said(text))
    await pipeline.settle()
    return pipeline.provider.done.pop()


@pytest.mark.parametrize(
    ("language", "waits", "owned", "ticket"),
    [
        (
            "es-CO",
            "la conversación espera a una persona",
            "una persona atiende la conversación",
            "la regla «queja» abre un ticket",
        ),
        (
            "pt",
            "a conversa espera uma pessoa",
            "uma pessoa atende a conversa",
            "a regra «queja» abre um ticket",
        ),
        (
            "en",
            "the conversation waits for a person",
            "a person owns the conversation",
            'the rule "queja" opens a ticket',
        ),
    ],
)
async def test_a_notice_says_in_the_tenants_language_why_the_bot_is_silent(
    opened: Opened, language: str, waits: str, owned: str, ticket: str
) -> None:
    async with opened(language=language) as pipeline:
        escalated = await told(pipeline, "Voy a llamar a mi abogado")
        waiting = await told(pipeline, "hola")
        complaint = await told(pipeline, "una queja")
        (row,) = await pipeline.engine.rows(conversation)
        around = Configured(lambda: pipeline.configuration)
        given = {"id": row.id, "by": "eva"}
        await acts.perform(pipeline.engine.store, "conversations.take", given, around)
        taken = await told(pipeline, "¿sigue ahí?")

    assert escalated.as_json()["params"]["title"].endswith(": amenaza legal")
    assert (waiting.because, taken.because, complaint.because) == (waits, owned, ticket)
    for call in (waiting, taken):
        assert call.as_json()["params"]["title"].endswith(f": {call.because}")
    assert complaint.as_json()["params"]["title"].endswith(": Se queja")


async def test_every_notice_has_a_link_that_opens(opened: Opened) -> None:
    async with opened(language="es") as pipeline:
        calls = [await told(pipeline, text) for text in ("mi abogado", "hola", "una queja")]
        (row,) = await pipeline.engine.rows(conversation)
        now = pipeline.engine.clock.now()
        for call in calls:
            secret = call.as_json()["params"]["url"].rpartition("/c/")[2]
            link = await pipeline.engine.store.read(partial(find_link, secret=secret, now=now))

            assert link is not None
            assert link.conversation == row.id


async def test_an_export_of_the_customer_has_no_link_to_the_page_of_the_people(
    opened: Opened,
) -> None:
    async with opened(language="es") as pipeline:
        notice = await told(pipeline, "una queja")
        now = pipeline.engine.clock.now()
        document = await pipeline.engine.store.read(
            lambda it: export(it, "main", str(ANA), now=now)
        )

    (item,) = [it for it in document["outbox"] if it["kind"] == "action"]
    assert item["body"]["params"]["title"] == notice.params.model_dump()["title"]
    assert str(notice.params.model_dump()["url"]).rpartition("/")[2] not in json.dumps(document)
