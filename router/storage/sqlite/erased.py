"""Which events were known already of people who were erased, on SQLite."""

import sqlite3
from collections.abc import Iterable

from router.storage.erased import event_digest
from router.storage.sqlite.bulk import Lookup
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


def nowhere(tenant: str) -> EventRef:
    """Give what stands for an event that was erased: there is none of this name."""
    return EventRef(f"{tenant}/erased", 0)


def erased(
    raw: sqlite3.Connection, names: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], EventRef]:
    """Give those of some events, by source and id there, that were erased."""
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
