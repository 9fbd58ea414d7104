"""Facts: what is known about a turn when the rules are read."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from router.rules.recall import History
from router.rules.text import PhraseSet, fold, spoken_words, squeeze


class Missing(Enum):
    """The type of :data:`MISSING`."""

    MISSING = "missing"


#: What :meth:`Facts.get` gives for a value that is not there.
MISSING: Final = Missing.MISSING

_ATTRIBUTES = ("contact.attribute", "conversation.attribute", "event.metadata", "call.data")


class Facts:
    """What rules may look at: values by the path of their field, such as ``contact.name``.

    Immutable. Folded forms of texts, and which of the rules' phrases are in them, are worked out
    at the first question and kept, so that a text costs its folding once however many rules look
    at it. ``fields.py`` says which type each value has; a value of ``None`` is a missing one.
    Attributes may be given one by one (``contact.attribute.city``) or as one mapping under
    ``contact.attribute``; so may ``event.metadata`` and ``call.data``.
    """

    __slots__ = ("_folded", "_plain", "_words", "found", "history", "values")

    def __init__(self, values: Mapping[str, object], history: History | None = None) -> None:
        known = {path: value for path, value in values.items() if value is not None}
        for path in _ATTRIBUTES:
            given = known.get(path)
            if given is not None and (type(given) is dict or isinstance(given, Mapping)):
                del known[path]
                for name, each in given.items():
                    known[f"{path}.{name}"] = each
        #: Every value that is there. Conditions look here themselves: a call each would cost
        #: more than the rest of the condition.
        self.values: Mapping[str, Any] = known
        #: What was said lately; rules look at it through ``history.*``.
        self.history = history
        #: What :meth:`hits` gave, by :meth:`PhraseSet.key`.
        self.found: dict[str, frozenset[int]] = {}
        self._plain: dict[str, str] = {}
        self._folded: dict[str, str] = {}
        self._words: dict[str, str] = {}

    def get(self, path: str) -> Any:
        """Give a value, or :data:`MISSING`."""
        return self.values.get(path, MISSING)

    def with_(self, changes: Mapping[str, object] | None = None, /, **more: object) -> "Facts":
        """Give these facts with some values changed; ``None`` takes a value away."""
        changed = {**(changes or {}), **more}
        facts = Facts(changed, self.history)
        values = dict(self.values)
        for path in changed:
            values.pop(path, None)
        values.update(facts.values)
        facts.values = values
        facts._plain = {k: v for k, v in self._plain.items() if k not in changed}
        facts._folded = {k: v for k, v in self._folded.items() if k not in changed}
        facts._words = {k: v for k, v in self._words.items() if k not in changed}
        facts.found = {k: v for k, v in self.found.items() if k.split()[0] not in changed}
        return facts

    def plain(self, path: str) -> str | None:
        """Give a text without case and accents, its spaces as they are; ``None`` if missing."""
        plain = self._plain.get(path)
        if plain is None:
            value = self.values.get(path)
            if value is None:
                return None
            plain = self._plain[path] = fold(str(value))
        return plain

    def folded(self, path: str) -> str | None:
        """Give a text without case, accents and doubled spaces, or ``None`` if it is missing."""
        folded = self._folded.get(path)
        if folded is None:
            plain = self.plain(path)
            if plain is None:
                return None
            folded = self._folded[path] = squeeze(plain)
        return folded

    def words(self, path: str) -> str | None:
        """Give a text's folded words between single spaces, or ``None`` if it is missing."""
        found = self._words.get(path)
        if found is None:
            value = self.values.get(path)
            if value is None:
                return None
            found = self._words[path] = spoken_words(str(value))
        return found

    def hits(self, path: str, phrases: PhraseSet) -> frozenset[int] | None:
        """Give the numbers of the phrases that are in a text, or ``None`` if it is missing."""
        key = phrases.key(path)
        hits = self.found.get(key)
        if hits is None:
            text = self.words(path)
            if text is None:
                return None
            hits = self.found[key] = phrases.hits(text)
        return hits
