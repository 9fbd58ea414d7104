"""The part of a passage that answers a question."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from router import plugin

#: Words are alike if so many of their first letters are: pagar, pagos.
_ALIKE = 4

#: Beginnings of words that say nothing: tienen, para, puede, have, your.
_EMPTY = frozenset(
    {"como", "cual", "esta", "este", "para", "pode", "pued", "qual", "quer", "quie", "tene", "tien"}
    | {"have", "that", "your"}
)

_BETWEEN_BLOCKS = "\n\n"
_SENTENCE_ENDS = ".!?…"


class _Piece(NamedTuple):
    """A sentence or a line, with what stands between it and the piece before."""

    gap: str
    text: str


def excerpt(blocks: Sequence[Sequence[str]], question: str, length: int) -> str:
    """Give a passage, or as much of it as fits around what the question asks for.

    :param blocks: see :func:`router_answers.plain.blocks`.
    :param length: at most so many characters.
    """
    pieces = _pieces(blocks)
    if not pieces:
        return ""
    asked = _stems(question)
    windows = [(first, _end(pieces, first, length)) for first in range(len(pieces))]

    def worth(window: tuple[int, int]) -> tuple[int, int, int]:
        first, end = window
        said = frozenset[str]().union(*(_stems(piece.text) for piece in pieces[first:end]))
        # Whole paragraphs, and a list with the line that announces it, rather than parts.
        starts = pieces[first].gap == _BETWEEN_BLOCKS
        ends = end == len(pieces) or pieces[end].gap == _BETWEEN_BLOCKS
        return len(asked & said), starts + ends, -first

    first, end = max(windows, key=worth)
    while end - first > 1 and pieces[end - 1].text.endswith(":"):
        end -= 1
    return _cut(_joined(pieces[first:end]), length)


def _end(pieces: Sequence[_Piece], first: int, length: int) -> int:
    """Give where the longest run of pieces ends that fits; a piece alone need not."""
    end, size = first + 1, len(pieces[first].text)
    while end < len(pieces):
        size += len(pieces[end].gap) + len(pieces[end].text)
        if size > length:
            break
        end += 1
    return end


def _pieces(blocks: Sequence[Sequence[str]]) -> list[_Piece]:
    pieces = []
    for block in blocks:
        for place, line in enumerate(block):
            gap = "\n" if place else _BETWEEN_BLOCKS
            for sentence in _sentences(line):
                pieces.append(_Piece(gap, sentence))
                gap = " "
    return pieces


def _sentences(line: str) -> list[str]:
    """Split after a full stop and the like, where a space and no small letter follows."""
    sentences, start = [], 0
    for place in range(1, len(line) - 1):
        following = line[place + 1]
        ends = line[place - 1] in _SENTENCE_ENDS and line[place] == " "
        # Not after "1." of a list, nor after an abbreviation within a sentence.
        if ends and not following.islower() and len(line[start:place]) > _ALIKE:
            sentences.append(line[start:place])
            start = place + 1
    return [*sentences, line[start:]]


def _joined(pieces: Sequence[_Piece]) -> str:
    return "".join(piece.gap + piece.text for piece in pieces).strip()


def _cut(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    return text[: length - 1].rpartition(" ")[0].rstrip(" ,;:") + "…"


def _stems(text: str) -> frozenset[str]:
    """Give the beginnings of a text's longer words, without case and accents."""
    plain = "".join(
        character if character.isalnum() else " "
        for character in plugin.normalize("NFKD", text).casefold()
        if not unicodedata.combining(character)
    )
    return frozenset(word[:_ALIKE] for word in plain.split() if len(word) >= _ALIKE) - _EMPTY
