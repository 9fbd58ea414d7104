"""``router token`` on a real database."""

import json
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from router.cli.main import main
from router.clock import SystemClock
from router.pipeline.people.tokens import Bearer, NoToken, bearer_of
from router.storage.database.reading import reader

CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"

[channels.phone]
type = "simulator"

[tenants.acme.channels.line]
type = "simulator"
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    (tmp_path / "router.toml").write_text(CONFIG, encoding="utf-8")

    def run(*words: str) -> tuple[int, str, str]:
        status = main(["-c", str(tmp_path / "router.toml"), *words])
        return (status, *capsys.readouterr())

    assert run("db", "migrate")[0] == 0
    return run


def bearer(folder: Path, text: str) -> Bearer:
    with reader(folder / "router.db") as connection:
        return bearer_of(connection, text, SystemClock().now())


def test_a_token_is_printed_once_and_apart_from_the_words_about_it(
    run: Run, tmp_path: Path
) -> None:
    status, out, err = run("token", "create", "--scopes", "read,drafts:write", "--name", "crm")

    text = out.strip()
    found = bearer(tmp_path, text)
    claims = jwt.decode(text, options={"verify_signature": False})
    assert status == 0
    assert (found.tenant, found.name) == ("main", "crm")
    assert set(found.scopes) == {"read", "drafts:write"}
    assert claims["exp"] - claims["iat"] == 90 * 86400
    assert err.startswith(f"Token {found.id}, good until 20")
    assert out == f"{text}\n"


def test_tokens_are_listed_and_revoked(run: Run, tmp_path: Path) -> None:
    create = ("token", "create", "--json", "--by", "eva")
    one = json.loads(run(*create, "--scopes", "read")[1])
    two = json.loads(run(*create, "--scopes", "write", "--tenant", "acme", "--expires", "1h")[1])
    listed = run("token", "list")[1]
    ours = json.loads(run("token", "list", "--tenant", "acme", "--json")[1])

    revoked = run("token", "revoke", one["token"]["id"])
    left = json.loads(run("token", "list", "--json")[1])
    every = run("token", "list", "--all")[1]

    assert listed.splitlines()[0].split() == [
        *("ID", "TENANT", "NAME", "STATE", "EXPIRES", "SCOPES")
    ]
    assert [it["id"] for it in ours] == [two["token"]["id"]]
    assert revoked == (0, f"{one['token']['id']} is revoked.\n", "")
    assert [it["id"] for it in left] == [two["token"]["id"]]
    assert "revoked" in every
    assert one["text"] not in every
    with pytest.raises(NoToken, match="revoked"):
        bearer(tmp_path, one["text"])
    assert bearer(tmp_path, two["text"]).tenant == "acme"


def test_a_new_key_may_end_the_tokens_before_it(run: Run, tmp_path: Path) -> None:
    def created() -> str:
        return run("token", "create", "--scopes", "read")[1].strip()

    first = created()
    kept = run("token", "rotate")
    second = created()
    ended = run("token", "rotate", "--now")

    assert kept == (0, "New tokens of main are signed with a new key.\n", "")
    assert ended == (0, "New tokens of main are signed with a new key. 2 tokens ended.\n", "")
    for text in (first, second):
        with pytest.raises(NoToken):
            bearer(tmp_path, text)
    assert bearer(tmp_path, created()).tenant == "main"


@pytest.mark.parametrize(
    "words, status, message",
    [
        (
            ["create", "--scopes", "draft:write"],
            2,
            'there is no scope "draft:write". Did you mean "drafts:write"?',
        ),
        (["create", "--scopes", " , "], 2, "--scopes is empty. There are: read, write, "),
        (["create"], 2, "missing option"),
        (
            ["create", "--scopes", "read", "--expires", "soon"],
            2,
            '--expires must be a duration such as "15s", "2m", "24h" or "7d"',
        ),
        (["create", "--scopes", "read", "--expires", "0s"], 1, "the arguments do not fit"),
        (
            ["create", "--scopes", "read", "--name", "bot"],
            1,
            '"bot" is not a name for a token: it stands for somebody else\n',
        ),
        (
            ["create", "--scopes", "read", "--tenant", "acne"],
            1,
            'there is no tenant "acne". There are: main, acme\n',
        ),
        (["revoke", "x"], 1, 'there is no token "x"\n'),
        (["rotate", "--tenant", "acne"], 1, 'there is no tenant "acne". There are: main, acme\n'),
    ],
)
def test_what_cannot_be_is_told(run: Run, words: list[str], status: int, message: str) -> None:
    found, out, err = run("token", *words)

    assert (found, out) == (status, "")
    assert err.startswith(message)
