"""Aliases: which addresses are one person."""

from typing import Final

PERSON: Final = "SELECT key FROM alias WHERE tenant = $1 AND address = $2"

# Who was learnt to be this address is the person that it turns out to be, too.
LEARN: Final = """
INSERT INTO alias (tenant, address, key, created_at)
SELECT $1::text, $2::text, $3::text, $4::timestamptz
UNION SELECT tenant, address, $3::text, created_at FROM alias WHERE tenant = $1 AND key = $2
ON CONFLICT (tenant, address) DO UPDATE SET key = excluded.key
RETURNING address, key
"""

ALIASES: Final = "SELECT tenant, address, key FROM alias"
