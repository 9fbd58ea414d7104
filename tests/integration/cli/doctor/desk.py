"""A configuration with several providers, and ``router doctor`` that looks at it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from router.cli.main import main

SID = "AC00000000000000000000000000000000"
TOKEN, OTHER, SPARE = "token-of-whatsapp", "token-of-ventas", "token-of-nobody"
META, CALLS, CLINIC = "secret-of-meta-app", "secret-of-the-calls", "secret-of-clinica"
PUBLIC = "https://desk.example.org"
CONFIG = f"""
[router]
database = "sqlite+aiosqlite:///router.db"
public_url = "{PUBLIC}"

[channels.whatsapp]
type = "twilio_whatsapp"
account_sid = "{SID}"
auth_token = {{ env = "TWILIO_AUTH_TOKEN" }}
sender = "+14155238886"
base_url = "http://127.0.0.1:9"

[channels.ventas]
type = "twilio_whatsapp"
account_sid = "AC1"
auth_token = {{ env = "VENTAS_TOKEN" }}
sender = "+14155238887"
base_url = "http://127.0.0.1:9"

[channels.meta]
type = "whatsapp_cloud"
phone_number_id = "123456"
access_token = {{ env = "META_TOKEN" }}
app_secret = {{ env = "META_SECRET" }}
verify_token = {{ env = "META_VERIFY" }}

[channels.calls]
type = "elevenlabs_calls"
api_key = {{ env = "CALLS_KEY" }}
webhook_secret = {{ env = "CALLS_SECRET" }}
agents = ["agent_1"]

[channels.phone]
type = "simulator"

[tenants.clinica.channels.meta]
type = "whatsapp_cloud"
phone_number_id = "654321"
access_token = {{ env = "META_TOKEN" }}
app_secret = {{ env = "CLINIC_SECRET" }}
verify_token = {{ env = "META_VERIFY" }}
"""
ENV = {
    "TWILIO_AUTH_TOKEN": TOKEN,
    "VENTAS_TOKEN": OTHER,
    "META_TOKEN": "access-to-meta",
    "META_SECRET": META,
    "META_VERIFY": "words-of-ours",
    "CALLS_KEY": "key-of-the-calls",
    "CALLS_SECRET": CALLS,
    "CLINIC_SECRET": CLINIC,
    "SPARE_TOKEN": SPARE,
}
SECRETS = [value for name, value in ENV.items() if name != "META_VERIFY"]


@dataclass
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    """A configuration, and the command."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.file = folder / "router.toml"
        self._capsys = capsys
        self.write(CONFIG)
        self.environment(ENV)

    def write(self, config: str) -> None:
        self.file.write_text(config, encoding="utf-8")

    def environment(self, variables: dict[str, str]) -> None:
        path = self.folder / ".env"
        path.write_text("".join(f"{name}='{it}'\n" for name, it in variables.items()))
        path.chmod(0o600)

    def doctor(self, *words: str) -> Ran:
        status = main(["-c", str(self.file), "doctor", *words])
        ran = Ran(status, *self._capsys.readouterr())
        assert "Traceback" not in ran.err
        shown = ran.out + ran.err
        assert [secret for secret in SECRETS if secret in shown] == []
        return ran

    def explain(self, request: bytes, *words: str) -> Ran:
        saved = self.folder / "refused.http"
        saved.write_bytes(request)
        return self.doctor("--request", str(saved), "--json", *words)
