"""How texts are compared: folding, words, and many phrases looked for at once.

Customers write without accents, in capitals, with doubled spaces and invisible characters. Both
sides of a comparison are folded the same way, so that a rule says ``compensación`` and matches
``COMPENSACION``. Everything here takes time in proportion to the text's length, whatever the
text: no backtracking engine ever sees what a customer wrote.
"""

import unicodedata
from collections.abc import Callable, Container, Iterable
from functools import lru_cache
from itertools import groupby

import re2

from router.domain.unicode import normalize
from router.rules.spelling import Spelling, spelling

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
#: Letters drawn out: "holaaa". No language that we know of writes one three times.
_DRAWN_OUT = tuple(letter * 3 for letter in "abcdefghijklmnopqrstuvwxyz")
#: In a phrase: any words, up to so many.
_GAP = "..."
_WIDEST_GAP = 4
#: Ranges of a pattern's class with more characters than this have no accents worth looking for.
_WIDEST_RANGE = 512


def fold(text: str) -> str:
    """Give a text without case, accents and invisible characters; ñ becomes n."""
    if text.isascii():
        return text.lower()
    folded = _LATIN_FOLDED.of(text)
    return _folded(text) if folded is None else folded


@lru_cache(maxsize=16)  # whoever guesses the language and whoever looks for words ask in turn
def _folded(text: str) -> str:
    decomposed = normalize("NFKD", text).casefold()
    # Of one that was, no letter has too many marks any more.
    return unicodedata.normalize("NFKD", decomposed).translate(_FOLDED)  # noqa: TID251


class _Latin:
    """What becomes of each character of Latin-1: what most customers write has no others.

    By bytes it takes a tenth of the time, and every message is folded and split into words.

    :param change: gives what becomes of a character.
    """

    def __init__(self, change: Callable[[str], str]) -> None:
        changed = [change(chr(code)) for code in range(256)]
        self._dropped = bytes(code for code, each in enumerate(changed) if not each)
        #: 0 where several characters become of one, or one that is not of Latin-1.
        self._table = bytes(
            ord(each) if len(each) == 1 and each <= "\xff" else 0 for each in changed
        )

    def of(self, text: str) -> str | None:
        """Give what becomes of a text; ``None`` where that takes more than bytes."""
        try:
            changed = text.encode("latin-1").translate(self._table, self._dropped)
        except UnicodeEncodeError:
            return None
        return None if b"\0" in changed else changed.decode("latin-1")


def squeeze(text: str) -> str:
    """Give a text with each run of spaces and line ends as one space, and none at its ends."""
    return " ".join(text.split())


def clean(text: str) -> str:
    """Give a text that can be encoded."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def words(text: str) -> str:
    """Give a text's words between single spaces, one at either end too; punctuation is left out.

    A phrase is in a text as whole words exactly if ``words(phrase) in words(text)``. A letter
    that is drawn out ("holaaa") is written once.
    """
    spaced = _LATIN_SPACED.of(text)
    if spaced is None:
        spaced = text.translate(_SPACED)
    spaced = f" {' '.join(spaced.split())} "
    if not any(map(spaced.__contains__, _DRAWN_OUT)):
        return spaced
    return "".join(
        run[:1] if len(run) > 2 and letter.isalpha() else run
        for letter, run in ((key, "".join(group)) for key, group in groupby(spaced))
    )


_LATIN_FOLDED = _Latin(_folded)
_LATIN_SPACED = _Latin(lambda character: character.translate(_SPACED))


@lru_cache(maxsize=16)  # a message is mostly all of its turn, and asked about as either
def spoken_words(text: str) -> str:
    """Give :func:`words` of a text that is yet to be folded."""
    return words(squeeze(fold(text)))


def phrase_words(phrase: str, *, exact: bool = False) -> str | None:
    """Give what to look for in :func:`words` of a text; ``None`` if the phrase has no words.

    Unless it is exact, a word that ends in ``*`` stands for every word that begins so, and
    ``...`` for up to four words; both stay in what is given.
    """
    if exact or ("*" not in phrase and _GAP not in phrase):
        found = words(clean(phrase) if exact else fold(phrase))
        return found if found.strip() else None
    pieces: list[str] = []
    for part in fold(phrase).replace(_GAP, f" {_GAP} ").split():
        piece = words(part).strip()
        if piece:
            pieces.append(f"{piece}*" if part.endswith("*") else piece)
        elif part == _GAP and pieces and pieces[-1] != _GAP:
            pieces.append(part)
    if pieces and pieces[-1] == _GAP:
        pieces.pop()
    return f" {' '.join(pieces)} " if pieces else None


class _Node:
    """Where a phrase has got to: the words that may follow, and the phrase that ends here."""

    __slots__ = ("gap", "lengths", "number", "stems", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.stems: dict[str, _Node] = {}
        #: How long the stems are.
        self.lengths: tuple[int, ...] = ()
        self.gap: _Node | None = None
        self.number = -1

    def step(self, piece: str) -> "_Node":
        """Give the node behind a word, a stem or a gap, made if it is not there."""
        if piece == _GAP:
            self.gap = self.gap or _Node()
            return self.gap
        if not piece.endswith("*"):
            return self.words.setdefault(piece, _Node())
        stem = piece[:-1]
        self.lengths = tuple(sorted({*self.lengths, len(stem)}))
        return self.stems.setdefault(stem, _Node())

    def behind(self, spoken: tuple[str, ...]) -> list["_Node"]:
        """Give the nodes that words lead to, one after the other."""
        nodes = [self]
        for word in spoken:
            following: list[_Node] = []
            for node in nodes:
                if word in node.words:
                    following.append(node.words[word])
                for length in node.lengths:
                    stem = word[:length]
                    if len(stem) == length and stem in node.stems:
                        following.append(node.stems[stem])
            nodes = following
        return nodes


class PhraseSet:
    """All phrases of a set of rules, looked for in one pass over a text.

    A tree of words: what a text costs depends on its length and on the phrases that begin in it,
    not on how many there are. RE2's ``Set`` of the same phrases, on texts it has not seen, by the
    processor's time: of 200 rules with 701 phrases a median of 1.5 us against 2.9 here, which no
    message notices; of the shipped packs with 4,579 phrases 10.6 us against 8.5, and now and then
    4.5 ms against 0.3, while the states that it makes on the way took 27 MB for each rule set.

    May be asked from several threads once nothing is added any more.

    :param forgiving: a mistyped word counts as what it may have been meant to be, too
        (``spelling.py``).
    """

    __slots__ = ("_forgiving", "_last", "_numbers", "_root", "_spelling", "_typed")

    def __init__(self, *, forgiving: bool = False) -> None:
        self._forgiving = forgiving
        self._spelling: Spelling | None = None
        self._numbers: dict[str, int] = {}
        #: The same by the phrases as they were typed: each is asked for more than once.
        self._typed: dict[str, int] = {}
        self._root = _Node()
        #: The last text and what is in it: a turn of one message is asked about twice.
        self._last: tuple[str, frozenset[int]] = ("", frozenset())

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, phrase: str) -> int | None:
        """Give the phrase's number, or ``None`` if it has no words."""
        number = self._typed.get(phrase)
        if number is not None:
            return number
        found = phrase_words(phrase)
        if found is None:
            return None
        number = self._numbers.get(found)
        if number is None:
            number = self._numbers[found] = len(self._numbers)
            node = self._root
            for piece in found.split():
                node = node.step(piece)
            node.number = number
            self._last = ("", frozenset())
            self._spelling = None
        self._typed[phrase] = number
        return number

    def key(self, path: str) -> str:
        """Give the name under which facts keep what was found in one of their texts."""
        return f"{path} {id(self)}"

    def _meant(self, spoken: list[str]) -> dict[int, tuple[tuple[str, ...], ...]]:
        """Give what the mistyped words of a text may have been meant to be, by their place."""
        known = self._spelling
        if known is None:
            pieces = {piece for phrase in self._numbers for piece in phrase.split()} - {_GAP}
            stems = frozenset(piece[:-1] for piece in pieces if piece.endswith("*"))
            words_ = frozenset(piece for piece in pieces if not piece.endswith("*"))
            known = self._spelling = spelling(words_, stems)
        return known.among(spoken)

    def _starts(self, spoken: list[str], meant: Container[int]) -> Iterable[int]:
        """Give where a phrase may begin: at few words, as far as that is quick to see."""
        root = self._root
        if root.lengths:
            return range(len(spoken))
        return [at for at, word in enumerate(spoken) if word in root.words or at in meant]

    def hits(self, text: str) -> frozenset[int]:
        """Give the numbers of the phrases in a text that went through :func:`words`."""
        known, hits = self._last
        if text == known:
            return hits
        spoken = text.split()
        last = len(spoken)
        meant = self._meant(spoken) if self._forgiving else {}
        found: set[int] = set()
        leapt: set[tuple[int, int]] = set()
        todo: list[tuple[_Node, int]] = []
        for start in self._starts(spoken, meant):
            todo.append((self._root, start))
            while todo:
                node, at = todo.pop()
                if node.number >= 0:
                    found.add(node.number)
                if node.gap is not None:
                    for behind in range(at, min(at + _WIDEST_GAP, last - 1) + 1):
                        # Many ways lead over a gap to the same place; one of them is enough.
                        place = (id(node.gap), behind)
                        if place not in leapt:
                            leapt.add(place)
                            todo.append((node.gap, behind))
                if at == last:
                    continue
                word = spoken[at]
                following = node.words.get(word)
                if following is not None:
                    todo.append((following, at + 1))
                for length in node.lengths:
                    if length > len(word):
                        break
                    following = node.stems.get(word[:length])
                    if following is not None:
                        todo.append((following, at + 1))
                if meant and at in meant:
                    for several in meant[at]:
                        todo += [(behind_it, at + 1) for behind_it in node.behind(several)]
        hits = frozenset(found)
        self._last = (text, hits)
        return hits


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
            re2.compile(source, options=options)
            # For bytes, because for texts it counts characters that nobody asks for.
            folded = source if exact else fold_pattern(source)
            compiled = re2.compile(folded.encode(), options=options)
        except re2.error as error:
            reason = error.args[0] if error.args else error
            raise ValueError(reason.decode() if isinstance(reason, bytes) else reason) from None
        self._search = compiled.search

    def found(self, text: str) -> bool:
        """Say whether the pattern is anywhere in a text, already folded unless it is exact."""
        return self._search(text.encode()) is not None


def fold_pattern(pattern: str) -> str:
    r"""Fold a pattern's literal characters, and nothing else: ``\S`` must not become ``\s``."""
    folded: list[str] = []
    at = 0
    while at < len(pattern):
        end = _special_end(pattern, at)
        if end > at:
            special = pattern[at:end]
            folded.append(_fold_class(special) if special[0] == "[" else special)
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


def _fold_class(class_: str) -> str:
    """Add to a character class what its characters are folded to: no text has these any more."""
    at, last = 2 if class_.startswith("[^") else 1, len(class_) - 1
    made = [class_[:at]]
    while at < len(class_):
        end = at + 1
        if class_[at] == "\\":
            end = _special_end(class_, at)
        elif class_.startswith("[:", at):
            end = class_.find(":]", at) + 2
        elif class_.startswith("-", end) and end + 1 < last:
            end = max(end + 2, _special_end(class_, end + 1) if class_[end + 1] == "\\" else 0)
        made += [class_[at:end], _fold_members(class_[at:end])]
        at = end
    return "".join(made)


@lru_cache(maxsize=512)
def _fold_members(member: str) -> str:
    """Give what a character of a class, or a range of them, is folded to and does not hold."""
    first, last = ord(member[0]), ord(member[-1])
    if member.isascii() or last - first > _WIDEST_RANGE or len(member) > 3:
        return ""
    folded = {fold(chr(code)) for code in range(first, last + 1)}
    kept = sorted(it for it in folded if len(it) == 1 and not first <= ord(it) <= last)
    return "".join(str(re2.escape(it)) for it in kept)


def _options() -> "re2.Options":
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return options
