"""Whether a database is sound: the file, the references between tables, the engine's promises."""

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: What it means if there are rows that may not exist, and how they are found.
_PROMISES: Final = {
    "the cursor of lane {} is beyond its end": """
        SELECT kind || ' ' || key FROM lane WHERE done_seq > last_seq""",
    "event {} is not in its lane's numbers": """
        SELECT e.lane || '#' || e.seq FROM inbox_event e
        LEFT JOIN lane l ON l.kind = 'in' AND l.key = e.lane
        WHERE l.key IS NULL OR e.seq > l.last_seq""",
    "event {} is behind the cursor and has no outcome": """
        SELECT e.lane || '#' || e.seq FROM inbox_event e
        JOIN lane l ON l.kind = 'in' AND l.key = e.lane
        WHERE e.outcome IS NULL AND e.seq <= l.done_seq""",
    "outbox item {} will never leave: it is behind its lane's cursor": """
        SELECT o.id FROM outbox o
        LEFT JOIN lane l ON l.key = o.lane
          AND l.kind = CASE o.kind WHEN 'message' THEN 'out' ELSE 'job' END
        WHERE o.state IN ('waiting', 'started', 'unknown')
          AND (l.key IS NULL OR o.seq <= l.done_seq)""",
}
_NAMED: Final = 20


def damage(connection: "Connection") -> list[str]:
    """Say what is broken, a sentence each; empty if nothing is. Reads the whole of a SQLite file.

    PostgreSQL looks after its pages and references itself; there only the promises are looked at.
    At most 20 of each sort are named.
    """
    found = _damage_of_the_file(connection) if connection.dialect.name == "sqlite" else []
    for sentence, statement in _PROMISES.items():
        rows = connection.execute(sa.text(f"{statement} LIMIT {_NAMED}"))
        found += [sentence.format(row[0]) for row in rows]
    return found


def _damage_of_the_file(connection: "Connection") -> list[str]:
    found = [
        f"the file: {row[0]}"
        for row in connection.execute(sa.text("PRAGMA integrity_check"))
        if row[0] != "ok"
    ]
    broken = [
        f"table {row[0]}: row {row[1]} refers to a {row[2]} that does not exist"
        for row in connection.execute(sa.text("PRAGMA foreign_key_check"))
    ]
    return [*found, *broken[:_NAMED]]


def refusal(connection: "Connection") -> str | None:
    """Say why a PostgreSQL database takes nothing from us; ``None`` if it does. Writes nothing."""
    standby, reads, allowed = connection.execute(
        sa.text(
            "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on', "
            "has_table_privilege('inbox_event', 'INSERT') "
            "AND has_table_privilege('lane', 'UPDATE')"
        )
    ).one()
    if standby:
        return "The database is a standby, which only reads. Name the primary in [router] database."
    if reads:
        return (
            "The database, or its user, is set to only read (default_transaction_read_only). Name "
            "the primary in [router] database, or set it off."
        )
    if not allowed:
        return (
            "This user may not write to the router's tables. Name their owner in [router] database."
        )
    return None
