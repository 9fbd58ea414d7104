"""How texts are compared: folding, words, and many phrases looked for at once.

Customers write without accents, in capitals, with doubled spaces and invisible characters. Both
sides of a comparison are folded the same way, so that a rule says ``compensación`` and matches
``COMPENSACION``. Everything here takes time in proportion to the text's length, whatever the
text: no backtracking engine ever sees what a customer wrote.
"""

import unicodedata
from functools import lru_cache

import re2

_MEMORY = 256 * 1024 * 1024


class _Folded(dict[int, str | None]):
    """What becomes of a character after decomposition: dropped, or kept."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        # U+0300-036F are the accents that decomposition split off (the tilde of ñ among them);
        # Cf are zero-width joiners and the like; FE00-FE0F only choose how an emoji is drawn.
        dropped = (
            0x300 <= code <= 0x36F
            or 0xFE00 <= code <= 0xFE0F
            or unicodedata.category(character) == "Cf"
        )
        # A lone surrogate is no text and cannot be encoded for the engine.
        kept = "\ufffd" if 0xD800 <= code <= 0xDFFF else character
        self[code] = None if dropped else kept
        return self[code]


class _Spaced(dict[int, str]):
    """What separates words becomes a space; an emoji becomes a word of its own."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category[0] in "LNM" or character == "_":
            self[code] = character
        else:
            self[code] = f" {character} " if category == "So" else " "
        return self[code]


_FOLDED = _Folded()
_SPACED = _Spaced()


def fold(text: str) -> str:
    """Give a text without case, accents and invisible characters; ñ becomes n."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKD", decomposed).translate(_FOLDED)


def squeeze(text: str) -> str:
    """Give a text with each run of spaces and line ends as one space, and none at its ends."""
    return " ".join(text.split())


def clean(text: str) -> str:
    """Give a text that can be encoded."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def words(text: str) -> str:
    """Give a text's words between single spaces, one at either end too; punctuation is left out.

    A phrase is in a text as whole words exactly if ``words(phrase) in words(text)``.
    """
    return f" {' '.join(text.translate(_SPACED).split())} "


def phrase_words(phrase: str, *, exact: bool = False) -> str | None:
    """Give what to look for in :func:`words` of a text; ``None`` if the phrase has no words."""
    found = words(clean(phrase) if exact else fold(phrase))
    return found if found.strip() else None


class PhraseSet:
    """All phrases of a set of rules, looked for in one pass over a text."""

    __slots__ = ("_numbers", "_set")

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._set: re2.Set | None = None

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, phrase: str) -> int | None:
        """Give the phrase's number, or ``None`` if it has no words."""
        found = phrase_words(phrase)
        if found is None:
            return None
        return self._numbers.setdefault(found, len(self._numbers))

    def key(self, path: str) -> str:
        """Give the name under which facts keep what was found in one of their texts."""
        return f"{path} {id(self)}"

    def compile(self, memory: int = _MEMORY) -> bool:
        """Make the set ready. Gives false if it is too large for the engine.

        :param memory: bytes that the engine may use.
        """
        if not self._numbers:
            return True
        options = _options()
        options.max_mem = memory
        options.literal = True
        phrases = re2.Set.SearchSet(options)
        for phrase in self._numbers:
            phrases.Add(phrase)
        try:
            phrases.Compile()
        except re2.error:
            return False
        self._set = phrases
        return True

    def hits(self, text: str) -> frozenset[int]:
        """Give the numbers of the phrases in a text that went through :func:`words`."""
        if self._set is None:
            return frozenset()
        # The engine gives None, not an empty list, where nothing matches.
        return frozenset(self._set.Match(text) or ())


class Pattern:
    """One ``matches`` pattern, searched for in linear time."""

    __slots__ = ("_search", "source")

    def __init__(self, source: str, *, exact: bool = False) -> None:
        """Compile a pattern.

        :param exact: keep case and accents.
        :raises ValueError: with the engine's reason, if it is no pattern.
        """
        self.source = source
        options = _options()
        options.case_sensitive = exact
        try:
            # The engine tells the mistake in the pattern as typed, not as folded.
            compiled = re2.compile(source, options=options)
            if not exact:
                compiled = re2.compile(fold_pattern(source), options=options)
        except re2.error as error:
            reason = error.args[0] if error.args else error
            raise ValueError(reason.decode() if isinstance(reason, bytes) else reason) from None
        self._search = compiled.search

    def found(self, text: str) -> bool:
        """Say whether the pattern is anywhere in a text, already folded unless it is exact."""
        return self._search(text) is not None


def fold_pattern(pattern: str) -> str:
    r"""Fold a pattern's literal characters, and nothing else: ``\S`` must not become ``\s``."""
    folded: list[str] = []
    at = 0
    while at < len(pattern):
        end = _special_end(pattern, at)
        if end > at:
            folded.append(pattern[at:end])
            at = end
            continue
        folded.append(_fold_literal(pattern[at]))
        at += 1
    return "".join(folded)


@lru_cache(maxsize=512)
def _fold_literal(character: str) -> str:
    if character.isascii():
        return character.lower()
    # One character may fold to several, or to one that means something in a pattern.
    folded = fold(character)
    escaped = str(re2.escape(folded))
    return f"(?:{escaped})" if len(folded) > 1 else escaped


def _special_end(pattern: str, at: int) -> int:
    """Give the end of the escape, class or group opening that starts here, else ``at``."""
    if pattern[at] == "\\":
        following = pattern[at + 1 : at + 3]
        if following[:1] == "Q":
            close = pattern.find("\\E", at)
            return len(pattern) if close < 0 else close + 2
        if following in {"p{", "P{", "x{"}:
            return pattern.find("}", at) + 1 or len(pattern)
        # \pN takes one more letter; so does \xFF, whose digits fold to themselves.
        return at + (3 if following[:1] in {"p", "P"} else 2)
    if pattern[at] == "[":
        return _class_end(pattern, at)
    if pattern.startswith("(?", at):
        stop = at + 2
        while stop < len(pattern) and pattern[stop] not in ">:)":
            stop += 1
        return stop + 1
    return at


def _class_end(pattern: str, at: int) -> int:
    """Give the end of a character class."""
    stop = at + 1
    if pattern.startswith("^", stop):
        stop += 1
    if pattern.startswith("]", stop):
        stop += 1
    while stop < len(pattern) and pattern[stop] != "]":
        if pattern[stop] == "\\":
            stop += 2
        elif pattern.startswith("[:", stop):
            stop = pattern.find(":]", stop) + 2
        else:
            stop += 1
    return stop + 1


def _options() -> "re2.Options":
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return options
