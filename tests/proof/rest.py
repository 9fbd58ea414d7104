"""Rest: nothing more will happen until a person acts; and what there is as long as it has not come.

One look is one statement, so that it cannot fall between two commits. Questions to a provider about
a message are for later and no part of it, and one may be put at any time.
"""

# ruff: noqa: S608 - the words put together are all of this module

from tests.proof.database import Database

_UNWORKED = "outcome IS NULL OR outcome IN ('waiting', 'asking')"
_UNSENT = """kind <> 'reconcile' AND (state = 'started' OR (state = 'waiting'
  AND NOT EXISTS (SELECT 1 FROM outbox u
    WHERE u.lane = o.lane AND u.seq < o.seq AND u.state = 'unknown')))"""
_HELD = """lease_owner IS NOT NULL AND NOT EXISTS
  (SELECT 1 FROM outbox o WHERE o.lane = l.key AND o.kind = 'reconcile')"""

_COUNTS = f"""
SELECT (SELECT count(*) FROM inbox_event WHERE {_UNWORKED}),
  (SELECT count(*) FROM outbox o WHERE {_UNSENT}),
  (SELECT count(*) FROM lane l WHERE {_HELD}),
  (SELECT count(*) FROM timer WHERE kind = 'turn')
"""

# Of each sort of thing that is not at rest, with what may be the reason.
_LISTS = {
    "event": f"""SELECT lane, seq, type, outcome, external_id, received_at FROM inbox_event
      WHERE {_UNWORKED} ORDER BY lane, seq""",
    "item": f"""SELECT id, lane, seq, kind, author, destination, state, attempt, started_at, error
      FROM outbox o WHERE {_UNSENT} ORDER BY lane, seq""",
    "lane": f"""SELECT kind, key, last_seq, done_seq, ready_at, lease_owner, attempts, crashes,
      parked, last_error FROM lane l
      WHERE ({_HELD}) OR (done_seq < last_seq AND NOT (parked AND ready_at IS NULL))
      ORDER BY kind, key""",
    "timer": """SELECT kind, key, lane, due_at, generation FROM timer WHERE kind = 'turn'
      ORDER BY due_at""",
    "open breaker": "SELECT instance, opened_at, until, error FROM breaker",
}
_NODES = "SELECT id, started_at, expires_at FROM node ORDER BY id"

#: So many of each sort are told.
_MOST = 20


async def at_rest(database: Database) -> bool:
    """Tell whether nothing more will happen until a person acts."""
    (row,) = await database.rows(_COUNTS)
    return not any(row)


async def restless(database: Database, *, nodes: bool) -> list[str]:
    """Give a line for each thing that is not at rest, and for each node.

    :param nodes: there are several processes, which the database knows of.
    """
    lines = []
    for sort, statement in {**_LISTS, **({"node": _NODES} if nodes else {})}.items():
        rows = await database.rows(statement)
        lines += [f"{sort} {_words(row)}" for row in rows[:_MOST]]
        if len(rows) > _MOST:
            lines.append(f"{sort}: and {len(rows) - _MOST} more")
    return lines


def _words(row: tuple[object, ...]) -> str:
    return " ".join("-" if value is None else str(value) for value in row)
