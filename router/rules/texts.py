"""Texts that rules state: in one language or several, fixed or filled in from the facts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from router.rules.facts import Facts
from router.rules.fields import FIELDS, Type, find, is_prefix
from router.toml import suggest

if TYPE_CHECKING:
    from jinja2 import Environment, Template, nodes


class TextError(ValueError):
    """A text cannot be filled in; the message says why."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text for a customer or a person.

    :param by_language: the text in each language it is stated in; the key ``""`` is a text for
        every language.
    """

    by_language: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str | Mapping[str, str]) -> "Text":
        """Make one from what a TOML file holds."""
        return cls({"": text} if isinstance(text, str) else dict(text))

    def pick(self, *languages: str | None) -> str:
        """Give the text in the first of these languages that it is stated in.

        ``pt-BR`` is content with ``pt``, and ``pt`` with ``pt-BR``. Without any match it is the
        first text stated.
        """
        if len(self.by_language) == 1:
            languages = ()
        for language in languages:
            if not language:
                continue
            wanted = language.casefold()
            for tag, text in self.by_language.items():
                if tag.casefold() == wanted:
                    return text
            for tag, text in self.by_language.items():
                if tag.casefold().split("-")[0] == wanted.split("-")[0]:
                    return text
        return next(iter(self.by_language.values()), "")

    def render(self, facts: Facts, *languages: str | None) -> str:
        """Give the text for these languages, filled in from the facts.

        :raises TextError: if it cannot be filled in, for want of a value too.
        """
        return render(self.pick(*languages), facts)


def is_template(text: str) -> bool:
    """Say whether a text has something to fill in."""
    return "{{" in text or "{%" in text


def render(text: str, facts: Facts, *, gaps: bool = False) -> str:
    """Fill in one text.

    :param gaps: whether a value that is missing is empty; else nothing may be shown without one.
    :raises TextError: if it cannot be filled in.
    """
    if not is_template(text):
        return text
    return _fill(_template(text, _Missing.GAP if gaps else _Missing.TOLD), nested(facts.values))


def prepare() -> None:
    """Load what filling in a text needs; else the first text to be filled in waits for it."""
    _environment(_Missing.TOLD)


def check(text: str) -> str | None:
    """Give what is wrong with a text that is to be filled in, or ``None``."""
    if not is_template(text):
        return None
    from jinja2 import TemplateSyntaxError
    from jinja2.exceptions import TemplateError

    try:
        tree = _environment(_Missing.REFUSED).parse(text)
        unknown = _unknown(tree)
        if unknown is None:
            _fill(_template(text, _Missing.REFUSED), nested(_samples(tree)))
    except TemplateSyntaxError as error:
        return f"the text cannot be filled in: {error.message}"
    except (TemplateError, TextError) as error:
        return f"the text cannot be filled in: {error}"
    return unknown


def looked_at(text: str) -> frozenset[str]:
    """Give the paths of what a text is filled in from."""
    if not is_template(text):
        return frozenset()
    return frozenset(_paths(_environment(_Missing.REFUSED).parse(text)))


def nested(values: Mapping[str, object]) -> dict[str, Any]:
    """Give the facts as a text sees them: ``contact.name`` is the name of the contact."""
    tree: dict[str, Any] = {}
    for path in sorted(values):
        *stems, name = path.split(".")
        here: dict[str, Any] = tree
        for stem in stems:
            below = here.setdefault(stem, {})
            if isinstance(below, int) and not isinstance(below, _Number):
                # Others stand below this field (attachments, attachments.kind); it stays a number.
                below = here[stem] = _Number(below)
            here = vars(below) if isinstance(below, _Number) else below
        value = values[path]
        # Members in an order of their own would make a text differ from run to run.
        here[name] = sorted(value) if isinstance(value, set | frozenset) else value
    return tree


class _Number(int):
    """A number that has fields below it."""


class _Missing(Enum):
    """What becomes of a value that is missing: a gap, a reason where it is shown, or a mistake."""

    GAP = auto()
    TOLD = auto()
    REFUSED = auto()


def _fill(template: "Template", values: Mapping[str, Any]) -> str:
    from jinja2.exceptions import TemplateError

    try:
        return template.render(values)
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise TextError(str(error) or type(error).__name__) from None
    except (AttributeError, RecursionError, MemoryError) as error:
        raise TextError(type(error).__name__) from None


@lru_cache(maxsize=3)
def _environment(missing: _Missing) -> "Environment":
    from jinja2 import ChainableUndefined, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Untold(ChainableUndefined):
        """A value that may be asked about, and replaced by another, but not shown."""

        def __str__(self) -> str:
            raise TextError(f'there is no value for "{self._undefined_name}"')

    undefined = {
        _Missing.GAP: ChainableUndefined,
        _Missing.TOLD: Untold,
        _Missing.REFUSED: StrictUndefined,
    }
    # Texts go to telephones, not to browsers: nothing is escaped.
    return ImmutableSandboxedEnvironment(autoescape=False, undefined=undefined[missing])


@lru_cache(maxsize=1024)
def _template(text: str, missing: _Missing) -> "Template":
    return _environment(missing).from_string(text)


def _unknown(tree: "nodes.Template") -> str | None:
    """Give what a template looks at that is no field."""
    from jinja2 import meta

    roots = meta.find_undeclared_variables(tree)
    for path in _paths(tree):
        root = path.split(".")[0]
        if root in roots and find(path) is None and not is_prefix(path):
            known = [name for name in FIELDS if not name.endswith(".NAME")]
            return f'the text looks at "{path}", which is no field.{suggest(path, known)}'
    return None


def _paths(tree: "nodes.Template") -> Iterator[str]:
    from jinja2 import nodes

    inner: set[int] = set()
    # Outer nodes come first, so the longest chain of a name is seen before its parts.
    for node in tree.find_all((nodes.Getattr, nodes.Name)):
        chain: list[str] = []
        here: nodes.Node = node
        while isinstance(here, nodes.Getattr):
            chain.append(here.attr)
            inner.add(id(here.node))
            here = here.node
        if isinstance(here, nodes.Name) and id(node) not in inner and here.ctx == "load":
            yield ".".join([here.name, *reversed(chain)])


def _samples(tree: "nodes.Template") -> dict[str, object]:
    sample: dict[Type, object] = {
        Type.NUMBER: 1,
        Type.DURATION: timedelta(minutes=1),
        Type.FLAG: True,
        Type.SET: frozenset({"x"}),
        Type.TIME: time(12),
        Type.DATE: date(2026, 1, 1),
    }
    named = {path for path in _paths(tree) if path not in FIELDS}
    paths = named | {path for path in FIELDS if not path.endswith(".NAME")}
    return {path: sample.get(field.type, "x") for path in paths if (field := find(path))}
