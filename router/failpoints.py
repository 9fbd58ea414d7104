"""Named moments at which a test may kill this process, to prove what a crash leaves behind.

``ROUTER_FAILPOINT=deliver.sent:3`` kills the process, as ``kill -9`` would, when it comes to
``deliver.sent`` for the third time. Without the variable a moment costs one comparison.
"""

import os
import signal

#: Every moment, in the order in which a message passes them.
NAMES = (
    "intake.parsed",
    "writer.begun",
    "writer.committing",
    "writer.committed",
    "intake.stored",
    "worker.claimed",
    "worker.decided",
    "worker.completed",
    "timers.fired",
    "ask.started",
    "ask.answered",
    "ask.finished",
    "deliver.claimed",
    "deliver.started",
    "deliver.sent",
    "deliver.finished",
    "reconcile.started",
    "reconcile.asked",
    # Of files that are fetched, and of voice notes that are written down.
    "media.started",
    "media.done",
    "media.finished",
    # Of a channel that asks its provider.
    "poll.taken",
    "poll.answered",
    "poll.stored",
    # Of a node among others, on PostgreSQL.
    "node.registered",
    "node.burying",
    "node.buried",
)

VARIABLE = "ROUTER_FAILPOINT"


def _read(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    name, _, count = text.partition(":")
    if name not in NAMES or not (count or "1").isdecimal():
        message = f"{VARIABLE} is {text!r}; write NAME:COUNT, with a NAME of {', '.join(NAMES)}"
        raise ValueError(message)
    return name, int(count or "1")


_armed = _read(os.environ.get(VARIABLE, ""))
_left = _armed[1] if _armed else 0


def reach(name: str) -> None:
    """Die here, if this is the moment that was chosen."""
    if _armed is not None and _armed[0] == name:
        global _left  # noqa: PLW0603 - one process dies once
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
