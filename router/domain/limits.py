"""Token buckets: how fast messages may leave, all of one sender's and those to one customer.

A bucket is kept as one moment, ``full_at``: when it would be full again if nothing more left. A
bucket that is full is as good as none, so its row may be forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

#: Who is called looks so much earlier than whoever looks at the same moment without that.
_CALLED = timedelta(microseconds=1)
#: Who goes ahead looks so much earlier than whoever has the same place.
_AHEAD = timedelta(microseconds=2)

#: So far the clocks of nodes may lie apart. What is kept from later than this after now was written
#: before the clock was set back, or under other limits.
CLOCKS_APART = timedelta(seconds=10)

#: No provider is waited for longer than this before another try, whatever it asks for.
LONGEST_RETRY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One message each ``every`` seconds, and at most ``burst`` of them at once.

    :param every: seconds between two messages in the long run; above 0.
    :param burst: how many may leave at once after a quiet time; 1 or more.

    .. versionadded:: 1.0
    """

    every: float
    burst: int = 1

    def __post_init__(self) -> None:
        if not self.every > 0 or self.burst < 1:
            message = f"a rate limit of {self.burst} in {self.every} s lets nothing through"
            raise ValueError(message)

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=self.every)

    def free_at(self, full_at: datetime | None, now: datetime) -> datetime:
        """Give the earliest moment at which a token may be taken; ``now`` if that is now."""
        return now if full_at is None else max(now, full_at - (self.burst - 1) * self.interval)

    def taken(self, full_at: datetime | None, now: datetime) -> datetime:
        """Give the new ``full_at`` after a token was taken."""
        return (now if full_at is None else max(full_at, now)) + self.interval

    def believed(self, full_at: datetime | None, now: datetime) -> datetime | None:
        """Give ``full_at``, or that the bucket is empty now if it cannot be as empty as that."""
        empty = now + self.burst * self.interval
        return empty if full_at is not None and full_at > empty + CLOCKS_APART else full_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One bucket, as it is kept.

    :param key: its name: ``<tenant>/<channel>`` of a sender, the lane of a pair.
    :param shared: lanes compete for it: those that wait get a place each, one after the other.
    :param queued_to: up to when places are given away, where it is shared. A place says when its
        turn comes at the latest: whoever takes a token, or gives a place up, calls the next in
        the queue for when there is one (:meth:`next_at`).
    """

    key: str
    limit: RateLimit
    shared: bool = False
    full_at: datetime | None = None
    queued_to: datetime | None = None

    def next_at(self, now: datetime) -> datetime:
        """Give when the first in the queue is to look: there is a token then."""
        return self.limit.free_at(self.limit.believed(self.full_at, now), now) - _CALLED


def queue_of(before: Sequence[Bucket], kept: Sequence[Bucket]) -> str | None:
    """Give the key of the bucket in whose queue :func:`take` has given a place, if it has.

    :param before: how the buckets stood.
    :param kept: what is to be kept.
    """
    stood = {it.key: it.queued_to for it in before}
    return next((it.key for it in kept if it.queued_to != stood[it.key]), None)


def has_waited(claimable_since: datetime, ready_since: datetime, now: datetime) -> bool:
    """Tell whether an item had a place before: its lane could be claimed only after it was ready.

    What is from the time before the clock was set back was there before all that is new.
    """
    return claimable_since > ready_since or ready_since > now + CLOCKS_APART


def take(
    buckets: Sequence[Bucket], now: datetime, *, waited: bool, ahead: bool = False
) -> tuple[datetime | None, list[Bucket]]:
    """Take a token from every bucket, or from none.

    A lane that finds a shared bucket empty gets a moment at the end of the queue, so that it looks
    again once, however many wait; when its turn comes before that, it is called. Only who has
    waited, and who goes ahead, may take a token while there is a queue.

    A bucket that would be full later than it can be, because the clock was set back or the limit
    was raised, counts as empty from now on.

    :param waited: it had a place before; see :func:`has_waited`.
    :param ahead: it goes ahead of the queue: a person's word does.
    :return: ``None`` and the buckets to keep; or when to look again, and what is to be kept then.
    """
    ready, stands = now, []
    for given in buckets:
        full_at = given.limit.believed(given.full_at, now)
        bucket = given if full_at is given.full_at else replace(given, full_at=full_at)
        free = bucket.limit.free_at(bucket.full_at, now)
        if bucket.shared and not ahead:
            queue = now if bucket.queued_to is None else max(bucket.queued_to, now)
            if free > now or (queue > now and not waited):
                free = max(free, queue)
                bucket = replace(bucket, queued_to=free + bucket.limit.interval)
        stands.append(bucket)
        ready = max(ready, free)
    if ready > now:
        # Lanes are claimed in the order of these moments.
        changed = [it for it, given in zip(stands, buckets, strict=True) if it is not given]
        return ready - _AHEAD if ahead else ready, changed
    return None, [replace(it, full_at=it.limit.taken(it.full_at, now)) for it in stands]
