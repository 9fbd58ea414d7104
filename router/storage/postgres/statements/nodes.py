"""Nodes: how one lives, is found dead, and is buried."""

from typing import Final

# The moment that a lease is judged by is the server's, because nodes must agree on it. KEY SHARE
# keeps the row from being deleted until this transaction ends: a survivor that declares this node
# dead waits (or looks again later), and then frees what was leased here, too. A node whose row is
# gone gets no row, and leases nothing.
ALIVE: Final = (
    "SELECT 1 FROM node WHERE id = {node} AND expires_at > clock_timestamp() FOR KEY SHARE"
)

# With the time by the server's clock, which every node's follows from before it claims anything.
NEXT_NODE: Final = "SELECT nextval(pg_get_serial_sequence('node', 'id')), clock_timestamp()"

REGISTER: Final = """
INSERT INTO node (id, started_at, expires_at, host, version, polls)
VALUES ($1, $2, clock_timestamp() + $3::interval, $4, $5, $6)
"""

# No row: another node has declared this one dead, and gives its lanes to whoever claims them. A row
# may still be there, for as long as a lane of it could not be freed; nothing brings it back.
HEARTBEAT: Final = """
UPDATE node SET expires_at = clock_timestamp() + $2::interval
WHERE id = $1 AND expires_at > timestamptz 'epoch' RETURNING id, clock_timestamp()
"""

# Dead is whose time is over, and whose session is gone: the kernel closes the sockets of a process
# that was killed, and the server then drops its lock. After a restart of the server nobody holds a
# lock until it is back: a node that has not been heard since then is given a grace. Whom a
# transaction of its own still holds (KEY SHARE) is looked at again at the next tick.
DEAD: Final = """
SELECT id FROM node
WHERE id != $1
  AND (expires_at <= clock_timestamp()
       OR (NOT polls AND pg_try_advisory_xact_lock($2, (id % 2147483647)::int)))
  AND (expires_at - $3::interval > pg_postmaster_start_time()
       OR clock_timestamp() > pg_postmaster_start_time() + $4::interval)
FOR UPDATE SKIP LOCKED
"""

# From its commit on the node leases nothing more, and is found among the dead until it is buried.
DECLARE_DEAD: Final = """
UPDATE node SET expires_at = timestamptz 'epoch' WHERE id = ANY ($1::bigint[])
"""

# A statement after the rows are locked: it sees every lease that they took. The lane is only a
# suspect (1); the worker counts further crashes while it works a suspect alone, so that bystanders
# are never blamed. Nobody is waited for: the heart that does this has to go on beating, and what
# somebody holds keeps the rest from nobody. It is freed at a later tick.
FREE: Final = """
WITH theirs AS (
  SELECT kind, key FROM lane WHERE lease_owner = ANY ($1::bigint[])
  ORDER BY kind COLLATE "C", key COLLATE "C" FOR UPDATE SKIP LOCKED)
UPDATE lane l SET lease_owner = NULL, crashes = greatest(l.crashes, $2::int)
FROM theirs WHERE l.kind = theirs.kind AND l.key = theirs.key
"""

# The last of it: nobody would find what it still leases once its row is gone.
BURY: Final = """
DELETE FROM node WHERE id = ANY ($1::bigint[])
  AND NOT EXISTS (SELECT 1 FROM lane WHERE lease_owner = node.id)
RETURNING id
"""

# Stopped in order: nothing is left that a survivor would have to free.
LEAVE: Final = """
DELETE FROM node WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM lane WHERE lease_owner = $1)
"""
