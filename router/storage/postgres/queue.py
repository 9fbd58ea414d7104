"""What waits to be written together on PostgreSQL, in the order in which it came."""

from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from router.storage.postgres.engine import Transaction

if TYPE_CHECKING:
    import asyncio

#: The most parts in one transaction.
_GROUP = 1024
#: Parts that are worth a group beside another. Fewer wait for it, and for others that come: two
#: groups at once would cost more than they save.
_ENOUGH = 16
#: How many groups of somebody else an operation lets go before it.
_PASSED = 4

#: What an operation locks: a lane, by its kind and key, or a conversation, by :data:`THREAD`.
Lock = tuple[str, str]
#: Stands where a lane has its kind, before a conversation's id.
THREAD: Final = "thread"
#: Does the same to many things at once: given those, gives a result for each, in their order.
Batch = Callable[[Transaction, list[Any]], list[Any]]


class Operation:
    """What one caller waits for: parts that a batch does together with other callers' parts.

    :ivar wide: what it locks is not known before: nothing may be under way beside its group.
    :ivar alone: nor may anything else be in its group.
    """

    __slots__ = (
        "alone",
        "batch",
        "error",
        "future",
        "left",
        "locks",
        "parts",
        "passed",
        "results",
        "wide",
    )

    def __init__(
        self,
        batch: Batch,
        parts: Sequence[Any],
        locks: Sequence[Lock],
        future: "asyncio.Future[Any]",
        *,
        wide: bool = False,
        alone: bool = False,
    ) -> None:
        self.wide = wide or alone
        self.alone = alone
        self.passed = 0
        self.batch = batch
        self.parts = parts
        self.locks = locks
        self.future = future
        self.left = len(parts)
        self.results: list[Any] = [None] * len(parts)
        self.error: BaseException | None = None


class Part(NamedTuple):
    """What is done alone or not at all."""

    operation: Operation
    number: int


class Group:
    """What is written together.

    :ivar locks: all that it locks, as far as that is known before.
    :ivar wide: something of it is: nothing may be under way beside it.
    """

    __slots__ = ("locks", "parts", "wide")

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.locks: set[Lock] = set()
        self.wide = False

    def add(self, operation: Operation) -> None:
        self.parts.extend(Part(operation, number) for number in range(len(operation.parts)))
        self.locks.update(operation.locks)
        self.wide = self.wide or operation.wide


class Queue:
    """Operations, oldest first; one that would have to wait for a lock may stand back.

    Several groups may be under way at once. What they lock is different: what comes for a lane is
    written in the order in which it came, and no two groups ever wait for each other in turn.

    :param writers: how many groups that may be.
    :param behind: the queue of somebody whose locks had rather not be waited for: what needs one
        that is under way there stands back, and so does what comes after it for the same ones;
        but not for ever.
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
        #: How many groups were begun, and the locks of those under way.
        self.begun = 0
        self.locks: AbstractSet[Lock] = frozenset()

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
        locked: AbstractSet[Lock] = frozenset()
        another = False
        if self._behind is not None:
            locked = self._behind.locks
            another, self._seen = self._behind.begun > self._seen, self._behind.begun
        # A share of everything, so that each writer finds as much to do as the others.
        share = -(-self._size // self._writers)
        most = min(_GROUP, share) if share >= _ENOUGH else _GROUP
        group = Group()
        ahead = set(self.locks)
        stands_back = []
        while self._waiting and len(group.parts) < (_GROUP if group.wide else most):
            operation = self._waiting[0]
            if (operation.wide and self._under_way) or (operation.alone and group.parts):
                break
            self._waiting.popleft()
            avoided = not locked.isdisjoint(operation.locks)
            if avoided:
                operation.passed += another
                avoided = operation.passed <= _PASSED
            if avoided or not ahead.isdisjoint(operation.locks):
                ahead.update(operation.locks)
                stands_back.append(operation)
                continue
            group.add(operation)
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
        if len(self._under_way) == self._writers or any(it.wide for it in self._under_way):
            return False
        return self._size - sum(len(it.parts) for it in self._under_way) >= _ENOUGH

    def done(self, group: Group) -> None:
        """Let others have what a group has locked."""
        self._size -= len(group.parts)
        self._change([other for other in self._under_way if other is not group])

    def _change(self, under_way: list[Group]) -> None:
        self._under_way = under_way
        self.locks = frozenset[Lock]().union(*(group.locks for group in under_way))
