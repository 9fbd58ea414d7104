"""What is wanted of the router, and the table that says how far it is met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: What a run measured: measure → figure → value.
Found = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Goal:
    """One line of the table.

    :param ceiling: the measure of the same run that no software of this kind can pass.
    :param must: what has to be reached, ``None`` where it is only reported; ``aim`` is what is
        hoped for.
    :param gate: the ratio to the ceiling that has to be reached where it is known, whatever the
        machine gives; a machine whose own ceiling is lower than the must can meet no other.
    :param low: less is better.
    """

    measure: str
    figure: str
    unit: str
    must: float | None = None
    aim: float | None = None
    ceiling: str | None = None
    gate: float | None = None
    low: bool = False

    @property
    def label(self) -> str:
        if self.figure == "cpu_us":
            return f"{self.measure}, processor"
        quantile = f" {self.figure[:3]}" if self.figure[0] == "p" and self.unit == "ms" else ""
        return self.measure + quantile

    def line(self, found: Found) -> str:
        """Give the goal's line."""
        value = found[self.measure][self.figure]
        top = found[self.ceiling][self.figure] if self.ceiling else None
        met = self.must is None or (value <= self.must if self.low else value >= self.must)
        fair = top is not None and self.gate is not None and value / top >= self.gate
        missed = "  missed, but for the gate" if fair else "  missed"
        return (
            f"{self.label:36} {value:10,.2f} {self.unit:4}"
            f" {f'{top:10,.2f}' if top else '':>10} {f'{value / top:.2f}' if top else '':>6}"
            f" {_figure(self.gate):>5} {_figure(self.must):>8} {_figure(self.aim):>8}"
            f" {'' if met else missed}"
        )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,g}"


def table(title: str, goals: Sequence[Goal], found: Found) -> str:
    """Give the table of what was measured; what was not is left out."""
    head = (
        f"{'measure':36} {'value':>10}      {'ceiling':>10} {'ratio':>6} {'gate':>5}"
        f" {'must':>8} {'aim':>8}"
    )
    lines = [goal.line(found) for goal in goals if goal.measure in found]
    return "\n".join([title, head, *lines])


#: The processor's time for an event, beside that for its mere rows; a ratio of 2 is twice as much.
_COSTS = (
    Goal("durable enqueue", "cpu_us", "us", ceiling="rows of an event", low=True),
    Goal("end to end", "cpu_us", "us", ceiling="rows of its decision", low=True),
    Goal("end to end, whole thread", "cpu_us", "us", ceiling="rows of its thread", low=True),
)
_WHOLE = Goal("end to end, whole thread", "per_s", "/s", ceiling="rows of its thread")
# Their gates are what the musts were to the ceilings of the machine that they were set on: 61,000
# and 20,000 events a second on SQLite, 41,000 and 24,000 on PostgreSQL.
SQLITE = (
    Goal("durable enqueue", "per_s", "/s", 25_000, ceiling="rows of an event", gate=0.41),
    Goal("durable enqueue", "p99_ms", "ms", 10, low=True),
    Goal("end to end", "per_s", "/s", 12_000, ceiling="rows of its decision", gate=0.60),
    _WHOLE,
    Goal("enqueue to handler at 100/s", "p50_ms", "ms", 1.0, low=True),
    Goal("enqueue to handler at 100/s", "p99_ms", "ms", 5.0, low=True),
    *_COSTS,
)
POSTGRES = (
    Goal("durable enqueue", "per_s", "/s", 22_000, ceiling="rows of an event", gate=0.54),
    Goal("durable enqueue", "p99_ms", "ms", 8, low=True),
    Goal("end to end", "per_s", "/s", 10_000, ceiling="rows of its decision", gate=0.42),
    _WHOLE,
    Goal("enqueue to handler at 100/s", "p50_ms", "ms", 1.5, low=True),
    Goal("enqueue to handler at 100/s", "p99_ms", "ms", 8.0, low=True),
    *_COSTS,
)
_HTTP = (
    Goal("ack at 100/s", "p50_ms", "ms", 3.0, 2.5, "empty answer at 100/s", low=True),
    Goal("ack at 100/s", "p99_ms", "ms", 6.0, 5.0, "empty answer at 100/s", low=True),
    Goal("webhook to provider at 100/s", "p50_ms", "ms", 4.0, 3.0, "relayed at 100/s", low=True),
    Goal("webhook to provider at 100/s", "p99_ms", "ms", 8.0, 6.0, "relayed at 100/s", low=True),
    Goal("cold start to first ack", "s", "s", 1.0, 0.8, low=True),
    Goal("first start of all, to first ack", "s", "s", low=True),
    Goal("idle memory", "mb", "MB", 90, 80, low=True),
)
HTTP = {
    "hypercorn": (
        Goal("durable acks", "per_s", "/s", 3500, 3800, "empty answer"),
        Goal("the same, until all are worked", "per_s", "/s", ceiling="empty answer"),
        Goal("replies", "per_s", "/s", 2000, 2500, "relay"),
        *_HTTP,
    ),
    "uvicorn": (
        Goal("durable acks", "per_s", "/s", 7000, 8000, "empty answer"),
        Goal("the same, until all are worked", "per_s", "/s", ceiling="empty answer"),
        Goal("replies", "per_s", "/s", 3000, 4000, "relay"),
        *_HTTP,
    ),
}
GROWTH = (Goal("cost of a million conversations", "ratio", "x", 1.3, low=True),)
