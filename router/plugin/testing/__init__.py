"""The conformance kit: what a plugin's author tests a plugin with.

Subclass a suite, fill in rows; every promise of the contract becomes a test. It works under
pytest, and by itself in ``router plugins check``. ``plugins/README.md`` shows it at work.

.. versionadded:: 1.0
"""

from router.plugin.testing.actions import ActionSuite
from router.plugin.testing.backends import AIBackendSuite
from router.plugin.testing.cases import CheckFailedError
from router.plugin.testing.channels import ChannelSuite
from router.plugin.testing.clock import FakeClock
from router.plugin.testing.conformance import CheckResult, conformance
from router.plugin.testing.context import PUBLIC_URL, FakeContext, LogEntry, RecordingLog, Reply
from router.plugin.testing.network import no_network
from router.plugin.testing.responses import FakePeople
from router.plugin.testing.rows import (
    Complete,
    Expected,
    Fetch,
    Find,
    ListTemplates,
    Poll,
    Receive,
    Respond,
    Run,
    Send,
    Transcribe,
    Upload,
)
from router.plugin.testing.sockets import (
    Closes,
    Dialogue,
    Drops,
    Hears,
    Refuses,
    Says,
    SocketServer,
)

__all__ = [
    "PUBLIC_URL",
    "AIBackendSuite",
    "ActionSuite",
    "ChannelSuite",
    "CheckFailedError",
    "CheckResult",
    "Closes",
    "Complete",
    "Dialogue",
    "Drops",
    "Expected",
    "FakeClock",
    "FakeContext",
    "FakePeople",
    "Fetch",
    "Find",
    "Hears",
    "ListTemplates",
    "LogEntry",
    "Poll",
    "Receive",
    "RecordingLog",
    "Refuses",
    "Reply",
    "Respond",
    "Run",
    "Says",
    "Send",
    "SocketServer",
    "Transcribe",
    "Upload",
    "conformance",
    "no_network",
]
