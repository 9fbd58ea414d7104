"""What the router tells itself; these events share the lane with what customers send."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeAlias

from router.domain.answer import Completion

#: In the payload of a timer: it was restored from a backup, and may have been fired since.
RESTORED: Final = "restored"
#: In the payload of the timer of a quiet conversation: a draft waits in it for a person's word.
DRAFTED: Final = "drafted"


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
    :param lookups: the tools that it called, as the trace keeps them.
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
    lookups: tuple[Mapping[str, Any], ...] = ()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFetched:
    """A file that came with a message is here, or never will be.

    :param item: the outbox item that fetched it.
    :param message_seq: the number of the message's event in this lane.
    :param index: which of its attachments.
    :param attached: the attachment's kind.
    :param content_type: what its bytes say that it is.
    :param digest: under which it is kept; ``None`` where it is not.
    :param problem: why it is not, in words.
    """

    kind: ClassVar[str] = "file"

    item: str
    message_seq: int
    index: int
    attached: str
    content_type: str | None = None
    digest: str | None = None
    size: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceTranscribed:
    """A voice note was transcribed, or never will be.

    :param item: the outbox item that had it transcribed.
    :param message_seq: the number of the message's event in this lane.
    :param index: which of its attachments.
    :param text: what is said in it; ``None`` where nobody could tell.
    :param problem: why, in words.
    """

    kind: ClassVar[str] = "transcript"

    item: str
    message_seq: int
    index: int
    text: str | None = None
    language: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationChanged:
    """Something became of a conversation, for rules that have something run then.

    :param what: ``opened`` or ``escalated``.
    :param to: who was called.
    :param because: why, for people.
    """

    kind: ClassVar[str] = "conversation"

    what: str
    conversation: str
    to: str | None = None
    because: str | None = None


HostEvent: TypeAlias = (
    AnswerArrived
    | TimerFired
    | Unparsed
    | OwnEcho
    | FileFetched
    | VoiceTranscribed
    | ConversationChanged
)
