"""The conformance suite of AI backends."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

from router.domain.answer import Completion, Prompt
from router.errors import ProviderError
from router.plugin.ai import AIBackend
from router.plugin.testing.cases import Case, Factory, Outcome, expect, spoken
from router.plugin.testing.context import Reply
from router.plugin.testing.provider import OutgoingSuite, row_cases
from router.plugin.testing.rows import Complete, Transcribe
from router.plugin.testing.sockets import Dialogue, socket_failures
from router.plugin.testing.voices import check_hearing, transcribe_cases, transcribe_utterances

#: Kinds of files that a prompt may bring.
_KINDS = frozenset({"image", "document"})


class AIBackendSuite(OutgoingSuite):
    """The contract of an AI backend.

    Set :attr:`backend`, ``config`` and :attr:`completes`.

    Checks: ``completes``, ``sound_completion``, ``provider_errors``, ``socket_errors`` where a row
    opens WebSockets, ``unknown_config_key``, ``secrets``; since 1.1 ``capabilities``, ``tools``,
    and for backends that write down voice notes ``transcribes``, ``sound_transcript``,
    ``transcribe_errors``.

    .. versionadded:: 1.0
    """

    backend: ClassVar[Factory[AIBackend[Any]]]
    completes: ClassVar[Sequence[Complete]] = ()
    transcribes: ClassVar[Sequence[Transcribe]] = ()

    checks = (
        "completes",
        "sound_completion",
        "provider_errors",
        "socket_errors",
        "capabilities",
        "tools",
        "transcribes",
        "sound_transcript",
        "transcribe_errors",
        "unknown_config_key",
        "secrets",
    )
    _subject = "backend"

    @classmethod
    def _rows(cls) -> list[Case]:
        here = AIBackendSuite
        good = [row for row in cls.completes if row.raises is None]
        return [
            Case("capabilities", "", here.check_capabilities),
            Case("tools", "", here.check_tools),
            *row_cases("completes", here.check_complete, cls.completes, good),
            *row_cases("sound_completion", here.check_sound, good, good),
            *cls._provider_cases(good),
            *cls._socket_cases(good),
            *transcribe_cases(cls.transcribes),
        ]

    @classmethod
    def _provider_cases(cls, good: Sequence[Complete]) -> list[Case]:
        """Who speaks by WebSockets alone has no HTTP reply that could fail."""
        with_replies = [row for row in good if row.replies]
        speaks = any(row.sockets for row in good)
        if speaks and not with_replies:
            return []
        return cls.provider_cases(with_replies if speaks else cls.completes)

    @classmethod
    def _socket_cases(cls, good: Sequence[Complete]) -> list[Case]:
        """Replace the last WebSocket of the first good row with each failure in turn."""
        row = next((row for row in good if row.sockets), None)
        if row is None:
            return []
        return [
            Case("socket_errors", label, partial(_fail_socket, row=row, last=last, kinds=kinds))
            for label, last, kinds in socket_failures()
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

    def check_capabilities(self) -> None:
        """Make sure that what is claimed works, and what works is claimed."""
        check_hearing(self.make(), self.transcribes)
        accepts = self.make().accepts
        strange = sorted(accepts - _KINDS)
        expect(not strange, f"accepts: {strange} are no kinds of files. Kinds: {sorted(_KINDS)}")
        shown = any(row.prompt.files for row in self.completes if row.raises is None)
        expect(shown or not accepts, "accepts: give a row in `completes` whose prompt has files")
        expect(accepts or not shown, "a row's prompt has files, but none are named in accepts")

    def check_tools(self) -> None:
        """Make sure that whoever is given tools proposes calls, and goes on from their results."""
        calls = self.make().calls_tools
        good = [row for row in self.completes if row.raises is None]
        offered = any(row.prompt.tools for row in good)
        proposed = any(row.expect is not None and row.expect.proposals for row in good)
        told = any(row.prompt.results for row in good)
        expect(calls or not offered, "a row's prompt has tools, but calls_tools is not declared")
        expect(
            proposed or not calls,
            "calls_tools: give a row in `completes` whose completion has proposals",
        )
        expect(told or not calls, "calls_tools: give a row in `completes` whose prompt has results")

    def _utterances(self) -> Iterator[object]:
        yield from self.outgoing_utterances(self.completes)
        yield from transcribe_utterances(self, self.transcribes)
        for row in self.completes:
            if row.sockets and row.raises is None:
                for _, last, _ in socket_failures():
                    yield from spoken(self.speaking(row, [*row.sockets[:-1], last]))
                break

    def outgoing(self, row: Complete, replies: Sequence[Reply] | None = None) -> Outcome:
        given = row.replies if replies is None else replies
        return self.perform(given, lambda backend: backend.complete(row.prompt), row.sockets)

    def speaking(self, row: Complete, sockets: Sequence[Dialogue]) -> Outcome:
        """Make the call of a row with other WebSockets than its own."""
        return self.perform(row.replies, lambda backend: backend.complete(row.prompt), sockets)


def _fail_socket(
    suite: AIBackendSuite,
    row: Complete,
    last: Dialogue,
    kinds: tuple[type[ProviderError], ...],
) -> None:
    outcome = suite.speaking(row, [*row.sockets[:-1], last])
    expect(outcome.raw is not None, f"it gave {outcome.value!r}, though the WebSocket failed")
    wanted = " or ".join(kind.__name__ for kind in kinds)
    expect(
        isinstance(outcome.error, kinds),
        f"expected {wanted}, got {type(outcome.error).__name__}: {outcome.error}",
    )
