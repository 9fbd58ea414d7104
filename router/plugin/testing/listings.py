"""What the suite of channels makes sure of where a channel lists templates."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from router.errors import ProviderError
from router.plugin.channel import Channel
from router.plugin.templates import check_templates
from router.plugin.testing.cases import Case, CheckFailedError, Outcome, Suite, expect, spoken
from router.plugin.testing.context import Reply
from router.plugin.testing.provider import check_failure, failures
from router.plugin.testing.rows import ListTemplates


def list_cases(rows: Sequence[ListTemplates]) -> list[Case]:
    """Give the cases of what a channel lists."""
    first = next((row for row in rows if row.raises is None and row.replies), None)
    cases = [Case("lists", row.label, partial(_check_row, row=row)) for row in rows]
    if first is not None:
        cases += [
            Case("list_errors", label, partial(_fail, row=first, reply=reply, kind=kind))
            for label, reply, kind in failures()
        ]
    return cases


def list_utterances(suite: Suite, rows: Sequence[ListTemplates]) -> Iterator[object]:
    """List in every way the rows know, and give what the plugin says."""
    for row in rows:
        yield from spoken(_listing(suite, row))
        for _, reply, _ in failures():
            if row.replies:
                yield from spoken(_listing(suite, row, [*row.replies[:-1], reply]))


def check_listing(channel: Channel[Any], rows: Sequence[ListTemplates]) -> None:
    """Make sure that what is claimed is there and shown.

    A channel that can list, and whose config here says that it does not, may leave it out.

    :raises CheckFailedError: if it is not.
    """
    implements = type(channel).templates is not Channel.templates
    claimed = channel.capabilities.lists_templates
    expect(implements or not claimed, "lists_templates is claimed; implement templates()")
    expect(claimed or not rows, "there are rows in `lists`, but lists_templates is not claimed")
    shown = any(it.is_approved for row in rows for it in row.expect or ())
    expect(
        shown or not claimed,
        "lists_templates is claimed; give a row in `lists` that expects an approved template",
    )


def _check_row(suite: Suite, row: ListTemplates) -> None:
    outcome = _listing(suite, row)
    if outcome.raw is None:
        try:
            infos = list(outcome.value)
            check_templates(infos)
        except (TypeError, ValueError) as error:
            raise CheckFailedError(str(error)) from None
        refs = [ref for info in infos for ref in sorted({info.ref, *info.aliases})]
        twice = sorted({ref for ref in refs if refs.count(ref) > 1})
        expect(not twice, f"two templates are sent by the same reference: {twice}")
        outcome = replace(outcome, value=infos)
    wanted = None if row.expect is None else list(row.expect)
    suite.compare(outcome, wanted, row.raises, row.requests)


def _fail(suite: Suite, row: ListTemplates, reply: Reply, kind: type[ProviderError] | None) -> None:
    outcome = _listing(suite, row, [*row.replies[:-1], reply])
    expect(
        outcome.raw is not None,
        "a failure was swallowed: raise it, or every template counts as missing. "
        f"It gave {outcome.value!r}",
    )
    if kind is not None:
        check_failure(outcome, kind)


def _listing(suite: Suite, row: ListTemplates, replies: Sequence[Reply] | None = None) -> Outcome:
    return suite.perform(row.replies if replies is None else replies, lambda it: it.templates())
