"""The guide to the API: its commands and requests work, its tables are what there is."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import anyio
import httpx
import pytest

from router.cli.main import main
from router.data import data_path
from router.web.api.app import resources, scopes
from router.web.api.openapi import document
from tests.integration.web.api_site import (
    DRAFT,
    ENDPOINTS,
    ESCALATION,
    REPLY,
    TICKET,
    Site,
    Things,
    opened,
)

GUIDE = data_path("config", "API.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, flags=re.DOTALL | re.MULTILINE)


def commands() -> Iterator[str]:
    for block in blocks("sh"):
        yield from block.replace("\\\n", " ").splitlines()


def rows(header: str) -> list[list[str]]:
    """Give the cells of the table with this header."""
    _, _, table = GUIDE.partition(f"| {header} |")
    lines = table.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


def asked(command: str, names: dict[str, str]) -> httpx.Response:
    """Do what curl does."""
    words = iter(shlex.split(Template(command).substitute(names))[1:])
    method, url, headers, body = "GET", "", {}, None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words).encode()
        else:
            url = word
    return httpx.request(method, url, headers=headers, content=body, timeout=30)


def keys(value: Any) -> Any:
    """Give the names of JSON, and where they stand."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [keys(inner) for inner in value]
    return None


def test_each_command_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "router.toml").write_text('[channels.phone]\ntype = "simulator"\n')
    config = ["--config", str(tmp_path / "router.toml")]
    assert main(["db", "migrate", *config]) == 0
    done, token = [], ""
    for command in commands():
        if not command.startswith("router "):
            continue
        words = shlex.split(Template(command).substitute(ID=token))
        assert main([*words[1:], *config]) == 0, capsys.readouterr().err
        done.append(" ".join(words[1:3]))
        if done[-1] == "token create":
            token = capsys.readouterr().err.split()[1].rstrip(",")

    assert done == ["token create", "token list", "token revoke"]


async def things(site: Site) -> tuple[dict[str, str], Things]:
    made = await site.said(REPLY, DRAFT, TICKET, ESCALATION)
    names = {
        "ROUTER": site.daemon.url,
        "TOKEN": await site.token(),
        "ADDRESS": made.address,
        "CONVERSATION": made.conversation,
        "DRAFT": made.draft,
        "TICKET": made.ticket,
        "ITEM": made.item,
        "BATCH": await site.dialled(made),
    }
    return names, made


async def test_each_request_works_and_gives_what_is_shown(tmp_path: Path) -> None:
    async with opened(tmp_path, engine="hypercorn") as site:
        names, _ = await things(site)
        curls = [command for command in commands() if command.startswith("curl ")]
        assert len(curls) == 10
        answers = [await anyio.to_thread.run_sync(asked, each, names) for each in curls]

    for command, answer in zip(curls, answers, strict=True):
        assert answer.is_success, (command, answer.text)
    assert keys(json.loads(blocks("json")[0])) == keys(answers[0].json())
    assert [it.status_code for it in answers[3:]] == [202, 202, 200, 202, 202, 200, 200]


async def test_a_problem_looks_as_it_is_shown(tmp_path: Path) -> None:
    async with opened(tmp_path) as site, site.client() as client:
        answer = await client.get("drafts?limit=201")

    assert answer.json() == json.loads(blocks("json")[1])


def test_each_endpoint_has_its_row_and_no_row_is_left_over() -> None:
    written = [tuple(cell.strip("`| ") for cell in row) for row in rows("request | scope | does")]

    assert written == [
        (f"{each.method} {each.template}", each.scope or "any", each.summary) for each in ENDPOINTS
    ]


def test_each_scope_is_told_and_no_other() -> None:
    told = [name for row in rows("scope | good for") for name in re.findall(r"`([^`]+)`", row[0])]

    assert sorted(told) == sorted(scopes())


def test_each_status_of_the_document_is_told() -> None:
    told = {code for row in rows("status | what to do") for code in re.findall(r"\d{3}", row[0])}
    described = document(resources(), "https://router.example")["components"]["responses"]
    assert told == {*described, "405"}
