"""The conformance suite of AI backends."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from router.domain.answer import Completion, Prompt
from router.plugin.ai import AIBackend
from router.plugin.testing.cases import Case, Factory, Outcome, expect
from router.plugin.testing.context import Reply
from router.plugin.testing.provider import OutgoingSuite, row_cases
from router.plugin.testing.rows import Complete


class AIBackendSuite(OutgoingSuite):
    """The contract of an AI backend.

    Set :attr:`backend`, ``config`` and :attr:`completes`.

    Checks: ``completes``, ``sound_completion``, ``provider_errors``, ``unknown_config_key``,
    ``secrets``.

    .. versionadded:: 1.0
    """

    backend: ClassVar[Factory[AIBackend[Any]]]
    completes: ClassVar[Sequence[Complete]] = ()

    checks = ("completes", "sound_completion", "provider_errors", "unknown_config_key", "secrets")
    _subject = "backend"

    @classmethod
    def _rows(cls) -> list[Case]:
        here = AIBackendSuite
        good = [row for row in cls.completes if row.raises is None]
        return [
            *row_cases("completes", here.check_complete, cls.completes, good),
            *row_cases("sound_completion", here.check_sound, good, good),
            *cls.provider_cases(cls.completes),
        ]

    def check_complete(self, row: Complete) -> None:
        self.compare(self.outgoing(row), row.expect, row.raises, row.requests)

    def check_sound(self, row: Complete) -> None:
        """Twice the same, and nothing that the prompt did not offer."""
        prompt: Prompt = row.prompt
        given, again = self.outgoing(row).value, self.outgoing(row).value
        expect(isinstance(given, Completion), f"complete has to give a Completion, not {given!r}")
        expect(given == again, f"the same prompt gave {given!r}, then {again!r}")
        confidence = given.confidence
        expect(
            confidence is None or 0 <= confidence <= 1,
            f"confidence is 0 to 1 or None, not {confidence!r}",
        )
        passages = {passage.id for passage in prompt.passages}
        strange = [one for one in given.citations if one not in passages]
        expect(not strange, f"citations {strange} are no passages of the prompt")
        expect(
            given.category is None or given.category in prompt.categories,
            f"category {given.category!r} is none of the prompt's",
        )
        tools = {tool.name for tool in prompt.tools}
        proposed = [one.name for one in given.proposals if one.name not in tools]
        expect(not proposed, f"the proposals {proposed} are no tools of the prompt")

    def _utterances(self) -> Iterator[object]:
        return self.outgoing_utterances(self.completes)

    def outgoing(self, row: Complete, replies: Sequence[Reply] | None = None) -> Outcome:
        given = row.replies if replies is None else replies
        return self.perform(given, lambda backend: backend.complete(row.prompt))
