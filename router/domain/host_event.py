"""What the router tells itself; these events share the lane with what customers send."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from router.domain.answer import Completion


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerArrived:
    """A backend that was asked has answered, or has failed for good.

    :param item: the outbox item that asked.
    :param asked_seq: the number of the newest message that the backend saw.
    :param asked_by: the numbers of the events whose working led to the question, in order.
    :param completion: ``None`` when it failed.
    :param error: why it failed, for the operator.
    :param ai: what AI triage had already found when the question was put: ``ai.*`` facts.
    :param passages: ids of the passages that the backend was given.
    :param seconds: how long the backend took.
    :param grounds: what the answer rests on, where the rules look at it; see
        :class:`router.rules.grounds.Grounds`.
    :param epoch: the conversation's, when the question was put; ``None`` where nobody kept it.
    """

    kind: ClassVar[str] = "answer"

    item: str
    backend: str
    asked_seq: int
    asked_by: tuple[int, ...] = ()
    classify: bool = False
    completion: Completion | None = None
    error: str | None = None
    ai: Mapping[str, Any] = field(default_factory=dict)
    passages: tuple[str, ...] = ()
    seconds: float = 0.0
    grounds: Mapping[str, Any] | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A timer fell due.

    :param generation: of the timer when it was set; an older one than the conversation's is stale.
    """

    kind: ClassVar[str] = "timer"

    timer: str
    key: str
    generation: int
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unparsed:
    """A request that its provider signed and that its channel could not read. Kept, replayable.

    :param body: base64 of the raw body.
    """

    kind: ClassVar[str] = "unparsed"

    channel: str
    endpoint: str
    body: str
    headers: Mapping[str, str]
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEcho:
    """A provider echoed what the router itself had sent; it takes nothing over.

    :param item: the outbox item that it is.
    """

    kind: ClassVar[str] = "own_echo"

    item: str
    provider_id: str


HostEvent: TypeAlias = AnswerArrived | TimerFired | Unparsed | OwnEcho
