"""What an answer of a model is worth: how sure it is, what it rests on, and what it cost."""

from dataclasses import replace
from typing import Any

from router.domain.answer import Completion, Prompt, Usage
from router.domain.outbox import ItemKind
from router.pipeline.ai.question import SYSTEM
from router.pipeline.ai.tools import Toolbox
from router.rules.grounds import FIELDS as GROUNDS
from router.rules.grounds import weigh
from router.rules.pii import country_of
from router.storage.store import Item


def sound(completion: Completion) -> Completion:
    """Give an answer whose confidence a threshold can judge, with sources to be read twice."""
    sure: Any = completion.confidence  # a plugin's value, of any kind
    known = isinstance(sure, int | float) and not isinstance(sure, bool) and 0 <= sure <= 1
    return replace(
        completion, confidence=sure if known else None, citations=tuple(completion.citations)
    )


def grounds_of(prompt: Prompt, completion: Completion, toolbox: Toolbox) -> dict[str, Any] | None:
    """Compare an answer with what it may rest on, where the rules look at that."""
    item, question = toolbox.item, toolbox.question
    fields = toolbox.configuration.rules(item.tenant).fields
    if item.kind is not ItemKind.ASK or not set(GROUNDS).intersection(fields):
        return None
    known = [text for it in prompt.passages for text in (it.title, it.text)]
    known += [text for it in prompt.calls for text in (it.summary, *it.data.values())]
    known += [it.text for it in toolbox.results if not it.failed]
    sources = (question["text"], "" if prompt.system == SYSTEM else prompt.system, *known)
    return weigh(completion.text, sources, country_of(question["lane_key"])).as_json()


def bill(tx: Any, *, item: Item, used: Usage) -> None:
    """Count what an answer cost; an effect."""
    from router.storage.usage import record

    record(
        tx.connection,
        tenant=item.tenant,
        conversation=item.conversation,
        event=item.decided,
        instance=item.destination,
        used=used,
        now=tx.now,
    )
