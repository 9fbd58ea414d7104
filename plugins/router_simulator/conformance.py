"""What ``router plugins check simulator`` runs."""

from router.plugin import (
    Address,
    Attachment,
    DeliveryReported,
    MessageEchoed,
    MessageReceived,
    OutboundMessage,
    SendReceipt,
    WebhookAnswer,
)
from router.plugin.testing import ChannelSuite, Receive, Send
from router_simulator.channel import Simulator, SimulatorConfig

ANA = Address("tel", "+573001234567")
ACCEPTED = WebhookAnswer(body=b"{}", content_type="application/json")


class SimulatorConformance(ChannelSuite):
    """The simulator's rows."""

    channel = Simulator
    config = SimulatorConfig()

    exempt = {  # noqa: RUF012 - the base class declares it a ClassVar
        "unsigned_request": "signs nothing; the host serves it to this machine only",
        "tampered_body": "signs nothing; the host serves it to this machine only",
        "malformed_signature": "signs nothing; the host serves it to this machine only",
        "provider_errors": "there is no provider; the host keeps what is sent",
    }

    receives = (
        Receive(
            "text",
            b'{"id": "m1", "from": "+573001234567", "text": "hola"}',
            expect=[MessageReceived("m1", ANA, "hola")],
            answer=ACCEPTED,
        ),
        Receive(
            "number as people write it",
            b'{"id": "m1", "from": "57 300 123-4567", "text": "hola"}',
            expect=[MessageReceived("m1", ANA, "hola")],
        ),
        Receive(
            "address of another scheme",
            b'{"id": "m2", "from": "BSUID:US.13", "text": " hi "}',
            expect=[MessageReceived("m2", Address("bsuid", "US.13"), " hi ")],
        ),
        Receive(
            "name, language and attachment",
            b'{"id": "m3", "from": "+573001234567", "name": "Ana", "language": "es",'
            b' "attachments": [{"kind": "image", "url": "https://example.org/a.jpg"}]}',
            expect=[
                MessageReceived(
                    "m3",
                    ANA,
                    name="Ana",
                    language="es",
                    attachments=(Attachment(kind="image", url="https://example.org/a.jpg"),),
                )
            ],
        ),
        Receive(
            "echo",
            b'{"id": "e1", "echo": true, "to": "+573001234567", "text": "I will call you"}',
            expect=[MessageEchoed("e1", ANA, "I will call you")],
        ),
        Receive(
            "delivered",
            b'{"status": "delivered", "message": "sim-o1", "to": "+573001234567"}',
            expect=[DeliveryReported("sim-o1", ANA, "delivered")],
        ),
        Receive(
            "failed",
            b'{"status": "failed", "message": "sim-o1", "to": "+573001234567", "code": "131",'
            b' "reason": "switched off"}',
            expect=[
                DeliveryReported("sim-o1", ANA, "failed", code="131", reason="switched off"),
            ],
        ),
        Receive("no id", b'{"from": "+573001234567", "text": "hola"}', rejects=ValueError),
        Receive("empty id", b'{"id": "", "from": "+573001234567"}', rejects=ValueError),
        Receive("nobody", b'{"id": "m4", "from": "Ana", "text": "hola"}', rejects=ValueError),
        Receive("no scheme", b'{"id": "m4", "from": ":x", "text": "hola"}', rejects=ValueError),
        Receive("not JSON", b"hola", rejects=ValueError),
    )

    sends = (
        Send(
            "text",
            OutboundMessage(id="o1", recipient=ANA, text="hello"),
            expect=SendReceipt("sim-o1"),
        ),
        Send(
            "file",
            OutboundMessage(
                id="o2",
                recipient=ANA,
                media=(Attachment(kind="document", url="https://example.org/a.pdf"),),
            ),
            expect=SendReceipt("sim-o2"),
        ),
    )
