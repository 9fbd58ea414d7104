"""How a flusher's sessions on PostgreSQL plan and commit: what is said before anything else."""

from typing import NamedTuple

from router.storage import postgres_sql
from router.storage.postgres_engine import settings

# Every hot statement goes from an array to an index, row by row. Left to its statistics, which know
# nothing of a table that was empty a minute ago, the planner reads whole tables or half an index
# instead, once for each row of the array, and keeps that plan. There is one right plan for each,
# so that it is made once.
_PLANS = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "plan_cache_mode": "force_generic_plan",
}
# "On disk" is what a caller is told; a server that is set up for less is not believed.
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', {local}) "
    "WHERE current_setting('synchronous_commit') = 'off'"
)


class Beginnings(NamedTuple):
    """What begins a session, and each transaction of it.

    :ivar alive: the statement that asks whether a node still counts; ``{node}`` is its number.
    """

    session: str
    transaction: str
    alive: str


def beginnings(*, pooled: bool, patience: float) -> Beginnings:
    """Give what begins a session, and each transaction of it.

    Behind a pooler nothing may stay behind in a session, and each transaction says it all.

    :param patience: seconds after which the server ends a session that holds a transaction open
        and says nothing.
    """
    milliseconds = max(1, int(patience * 1000))
    values = {**_PLANS, "idle_in_transaction_session_timeout": f"{milliseconds}ms"}
    durable = _DURABLE.format(local="true" if pooled else "false")
    if pooled:
        begin = f"BEGIN; {settings(values, local=True)}; {durable}"
        return Beginnings("", begin, postgres_sql.ALIVE)
    # It is asked with each BEGIN, in a text of two statements, which would be planned anew each
    # time: that takes the server as long as everything else about it.
    prepared = f"PREPARE router_alive (bigint) AS {postgres_sql.ALIVE.format(node='$1')}"
    session = f"{settings(values, local=False)}; {durable}; {prepared}"
    return Beginnings(session, "BEGIN", "EXECUTE router_alive ({node})")
