"""A rules file while it is read: typed values out of it, or problems with their places."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from router.rules.hours import Hours
from router.rules.model import OTHER, ApprovedTemplate, Names, Place, PromptText
from router.rules.signals import SIGNALS
from router.rules.text import PhraseSet
from router.rules.texts import Text, check, looked_at
from router.toml import Document, KeyPath, Part, Problem, suggest

#: What may stand at the top of a rules file.
TABLES = (
    "lexicon",
    "category",
    "hours",
    "prompt",
    "template",
    "default",
    "rule",
    "guardrail",
    "example",
)


# BCP 47 as far as it tells a tag from a word: a language of two or three letters, then more.
_TAG = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", re.IGNORECASE)
#: As telephone numbers tell it; 001 and the like are numbers of no country.
_COUNTRY = re.compile("[A-Z]{2}|[0-9]{3}")


@dataclass(slots=True)
class Known:
    """What is defined, in the files and outside them, and what the rules turn out to use."""

    names: Names
    lexicons: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Where each lexicon is defined, as ``file:line:column``.
    lexicon_places: dict[str, str] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=lambda: {OTHER: "low"})
    phrases: PhraseSet = field(default_factory=lambda: PhraseSet(forgiving=True))
    fields: set[str] = field(default_factory=set)
    hours: Hours | None = None
    prompts: dict[str, PromptText] = field(default_factory=dict)
    templates: dict[str, ApprovedTemplate] = field(default_factory=dict)


def sort_of(value: object) -> str:
    """Say what sort of TOML value this is."""
    if isinstance(value, bool):
        return "true or false"
    for types, word in (
        (str, "a text"),
        (int | float, "a number"),
        (list, "a list"),
        (Mapping, "a table"),
    ):
        if isinstance(value, types):
            return word
    return "a date or time"


def listing(names: Iterable[str]) -> str:
    """Give names in alphabetical order, or say that there are none."""
    return ", ".join(sorted(names)) or "nothing"


class Source:
    """One file, and the problems found in it so far."""

    def __init__(self, document: Document, known: Known, problems: list[Problem]) -> None:
        self.document = document
        self.known = known
        self.problems = problems

    def problem(
        self,
        path: KeyPath,
        message: str,
        remedy: str = "",
        *,
        part: Part = "key",
        notes: Sequence[str] = (),
    ) -> None:
        """Note a problem."""
        self.problems.append(
            self.document.problem(path, message, remedy, part=part, notes=tuple(notes))
        )

    def place(self, path: KeyPath) -> Place:
        return Place(self.document, path)

    def wrong(self, path: KeyPath, name: str, takes: str, value: object) -> None:
        """Note that a value is of the wrong sort."""
        message = f'"{name}" takes {takes}, not {sort_of(value)}'
        self.problem(path, message, part="value")

    def unknown(
        self, path: KeyPath, sort: str, word: str, known: Iterable[str], where: str
    ) -> None:
        """Note a name that nothing has."""
        names = sorted(known)
        remedy = suggest(word, names) or f"Known: {listing(names)}"
        self.problem(path, f'no {sort} "{word}" in {where}', remedy, part="value")

    # Values ──────────────────────────────────────────────────────────────────────────────────

    def table(
        self, path: KeyPath, value: object, keys: Collection[str], what: str
    ) -> dict[str, Any] | None:
        """Give a table after noting each key that it may not have."""
        if not isinstance(value, dict):
            self.wrong(path, last_key(path), "a table", value)
            return None
        for key in value:
            if key not in keys:
                remedy = suggest(key, keys)
                if key in TABLES:
                    # In TOML everything below a [header] belongs to it.
                    remedy = f"It belongs above the first [table], or below a [{key}] of its own."
                self.problem(
                    (*path, key),
                    f'unknown key "{key}" in {what}',
                    remedy,
                    notes=[f"{what} has: {', '.join(keys)}"],
                )
        return value

    def tables(self, path: KeyPath, value: object) -> list[tuple[KeyPath, dict[str, Any]]]:
        """Give the tables of a list with their paths."""
        if not isinstance(value, list):
            self.wrong(path, last_key(path), "a list of tables", value)
            return []
        found: list[tuple[KeyPath, dict[str, Any]]] = []
        for index, each in enumerate(value):
            if isinstance(each, dict):
                found.append(((*path, index), each))
            else:
                self.wrong((*path, index), last_key(path), "a list of tables", each)
        return found

    def string(self, path: KeyPath, value: object, name: str | None = None) -> str | None:
        """Give a text that says something."""
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, str):
            empty = "has nothing but spaces in it" if value else "is empty"
            self.problem(
                path, f'"{name or last_key(path)}" {empty}', "Say something.", part="value"
            )
        else:
            self.wrong(path, name or last_key(path), "a text", value)
        return None

    def strings(self, path: KeyPath, value: object, name: str | None = None) -> list[str] | None:
        """Give one text or several as a list."""
        name = name or last_key(path)
        if isinstance(value, str):
            text = self.string(path, value, name)
            return None if text is None else [text]
        if not isinstance(value, list):
            self.wrong(path, name, "a text or a list of texts", value)
            return None
        if not value:
            self.problem(path, f'the list of "{name}" is empty', "Name at least one.", part="value")
            return None
        found = [self.string((*path, i), each, name) for i, each in enumerate(value)]
        return [text for text in found if text is not None] if None not in found else None

    def flag(self, path: KeyPath, value: object, name: str | None = None) -> bool | None:
        if isinstance(value, bool):
            return value
        self.wrong(path, name or last_key(path), "true or false", value)
        return None

    def choice(
        self, path: KeyPath, value: object, choices: Collection[str], sort: str
    ) -> str | None:
        """Give a text that is one of these."""
        word = self.string(path, value)
        if word is None or word in choices:
            return word
        remedy = suggest(word, choices) or f"It is one of: {', '.join(choices)}"
        self.problem(path, f'unknown {sort} "{word}"', remedy, part="value")
        return None

    def choices(
        self, path: KeyPath, value: object, choices: Collection[str], sort: str
    ) -> frozenset[str] | None:
        """Give one text or several, each of which is one of these."""
        words = self.strings(path, value)
        if words is None:
            return None
        if isinstance(value, str):
            return None if self.choice(path, value, choices, sort) is None else frozenset(words)
        found = [self.choice((*path, i), each, choices, sort) for i, each in enumerate(words)]
        return None if None in found else frozenset(words)

    def language(self, path: KeyPath, value: object) -> str | None:
        """Give the tag of a language."""
        tag = self.string(path, value)
        return tag if tag is not None and self.is_language(path, tag) else None

    def is_language(self, path: KeyPath, tag: str, part: Part = "value") -> bool:
        """Say whether a text is the tag of a language, after noting that it is not."""
        if _TAG.fullmatch(tag) is not None:
            return True
        remedy = 'Write it as in "es", "es-MX" or "pt-BR".'
        self.problem(path, f'"{tag}" is no tag of a language', remedy, part=part)
        return False

    def is_country(self, path: KeyPath, code: str) -> bool:
        """Say whether a text is the code of a country, after noting that it is not."""
        if _COUNTRY.fullmatch(code) is not None:
            return True
        remedy = 'Write the code of a country, "CO".'
        self.problem(path, f'"{code}" is no code of a country', remedy, part="value")
        return False

    def text(self, path: KeyPath, value: object) -> Text | None:
        """Give a text, stated once or by language, that can be filled in."""
        text = self.by_language(path, value)
        if text is None:
            return None
        places = {tag: (*path, tag) if tag else path for tag in text.by_language}
        good = [self.fills_in(places[tag], each) for tag, each in text.by_language.items()]
        return text if all(good) else None

    def by_language(self, path: KeyPath, value: object) -> Text | None:
        """Give a text, stated once or by language, as it is."""
        if not isinstance(value, dict):
            stated = self.string(path, value)
            return None if stated is None else Text.of(stated)
        if not value:
            self.problem(path, f'"{last_key(path)}" states no text', 'Add one, such as es = "…".')
            return None
        good = True
        for tag, each in value.items():
            good &= self.is_language((*path, tag), tag, "key")
            good &= self.string((*path, tag), each) is not None
        return Text.of(value) if good else None

    def fills_in(self, path: KeyPath, text: str) -> bool:
        """Say whether a text can be filled in, after noting why not."""
        reason = check(text)
        if reason is not None:
            self.problem(path, reason, part="value")
            return False
        # What a text shows has to be worked out as if a rule looked at it.
        self.known.fields |= {path for path in looked_at(text) if path in SIGNALS}
        return True

    # Names ───────────────────────────────────────────────────────────────────────────────────

    def backend(self, path: KeyPath, value: object) -> str | None:
        return self._configured(path, value, "backend", self.known.names.backends)

    def action(self, path: KeyPath, value: object) -> str | None:
        return self._configured(path, value, "action", self.known.names.actions)

    def _configured(
        self, path: KeyPath, value: object, sort: str, configured: Collection[str]
    ) -> str | None:
        name = self.string(path, value)
        if name is None or name in configured:
            return name
        remedy = suggest(name, configured) or f"Configured: {listing(configured)}"
        self.problem(path, f'no {sort} "{name}" in router.toml', remedy, part="value")
        return None

    def category(self, path: KeyPath, value: object) -> str | None:
        name = self.string(path, value)
        if name is None or name in self.known.categories:
            return name
        self.unknown_category(path, name)
        return None

    def unknown_category(self, path: KeyPath, name: str) -> None:
        remedy = suggest(name, self.known.categories) or f'Add [category.{name}] risk = "high".'
        self.problem(path, f'no category "{name}" in the rules files', remedy, part="value")

    def queue(self, path: KeyPath, value: object) -> str | None:
        """Give a queue's name; while none are declared, any that is no misspelt action."""
        name = self.string(path, value)
        if name is None:
            return None
        queues, actions = self.known.names.queues, self.known.names.actions
        if queues is not None and name not in queues:
            self.unknown(path, "queue", name, queues, "router.toml")
            return None
        if queues is None and name in actions:
            self.problem(
                path,
                f'"{name}" is an action, not a queue',
                f'Escalate to it, or run it: run = [{{ action = "{name}" }}].',
                part="value",
            )
            return None
        return name

    def whom(self, path: KeyPath, value: object) -> str | None:
        """Give what can be escalated to: a queue, or an action that takes a notice."""
        name = self.string(path, value)
        if name is None:
            return None
        names = self.known.names
        if name in names.actions:
            model = names.actions[name]
            if model is None or _takes_notice(model):
                return name
            self.problem(
                path,
                f'the action "{name}" takes no title and text, so nothing is escalated to it',
                'Escalate to a queue or to another action, and run this one with "run".',
                part="value",
            )
            return None
        queues = names.queues
        if queues is None:
            # Nothing declares queues, so every name is one, except what looks like a slip.
            hint = suggest(name, names.actions, likeness=0.75)
            if not hint:
                return name
            self.problem(path, f'no action "{name}" in router.toml', hint, part="value")
            return None
        if name in queues:
            return name
        known = [*names.actions, *queues]
        remedy = suggest(name, known) or f"Configured: {listing(known)}"
        self.problem(path, f'no queue or action "{name}" in router.toml', remedy, part="value")
        return None


def last_key(path: KeyPath) -> str:
    """Give the key that a value, or the list that it is in, stands under."""
    return next(str(part) for part in reversed(path) if isinstance(part, str))


def _takes_notice(model: Any) -> bool:
    from pydantic import ValidationError

    try:
        model.model_validate({"title": "x", "text": "y"})
    except ValidationError:
        return False
    return True
