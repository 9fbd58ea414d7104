"""What was known of people who were erased, as digests: what comes of it again is no news.

A provider repeats what it was not thanked for, and whoever polls finds the same calls again. The
names under which these would be known are gone with the person; digests of them are left, salted,
from which nobody can read whose they were.
"""

import hashlib


def event_digest(salt: str, source: str, external_id: str) -> str:
    """Give what an event of an erased person is known by. PostgreSQL makes the same by itself."""
    return hashlib.sha256(f"{salt}\n{source}\n{external_id}".encode()).hexdigest()
