"""Which phrases are always there where another one is."""

from router.rules.text import PhraseSet, fold, phrase_words, words

#: An ending that no phrase has, and words that none has.
_ENDING, _FILLER = "qzxq", "zqx zqx zqx zqx"


class Implications:
    """Looks each phrase up in the phrases of the rules, once.

    :param phrases: all that the rules look for, ready made.
    """

    def __init__(self, phrases: PhraseSet) -> None:
        self._phrases = phrases
        self._known: dict[str, frozenset[int]] = {}
        #: Lists of phrases without those that do not matter, by what they are without.
        self.pruned: dict[tuple[bool, frozenset[str]], frozenset[str]] = {}
        self._numbers: dict[str, tuple[int | None, str]] = {}

    def numbered(self, phrase: str) -> tuple[int | None, str]:
        """Give the number of a phrase, and the form that is looked for."""
        found = self._numbers.get(phrase)
        if found is None:
            found = self._phrases.add(phrase), phrase_words(phrase) or ""
            self._numbers[phrase] = found
        return found

    def of(self, phrase: str) -> frozenset[int]:
        """Give the numbers of all phrases that every text with this one has."""
        found = self._known.get(phrase)
        if found is None:
            hits = [self._phrases.hits(words(fold(text))) for text in _texts_of(phrase)]
            found = self._known[phrase] = frozenset.intersection(*hits)
        return found


def _texts_of(phrase: str) -> tuple[str, ...]:
    """Give texts that a phrase is in: the least that it asks for, and more."""
    pieces = phrase.replace("...", " ... ").split()
    least = [piece.rstrip("*") for piece in pieces if piece != "..."]
    if least == pieces:
        return (phrase,)
    more = [f"{piece[:-1]}{_ENDING}" if piece.endswith("*") else piece for piece in pieces]
    return " ".join(least), " ".join(more).replace("...", _FILLER)
