"""What a backend is shown: the turn with its files, what was said before, passages, calls."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from router.clock import Clock
from router.domain.answer import CallSummary, ContactCard, Passage, Prompt, PromptTurn
from router.domain.message import Attachment, File
from router.domain.outbox import ItemKind
from router.errors import NotFound, StorageUnavailable
from router.pipeline.ai.question import instructions
from router.pipeline.instances.configuration import Configuration
from router.pipeline.media.shelf import Shelf
from router.plugin.context import Log
from router.rules.pii import country_of, redact
from router.storage.store import Item, Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Earlier lines of the conversation that a model sees.
HISTORY: Final = 20
#: And their characters together; the newest are kept.
LONGEST: Final = 8_000
PASSAGES: Final = 5
#: Files of the open turn that a model sees, and their bytes together.
MOST_FILES: Final = 5
MOST_BYTES: Final = 15 * 1024 * 1024
#: How long ago a call may be that a model is told of.
RECENT_CALLS: Final = timedelta(days=14)


class Prompts:
    """Makes prompts of questions."""

    def __init__(self, store: Store, clock: Clock, log: Log, *, shelf: Shelf) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._shelf = shelf

    async def prompt(
        self,
        item: Item,
        question: dict[str, Any],
        configuration: Configuration,
        accepts: frozenset[str],
    ) -> Prompt:
        """Give what is put to a backend.

        :param accepts: the kinds of files that it takes.
        """
        prompt = await self._words(item, question, configuration)
        if accepts and question.get("attached"):
            return replace(prompt, files=await self._files(item, question, accepts))
        return prompt

    async def _words(
        self, item: Item, question: dict[str, Any], configuration: Configuration
    ) -> Prompt:
        tenant = configuration.settings.tenants[item.tenant]
        language = question.get("language") or tenant.language
        text, conversation = question["text"], item.conversation or ""
        since = self._clock.now() - RECENT_CALLS

        def look_up(
            connection: "Connection",
        ) -> tuple[
            tuple[PromptTurn, ...],
            ContactCard,
            tuple[Passage, ...],
            tuple[CallSummary, ...],
        ]:
            from router.knowledge.retrieve import search
            from router.storage.history import calls, card, turns

            before = turns(connection, item.tenant, conversation, question["asked_seq"], HISTORY)
            found: tuple[Passage, ...] = ()
            if tenant.knowledge_folders:
                found = search(
                    connection,
                    item.tenant,
                    text,
                    limit=PASSAGES,
                    language=language,
                    articles=articles,
                )
            who = card(connection, item.tenant, conversation)
            spoken = calls(connection, item.tenant, conversation, since)
            return before, who, found, spoken

        articles = question.get("knowledge")
        history, contact, passages, spoken = await self._store.read(look_up)
        # Earlier lines are redacted whether or not this turn is: the same guardrails would be.
        if kinds := configuration.rules(item.tenant).redacts:
            country = country_of(question["lane_key"])
            history = tuple(replace(it, text=redact(it.text, kinds, country)) for it in history)
            spoken = tuple(_redacted(it, kinds, country) for it in spoken)
        told = instructions(configuration, item.tenant, item.destination, question.get("prompt"))
        return Prompt(
            system=told,
            turns=(*_newest(history), PromptTurn("user", text)),
            passages=passages,
            contact=contact,
            language=language,
            categories=tuple(tenant.rules.categories),
            task="classify" if item.kind is ItemKind.CLASSIFY else "answer",
            calls=spoken,
        )

    async def _files(
        self, item: Item, question: dict[str, Any], kinds: frozenset[str]
    ) -> tuple[File, ...]:
        """Give what came with the turn, as far as it is here and the backend takes its kind."""
        lane, seqs = f"{item.tenant}/{question['lane_key']}", question["attached"]

        def look_up(connection: "Connection") -> tuple[Attachment, ...]:
            from router.storage.media import attachments

            return attachments(connection, item.tenant, lane, seqs)

        files: list[File] = []
        left = MOST_BYTES
        for known in await self._store.read(look_up):
            if known.kind not in kinds or known.digest is None or len(files) == MOST_FILES:
                continue
            if known.size is None or known.size > left:
                continue
            try:
                data = await self._shelf.objects.get(item.tenant, known.digest)
            except (NotFound, StorageUnavailable) as error:
                self._log.warning("file not shown to the model", item=item.id, reason=str(error))
                if isinstance(error, StorageUnavailable):
                    break  # the others are in the same place, and somebody waits for an answer
                continue
            left -= len(data)
            files.append(File(known.content_type or "", data))
        return tuple(files)


def _newest(history: tuple[PromptTurn, ...]) -> tuple[PromptTurn, ...]:
    """Give the newest lines, up to the bound; of the one that goes beyond it, the end."""
    kept: list[PromptTurn] = []
    left = LONGEST
    for turn in reversed(history):
        if left <= 0:
            break
        kept.append(replace(turn, text=turn.text[-left:]))
        left -= len(turn.text)
    return tuple(reversed(kept))


def _redacted(call: CallSummary, kinds: frozenset[str], country: str | None) -> CallSummary:
    data = {name: redact(text, kinds, country) for name, text in call.data.items()}
    return replace(call, summary=redact(call.summary, kinds, country), data=data)
