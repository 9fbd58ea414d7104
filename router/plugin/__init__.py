"""The public plugin API: everything a plugin may import, and nothing more.

``from router import plugin`` and use these names; anything else inside ``router`` may change
without notice. ``plugins/README.md`` is the authors' guide.
"""

from router.domain.answer import (
    Completion,
    ContactCard,
    Passage,
    Prompt,
    PromptTurn,
    ProposedAction,
    Tool,
    Usage,
)
from router.domain.event import DeliveryReported, InboundEvent, MessageEchoed, MessageReceived
from router.domain.identity import Address
from router.domain.limits import RateLimit
from router.domain.message import (
    Attachment,
    DeliveryStatus,
    OutboundMessage,
    SendReceipt,
    SentMessage,
    Template,
)
from router.errors import (
    InvalidSignature,
    OutcomeUnknown,
    PluginError,
    ProviderError,
    Refusal,
    Refused,
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
from router.plugin.hookspecs import hookimpl
from router.plugin.http import classify, raise_for_status, verify_hmac_sha256
from router.plugin.instance import Instance
from router.plugin.registry import API_VERSION, PluginDeprecationWarning, Registry

__all__ = [
    "API_VERSION",
    "AIBackend",
    "Action",
    "ActionCall",
    "ActionParams",
    "ActionResult",
    "Address",
    "Attachment",
    "Capabilities",
    "Channel",
    "Completion",
    "ContactCard",
    "DeliveryReported",
    "DeliveryStatus",
    "Duration",
    "InboundEvent",
    "Instance",
    "InvalidSignature",
    "Log",
    "MessageEchoed",
    "MessageReceived",
    "NoConfig",
    "NoticeParams",
    "OutboundMessage",
    "OutcomeUnknown",
    "Passage",
    "PluginConfig",
    "PluginContext",
    "PluginDeprecationWarning",
    "PluginError",
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
    "Template",
    "Tool",
    "Unavailable",
    "Usage",
    "WebhookAnswer",
    "WebhookRequest",
    "classify",
    "hookimpl",
    "raise_for_status",
    "verify_hmac_sha256",
]
