"""What the running process counts: plain numbers in memory, written out when somebody asks.

Counting must cost a message nearly nothing (about 0.2 µs; a child of prometheus-client costs twice
that, and importing it 60 ms of every start). So the numbers live in dicts here, and
``router.web.metrics`` hands them to prometheus-client when /metrics is read.

Everything here belongs to the event loop's thread, begins at zero with the process, and may miss or
repeat a little around a crash. What must be exact is asked of the database: ``storage.stats``.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator
from datetime import datetime
from typing import Final, TypeAlias

#: The values of a family's labels, in the order of its names.
Labels: TypeAlias = tuple[str, ...]

#: Bounds of what takes milliseconds when all is well: intake, a send.
QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
#: Bounds of what a customer waits for: a decision, an answer.
PATIENT: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)

#: Label values that come from outside (a provider's error codes) could grow without end. A family
#: that has so many combinations counts every further one as :data:`OTHER`.
LIMIT: Final = 1000
OTHER: Final = "other"

#: A value of a label, at most; a provider's code may be anything.
_LONGEST: Final = 64


class Family:
    """One name with all its labels.

    :param name: as Prometheus sees it, without the ending that the kind of family adds.
    :param words: what it says, a sentence for operators.
    """

    def __init__(self, name: str, words: str, *labels: str) -> None:
        self.name = name
        self.words = words
        self.labels: Labels = labels

    def _admitted(self, labels: Labels, known: int) -> Labels:
        """Give the labels under which a combination that was not seen before is counted."""
        if known >= LIMIT:
            return (OTHER,) * len(self.labels)
        return tuple(value[:_LONGEST] for value in labels)


class Counter(Family):
    """Something that only grows."""

    def __init__(self, name: str, words: str, *labels: str) -> None:
        super().__init__(name, words, *labels)
        #: Without labels there is one number, and it begins at zero.
        self.values: dict[Labels, float] = {} if labels else {(): 0}

    def count(self, *labels: str, by: float = 1) -> None:
        """Add to one combination of labels, all of them given, in order."""
        values = self.values
        if labels in values:
            values[labels] += by
            return
        labels = self._admitted(labels, len(values))
        values[labels] = values.get(labels, 0) + by


class Histogram(Family):
    """How durations spread.

    :param bounds: upper bounds in seconds, rising; everything above the last has a place, too.
    """

    def __init__(self, name: str, words: str, *labels: str, bounds: tuple[float, ...]) -> None:
        super().__init__(name, words, *labels)
        self.bounds = bounds
        #: By labels: how many fell below each bound and above the one before it; their sum last.
        self.values: dict[Labels, list[float]] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        """Note one duration. A clock that was set back does not make it negative."""
        row = self.values.get(labels)
        if row is None:
            labels = self._admitted(labels, len(self.values))
            row = self.values.setdefault(labels, [0.0] * (len(self.bounds) + 2))
        seconds = max(seconds, 0.0)
        row[bisect_left(self.bounds, seconds)] += 1
        row[-1] += seconds


class Since:
    """When something began that ends elsewhere in the process; the oldest are forgotten.

    :param limit: how many are remembered at most.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._began: dict[Hashable, datetime] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._began)

    def begin(self, key: Hashable, moment: datetime) -> None:
        self._began[key] = moment
        if len(self._began) > self._limit:
            del self._began[next(iter(self._began))]

    def end(self, key: Hashable) -> datetime | None:
        """Give when it began, once; ``None`` if that is not known, or was asked before."""
        return self._began.pop(key, None)


class Metrics:
    """Every family that the process counts."""

    def __init__(self) -> None:
        self.webhooks = Counter(
            "router_webhooks",
            "Webhooks by what they were answered; no channel: the path means none.",
            *("tenant", "channel", "status"),
        )
        self.unsigned = Counter(
            "router_webhooks_unsigned",
            "Webhooks that were refused because they carry no signature at all.",
            *("tenant", "channel"),
        )
        self.intake_seconds = Histogram(
            "router_intake_seconds",
            "From a webhook's last byte to its verdict, the commit in between.",
            *("tenant", "channel"),
            bounds=QUICK,
        )
        self.duplicates = Counter(
            "router_duplicates",
            "Events that a provider sent again, and that changed nothing.",
            *("tenant", "channel"),
        )
        self.events = Counter(
            "router_events",
            "Events whose work is done, by type and by what became of them.",
            *("tenant", "type", "outcome"),
        )
        self.event_failures = Counter(
            "router_event_failures",
            "Times that working an event failed; it is tried again, or becomes a dead letter.",
            "tenant",
        )
        self.decisions = Counter(
            "router_decisions", "Decisions by outcome.", *("tenant", "outcome")
        )
        self.decided_seconds = Histogram(
            "router_decided_seconds",
            "From the oldest unanswered message of the customer to the decision.",
            *("tenant", "outcome"),
            bounds=PATIENT,
        )
        self.attempts = Counter(
            "router_attempts",
            "Attempts of the outbox, and runs of tools, by the state they led to; waiting: it is "
            "tried again.",
            *("tenant", "kind", "destination", "state"),
        )
        self.attempt_seconds = Histogram(
            "router_attempt_seconds",
            "What one attempt took: sending a message, running an action or a tool.",
            *("tenant", "kind", "destination"),
            bounds=QUICK,
        )
        self.provider_errors = Counter(
            "router_provider_errors",
            "Attempts that a provider did not take, by its own code; none: it gave no code.",
            *("tenant", "kind", "destination", "code"),
        )
        self.breakers = Counter(
            "router_breakers_opened",
            "Circuit breakers that opened, because an instance's calls failed one after the other.",
            *("tenant", "name", "kind"),
        )
        self.sent_seconds = Histogram(
            "router_sent_seconds",
            "From the oldest unanswered message of the customer to the provider taking the answer.",
            *("tenant", "channel"),
            bounds=PATIENT,
        )
        self.ai_calls = Counter(
            "router_ai_calls",
            "Calls of AI backends by the state they led to; waiting: it is asked again.",
            *("tenant", "backend", "state"),
        )
        self.ai_seconds = Histogram(
            "router_ai_seconds",
            "What one call of an AI backend took.",
            *("tenant", "backend"),
            bounds=PATIENT,
        )
        self.ai_tokens = Counter(
            "router_ai_tokens",
            "Tokens that AI backends took (input) and gave (output), as they reported it.",
            *("tenant", "backend", "direction"),
        )
        self.polls = Counter(
            "router_polls",
            "Polls by what became of them; dropped: another node had gone on in its place.",
            *("tenant", "channel", "poller", "outcome"),
        )
        self.poll_seconds = Histogram(
            "router_poll_seconds",
            "What asking a provider for news took, good polls and failed ones.",
            *("tenant", "channel", "poller"),
            bounds=PATIENT,
        )
        self.responses = Counter(
            "router_responses",
            "Requests that wanted data at once; all but `answered` got the channel's default.",
            *("tenant", "channel", "outcome"),
        )
        self.limited = Counter(
            "router_webhooks_limited",
            "Webhooks answered 429, by the limit that they met: source or channel.",
            *("tenant", "channel", "limit"),
        )
        self.api_requests = Counter(
            "router_api_requests",
            "Requests to the API by what they were answered; no path: the API has none such.",
            *("method", "path", "status"),
        )
        self.reloads = Counter(
            "router_reloads",
            "Times that the files were read again, by what became of it: applied or refused.",
            "outcome",
        )
        self.log_lines_lost = Counter(
            "router_log_lines_lost",
            "Lines of the log that could not be written: its disk is full, or its reader is gone.",
        )
        #: When the turn began whose answer is about to be sent, by the event that decided it.
        self.turns = Since()

    def families(self) -> Iterator[Counter | Histogram]:
        """Give every family, in the order in which they are defined."""
        for value in vars(self).values():
            if isinstance(value, Counter | Histogram):
                yield value
