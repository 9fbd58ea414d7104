"""The lane in which a customer's events are worked."""

import sqlalchemy as sa

from router.domain.identity import Address, thread_key
from router.storage.store import Tx
from router.storage.tables import alias


def lane_of(tx: Tx, tenant: str, address: Address) -> str:
    """Give the lane of the person whom an address is known for."""
    key = thread_key(address)
    learnt = tx.connection.scalar(
        sa.select(alias.c.key).where(alias.c.tenant == tenant, alias.c.address == key)
    )
    return f"{tenant}/{learnt or key}"
