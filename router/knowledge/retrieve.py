"""Which passages fit a question."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from router.domain.answer import Passage
from router.knowledge.text import Term, base, question_terms, spoken
from router.storage import tables

#: A stem this long also finds the longer words that begin with it.
_PREFIX = 4

#: So many passages are taken from the full-text index and looked at closely.
_CANDIDATES = 60

#: Words of the title count for so many of the text.
_TITLE = 3.0

#: How much of a word's worth one mention of it in the text earns: 1 / (1 + _DOUBT).
_DOUBT = 0.4

#: What each later passage of an article loses of its score: the first ones are the general ones.
_LATER = 0.01

#: What a passage in another language keeps of its score.
_FOREIGN = 0.8

#: A handful of articles says little about which words are rare: count so many passages more.
_COMMON_GROUND = 20

#: A word that no article holds may be chatter as well as the point of the question.
_UNKNOWN = 0.5

# CROSS JOIN keeps the order: left alone, SQLite asks the index once for each passage.
_SQLITE = """
SELECT p.id FROM passage_fts CROSS JOIN passage AS p ON p.id = passage_fts.rowid
WHERE passage_fts MATCH :query AND p.tenant = :tenant
    AND (:everywhere OR p.article IN :among)
ORDER BY bm25(passage_fts, 3.0, 1.0), p.id LIMIT :limit
"""
_SQLITE_COUNT = """
SELECT count(*) FROM passage_fts CROSS JOIN passage AS p ON p.id = passage_fts.rowid
WHERE passage_fts MATCH :query AND p.tenant = :tenant
"""

# The expression has to be the index's, word for word.
_VECTOR = (
    "(setweight(to_tsvector('simple', p.title_terms), 'A')"
    " || setweight(to_tsvector('simple', p.text_terms), 'B'))"
)
_POSTGRESQL = f"""
SELECT p.id FROM passage AS p, to_tsquery('simple', :query) AS asked
WHERE {_VECTOR} @@ asked AND p.tenant = :tenant
    AND (:everywhere OR p.article IN :among)
ORDER BY ts_rank_cd('{{0, 0, 0.333, 1}}', {_VECTOR}, asked) DESC, p.id LIMIT :limit
"""  # noqa: S608 - put together from our own constants
_POSTGRESQL_COUNT = f"""
SELECT count(*) FROM passage AS p
WHERE {_VECTOR} @@ to_tsquery('simple', :query) AND p.tenant = :tenant
"""  # noqa: S608 - put together from our own constants
_AMONG = (
    sa.bindparam("everywhere", type_=sa.Boolean),
    sa.bindparam("among", type_=sa.BigInteger, expanding=True),
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    row: Any
    title: Sequence[str]
    text: Sequence[str]


def search(
    connection: sa.Connection,
    tenant: str,
    query: str,
    *,
    limit: int = 5,
    language: str | None = None,
    articles: Iterable[str] | None = None,
) -> tuple[Passage, ...]:
    """Find the passages that fit a question, best first.

    A passage's score is the share of the question's telling words that it holds: rare words count
    more than common ones, a word in the title more than one in the text, a word that no article
    holds counts against every passage. 1 is everything in the titles, 0 nothing at all. Questions
    written in any language, with or without accents, and any characters are fine.

    :param language: the customer's. Passages in it go before others that fit as well; if the
        question's own small words tell another language, that one counts.
    :param articles: the names of those to look into; ``None``: into all.
    """
    languages = _languages(connection, tenant)
    terms = question_terms(query, languages)
    if not languages or not terms:
        return ()
    among = None if articles is None else _named(connection, tenant, articles)
    candidates = _candidates(connection, tenant, terms, among)
    if not candidates:
        return ()
    worth = _worth(connection, tenant, terms)
    total = sum(worth.values())
    preferred = spoken(query) or base(language)
    scored = []
    for candidate in candidates:
        held = sum(worth[term] * _share(term, candidate) for term in terms)
        foreign = preferred and base(candidate.row.language) not in {"", preferred}
        score = held / total * (_FOREIGN if foreign else 1.0) * _general(candidate.row.ref)
        scored.append((score, candidate.row))
    # The sort is stable: the index's own order decides among equals.
    scored.sort(key=lambda pair: -pair[0])
    return tuple(
        Passage(
            id=row.ref,
            title=row.title,
            text=row.text,
            score=round(min(score, 1.0), 4),
            category=row.category,
        )
        for score, row in scored[:limit]
        if score > 0
    )


def _languages(connection: sa.Connection, tenant: str) -> Sequence[str | None]:
    article = tables.article
    return connection.scalars(
        sa.select(article.c.language).where(article.c.tenant == tenant).distinct()
    ).all()


def _named(connection: sa.Connection, tenant: str, names: Iterable[str]) -> Sequence[int]:
    """Give the articles of these names."""
    passage = tables.passage
    firsts = {f"{name}#1" for name in names}
    return connection.scalars(
        sa.select(passage.c.article).where(passage.c.tenant == tenant, passage.c.ref.in_(firsts))
    ).all()


def _candidates(
    connection: sa.Connection, tenant: str, terms: Sequence[Term], among: Sequence[int] | None
) -> list[_Candidate]:
    sqlite = connection.dialect.name == "sqlite"
    statement = sa.text(_SQLITE if sqlite else _POSTGRESQL).bindparams(*_AMONG)
    values = {
        "query": _any_of(terms, sqlite=sqlite),
        "tenant": tenant,
        # In the index itself: what was chosen may fit worse than many a candidate that was not.
        "everywhere": among is None,
        "among": among or (),
        "limit": _CANDIDATES,
    }
    order = {number: place for place, number in enumerate(connection.scalars(statement, values))}
    if not order:
        return []
    passage, article = tables.passage, tables.article
    rows = connection.execute(
        sa.select(passage, article.c.category, article.c.language)
        .join(article, article.c.id == passage.c.article)
        .where(passage.c.tenant == tenant, passage.c.id.in_(order))
    )
    found = [_Candidate(row, row.title_terms.split(), row.text_terms.split()) for row in rows]
    return sorted(found, key=lambda candidate: order[candidate.row.id])


def _worth(connection: sa.Connection, tenant: str, terms: Sequence[Term]) -> Mapping[Term, float]:
    """Say how much each word of the question tells, by how few passages hold it."""
    passage = tables.passage
    size = connection.scalar(
        sa.select(sa.func.count()).select_from(passage).where(passage.c.tenant == tenant)
    )
    sqlite = connection.dialect.name == "sqlite"
    statement = sa.text(_SQLITE_COUNT if sqlite else _POSTGRESQL_COUNT)
    worth = {}
    for term in terms:
        values = {"query": _any_of([term], sqlite=sqlite), "tenant": tenant}
        holding = connection.scalar(statement, values) or 0
        rarity = math.log(1 + ((size or 0) + _COMMON_GROUND - holding + 0.5) / (holding + 0.5))
        if not holding:
            rarity *= _UNKNOWN
        worth[term] = term.weight * rarity
    return worth


def _general(ref: str) -> float:
    number = int(ref.rpartition("#")[2])
    return 1 - _LATER * min(number - 1, 10)


def _share(term: Term, candidate: _Candidate) -> float:
    """Give how much of a term's worth a passage earns, 0 to 1."""
    mentions = _TITLE * (_count(term, candidate.title) > 0) + _count(term, candidate.text)
    # Full marks for a word in the title that the text takes up; one mention in passing earns less.
    full = _TITLE + 1
    return min(1.0, mentions / (mentions + _DOUBT) * (full + _DOUBT) / full)


def _count(term: Term, words: Sequence[str]) -> int:
    beginnings = tuple(form for form in term.forms if len(form) >= _PREFIX)
    return sum(word in term.forms or word.startswith(beginnings) for word in words)


def _any_of(terms: Iterable[Term], *, sqlite: bool) -> str:
    """Give a full-text query for passages that hold at least one of some terms.

    Nothing that a customer typed reaches the query's grammar: a term is letters and digits, and
    stands in quotes.
    """
    forms = sorted({form for term in terms for form in term.forms})
    if sqlite:
        return " OR ".join(f'"{form}"{"*" if len(form) >= _PREFIX else ""}' for form in forms)
    return " | ".join(f"'{form}'{':*' if len(form) >= _PREFIX else ''}" for form in forms)
