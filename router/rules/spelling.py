"""What a mistyped word may have been meant to be, among the words that rules look for.

Phones, haste and little schooling make the same mistakes again and again. Three sorts are forgiven:

- a word that *sounds* like one that is looked for: ``kiero``, ``resibo``, ``enbio``;
- a word that is one slip of the finger from one that is looked for: two letters swapped, one
  missing, one too many, or its neighbour on the keyboard. Never the first letter nor the last:
  those tell *caja* from *baja* and *entrega* from *entregan*;
- what chats abbreviate (``xq``, ``tmb``) and run together (``porfavor``, ``mipedido``).

A word that some rule looks for as it is typed is never taken for a mistyped one, and every word is
looked for as it is typed, too: forgiving only ever adds. A word takes the time of its own length,
and the second time next to none.
"""

from functools import lru_cache
from typing import Final

#: Shorter words sound like too many others.
_SOUNDS_FROM: Final = 4
#: From so many letters a slip of the finger is told from another word.
_SLIPS_FROM: Final = 6
#: Nobody mistypes a word of so many letters; who sends one sends no word.
_LONGEST: Final = 24
_MEMORY: Final = 8192

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BESIDE: Final = {
    letter: row[max(at - 1, 0) : at] + row[at + 1 : at + 2]
    for row in _ROWS
    for at, letter in enumerate(row)
}
_DIGITS: Final = str.maketrans("01345", "oieas")
_SOFT: Final = frozenset("ei")
_VOWELS: Final = frozenset("aeiou")
_SAME: Final = {"v": "b", "z": "s", "x": "s", "y": "i", "w": "u", "h": ""}
_WITH_H: Final = {"c": "C", "s": "C", "p": "f", "t": "T"}
#: Pairs within a word: *perro* is not *pero*.
_PAIRS: Final = {"ll": "i", "rr": "R"}
#: What makes an n of an m before it.
_LIPS: Final = frozenset("bpv")
#: Letters that sound by what follows them.
_OPEN: Final = frozenset("cglmpqrst")

#: What is written in chats for what is meant, in the languages of the shipped packs.
_CHAT: Final = {
    "aki": "aqui", "bn": "bien", "boy": "voy", "cm": "como", "cn": "con", "cdo": "cuando",
    "ctas": "cuantas", "cto": "cuanto", "cuand": "cuando", "d": "de", "dnd": "donde",
    "dnde": "donde", "dond": "donde", "grax": "gracias", "k": "que", "ke": "que", "kien": "quien",
    "msj": "mensaje", "msjs": "mensajes", "ntp": "no te preocupes", "nqv": "nada que ver",
    "pq": "porque", "pls": "por favor", "plis": "por favor", "porfa": "por favor",
    "porfis": "por favor", "q": "que", "qe": "que", "qiero": "quiero", "sta": "esta",
    "stoy": "estoy", "tb": "tambien", "tbn": "tambien", "tmb": "tambien", "toy": "estoy",
    "xa": "para", "xfa": "por favor", "xfavor": "por favor", "xfis": "por favor",
    "xk": "porque", "xke": "porque", "xq": "porque", "xque": "porque",
    "blz": "beleza", "hj": "hoje", "mto": "muito", "ngm": "ninguem", "oq": "o que",
    "pfv": "por favor", "qdo": "quando", "qnd": "quando", "qnto": "quanto", "qto": "quanto",
    "tbm": "tambem", "vc": "voce", "vcs": "voces", "vlw": "valeu",
    "abt": "about", "plz": "please", "ppl": "people", "r": "are", "thx": "thanks", "u": "you",
    "ur": "your", "wanna": "want to", "wat": "what", "wen": "when", "wher": "where", "wud": "would",
}  # fmt: skip

#: Small words that are run together with the one behind them.
_BEFORE: Final = frozenset({
    "con", "del", "el", "en", "es", "esta", "hay", "la", "las", "lo", "los", "me", "mi", "mis",
    "no", "para", "por", "que", "se", "si", "su", "sus", "te", "un", "una",
    "meu", "minha", "nao", "um", "uma", "my", "the",
})  # fmt: skip


def sound(word: str) -> str:
    """Give what a folded word sounds like to who writes Spanish by ear."""
    if word[:1].isalpha() and word[-1:].isalpha() and any(map(str.isdigit, word)):
        word = word.translate(_DIGITS)
    found: list[str] = []
    at = 0
    while at < len(word):
        heard, width = _heard(word, at)
        at += width
        if heard and found[-1:] != [heard]:
            found.append(heard)
    return "".join(found)


def _heard(word: str, at: int) -> tuple[str, int]:
    """Give what is heard at a place of a word, and how many letters that takes."""
    letter, following, after = word[at], word[at + 1 : at + 2], word[at + 2 : at + 3]
    if following == "h" and letter in _WITH_H:
        return _WITH_H[letter], 2
    if letter + following in _PAIRS and after:
        return _PAIRS[letter + following], 2
    if letter in "cx" and following == "c" and after in _SOFT:
        return "s", 2
    if letter == "c":
        return ("s" if following in _SOFT else "k"), 1
    if letter == "q":
        return "k", (2 if following == "u" and (after in _SOFT or not after) else 1)
    if letter == "g" and following in _SOFT:
        return "j", 1
    if letter == "m" and following in _LIPS:
        return "n", 1
    return _SAME.get(letter, letter), 1


class Spelling:
    """The words that are looked for, and which of them a mistyped one may be.

    :param words: whole words, folded.
    :param stems: beginnings of words.

    May be asked from several threads.
    """

    __slots__ = ("_known", "_lengths", "_meant", "_slips", "_sounds", "_stem_sounds", "_stems")

    def __init__(self, words: frozenset[str], stems: frozenset[str]) -> None:
        self._known = words
        self._stems = stems
        self._lengths = sorted({len(stem) for stem in self._stems if len(stem) > _SOUNDS_FROM})
        #: Words by what they sound like.
        self._sounds: dict[str, tuple[str, ...]] = {}
        #: Stems likewise: those whose last letter sounds the same whatever follows.
        self._stem_sounds = {
            sound(stem): stem
            for stem in self._stems
            if len(stem) >= _SLIPS_FROM and stem.isalpha() and stem[-1] not in _OPEN
        }
        #: Words by what is left of them without one letter.
        self._slips: dict[str, tuple[str, ...]] = {}
        for word in sorted(self._known):
            if word.isalpha() and len(word) >= _SOUNDS_FROM - 1:
                _note(self._sounds, sound(word), word)
            if word.isalpha() and _SLIPS_FROM <= len(word) <= _LONGEST:
                for short in {word[:at] + word[at + 1 :] for at in range(1, len(word) - 1)}:
                    _note(self._slips, short, word)
        self._meant: dict[str, tuple[tuple[str, ...], ...]] = {}

    def meant(self, word: str) -> tuple[tuple[str, ...], ...]:
        """Give what a word may have been meant to be, each a word or several; seldom anything."""
        found = self._meant.get(word)
        if found is None:
            if len(self._meant) >= _MEMORY:
                self._meant.clear()
            found = self._meant[word] = self._find(word)
        return found

    def among(self, spoken: list[str]) -> dict[int, tuple[tuple[str, ...], ...]]:
        """Give what the mistyped words of a text may have been meant to be, by their place."""
        known = self._meant
        found: dict[int, tuple[tuple[str, ...], ...]] = {}
        for at, word in enumerate(spoken):
            # Words that came before are the rule: they cost a look, and no call.
            several = known.get(word)
            if several is None:
                several = self.meant(word)
            if several:
                found[at] = several
        return found

    def _find(self, word: str) -> tuple[tuple[str, ...], ...]:
        if not word[:1].isalpha() or len(word) > _LONGEST:
            return ()
        chat = _CHAT.get(word)
        found = {tuple(chat.split())} if chat is not None else set()
        if len(word) >= _SOUNDS_FROM and not found and not self._looked_for(word):
            alike = self._sounding_like(word) | self._slipped(word)
            found = {(each,) for each in alike} or self._parted(word)
        return tuple(sorted(found))

    def _looked_for(self, word: str) -> bool:
        return word in self._known or any(word[:length] in self._stems for length in self._lengths)

    def _sounding_like(self, word: str) -> set[str]:
        heard = sound(word)
        found = set(self._sounds.get(heard, ()))
        for end in range(_SOUNDS_FROM, len(heard) + 1):
            stem = self._stem_sounds.get(heard[:end])
            if stem is not None:
                found.add(stem)
        return found

    def _slipped(self, word: str) -> set[str]:
        """Give the words that one slip of the finger makes into this one."""
        found: set[str] = set()
        if not word.isalpha():
            return found
        last = len(word) - 1
        for at in range(1, last):
            short = word[:at] + word[at + 1 :]
            # One letter too many.
            if last > _SLIPS_FROM and short in self._known:
                found.add(short)
            for meant in self._slips.get(short, ()):
                if len(meant) == len(word) and _swapped_or_beside(meant, word):
                    found.add(meant)
        # One letter is missing: of shorter words only a vowel, which is what haste leaves out.
        if last + 1 >= _SLIPS_FROM:
            for meant in self._slips.get(word, ()):
                if last >= _SLIPS_FROM or _missing(meant, word) in _VOWELS:
                    found.add(meant)
        return found

    def _parted(self, word: str) -> set[tuple[str, ...]]:
        """Give the two words that are run together in this one."""
        return {
            (word[:at], word[at:])
            for at in range(2, min(5, len(word) - 4))
            if word[:at] in _BEFORE and word[at:] in self._known
        }


def _note(among: dict[str, tuple[str, ...]], key: str, word: str) -> None:
    among[key] = (*among.get(key, ()), word)


def _missing(meant: str, typed: str) -> str:
    at = next(at for at, letter in enumerate(meant) if typed[at : at + 1] != letter)
    return meant[at]


def _swapped_or_beside(meant: str, typed: str) -> bool:
    """Say whether two words differ by two letters swapped, or by one beside another."""
    differ = [at for at, letter in enumerate(meant) if letter != typed[at]]
    if len(differ) == 1:
        (at,) = differ
        return len(meant) > _SLIPS_FROM and typed[at] in _BESIDE.get(meant[at], "")
    if len(differ) != 2:
        return False
    one, two = differ
    return two == one + 1 and meant[one] == typed[two] and meant[two] == typed[one]


@lru_cache(maxsize=8)
def spelling(words: frozenset[str], stems: frozenset[str]) -> Spelling:
    """Give the spelling of the words that are looked for; rule sets with the same share it."""
    return Spelling(words, stems)
