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
#: How many groups of somebody else an operation lets go before it.
_PASSED = 4

#: Does the same to many things at once: given those, gives a result for each, in their order.
Batch = Callable[[Transaction, list[Any]], list[Any]]


class Operation:
    """What one caller waits for: parts that a batch does together with other callers' parts."""

    __slots__ = ("alone", "batch", "error", "future", "lanes", "left", "parts", "passed", "results")

    def __init__(
        self,
        batch: Batch,
        parts: Sequence[Any],
        lanes: Sequence[tuple[str, str]],
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


class Queue:
    """Operations, oldest first; one that would have to wait for a lock may stand back."""

    def __init__(self) -> None:
        self._waiting: deque[Operation] = deque()
        self._locked: AbstractSet[tuple[str, str]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, operation: Operation) -> None:
        self._waiting.append(operation)

    def next_group(self, locked: AbstractSet[tuple[str, str]]) -> list[Part]:
        """Take what is written together next.

        Empty where everything stands back.

        :param locked: lanes that somebody else is just writing, the same object while it is the
            same group: what needs one of them stands back, and so does what comes after it for
            the same lanes; but not for ever.
        """
        another, self._locked = locked is not self._locked, locked
        group: list[Part] = []
        avoided = set(locked)
        stands_back = []
        while self._waiting and len(group) < _GROUP:
            if self._waiting[0].alone and group:
                break
            operation = self._waiting.popleft()
            if avoided and operation.passed < _PASSED and not avoided.isdisjoint(operation.lanes):
                operation.passed += another
                avoided.update(operation.lanes)
                stands_back.append(operation)
                continue
            group += [Part(operation, number) for number in range(len(operation.parts))]
            if operation.alone:
                break
        self._waiting.extendleft(reversed(stands_back))
        return group
