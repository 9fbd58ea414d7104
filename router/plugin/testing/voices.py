"""What the suite of AI backends makes sure of where a backend writes down voice notes."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from router.domain.answer import Transcript
from router.errors import ProviderError
from router.plugin.ai import AIBackend
from router.plugin.testing.cases import Case, Outcome, Suite, expect, spoken
from router.plugin.testing.context import Reply
from router.plugin.testing.provider import check_failure, failures
from router.plugin.testing.rows import Transcribe


def transcribe_cases(rows: Sequence[Transcribe]) -> list[Case]:
    """Give the cases of what a backend hears."""
    good = [row for row in rows if row.raises is None]
    first = next((row for row in good if row.replies), None)
    cases = [
        *(Case("transcribes", row.label, partial(_check_row, row=row)) for row in rows),
        *(Case("sound_transcript", row.label, partial(_check_sound, row=row)) for row in good),
    ]
    if first is not None:
        cases += [
            Case("transcribe_errors", label, partial(_fail, row=first, reply=reply, kind=kind))
            for label, reply, kind in failures()
        ]
    return cases


def transcribe_utterances(suite: Suite, rows: Sequence[Transcribe]) -> Iterator[object]:
    """Have each row written down in every way, and give what the plugin says."""
    for row in rows:
        yield from spoken(_hearing(suite, row))
        for _, reply, _ in failures():
            if row.replies:
                yield from spoken(_hearing(suite, row, [*row.replies[:-1], reply]))


def check_hearing(backend: AIBackend[Any], rows: Sequence[Transcribe]) -> None:
    """Make sure that what is claimed is there and shown.

    A backend that can transcribe, and whose config here says that it does not, may leave it out.

    :raises CheckFailedError: if it is not.
    """
    implements = type(backend).transcribe is not AIBackend.transcribe
    claimed = backend.transcribes
    expect(implements or not claimed, "transcribes is claimed; implement transcribe()")
    expect(claimed or not rows, "there are rows in `transcribes`, but it is not claimed")
    shown = any(row.raises is None for row in rows)
    expect(
        shown or not claimed, "transcribes is claimed; give a row in `transcribes` that succeeds"
    )


def _check_row(suite: Suite, row: Transcribe) -> None:
    suite.compare(_hearing(suite, row), row.expect, row.raises, row.requests)


def _check_sound(suite: Suite, row: Transcribe) -> None:
    given, again = _hearing(suite, row).value, _hearing(suite, row).value
    expect(isinstance(given, Transcript), f"transcribe has to give a Transcript, not {given!r}")
    expect(given == again, f"the same voice note gave {given!r}, then {again!r}")


def _fail(suite: Suite, row: Transcribe, reply: Reply, kind: type[ProviderError] | None) -> None:
    outcome = _hearing(suite, row, [*row.replies[:-1], reply])
    check_failure(outcome, kind)


def _hearing(suite: Suite, row: Transcribe, replies: Sequence[Reply] | None = None) -> Outcome:
    return suite.perform(
        row.replies if replies is None else replies,
        lambda backend: backend.transcribe(row.voice, row.language),
    )
