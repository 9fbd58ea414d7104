"""What is written together on PostgreSQL: the order of each lane, whoever is under way."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.storage.postgres.queue import Group, Lock, Operation, Queue


@pytest.fixture(scope="module")
def future() -> Iterator["asyncio.Future[Any]"]:
    loop = asyncio.new_event_loop()
    yield loop.create_future()
    loop.close()


def operation(
    future: "asyncio.Future[Any]",
    lanes: str,
    *,
    parts: int = 1,
    wide: bool = False,
    alone: bool = False,
) -> Operation:
    """Give an operation on lanes of one letter each."""
    names: list[Lock] = [("in", letter) for letter in lanes]
    batch = lambda _tx, parts: parts  # noqa: E731 - it does nothing
    return Operation(batch, range(parts), names, future, wide=wide, alone=alone)


def filled(queue: Queue, operations: Sequence[Operation]) -> Queue:
    for one in operations:
        queue.put(one)
    return queue


def taken(group: Group | None) -> list[Operation]:
    """Give the operations of a group, each once."""
    return [] if group is None else list(dict.fromkeys(part.operation for part in group.parts))


@given(
    offered=st.lists(
        st.tuples(
            st.text("abcd", max_size=3),
            st.sampled_from([{}, {}, {"wide": True}, {"alone": True}]),
            st.integers(1, 30),
        ),
        max_size=40,
    ),
    turns=st.lists(st.integers(0, 3), max_size=60),
    writers=st.integers(1, 3),
)
def test_each_lane_is_written_in_the_order_of_arrival(
    future: "asyncio.Future[Any]",
    offered: list[tuple[str, dict[str, bool], int]],
    turns: list[int],
    writers: int,
) -> None:
    operations = [operation(future, lanes, parts=parts, **reach) for lanes, reach, parts in offered]
    places = {one: place for place, one in enumerate(operations)}
    queue, coming = Queue(writers), iter(operations)
    under_way: list[Group] = []
    begun: list[Operation] = []

    def begin() -> None:
        while group := queue.next_group():
            for other in under_way:
                assert not group.locks & other.locks
                assert not group.wide
                assert not other.wide
            assert len(taken(group)) == 1 or not any(one.alone for one in taken(group))
            assert group.wide == any(one.wide for one in taken(group))
            under_way.append(group)
            begun.extend(taken(group))
        assert len(under_way) <= writers

    for turn in turns:
        if turn and (one := next(coming, None)) is not None:
            queue.put(one)
        elif under_way:
            queue.done(under_way.pop(turn % len(under_way)))
        if turn != 1:
            begin()
    filled(queue, list(coming))
    begin()
    while under_way:
        queue.done(under_way.pop())
        begin()

    assert not queue
    assert sorted(begun, key=places.__getitem__) == operations
    for lane in "abcd":
        mine = [places[one] for one in begun if ("in", lane) in one.locks]
        assert mine == sorted(mine)


@pytest.mark.parametrize(
    ("many", "groups"),
    [(64, [32, 32, 0]), (65, [33, 32, 0]), (32, [16, 16, 0]), (30, [30, 0]), (1, [1, 0])],
)
def test_much_is_shared_among_the_writers_and_a_little_is_not(
    future: "asyncio.Future[Any]", many: int, groups: list[int]
) -> None:
    queue = filled(Queue(2), [operation(future, chr(0x100 + number)) for number in range(many)])

    assert [len(taken(queue.next_group())) for _ in groups] == groups


def test_a_few_wait_for_the_group_that_is_under_way(future: "asyncio.Future[Any]") -> None:
    queue = filled(Queue(2), [operation(future, "a")])
    first = queue.next_group()
    filled(queue, [operation(future, "b", parts=15)])

    assert queue.next_group() is None

    filled(queue, [operation(future, "c")])

    assert len(taken(queue.next_group())) == 2
    assert first is not None


def test_nothing_is_under_way_beside_what_is_to_be_alone(future: "asyncio.Future[Any]") -> None:
    before, after = operation(future, "a"), operation(future, "b")
    lonely = operation(future, "", alone=True)
    queue = filled(Queue(2), [before, lonely, after])

    first = queue.next_group()

    assert taken(first) == [before]
    assert queue.next_group() is None
    assert first is not None

    queue.done(first)
    second = queue.next_group()

    assert taken(second) == [lonely]
    assert queue.next_group() is None
    assert second is not None

    queue.done(second)

    assert taken(queue.next_group()) == [after]


def test_nothing_is_under_way_beside_what_may_lock_anything_and_others_join_it(
    future: "asyncio.Future[Any]",
) -> None:
    before = [operation(future, chr(0x100 + number)) for number in range(20)]
    wide, after = operation(future, "a", wide=True), operation(future, "b", parts=40)
    queue = filled(Queue(2), before)

    first = queue.next_group()
    second = filled(queue, [wide, after]).next_group()

    assert taken(first) == before
    assert second is None
    assert first is not None

    queue.done(first)

    assert taken(queue.next_group()) == [wide, after]

    filled(queue, [operation(future, "c", parts=40)])

    assert queue.next_group() is None


def test_who_stands_back_from_others_does_so_for_a_few_groups_only(
    future: "asyncio.Future[Any]",
) -> None:
    others = Queue()
    queue = filled(Queue(2, others), [operation(future, "a"), operation(future, "ab")])
    groups = 0

    while True:
        other = filled(others, [operation(future, "a")]).next_group()
        assert other is not None
        group = queue.next_group()
        if group is not None:
            break
        # Somebody else's look does not count as another group.
        assert queue.next_group() is None
        others.done(other)
        groups += 1

    assert 1 < groups < 10
    assert len(taken(group)) == 2
