"""The hot statements on PostgreSQL, each beside the reason why it keeps its promise.

All of them run in transactions of isolation level READ COMMITTED, in which a statement that has to
wait for a row goes on with the row's newest version, and every statement sees all that was
committed before it began. Arrays carry many rows in one statement. What is locked is locked in one
order everywhere, or two nodes would wait for each other: lanes by (kind, key), then conversations,
then outbox items, then messages and buckets, each by their names; ``COLLATE "C"`` gives every
database the order that Python gives.

Each lane is found by its whole key, row by row. ``lease_owner + 0`` keeps the planner from the
index on lease_owner, which holds everything that this node is working; a kind that comes in an
array keeps it from reading all lanes of that kind.
"""
