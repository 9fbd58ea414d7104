"""config/systemd and config/TWILIO.md agree with the daemon and with each other."""

import re
import shlex

import pytest

from router.cli.main import COMMANDS, app
from router.clock import seconds
from router.data import data_path
from router.ending import GRACE
from router.settings.tables import ServerTable

UNIT = data_path("config", "systemd", "router.service").read_text(encoding="utf-8")
TWILIO = data_path("config", "TWILIO.md").read_text(encoding="utf-8")
MONITORING = data_path("config", "MONITORING.md").read_text(encoding="utf-8")
CALLS = data_path("config", "CALLS.md").read_text(encoding="utf-8")


def setting(name: str) -> str:
    """Give the value of a line that stands once in the unit."""
    found = re.findall(rf"^{name}=(.*)$", UNIT, flags=re.MULTILINE)
    assert len(found) == 1, (name, found)
    value: str = found[0]
    return value


def test_unit_starts_a_command_that_exists(capsys: pytest.CaptureFixture[str]) -> None:
    program, *arguments = shlex.split(setting("ExecStart"))

    assert program.endswith("/router")
    assert app([*arguments, "--help"], prog_name="router", standalone_mode=False) in (None, 0)
    assert "Run the daemon" in capsys.readouterr().out
    assert setting("Type") == "notify"


def test_unit_waits_longer_for_the_stop_than_the_stop_takes() -> None:
    drain = ServerTable.model_fields["drain"]

    assert seconds(setting("TimeoutStopSec")) > drain.default + GRACE
    assert f"{GRACE:g} seconds" in UNIT
    assert f"{GRACE:g} seconds" in str(drain.description)
    assert seconds(setting("WatchdogSec")) >= 15


def test_unit_does_not_try_again_what_is_a_mistake_in_the_files() -> None:
    assert setting("Restart") == "on-failure"
    assert setting("RestartPreventExitStatus") == "2"


def test_credentials_of_the_guide_are_those_of_the_unit() -> None:
    loaded = set(re.findall(r"^#LoadCredential=([a-z-]+):", UNIT, flags=re.MULTILINE))
    used = set(re.findall(r'credential = "([a-z-]+)"', TWILIO + UNIT))

    assert used
    assert used <= loaded


@pytest.mark.parametrize("guide", [TWILIO, MONITORING, CALLS], ids=["twilio", "numbers", "calls"])
def test_links_of_the_guide_lead_somewhere(guide: str) -> None:
    folder = data_path("config")
    for target in re.findall(r"\]\(([^)#]+)\)", guide):
        if not target.startswith("https://"):
            assert (folder / target).exists(), target


def test_commands_of_the_guide_exist() -> None:
    used = set(re.findall(r"(?:`|^)router ([a-z]+)\b", TWILIO, flags=re.MULTILINE))

    assert used >= {"init", "check", "run", "drafts", "status", "events", "outbox"}
    assert used <= set(COMMANDS)
