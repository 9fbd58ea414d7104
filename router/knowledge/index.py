"""The index of a tenant's articles: what is in the folders, brought into the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from router.knowledge.articles import ArticleFile, Articles, read_folders, sections
from router.knowledge.text import terms
from router.storage import tables
from router.storage.store import Store, Tx
from router.threads import Threads
from router.toml import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """How many articles a :func:`sync` wrote, left as they were, and removed.

    :param problems: every mistake in the files.
    """

    written: int
    kept: int
    removed: int
    problems: tuple[Problem, ...] = ()


async def refresh(
    store: Store,
    tenant: str,
    folders: Sequence[Path],
    *,
    language: str | None = None,
    threads: Threads | None = None,
) -> Synced:
    """Bring a tenant's articles into the database; the work is done outside the writer.

    An article with mistakes stays as it was, and so does everything while a folder is missing;
    what is right is brought in all the same.

    :param language: of articles that name none.
    :param threads: in which they are read; ``None``: in one of its own.
    :raises StorageUnavailable: see :class:`Store`.
    """
    known = await store.read(lambda connection: digests(connection, tenant))
    threads = threads or Threads(1)
    articles = await threads.run(lambda: plan(folders, language=language, known=known))
    return await store.write(lambda tx: sync(tx, tenant, articles))


def holds_any(connection: sa.Connection, tenant: str) -> bool:
    """Say whether there is any article of a tenant."""
    table = tables.article
    found = connection.execute(sa.select(table.c.id).where(table.c.tenant == tenant).limit(1))
    return found.first() is not None


def digests(connection: sa.Connection, tenant: str) -> dict[str, str]:
    """Give the digest of each stored article of a tenant, by path."""
    return {path: digest for path, (_, digest) in _stored(connection, tenant).items()}


def plan(
    folders: Sequence[Path],
    *,
    language: str | None = None,
    known: Mapping[str, str] | None = None,
) -> Articles:
    """Read the articles of some folders, and split them. Blocks: call it in a thread.

    :param language: of articles that name none.
    :param known: see :func:`digests`; such articles are not split into passages again.
    """
    articles = read_folders(folders, language=language)
    known = known or {}
    split = (
        article
        if known.get(article.path) == article.digest
        else replace(article, rows=_rows(article))
        for article in articles.good
    )
    return replace(articles, good=tuple(split))


def sync(tx: Tx, tenant: str, read: Articles) -> Synced:
    """Make the database hold exactly these articles of a tenant; only what changed is written.

    What could not be read stays.

    :param read: from :func:`plan`. One that changed meanwhile is split here, which takes a few
        milliseconds.
    """
    run = tx.connection.execute
    stored = _stored(tx.connection, tenant)
    stays = {article.path for article in read.good} | read.bad
    gone = [number for path, (number, _) in stored.items() if read.whole and path not in stays]
    changed = [
        article for article in read.good if stored.get(article.path, (0, None))[1] != article.digest
    ]
    replaced = [stored[article.path][0] for article in changed if article.path in stored]
    passage, table = tables.passage, tables.article
    for number in (*gone, *replaced):
        run(sa.delete(passage).where(passage.c.tenant == tenant, passage.c.article == number))
        run(sa.delete(table).where(table.c.tenant == tenant, table.c.id == number))
    for article in changed:
        number = run(
            sa.insert(table)
            .values(
                tenant=tenant,
                path=article.path,
                title=article.title,
                category=article.category,
                language=article.language,
                digest=article.digest,
                updated_at=tx.now,
            )
            .returning(table.c.id)
        ).scalar_one()
        rows = _rows(article) if article.rows is None else article.rows
        if rows:
            own = {"tenant": tenant, "article": number}
            run(sa.insert(passage), [own | row for row in rows])
    return Synced(
        written=len(changed),
        kept=len(read.good) - len(changed),
        removed=len(gone),
        problems=read.problems,
    )


def _stored(connection: sa.Connection, tenant: str) -> Mapping[str, tuple[int, str]]:
    table = tables.article
    rows = connection.execute(
        sa.select(table.c.path, table.c.id, table.c.digest).where(table.c.tenant == tenant)
    )
    return {path: (number, digest) for path, number, digest in rows}


def _rows(article: ArticleFile) -> tuple[dict[str, str], ...]:
    rows = []
    for number, section in enumerate(sections(article.body), start=1):
        same = not section.heading or section.heading == article.title
        title = article.title if same else f"{article.title}: {section.heading}"
        rows.append(
            {
                "ref": f"{article.name}#{number}",
                "title": title,
                "text": section.text,
                "title_terms": " ".join(terms(title, article.language)),
                "text_terms": " ".join(terms(section.text, article.language)),
            }
        )
    return tuple(rows)
