"""What happens in ``router chat`` as cases of a suite."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.cli.options import ArgumentMistake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from router.domain.identity import Address
    from router.settings.model import Settings
    from router.storage.store import EventRef


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedTurn:
    """A message, and what became of it.

    :param answer: what a model answered, by the keys of a case; ``None`` if none was asked.
    :param error: why the model gave no answer.
    :param body: the decision, as it is stored.
    """

    text: str
    outcome: str | None
    answer: "Mapping[str, Any] | None"
    error: str | None
    body: "Mapping[str, Any]"
    trace: "Mapping[str, Any]"


def saved_turn(connection: "Connection", tenant: str, event: "EventRef") -> SavedTurn:
    """Give a message that was decided about."""
    from router.storage.decisions import decisions_of, load_trace
    from router.storage.events import show_event

    view = show_event(connection, tenant, event)
    decided = view.settled_by or event
    decision = decisions_of(connection, tenant, decided.lane, [decided.seq]).get(decided)
    came = show_event(connection, tenant, decided)
    payload = came.payload if came.kind == "answer" else {}
    return SavedTurn(
        text=view.text,
        outcome=view.outcome,
        answer=_answer(payload, _sources(connection, tenant, payload)),
        error=payload.get("error"),
        body=decision.body if decision else {},
        trace=load_trace(connection, tenant, decided) or {},
    )


def _sources(connection: "Connection", tenant: str, payload: "Mapping[str, Any]") -> list[str]:
    """Give what an answer could rest on, where a rule looks at whether it does."""
    import sqlalchemy as sa

    from router.storage.tables import passage

    if not payload.get("grounds"):
        return []
    statement = sa.select(passage.c.title, passage.c.text).where(
        passage.c.tenant == tenant, passage.c.ref.in_(payload.get("passages", ()))
    )
    rows = connection.execute(statement.order_by(passage.c.ref))
    return [f"{row.title}\n{row.text}" for row in rows]


def _answer(payload: "Mapping[str, Any]", sources: list[str]) -> "Mapping[str, Any] | None":
    completion = payload.get("completion")
    if not completion:
        return None
    # Of a model that was asked twice, its category is the first answer, its text the second.
    category = payload.get("ai", {}).get("ai.category") or completion.get("category")
    found = {
        "text": "" if payload.get("classify") else completion["text"],
        "confidence": completion.get("confidence"),
        "category": category,
        "cites": list(completion.get("citations") or ()),
        "sources": sources,
    }
    return {key: value for key, value in found.items() if value not in (None, [])}


class Saving:
    """Adds each message of a chat to a suite.

    :param file: the suite; begun if there is none.
    """

    def __init__(self, file: Path, settings: "Settings", tenant: str) -> None:
        from router.cli.suites import subjects_of

        if not file.parent.is_dir():
            raise ArgumentMistake(f"there is no folder {file.parent} to write {file.name} to")
        self._file = file
        #: The file could not be written.
        self.failed = False
        self._subjects = subjects_of(settings)
        self._subject = self._subjects.tenants[tenant]
        self._said: list[dict[str, str]] = []
        #: What a decision may rest on though no rule looks at it.
        self._known: dict[str, Any] = {}

    def add(self, turn: SavedTurn, address: "Address", channel: str) -> None:
        """Add a message; what cannot be a case is told, and left out."""
        from router.errors import ConfigError
        from router.rules.suites.writing import Unlike, append

        inputs: dict[str, Any] = {"say": turn.text, "as": str(address), "channel": channel}
        history = self._history()
        if history:
            inputs["history"] = history
        if turn.answer is not None:
            inputs["answer"] = turn.answer
        said = [str(reply["text"]) for reply in turn.body.get("replies", ()) if reply.get("text")]
        self._said += [{"customer": turn.text}, *({"bot": text} for text in said)]
        try:
            if turn.error is not None:
                raise ArgumentMistake(f"the model gave no answer: {turn.error}")
            text = self._case(inputs, _expected(turn, said), turn.trace.get("facts", {}))
            append(self._file, text, self._subject, self._subjects)
        except Unlike as unlike:
            why = f"a case would not do the same\n{unlike}"
        except ConfigError as error:
            why = "; ".join(str(problem) for problem in error.problems)
        except OSError as error:
            why = f"it cannot be written: {error.strerror}"
            self.failed = True
        except ArgumentMistake as mistake:
            why = mistake.message
        else:
            print(f"  saved in {self._file}", file=sys.stderr)
            return
        print(f"  not saved in {self._file}: {why}", file=sys.stderr)

    def _case(
        self, inputs: "Mapping[str, Any]", expect: "Mapping[str, Any]", facts: "Mapping[str, Any]"
    ) -> str:
        """Give the case; what came before is stated only where it makes a difference."""
        from router.rules.suites.writing import Unlike, case_text

        known = dict(self._known)
        if "category" in expect:
            self._known["conversation.category"] = expect["category"]
        if "opted_out" in expect:
            self._known["contact.opted_out"] = expect["opted_out"]
        try:
            return case_text(self._subject, inputs, expect, facts)
        except Unlike:
            if not known:
                raise
            return case_text(self._subject, inputs, expect, {**known, **facts})

    def _history(self) -> list[dict[str, str]]:
        """Give what was said up to the last answer: what was decided since is no open turn."""
        last = max((at for at, each in enumerate(self._said) if "bot" in each), default=-1)
        return self._said[: last + 1]


def _expected(turn: SavedTurn, said: list[str]) -> dict[str, Any]:
    body, trace = turn.body, turn.trace
    matched = [
        entry[0]
        for part in ("input", "triage", "guards")
        for entry in trace.get(part, ())
        if entry[1] in {"+", "!"}
    ]
    found: dict[str, Any] = {
        "rule": matched,
        "by": body.get("rule") or "default",
        "decision": turn.outcome,
        "category": body.get("category"),
        "risk": body.get("risk"),
    }
    if ticket := body.get("ticket"):
        found["ticket"] = {"queue": ticket["queue"]}
    if escalation := body.get("escalation"):
        found["escalate"] = {"to": escalation["to"]}
    if body.get("opted_out"):
        found["opted_out"] = True
    if actions := body.get("actions"):
        found["run"] = [action["action"] for action in actions]
    if said:
        found["says"] = said
    return {key: value for key, value in found.items() if value not in (None, [])}
