"""What a model is asked: the outbox item, the instructions, and a digest of the configuration.

Two questions with the same digest differ in nothing but what was said and what the articles hold.
The digest is kept with the trace, so that a replay knows an answer to another question.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from router.domain.conversation import Conversation, Turn
from router.domain.decision import AskRequest
from router.domain.message import Author
from router.domain.outbox import ItemKind
from router.ids import Ids
from router.pipeline.instances.configuration import Configuration
from router.rules import pii
from router.settings.fingerprint import digest
from router.storage.store import NewItem

#: The name under which a trace has the digest, and the numbers of the messages asked about.
QUESTION: Final = "question"

#: What a backend is told where the business says nothing.
SYSTEM: Final = (
    "You answer the customers of a business on its behalf. Use only the passages given. "
    "If they do not hold the answer, answer with nothing at all. Be brief, friendly and plain; "
    "answer in the customer's language. Never promise anything the passages do not promise. Where "
    "earlier calls with the customer are summed up, go on from there instead of asking again."
)


def instructions(
    configuration: Configuration, tenant: str, backend: str, prompt: str | None
) -> str:
    """Give what a backend is told: a rule's choice, else the backend's own, else ours.

    :param prompt: the name of the instructions that a rule chose.
    """
    chosen = configuration.rules(tenant).prompts.get(prompt or "")
    if chosen is not None:
        return chosen.text
    settings = configuration.settings.ai.get(backend)
    own = None if settings is None else settings.prompt
    return SYSTEM if own is None else own.text


def question_digest(
    configuration: Configuration,
    tenant: str,
    request: AskRequest,
    *,
    language: str | None,
    ai: Mapping[str, object],
) -> str:
    """Give hex digits that stand for a question without its texts.

    :param ai: what AI triage had found before.
    """
    rules = configuration.rules(tenant)
    settings = configuration.settings.ai.get(request.backend)
    meaning: list[Any] = [
        request.backend,
        request.classify,
        None if settings is None else settings.kind,
        # Secrets print as stars.
        None if settings is None else settings.config.model_dump(mode="json"),
        instructions(configuration, tenant, request.backend, request.prompt),
        list(rules.categories),
        None if request.knowledge is None else list(request.knowledge),
        sorted(request.redact | frozenset(rules.redacts)),
        language or configuration.tenant(tenant).language,
        {name: ai[name] for name in sorted(ai)},
    ]
    tools = () if settings is None or request.classify else settings.tools
    if tools:
        # Beside them only: without, a question is the one that it was before there were any.
        described = configuration.settings.actions
        meaning.append([[name, described[name].description] for name in tools])
        meaning.append(settings.tool_rounds if settings else 0)
    return digest(json.dumps(meaning, sort_keys=True, default=str))


def question_item(
    conversation: Conversation,
    turn: Turn,
    request: AskRequest,
    *,
    language: str | None,
    ai: Mapping[str, object],
    asked_by: tuple[int, ...],
    ids: Ids,
) -> NewItem:
    """Give what has a model asked about a turn.

    :param ai: what AI triage had found before.
    :param asked_by: numbers of the events that wait for the answer.
    """
    kind = ItemKind.CLASSIFY if request.classify else ItemKind.ASK
    body = {
        "asked_seq": turn.messages[-1].seq,
        "asked_by": asked_by,
        "lane_key": conversation.contact.key,
        "text": turn.text,
        "language": language,
        "ai": dict(ai),
    }
    if request.redact:
        country = pii.country_of(conversation.contact.key)
        body["text"] = pii.redact(turn.text, request.redact, country)
        body["redact"] = sorted(request.redact)
    if attached := [it.seq for it in turn.messages if it.attachments]:
        body["attached"] = attached
    if request.prompt is not None:
        body["prompt"] = request.prompt
    if request.knowledge is not None:
        body["knowledge"] = list(request.knowledge)
    return NewItem(
        id=ids(),
        kind=kind,
        lane=conversation.id,
        author=Author.BOT,
        destination=request.backend,
        body=json.dumps(body, ensure_ascii=False, default=str),
    )
