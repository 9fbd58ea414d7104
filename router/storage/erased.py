"""What was known of people who were erased, as digests: what comes of it again is no news.

A provider repeats what it was not thanked for, and whoever polls finds the same calls again. The
names under which these would be known are gone with the person; digests of them are left, salted,
from which nobody can read whose they were.
"""

import hashlib
import sqlite3
from collections.abc import Iterable

from router.storage.sqlite_bulk import Lookup
from router.storage.store import EventRef

# Without an erasure in any tenant this is all that it costs: a look into an empty table.
_SALTS = "SELECT tenant, salt FROM erasure_salt"

_ERASED = Lookup(
    "digest",
    """
FROM (VALUES {rows}) AS k JOIN erased_event ON digest = k.column1
""",
    1,
)


def event_digest(salt: str, source: str, external_id: str) -> str:
    """Give what an event of an erased person is known by. PostgreSQL makes the same by itself."""
    return hashlib.sha256(f"{salt}\n{source}\n{external_id}".encode()).hexdigest()


def nowhere(tenant: str) -> EventRef:
    """Give what stands for an event that was erased: there is none of this name."""
    return EventRef(f"{tenant}/erased", 0)


def erased(
    raw: sqlite3.Connection, names: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], EventRef]:
    """Give those of some events, by source and id there, that were erased. SQLite only."""
    salts = dict(raw.execute(_SALTS).fetchall())
    if not salts:
        return {}
    digests = {}
    for name in names:
        tenant = name[0].partition("/")[0]
        if tenant in salts:
            digests[event_digest(salts[tenant], *name)] = name
    found = _ERASED.run(raw, [(digest,) for digest in digests])
    return {digests[digest]: nowhere(digests[digest][0].partition("/")[0]) for (digest,) in found}
