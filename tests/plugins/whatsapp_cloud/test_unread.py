"""What cannot be read beside what can is named in the log, and not in the customer's words."""

from typing import Any

from router import plugin
from router.plugin.testing import FakeContext
from router_whatsapp_cloud import WhatsAppCloud
from router_whatsapp_cloud.conformance import WhatsAppCloudConformance
from router_whatsapp_cloud.conformance_messages import message, value_of, webhook


def _events(context: FakeContext, **value: Any) -> list[plugin.InboundEvent]:
    channel = WhatsAppCloud(WhatsAppCloudConformance.config, context)
    request = plugin.WebhookRequest(
        url=context.webhook_url(),
        body=webhook(("messages", value_of(**value))),
        received_at=context.clock.now(),
    )
    return list(channel.parse(request))


def test_a_part_that_cannot_be_read_is_named_in_the_log_without_its_words() -> None:
    context = FakeContext()
    found = _events(
        context,
        messages=[message(text={"body": "hola"}), {"text": {"body": "mi clave es 1234"}}],
        statuses=[{"id": "wamid.C"}],
    )

    assert len(found) == 1
    told = [(entry.level, entry.event, entry.values) for entry in context.log.entries]
    words = "part of a webhook not read"
    assert told == [
        ("warning", words, {"part": "messages", "reason": "ValidationError"}),
        ("warning", words, {"part": "statuses", "reason": "ValidationError"}),
    ]


def test_a_report_about_a_group_is_nothing_to_tell() -> None:
    context = FakeContext()
    status = {"id": "wamid.G", "status": "read", "recipient_id": "x", "recipient_type": "group"}
    found = _events(context, messages=[message(text={"body": "hola"})], statuses=[status])

    assert len(found) == 1
    assert context.log.entries == []
