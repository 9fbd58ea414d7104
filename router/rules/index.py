"""Which rules a text can make hold at all, so that the others need not be looked at.

Most rules wait for words, and most messages have none of them. A rule that cannot hold unless one
of its phrases is there is looked at only where one is; what the trace says of the others is ready
made. Nothing is skipped that could have matched, and the trace names every rule all the same.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from router.rules.conditions import Needs
from router.rules.facts import Facts
from router.rules.text import PhraseSet

Entry: TypeAlias = list[Any]

#: How the trace says that a rule is for another kind of event.
_OTHER_KIND: Final = "kind"


class Entries(list[Entry]):
    """The entries of rules in a trace: a list that knows what of it is always the same.

    :ivar shared: where the usual entries are from.
    :ivar changed: numbers of the entries that are not the usual ones.
    """

    __slots__ = ("changed", "shared")

    def __init__(self, index: "KindIndex") -> None:
        super().__init__(index.usual)
        self.shared = index
        self.changed: list[int] = []

    def note(self, number: int, entry: Entry) -> None:
        """Put what became of a rule in place of what usually does."""
        self[number] = entry
        self.changed.append(number)

    def until(self, number: int) -> None:
        """Forget the rules from this one on: they were not read."""
        del self[number:]


class KindIndex:
    """The rules as events of one kind meet them.

    :param guardrails: those that are asked before the rules.
    :ivar usual: for each rule the entry of the trace if none of its phrases is there; an empty
        one where that depends on more.
    :ivar ready: the usual entries, and behind them those of guardrails that do not hold.
    :ivar texts: of conditions, with the number of a ready entry that has it.
    :ivar several: numbers of the rules for this kind with several conditions, exceptions apart.
    """

    __slots__ = ("_always", "_by_phrase", "packed", "ready", "several", "texts", "usual")

    def __init__(self, rules: Sequence[Any], guardrails: Sequence[Any], kind: str) -> None:
        always: list[int] = []
        by_phrase: dict[str, dict[int, list[int]]] = {}
        self.usual: list[Entry] = []
        self.several: list[int] = []
        #: What ``trace.packed`` makes of ``ready``, once it has.
        self.packed: tuple[int, bytes] | None = None
        for number, rule in enumerate(rules):
            if kind not in rule.gate.kinds:
                self.usual.append([rule.id, "s", _OTHER_KIND])
                continue
            if sum(not condition.negated for condition in rule.conditions) > 1:
                self.several.append(number)
            needed = None if rule.gate.narrow else _needed(rule)
            if needed is None:
                always.append(number)
                self.usual.append(rule.missed[0] or [] if rule.missed else [])
                continue
            at, needs = needed
            self.usual.append(rule.missed[at])
            for path, phrases in needs:
                for phrase in phrases:
                    by_phrase.setdefault(path, {}).setdefault(phrase, []).append(number)
        self._always = tuple(always)
        self._by_phrase = tuple(by_phrase.items())
        missed = (entry for guardrail in guardrails for entry in guardrail.missed)
        self.ready: list[Entry] = [*self.usual, *filter(None, missed)]
        self.texts = {it[2]: number for number, it in enumerate(self.ready) if it[1:2] == ["-"]}

    def candidates(self, facts: Facts, phrases: PhraseSet) -> Iterable[int]:
        """Give the numbers of the rules that have to be looked at, in reading order."""
        found: set[int] = set()
        for path, by_phrase in self._by_phrase:
            for hit in facts.hits(path, phrases) or ():
                found.update(by_phrase.get(hit, ()))
        return sorted(found.union(self._always)) if found else self._always


def _needed(rule: Any) -> tuple[int, Needs] | None:
    for at, condition in enumerate(rule.conditions):
        if not condition.fields:
            # What looks at nothing is there to be asked: it watches.
            return None
        if condition.needs is not None and rule.missed[at] is not None:
            return at, condition.needs
    return None


class Index:
    """The rules of a set by the kind of event."""

    __slots__ = ("_guardrails", "_kinds", "_rules")

    def __init__(self, rules: Sequence[Any], guardrails: Sequence[Any]) -> None:
        self._rules = rules
        self._guardrails = guardrails
        self._kinds: dict[str, KindIndex] = {}

    def of(self, kind: str) -> KindIndex:
        """Give the rules as a kind of event meets them; made at the first event of it."""
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = KindIndex(self._rules, self._guardrails, kind)
        return found
