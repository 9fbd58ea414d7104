"""Advisory locks: of a name, of a turn, of a node."""

from typing import Final

HOLD: Final = "SELECT pg_advisory_xact_lock(n) FROM unnest($1::bigint[]) AS n"

# Whoever gets it does what it is named after; a transaction's lock works behind a pooler, too.
TURN: Final = "SELECT pg_try_advisory_xact_lock($1)"

#: The first half of every node's advisory lock; the second is its number.
NODE_LOCK: Final = 0x726F7574
