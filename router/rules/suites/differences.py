"""What happened held against what a case expects."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from router.domain.decision import ActionRequest
from router.rules.conditions import shown
from router.rules.examples import Seen
from router.rules.suites.expecting import ESCALATE, EXPECT, TICKET
from router.rules.text import fold, squeeze
from router.rules.trace import cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as expected.

    :param notes: why, as far as it is known.
    """

    key: str
    expected: str
    found: str
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Give it as a diff shows it."""
        return [
            f"- {self.key} = {self.expected}",
            f"+ {self.key} = {self.found}",
            *(f"  {note}" for note in self.notes),
        ]


def differences(expect: Mapping[str, Any], seen: Seen) -> list[Difference]:
    """Give what is not as expected, in the order of the reference."""
    found: list[Difference] = []
    for key in EXPECT:
        if key in expect and (miss := _CHECKS[key](expect[key], seen)) is not None:
            expected, got, *notes = miss
            found.append(Difference(key=key, expected=expected, found=got, notes=tuple(notes)))
    return found


#: What was expected, what was found, and why; ``None`` where it is as expected.
Miss: TypeAlias = tuple[str, ...] | None
#: Values by key, or whether there is the thing at all.
Parts: TypeAlias = Mapping[str, str] | bool


def passes(expect: Mapping[str, Any], seen: Seen) -> bool:
    """Say whether everything is as expected."""
    return all(_CHECKS[key](value, seen) is None for key, value in expect.items())


def _rule(wanted: tuple[str, ...], seen: Seen) -> Miss:
    missing = [id_ for id_ in wanted if id_ not in seen.rules]
    if not missing:
        return None
    notes = [note for id_ in missing if (note := _why_not(id_, seen))]
    return (_list(wanted), _list(seen.rules), *notes)


def _no_rule(wanted: tuple[str, ...], seen: Seen) -> Miss:
    matched = [id_ for id_ in wanted if id_ in seen.rules]
    return (_list(wanted), f"{_list(matched)} matched") if matched else None


def _why_not(id_: str, seen: Seen) -> str | None:
    """Say what stopped a rule."""
    trace = seen.trace
    if id_ == "default":
        return f"{_by(seen)} decided"
    for part in ("input", "triage", "guards"):
        for entry in trace.get(part, ()):
            if entry[0] != id_:
                continue
            if entry[1] == "s":
                return f"{id_}: skipped, it is for another {entry[2]}"
            values = entry[4] if len(entry) > 4 else trace.get("facts", {})
            saw = [
                f"{path} {shown(values[path])}" if path in values else f"no {path}"
                for path in entry[3]
            ]
            return f"{id_}: failed on {entry[2]}: saw {', '.join(saw)}"
    if seen.made is None:
        return f"{id_}: not asked, a model is to answer first; add answer = {{ … }}"
    return f"{id_}: not read, {_by(seen)} decided before it"


def _by(seen: Seen) -> str:
    return seen.by or "default"


def _decision(wanted: str, seen: Seen) -> Miss:
    if wanted == seen.decision:
        return None
    because = f", because: {seen.made.because}" if seen.made else ""
    return (shown(wanted), shown(seen.decision), f"by {_by(seen)}{because}")


def _decided_by(wanted: tuple[str, ...], seen: Seen) -> Miss:
    return None if _by(seen) in wanted else (_list(wanted), shown(_by(seen)))


def _asked(wanted: str, seen: Seen) -> Miss:
    return None if wanted == seen.asked else (shown(wanted), _or_none(seen.asked))


def _value(name: str) -> Callable[[str, Seen], Miss]:
    def check(wanted: str, seen: Seen) -> Miss:
        got = getattr(seen.made or seen.added, name)
        return None if got == wanted else (shown(wanted), _or_none(got))

    return check


def _members(name: str) -> Callable[[Collection[str], Seen], Miss]:
    def check(wanted: Collection[str], seen: Seen) -> Miss:
        got = getattr(seen.made or seen.added, name)
        return None if got >= set(wanted) else (_list(sorted(wanted)), _list(sorted(got)))

    return check


def _set(wanted: Mapping[str, str], seen: Seen) -> Miss:
    it = seen.made or seen.added
    got = {
        **{f"contact.attribute.{name}": value for name, value in it.contact_attributes.items()},
        **{
            f"conversation.attribute.{name}": value
            for name, value in it.conversation_attributes.items()
        },
    }
    if all(got.get(path) == value for path, value in wanted.items()):
        return None
    return _table(wanted), _table(got)


def _is_in(part: str, text: str) -> bool:
    return squeeze(fold(part)) in squeeze(fold(text))


def _reply(wanted: Sequence[str], seen: Seen) -> Miss:
    missing = [part for part in wanted if not any(_is_in(part, text) for text in seen.texts)]
    return (_texts(missing), _texts(seen.texts)) if missing else None


def _no_reply(wanted: Sequence[str], seen: Seen) -> Miss:
    there = [part for part in wanted if any(_is_in(part, text) for text in seen.texts)]
    return (_texts(there), _texts(seen.texts)) if there else None


def _says(wanted: Sequence[str], seen: Seen) -> Miss:
    got = [reply.text for reply in seen.made.replies] if seen.made else []
    return None if got == list(wanted) else (_texts(wanted), _texts(got))


def _draft(wanted: str | bool, seen: Seen) -> Miss:  # noqa: FBT001 - as in the file
    draft = seen.made.draft.text if seen.made and seen.made.draft else None
    if isinstance(wanted, bool):
        good = (draft is not None) is wanted
    else:
        good = draft is not None and _is_in(wanted, draft)
    return None if good else (shown(wanted), "false" if draft is None else shown(cut(draft)))


def _ticket(wanted: Parts, seen: Seen) -> Miss:
    return _described(wanted, seen.made.ticket if seen.made else None, ("title",))


def _escalate(wanted: Parts, seen: Seen) -> Miss:
    return _described(wanted, seen.made.escalation if seen.made else None, ("because",))


def _described(wanted: Parts, got: object, parts: Collection[str]) -> Miss:
    """Compare a table with what has its keys as attributes; of ``parts`` a part is enough."""
    found = "false"
    if got is not None:
        keys = TICKET if hasattr(got, "queue") else ESCALATE
        found = _table({key: str(getattr(got, key)) for key in keys})
    if isinstance(wanted, bool):
        return None if (got is not None) is wanted else (shown(wanted), found)
    good = got is not None and all(
        _is_in(value, getattr(got, key)) if key in parts else getattr(got, key) == value
        for key, value in wanted.items()
    )
    return None if good else (_table(wanted), found)


def _run(wanted: Sequence[Mapping[str, Any]], seen: Seen) -> Miss:
    got = (seen.made or seen.added).actions
    same = len(got) == len(wanted) and all(map(_is_action, wanted, got))
    if same:
        return None
    return _actions(wanted), _actions([{"action": each.action, **each.params} for each in got])


def _is_action(wanted: Mapping[str, Any], got: ActionRequest) -> bool:
    return wanted["action"] == got.action and all(
        key in got.params and got.params[key] == value
        for key, value in wanted.items()
        if key != "action"
    )


def _opted_out(wanted: bool, seen: Seen) -> Miss:  # noqa: FBT001 - a value of the file
    got = bool(seen.made and seen.made.opted_out)
    return None if got is wanted else (shown(wanted), shown(got))


_CHECKS: Final[Mapping[str, Callable[[Any, Seen], Miss]]] = {
    "rule": _rule,
    "no_rule": _no_rule,
    "by": _decided_by,
    "decision": _decision,
    "asked": _asked,
    "category": _value("category"),
    "risk": _value("risk"),
    "priority": _value("priority"),
    "language": _value("language"),
    "tag": _members("tags"),
    "untag": _members("untags"),
    "set": _set,
    "reply": _reply,
    "no_reply": _no_reply,
    "says": _says,
    "draft": _draft,
    "ticket": _ticket,
    "escalate": _escalate,
    "run": _run,
    "opted_out": _opted_out,
}


# Showing ──────────────────────────────────────────────────────────────────────────────────────


def _or_none(value: object) -> str:
    return "none" if value is None else shown(value)


def _list(values: Collection[str]) -> str:
    [*words] = values
    return shown(words[0]) if len(words) == 1 else shown(words)


def _texts(values: Collection[str]) -> str:
    return _list([cut(" / ".join(value.splitlines())) for value in values])


def _table(values: Mapping[str, object]) -> str:
    inner = ", ".join(f"{key} = {_any(value)}" for key, value in values.items())
    return f"{{ {inner} }}" if inner else "{}"


def _actions(values: Sequence[Mapping[str, Any]]) -> str:
    shown_ = [
        shown(each["action"]) if len(each) == 1 else _table({"action": each["action"], **each})
        for each in values
    ]
    return f"[{', '.join(shown_)}]"


def _any(value: object) -> str:
    return _table(value) if isinstance(value, Mapping) else shown(value)
