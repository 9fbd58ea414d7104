"""What waits to be written together on PostgreSQL, in the order in which it came."""

from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

from router.storage.postgres_engine import Transaction

if TYPE_CHECKING:
    import asyncio

#: The most parts in one transaction.
_GROUP = 1024
#: Parts that are worth a group beside another. Fewer wait for it, and for others that come: two
#: groups at once would cost more than they save.
_ENOUGH = 16
#: How many groups of somebody else an operation lets go before it.
_PASSED = 4

#: A kind and a key.
Lane = tuple[str, str]
#: Does the same to many things at once: given those, gives a result for each, in their order.
Batch = Callable[[Transaction, list[Any]], list[Any]]


class Operation:
    """What one caller waits for: parts that a batch does together with other callers' parts."""

    __slots__ = ("alone", "batch", "error", "future", "lanes", "left", "parts", "passed", "results")

    def __init__(
        self,
        batch: Batch,
        parts: Sequence[Any],
        lanes: Sequence[Lane],
        future: "asyncio.Future[Any]",
        *,
        alone: bool,
    ) -> None:
        self.alone = alone
        self.passed = 0
        self.batch = batch
        self.parts = parts
        self.lanes = lanes
        self.future = future
        self.left = len(parts)
        self.results: list[Any] = [None] * len(parts)
        self.error: BaseException | None = None


class Part(NamedTuple):
    """What is done alone or not at all."""

    operation: Operation
    number: int


class Group(NamedTuple):
    """What is written together.

    :ivar lanes: all that it locks, as far as that is known before.
    """

    parts: list[Part]
    lanes: set[Lane]

    @property
    def alone(self) -> bool:
        """Tell whether nothing may be under way beside it."""
        return self.parts[0].operation.alone


class Queue:
    """Operations, oldest first; one that would have to wait for a lock may stand back.

    Several groups may be under way at once. Their lanes are different ones: what comes for a lane
    is written in the order in which it came.

    :param writers: how many groups that may be.
    :param behind: the queue of somebody whose locks had rather not be waited for: what needs a
        lane that is under way there stands back, and so does what comes after it for the same
        lanes; but not for ever.
    """

    def __init__(self, writers: int = 1, behind: "Queue | None" = None) -> None:
        self._writers = writers
        self._behind = behind
        self._waiting: deque[Operation] = deque()
        self._under_way: list[Group] = []
        #: How many groups had been begun there at the last look.
        self._seen = 0
        #: How many parts wait or are under way.
        self._size = 0
        #: How many groups were begun, and the lanes of those under way.
        self.begun = 0
        self.lanes: AbstractSet[Lane] = frozenset()

    def __bool__(self) -> bool:
        """Tell whether anything waits or is under way."""
        return self._size > 0

    def put(self, operation: Operation) -> None:
        self._waiting.append(operation)
        self._size += len(operation.parts)

    def next_group(self) -> Group | None:
        """Take what is written together next; to be given back to :meth:`done`.

        ``None`` where everything stands back, or as much is under way as may be, or as pays.
        """
        if self._under_way and not self._may_go_beside():
            return None
        locked: AbstractSet[Lane] = frozenset()
        another = False
        if self._behind is not None:
            locked = self._behind.lanes
            another, self._seen = self._behind.begun > self._seen, self._behind.begun
        # A share of everything, so that each writer finds as much to do as the others.
        share = -(-self._size // self._writers)
        most = min(_GROUP, share) if share >= _ENOUGH else _GROUP
        group = Group([], set())
        ahead = set(self.lanes)
        stands_back = []
        while self._waiting and len(group.parts) < most:
            operation = self._waiting[0]
            if operation.alone and (group.parts or self._under_way):
                break
            self._waiting.popleft()
            avoided = not locked.isdisjoint(operation.lanes)
            if avoided:
                operation.passed += another
                avoided = operation.passed <= _PASSED
            if avoided or not ahead.isdisjoint(operation.lanes):
                ahead.update(operation.lanes)
                stands_back.append(operation)
                continue
            group.parts.extend(Part(operation, number) for number in range(len(operation.parts)))
            group.lanes.update(operation.lanes)
            if operation.alone:
                break
        self._waiting.extendleft(reversed(stands_back))
        if not group.parts:
            return None
        self.begun += 1
        self._change([*self._under_way, group])
        return group

    def _may_go_beside(self) -> bool:
        """Tell whether another group may begin while some are under way."""
        if len(self._under_way) == self._writers or any(it.alone for it in self._under_way):
            return False
        return self._size - sum(len(it.parts) for it in self._under_way) >= _ENOUGH

    def done(self, group: Group) -> None:
        """Let others have the lanes of a group."""
        self._size -= len(group.parts)
        self._change([other for other in self._under_way if other is not group])

    def _change(self, under_way: list[Group]) -> None:
        self._under_way = under_way
        self.lanes = frozenset[Lane]().union(*(group.lanes for group in under_way))
