"""Tokens and their keys, and answers that are kept, on SQLite and PostgreSQL."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ActRefused, NotFound
from router.pipeline.people.tokens import ISSUER, Bearer, NoToken, bearer_of, give_out
from router.storage import tokens
from router.storage.idempotency import LIFE, KeyReused, RequestKey, once
from router.storage.tables import api_answer, api_key, api_token
from tests.databases import Database
from tests.unit.storage.conftest import NOW, writing

HOUR = timedelta(hours=1)
REQUEST = RequestKey(tenant="main", token="t", route="POST /drafts", key="k", digest="d")


def made(database: Database, tenant: str = "main", **more: Any) -> tuple[tokens.TokenView, str]:
    values = {"name": "crm", "scopes": ["read", "drafts:write"], "by": "eva", "now": NOW}
    values |= {"expires_at": NOW + HOUR, **more}
    return database.do(give_out, tenant=tenant, **values)


def told(database: Database, text: str) -> str:
    with pytest.raises(NoToken) as caught:
        database.do(bearer_of, text, NOW)
    return str(caught.value)


# Tokens ───────────────────────────────────────────────────────────────────────────────────────


def test_a_token_tells_whose_it_is_and_is_kept_nowhere(database: Database) -> None:
    view, text = made(database)

    bearer = database.do(bearer_of, text, NOW)

    assert bearer == Bearer(
        id=view.id,
        tenant="main",
        name="crm",
        scopes=frozenset({"read", "drafts:write"}),
        expires_at=NOW + HOUR,
    )
    rows = [*database.rows(api_token), *database.rows(api_key)]
    assert not [row for row in rows if any(part in str(row) for part in text.split("."))]


@pytest.mark.parametrize(
    "scopes, scope, good",
    [
        ({"read"}, "drafts:read", True),
        ({"read"}, "drafts:write", False),
        ({"write"}, "drafts:write", True),
        ({"write"}, "drafts:read", False),
        ({"drafts:write"}, "drafts:write", True),
        ({"drafts:write"}, "drafts:read", False),
        ({"drafts:write"}, "tickets:write", False),
        (set(), "drafts:read", False),
    ],
)
def test_a_scope_is_good_for_itself_or_for_all_of_its_kind(
    scopes: set[str], scope: str, good: bool
) -> None:
    bearer = Bearer(id="t", tenant="main", name="n", scopes=frozenset(scopes), expires_at=NOW)

    assert bearer.may(scope) is good


def test_a_revoked_token_is_worth_nothing_and_is_revoked_once(database: Database) -> None:
    view, text = made(database)

    revoked = database.do(tokens.revoke_token, "main", view.id, by="ana", now=NOW)

    assert (revoked.revoked_at, revoked.revoked_by) == (NOW, "ana")
    assert told(database, text) == "the token was revoked"
    with pytest.raises(ActRefused, match="revoked already, by ana"):
        database.do(tokens.revoke_token, "main", view.id, by="eva", now=NOW)
    with pytest.raises(NotFound):
        database.do(tokens.revoke_token, "clinica", view.id, by="eva", now=NOW)


def test_a_token_ends_at_its_moment(database: Database) -> None:
    _, text = made(database)

    assert database.do(bearer_of, text, NOW + HOUR - timedelta(seconds=1)).name == "crm"
    with pytest.raises(NoToken, match="the token has expired"):
        database.do(bearer_of, text, NOW + HOUR)


def _headed(head: bytes) -> str:
    """Give what looks like a token, with a head that no library writes."""
    return f"{base64.urlsafe_b64encode(head).decode().rstrip('=')}.e30.AAAA"


def forged(database: Database, view: tokens.TokenView, text: str) -> Mapping[str, str]:
    """Give tokens that are almost right."""
    (key,) = [row for row in database.rows(api_key) if row.tenant == "main"]
    claims = jwt.decode(text, options={"verify_signature": False})
    header = {"kid": key.id}

    def signed(changed: Mapping[str, Any], secret: str = key.secret, **head: Any) -> str:
        algorithm = head.pop("algorithm", "HS256")
        return jwt.encode(
            {**claims, **changed}, secret, algorithm=algorithm, headers={**header, **head}
        )

    foreign, _ = made(database, tenant="clinica")
    (other,) = [row for row in database.rows(api_key) if row.tenant == "clinica"]
    missing = {name: value for name, value in claims.items() if name != "jti"}
    head, body, signature = text.split(".")
    return {
        "another secret": signed({}, "x" * 64),
        "another tenant's name": signed({"tenant": "clinica"}),
        "another tenant's key": signed({}, other.secret, kid=other.id),
        "another tenant's token": signed({"jti": foreign.id}),
        "no such token": signed({"jti": "x"}),
        "no such key": signed({}, kid="x"),
        "a key with a NUL": signed({}, kid="x\0"),
        "a key with half a character": _headed(b'{"alg":"HS256","kid":"\\ud800"}'),
        "a key in other letters": signed({}, kid="ñ"),
        "a head that is too deep": _headed(b"[" * 2900),
        "another issuer": signed({"iss": "me"}),
        "another algorithm": signed({}, algorithm="HS512"),
        "no signature": jwt.encode(claims, "", algorithm="none", headers=header),
        "no id": jwt.encode(missing, key.secret, algorithm="HS256", headers=header),
        "no key's name": jwt.encode(claims, key.secret, algorithm="HS256"),
        "a changed body": f"{head}.{body[:-2]}AA.{signature}",
        "a signature of nothing": f"{head}.{body}.",
        "its id alone": view.id,
        "nothing": "",
        "dots": "..",
        "another script": "ñ.ñ.ñ",
        "very much": text + "A" * 5000,
    }


FORGERIES = (
    "another secret",
    "another tenant's name",
    "another tenant's key",
    "another tenant's token",
    "no such token",
    "no such key",
    "a key with a NUL",
    "a key with half a character",
    "a key in other letters",
    "a head that is too deep",
    "another issuer",
    "another algorithm",
    "no signature",
    "no id",
    "no key's name",
    "a changed body",
    "a signature of nothing",
    "its id alone",
    "nothing",
    "dots",
    "another script",
    "very much",
)


def test_what_is_almost_a_token_is_none(database: Database) -> None:
    view, text = made(database)
    forgeries = forged(database, view, text)

    assert tuple(forgeries) == FORGERIES
    assert {name: told(database, each) for name, each in forgeries.items()} == dict.fromkeys(
        FORGERIES, "the token is not one that was given out here"
    )
    assert jwt.decode(text, options={"verify_signature": False})["iss"] == ISSUER


def test_a_new_key_signs_from_now_on_and_old_tokens_stay_good(database: Database) -> None:
    _, before = made(database)
    database.do(tokens.new_key, "main", NOW + HOUR / 2)
    _, after = made(database)

    kids = [jwt.get_unverified_header(text)["kid"] for text in (before, after)]
    assert len(set(kids)) == 2
    for text in (before, after):
        assert database.do(bearer_of, text, NOW).name == "crm"


def test_retired_keys_end_the_tokens_that_they_signed_of_one_tenant(database: Database) -> None:
    _, before = made(database)
    _, other = made(database, tenant="clinica")
    made(database, expires_at=NOW - HOUR)
    key = database.do(tokens.new_key, "main", NOW)

    ended = database.do(tokens.retire_keys, "main", but=key.id, now=NOW)

    assert ended == 1
    assert told(database, before) == "the token is not one that was given out here"
    assert database.do(bearer_of, other, NOW).tenant == "clinica"
    assert database.do(bearer_of, made(database)[1], NOW).tenant == "main"


def test_tokens_are_listed_by_tenant_without_those_that_are_over(database: Database) -> None:
    good, _ = made(database, name="good")
    made(database, name="old", expires_at=NOW)
    gone, _ = made(database, name="gone")
    made(database, tenant="clinica")
    database.do(tokens.revoke_token, "main", gone.id, by="ana", now=NOW)

    every = database.do(tokens.list_tokens, "main")
    useful = database.do(tokens.list_tokens, "main", useful=NOW)

    assert {view.name for view in every} == {"good", "old", "gone"}
    assert [view.id for view in useful] == [good.id]


def test_a_key_does_not_print_its_secret(database: Database) -> None:
    key = database.do(tokens.signing_key, "main", NOW)

    assert key.secret not in repr(key)
    assert database.do(tokens.signing_key, "main", NOW) == key


# Answers ──────────────────────────────────────────────────────────────────────────────────────


def done(database: Database, request: RequestKey, now: Any = NOW) -> tuple[Any, bool, int]:
    """Do something that counts how often it was done."""
    count: list[int] = []

    def do() -> dict[str, Any]:
        count.append(1)
        return {"did": [1, "ñ"]}

    def run(connection: sa.Connection) -> tuple[dict[str, Any], bool]:
        return once(writing(connection, now), request, do)

    answer, replayed = database.run(run)
    return answer, replayed, len(count)


def test_a_repeat_gets_the_same_answer_and_does_nothing(database: Database) -> None:
    assert done(database, REQUEST) == ({"did": [1, "ñ"]}, False, 1)
    assert done(database, REQUEST) == ({"did": [1, "ñ"]}, True, 0)


@pytest.mark.parametrize(
    "other", [{"tenant": "x"}, {"token": "x"}, {"route": "x"}, {"key": "x"}], ids=str
)
def test_another_tenant_token_route_or_key_is_another_request(
    database: Database, other: dict[str, str]
) -> None:
    done(database, REQUEST)

    assert done(database, replace(REQUEST, **other, digest="e"))[1:] == (False, 1)


def test_a_key_that_comes_with_something_else_is_refused(database: Database) -> None:
    done(database, REQUEST)

    with pytest.raises(KeyReused, match="said something else"):
        done(database, replace(REQUEST, digest="e"))
    assert done(database, REQUEST)[1:] == (True, 0)


def test_what_failed_is_tried_again(database: Database) -> None:
    def fail() -> dict[str, Any]:
        raise ActRefused("no")

    with pytest.raises(ActRefused):
        database.run(lambda it: once(writing(it), REQUEST, fail))

    assert database.rows(api_answer) == []
    assert done(database, REQUEST)[1:] == (False, 1)


def test_an_answer_is_kept_for_a_day_and_then_taken_away(database: Database) -> None:
    for number in range(30):
        done(database, replace(REQUEST, key=f"old-{number}"))
    just = NOW + LIFE - timedelta(seconds=1)

    assert done(database, replace(REQUEST, key="old-0"), just)[1:] == (True, 0)
    assert done(database, replace(REQUEST, key="old-0", digest="e"), NOW + LIFE)[1:] == (False, 1)
    done(database, REQUEST, NOW + LIFE)
    assert {row.key for row in database.rows(api_answer)} == {"old-0", "k"}


def test_two_at_the_same_moment_have_one_effect(database: Database) -> None:
    if database.kind == "sqlite":
        # It has one writer; the store's tests let two come at once.
        assert [done(database, REQUEST)[1], done(database, REQUEST)[1]] == [False, True]
        return

    def slowly(connection: sa.Connection) -> tuple[dict[str, Any], bool]:
        def do() -> dict[str, Any]:
            connection.execute(sa.text("SELECT pg_sleep(0.2)"))
            return {"at": str(connection.scalar(sa.text("SELECT clock_timestamp()")))}

        return once(writing(connection), REQUEST, do)

    found = database.together(*[slowly] * 5)

    assert len({answer["at"] for answer, _ in found}) == 1
    assert sorted(replayed for _, replayed in found) == [False, True, True, True, True]


@given(st.text(max_size=5000))
def test_no_text_is_a_token(text: str) -> None:
    class Nothing:
        def execute(self, *_: Any) -> Any:
            raise AssertionError("nothing that is no token is looked up")

    connection: Any = Nothing()
    with pytest.raises(NoToken):
        bearer_of(connection, text, NOW)
