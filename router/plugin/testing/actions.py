"""The conformance suite of actions."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from router.plugin.action import Action, ActionCall, ActionResult, NoticeParams
from router.plugin.testing.cases import Case, Factory, Outcome, expect
from router.plugin.testing.context import Reply
from router.plugin.testing.provider import OutgoingSuite, row_cases
from router.plugin.testing.rows import Run


class ActionSuite(OutgoingSuite):
    """The contract of an action.

    Set :attr:`action`, ``config``, :attr:`params` unless it takes notices, and :attr:`runs`.

    Checks: ``runs``, ``repeat``, ``unknown_param``, ``provider_errors``, ``unknown_config_key``,
    ``secrets``; since 1.1 ``reads_only``, for actions that only read.

    .. versionadded:: 1.0
    """

    action: ClassVar[Factory[Action[Any]]]
    params: ClassVar[type[BaseModel]] = NoticeParams
    runs: ClassVar[Sequence[Run]] = ()

    #: The id of every call that the suite makes.
    call_id: ClassVar[str] = "01k7conformancecall0000000"

    checks = (
        "runs",
        "repeat",
        "unknown_param",
        "reads_only",
        "provider_errors",
        "unknown_config_key",
        "secrets",
    )
    _subject = "action"

    @classmethod
    def _rows(cls) -> list[Case]:
        here = ActionSuite
        good = [row for row in cls.runs if row.raises is None]
        return [
            Case("unknown_param", "", here.check_unknown_param),
            Case("reads_only", "", here.check_reads_only),
            *row_cases("runs", here.check_run, cls.runs, good),
            *row_cases("repeat", here.check_repeat, good, good),
            *cls.provider_cases(cls.runs),
        ]

    def check_run(self, row: Run) -> None:
        outcome = self.outgoing(row)
        self.compare(outcome, row.expect, row.raises, row.requests)
        expect(
            outcome.value is None or isinstance(outcome.value, ActionResult),
            f"run has to give an ActionResult or None, not {outcome.value!r}",
        )

    def check_repeat(self, row: Run) -> None:
        """Idempotent means that the provider can tell a repeat: the call's id is in the request."""
        action = self.make()
        expect(
            not (action.idempotent and action.repeat_is_harmless),
            "declare idempotent or repeat_is_harmless: the first makes the second needless",
        )
        if not action.idempotent:
            return
        for request in self.outgoing(row).context.requests:
            named = (
                self.call_id in str(request.url)
                or self.call_id.encode() in request.content
                or self.call_id in request.headers.values()
            )
            expect(named, "idempotent is declared, but a request does not carry call.id")

    def check_unknown_param(self) -> None:
        extra = self.params.model_config.get("extra")
        expect(
            extra == "forbid",
            f"{self.params.__name__} accepts unknown parameters; a rule's typing error would go "
            "unseen. Derive it from ActionParams",
        )

    def check_reads_only(self) -> None:
        """Who only reads may be asked again, and gives something back."""
        action = self.make()
        if not action.reads_only:
            return
        expect(
            action.idempotent or action.repeat_is_harmless,
            "reads_only is declared: declare repeat_is_harmless, too",
        )
        given = [row.expect for row in self.runs if row.raises is None]
        expect(
            any(one is not None and (one.text or one.data) for one in given),
            "reads_only: give a row in `runs` that expects a result",
        )

    def _utterances(self) -> Iterator[object]:
        return self.outgoing_utterances(self.runs)

    def outgoing(self, row: Run, replies: Sequence[Reply] | None = None) -> Outcome:
        call = ActionCall(
            id=self.call_id,
            action="test",
            tenant="main",
            params=self.params.model_validate(row.params),
        )
        given = row.replies if replies is None else replies
        return self.perform(given, lambda action: action.run(call))
