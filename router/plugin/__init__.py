"""The public plugin API: everything a plugin may import, and nothing more.

``from router import plugin`` and use these names; anything else inside ``router`` may change
without notice. ``plugins/README.md`` is the authors' guide.
"""

from router.domain.answer import (
    CallSummary,
    Completion,
    ContactCard,
    Passage,
    Prompt,
    PromptTurn,
    ProposedAction,
    Tool,
    ToolResult,
    Transcript,
    Usage,
)
from router.domain.event import (
    CallEnded,
    CallTurn,
    ContactOptedOut,
    DeliveryReported,
    InboundEvent,
    MessageEchoed,
    MessageReceived,
)
from router.domain.identity import Address
from router.domain.limits import RateLimit
from router.domain.message import (
    Attachment,
    DeliveryStatus,
    File,
    OutboundMessage,
    SendReceipt,
    SentMessage,
    Template,
)
from router.domain.unicode import normalize
from router.errors import (
    InvalidSignature,
    NotSigned,
    OutcomeUnknown,
    PluginError,
    ProviderError,
    Refusal,
    Refused,
    SocketClosed,
    Unavailable,
)
from router.plugin.action import Action, ActionCall, ActionParams, ActionResult, NoticeParams
from router.plugin.ai import AIBackend
from router.plugin.channel import (
    Capabilities,
    Channel,
    WebhookAnswer,
    WebhookRequest,
)
from router.plugin.config import Duration, NoConfig, PluginConfig, Secret
from router.plugin.context import Log, PluginContext
from router.plugin.files import is_trusted, origin_of, read_failure, read_file
from router.plugin.hookspecs import hookimpl
from router.plugin.http import classify, raise_for_status, verify_hmac_sha256
from router.plugin.instance import Instance
from router.plugin.people import Card, CardTurn, People
from router.plugin.polling import Polled, Poller
from router.plugin.registry import API_VERSION, PluginDeprecationWarning, Registry
from router.plugin.sockets import Socket
from router.plugin.templates import TemplateInfo

__all__ = [
    "API_VERSION",
    "AIBackend",
    "Action",
    "ActionCall",
    "ActionParams",
    "ActionResult",
    "Address",
    "Attachment",
    "CallEnded",
    "CallSummary",
    "CallTurn",
    "Capabilities",
    "Card",
    "CardTurn",
    "Channel",
    "Completion",
    "ContactCard",
    "ContactOptedOut",
    "DeliveryReported",
    "DeliveryStatus",
    "Duration",
    "File",
    "InboundEvent",
    "Instance",
    "InvalidSignature",
    "Log",
    "MessageEchoed",
    "MessageReceived",
    "NoConfig",
    "NotSigned",
    "NoticeParams",
    "OutboundMessage",
    "OutcomeUnknown",
    "Passage",
    "People",
    "PluginConfig",
    "PluginContext",
    "PluginDeprecationWarning",
    "PluginError",
    "Polled",
    "Poller",
    "Prompt",
    "PromptTurn",
    "ProposedAction",
    "ProviderError",
    "RateLimit",
    "Refusal",
    "Refused",
    "Registry",
    "Secret",
    "SendReceipt",
    "SentMessage",
    "Socket",
    "SocketClosed",
    "Template",
    "TemplateInfo",
    "Tool",
    "ToolResult",
    "Transcript",
    "Unavailable",
    "Usage",
    "WebhookAnswer",
    "WebhookRequest",
    "classify",
    "hookimpl",
    "is_trusted",
    "normalize",
    "origin_of",
    "raise_for_status",
    "read_failure",
    "read_file",
    "verify_hmac_sha256",
]
