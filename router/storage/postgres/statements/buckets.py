"""Token buckets: locked, kept and forgotten."""

from typing import Final

# Full, so that one of which nothing is taken is forgotten, too.
MISSING_BUCKETS: Final = """
INSERT INTO bucket (tenant, key, full_at)
SELECT u.*, $3::timestamptz FROM unnest($1::text[], $2::text[]) AS u
ON CONFLICT (tenant, key) DO NOTHING
"""

LOCK_BUCKETS: Final = """
SELECT b.tenant, b.key, b.full_at, b.queued_to
FROM unnest($1::text[], $2::text[]) AS k (tenant, key)
JOIN bucket b ON b.tenant = k.tenant AND b.key = k.key
ORDER BY b.tenant COLLATE "C", b.key COLLATE "C" FOR UPDATE OF b
"""

# A row that another node has just forgotten, because it was full, comes back.
KEEP_BUCKETS: Final = """
INSERT INTO bucket (tenant, key, full_at, queued_to)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
ON CONFLICT (tenant, key) DO UPDATE SET
  full_at = excluded.full_at, queued_to = excluded.queued_to
"""

# A full bucket says nothing. Whatever another node holds is left alone.
FORGET_BUCKETS: Final = """
DELETE FROM bucket b USING (
  SELECT tenant, key FROM bucket WHERE full_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) old
WHERE b.tenant = old.tenant AND b.key = old.key
"""
