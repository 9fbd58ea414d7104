"""``router contacts``: what is stored of somebody, and how they are erased."""

import base64
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from router.cli.main import main
from router.storage.objects import Objects
from router.storage.tables import (
    alias,
    contact,
    conversation,
    inbox_event,
    lane,
    media,
    message,
)
from tests.databases import Database, empty_sqlite

ANA, LUIS = "tel:+573001234567", "tel:+573009876543"
MARK = "Quiere-cambiar-el-color"
CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"

[media]
store = "files"

[channels.phone]
type = "simulator"

[tenants.clinica]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A customer of two tenants, and one of a single one, who sent a file."""
    (tmp_path / "router.toml").write_text(CONFIG, encoding="utf-8")
    empty_sqlite(tmp_path / "router.db")
    then = datetime.now(UTC)
    digest = anyio.run(Objects(str(tmp_path / "files")).put, "main", b"a picture")
    with Database(f"sqlite+aiosqlite:///{tmp_path / 'router.db'}") as database:
        for n, (tenant, key) in enumerate((("main", ANA), ("main", LUIS), ("clinica", LUIS))):
            person = {"id": f"p-{n}", "tenant": tenant, "key": key, "name": f"Name{n}"}
            database.insert(contact, person | {"created_at": then})
            thread: dict[str, Any] = {"id": f"c-{n}", "tenant": tenant, "contact": f"p-{n}"}
            thread |= {"channel": "phone", "address": key, "status": "active"}
            thread |= {"source": "inbound", "owner": "bot", "last_activity_at": then}
            database.insert(conversation, thread | {"created_at": then})
            line: dict[str, Any] = {"id": f"m-{n}", "tenant": tenant, "conversation": f"c-{n}"}
            line |= {"direction": "in", "author": "customer", "channel": "phone", "address": key}
            line |= {"text": f"{MARK}-{n}" * 20, "created_at": then}
            if key == ANA:
                line["attachments"] = [{"kind": "image", "digest": digest}]
            database.insert(message, line)
            at = {"kind": "in", "key": f"{tenant}/{key}", "tenant": tenant}
            database.insert(lane, at | {"last_seq": 1, "done_seq": 1, "parked": False})
        row = {"tenant": "main", "digest": digest, "content_type": "image/png", "size": 9}
        database.insert(media, row | {"used_at": then})
    return tmp_path


def run(folder: Path, *words: str) -> int:
    return main(["--config", str(folder / "router.toml"), "contacts", *words])


@pytest.mark.parametrize("typed", ["+57 300 123-4567", "tel:+573001234567", "573001234567"])
def test_export_prints_all_of_one_person(
    folder: Path, capsys: pytest.CaptureFixture[str], typed: str
) -> None:
    assert run(folder, "export", typed) == 0

    document = json.loads(capsys.readouterr().out)
    assert (document["tenant"], document["address"]) == ("main", ANA)
    assert [it["name"] for it in document["contacts"]] == ["Name0"]
    assert [it["text"] for it in document["messages"]] == [f"{MARK}-0" * 20]


def test_export_writes_a_private_file_and_copies_files(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("export", ANA, "--json", str(folder / "ana.json"), "--files", str(folder / "ana"))
    assert run(folder, *words) == 0

    assert capsys.readouterr().out == f"{folder / 'ana.json'}: 1 message in 1 conversation\n"
    assert (folder / "ana.json").stat().st_mode & 0o777 == 0o600
    (told,) = json.loads((folder / "ana.json").read_text(encoding="utf-8"))["files"]
    assert (folder / "ana" / told["file"]).read_bytes() == b"a picture"
    assert told["file"].endswith(".png")

    assert run(folder, *words) == 2  # nothing is written over
    assert capsys.readouterr().err.startswith(f"{folder / 'ana'}: File exists")
    assert run(folder, *words[:4]) == 2
    assert capsys.readouterr().err.startswith(f"{folder / 'ana.json'}: File exists")


def test_erase_says_what_there_is_and_asks(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(folder, "erase", ANA) == 1
    out = capsys.readouterr().out
    assert out.startswith(
        f"Of {ANA}, tenant main, there are: 1 conversation, 1 message, 2 other rows."
    )
    assert "Delete all of it for good? [y/N]" in out
    assert run(folder, "export", ANA) == 0
    capsys.readouterr()

    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run(folder, "erase", ANA, "--by", "eva") == 0
    out = capsys.readouterr().out
    assert "Erased: 1 conversation, 1 message, 1 file, 2 other rows. The proof is " in out
    assert "Their files are removed, too; " in out
    assert not [path for path in (folder / "files").rglob("*") if path.is_file()]
    assert run(folder, "export", ANA) == 1
    assert capsys.readouterr().err == f'there is no data of "{ANA}"\n'


def test_a_file_that_cannot_be_removed_does_not_stop_an_erasure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = (path for path in (folder / "files").rglob("*") if path.is_file())
    file.unlink()
    (file / "in the way").mkdir(parents=True)

    assert run(folder, "erase", ANA, "--yes") == 0

    assert "file not removed" in capsys.readouterr().err
    with Database(f"sqlite+aiosqlite:///{folder / 'router.db'}") as database:
        (row,) = database.rows(media)
    assert row.digest == file.name
    assert row.used_at.year == 1970


def test_verify_finds_somebody_until_they_are_erased(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "verify", "+573001234567", "--name", MARK) == 1
    out = capsys.readouterr().out
    for row in ("contact", "conversation", "message", "lane"):
        assert re.search(rf"^main +{row} ", out, re.MULTILINE)
    assert "clinica  message" in out  # what is looked for there, too

    assert run(folder, "erase", ANA, "--yes", "--by", "eva") == 0
    proof = capsys.readouterr().out.split("The proof is ")[1].split(".")[0]
    assert run(folder, "verify", "+57 (300) 123.4567", "--name", f"{MARK}-0") == 0
    assert "was not found in any table of main, clinica." in capsys.readouterr().out

    assert run(folder, "verify", "+57 300 123 4567", "--name", f"{MARK}-0", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["found"] == []
    assert [(it["id"], it["by"]) for it in told["erasures"]] == [(proof, "eva")]
    assert run(folder, "erasures") == 0
    listed = capsys.readouterr().out
    assert proof in listed
    assert "1 conversation, 1 message, 1 file, 2 other rows" in listed
    assert "300123" not in listed


def test_what_is_erased_is_written_over_in_the_file(folder: Path) -> None:
    assert f"{MARK}-0".encode() in (folder / "router.db").read_bytes()

    assert run(folder, "erase", ANA, "--yes") == 0

    data = b"".join(path.read_bytes() for path in folder.glob("router.db*") if path.is_file())
    assert f"{MARK}-0".encode() not in data
    assert f"{MARK}-1".encode() in data


def test_a_request_that_nobody_read_is_deleted_only_if_that_is_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = base64.b64encode(f"De {ANA[4:]} y de {LUIS[4:]}".encode()).decode()
    row: dict[str, Any] = {"lane": "main/raw:phone", "seq": 1, "tenant": "main", "type": "unparsed"}
    row |= {"source": "main/phone", "external_id": "raw:1", "outcome": "unparsed"}
    row |= {"payload": json.dumps({"body": body}), "received_at": datetime.now(UTC)}
    with Database(f"sqlite+aiosqlite:///{folder / 'router.db'}") as database:
        database.insert(inbox_event, row)

    assert run(folder, "erase", ANA, "--yes") == 1
    err = capsys.readouterr().err
    assert "main/raw:phone#1" in err
    assert "`router events retry ID`" in err
    assert run(folder, "export", ANA) == 0
    document = json.loads(capsys.readouterr().out)
    assert [it["id"] for it in document["named_in"]] == ["main/raw:phone#1"]
    assert body not in json.dumps(document)

    assert run(folder, "erase", ANA, "--yes", "--with-unread") == 0
    assert run(folder, "verify", ANA) == 0


def test_who_discards_a_request_that_nobody_read_erases_without_another_word(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = f"De {ANA[4:]} y de {LUIS[4:]}, {MARK}-raw".encode()
    body = base64.b64encode(said).decode()
    row: dict[str, Any] = {"lane": "main/raw:phone", "tenant": "main", "type": "unparsed"}
    row |= {"source": "main/phone", "outcome": "unparsed", "received_at": datetime.now(UTC)}
    row |= {"payload": json.dumps({"channel": "phone", "body": body, "error": "no"})}
    with Database(f"sqlite+aiosqlite:///{folder / 'router.db'}") as database:
        database.insert(inbox_event, row | {"seq": 1, "external_id": "raw:1"})
        database.insert(inbox_event, row | {"seq": 2, "external_id": "raw:2"})
    discard = ("--config", str(folder / "router.toml"), "events", "discard", "--because")
    assert run(folder, "erase", ANA, "--yes") == 1
    assert "`router events discard ID`" in capsys.readouterr().err

    assert main([*discard, "spam", "main/raw:phone#1"]) == 0
    assert main([*discard, f"it is of {ANA[4:]}", "main/raw:phone#2"]) == 0

    data = b"".join(path.read_bytes() for path in folder.glob("router.db*") if path.is_file())
    assert body.encode() not in data
    assert run(folder, "erase", ANA, "--yes") == 0
    assert run(folder, "verify", ANA) == 0
    with Database(f"sqlite+aiosqlite:///{folder / 'router.db'}") as database:
        asked = inbox_event.select().where(inbox_event.c.lane == "main/raw:phone")
        left = database.run(lambda connection: connection.execute(asked).all())
    assert [(it.seq, it.discarded_because) for it in left] == [(1, "spam")]


def test_an_opt_out_that_is_kept_is_told_with_all_that_leads_to_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"tenant": "main", "address": "bsuid:CO.998877", "key": ANA}
    with Database(f"sqlite+aiosqlite:///{folder / 'router.db'}") as database:
        database.insert(alias, row | {"created_at": datetime.now(UTC)})
        wish = contact.update().where(contact.c.key == ANA).values(opted_out=True)
        database.run(lambda connection: connection.execute(wish))

    assert run(folder, "erase", ANA, "--yes") == 0
    assert "is kept, with nothing but their addresses, so that nobody" in capsys.readouterr().out
    assert run(folder, "verify", ANA) == 1
    out = capsys.readouterr().out
    assert "A contact and aliases that are found may be all that is kept" in out
    assert re.findall(r"^main +(\w+) ", out, re.MULTILINE) == ["alias", "contact"]

    assert run(folder, "erase", ANA, "--yes", "--forget-opt-out") == 0
    assert run(folder, "verify", ANA) == 0


@pytest.mark.parametrize("command", ["export", "erase"])
def test_who_is_known_to_several_tenants_needs_one_named(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    more = ("--yes",) if command == "erase" else ()
    assert run(folder, command, LUIS, *more) == 2
    assert capsys.readouterr().err.startswith(
        f"{LUIS} is known to several tenants (main, clinica), each of which answers for its own. "
        "Say which with --tenant"
    )

    assert run(folder, command, LUIS, *more, "--tenant", "clinica") == 0
    assert run(folder, "export", LUIS, "--tenant", "main") == 0


def test_an_address_that_is_none_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "erase", "Ana") == 2
    assert capsys.readouterr().err.startswith(
        '"Ana" is neither a telephone number nor scheme:value'
    )


def test_nobody_was_erased(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "erasures") == 0
    assert capsys.readouterr().out == "Nobody was erased.\n"
