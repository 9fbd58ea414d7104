"""``router calls batches``, ``submit`` and ``cancel``: calls to many."""

import csv
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli.options import ArgumentMistake, AsJson, Limit, Person, Tenant, person, project_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from router.cli.project import Project

app = typer.Typer(add_completion=False, rich_markup_mode=None)

#: The column of a file that says whom to call; every other one is a variable of the agent.
NUMBER = "phone_number"

_Through = Annotated[
    str | None,
    typer.Option(
        "--through", help="The [actions.*] table that makes calls. Default: the only one there is."
    ),
]


@app.command(epilog="Example: router calls batches")
def batches(
    ctx: typer.Context, tenant: Tenant = None, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """List the batches submitted here, and how far they are."""
    from router.cli.output import age, print_json, print_table
    from router.storage.batches import list_batches

    project = project_of(ctx)
    actions = list(_dialers(project))
    with project.reading() as connection:
        views = [
            view
            for name in project.chosen(tenant)
            for view in list_batches(connection, name, actions, limit=limit)
        ]
    if as_json:
        print_json(views)
        return
    print_table(
        ("ITEM", "STATE", "BATCH", "TO CALL", "DONE", "FAILED", "AGE", "NAME"),
        [
            (
                it.id,
                it.state if it.cancel is None else f"{it.state}, cancelling: {it.cancel_state}",
                it.batch or "",
                it.recipients,
                it.done,
                it.failed,
                age(it.created_at),
                it.name,
            )
            for it in views
        ],
        nothing="No batch was submitted here.",
    )


@app.command(epilog="Example: router calls submit clientes.csv --name Noviembre")
def submit(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help=f"A CSV file. The column {NUMBER} says whom to call; every other column is a "
            "variable of the agent."
        ),
    ],
    *,
    name: Annotated[str, typer.Option(help="What the batch is called. Default: the file.")] = "",
    at: Annotated[
        str | None,
        typer.Option(help="When it begins, such as 2026-12-01T09:00:00-05:00. Default: at once."),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Also if the same batch was submitted in the last 24 hours."),
    ] = False,
    through: _Through = None,
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Submit a batch of calls. It leaves through the outbox, once: never twice.

    Where nobody knows whether the provider took it, it is looked for there, and not begun again;
    `router outbox show ITEM` tells.
    """
    from router.cli.output import plural, print_json
    from router.domain.identity import MAIN_TENANT

    project = project_of(ctx)
    given: dict[str, Any] = {
        "tenant": tenant or MAIN_TENANT,
        "through": through,
        "name": name or file.stem,
        "at": None if at is None else _moment(at),
        "recipients": _recipients(file),
        "again": again,
        "by": person(by),
    }
    _check(given, _dialers(project))
    item = project.act("calls.submit", **given)["item"]
    number = len(given["recipients"])
    if as_json:
        print_json({"item": item, "recipients": number})
    else:
        print(f"{plural(number, 'call')} to be made: router outbox show {item}")


@app.command(epilog="Example: router calls cancel btcal_0001")
def cancel(
    ctx: typer.Context,
    batch: Annotated[
        str, typer.Argument(help="The provider's id of the batch, or the item it left as.")
    ],
    *,
    through: Annotated[
        str | None,
        typer.Option(
            "--through", help="The [actions.*] table that ends it, if it was not submitted here."
        ),
    ] = None,
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a batch: who was not called yet is not called."""
    from router.cli.output import print_json
    from router.domain.identity import MAIN_TENANT
    from router.errors import NotFound
    from router.storage.batches import find_batch

    project = project_of(ctx)
    names = _dialers(project)
    if through is not None and through not in names:
        known = ", ".join(sorted(names)) or "none is configured"
        raise ArgumentMistake(f'there is no action "{through}" that makes calls: {known}')
    try:
        owner, _ = project.find(tenant, lambda it, name: find_batch(it, name, batch, list(names)))
    except NotFound:
        if through is None:
            raise ArgumentMistake(
                f'no batch "{batch}" was submitted here. To end one that was begun elsewhere, say '
                "with --through which action does it"
            ) from None
        owner = tenant or MAIN_TENANT
    done = project.act("calls.cancel", tenant=owner, id=batch, through=through, by=person(by))
    known_as = (done["batch"] or {}).get("batch") or batch
    if as_json:
        print_json({"item": done["item"], "batch": known_as})
    elif done["item"] is None:
        print(f"{batch} was withdrawn before it left: nobody is called.")
    else:
        print(f"{known_as} is being cancelled: router outbox show {done['item']}")


def _dialers(project: "Project") -> "Mapping[str, type[BaseModel]]":
    from router.pipeline.people.surroundings import dialers_of

    return dialers_of(project.settings())


def _check(given: dict[str, Any], dialers: "Mapping[str, type[BaseModel]]") -> None:
    """See to it that a mistake in the arguments is told as one, before anything is done."""
    from pydantic import ValidationError

    from router.errors import ActRefused
    from router.pipeline.people.batches import NewBatch, prepared

    try:
        prepared(NewBatch.model_validate(given), dialers)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        words = first["msg"].removeprefix("Value error, ")
        raise ArgumentMistake(f"{where}: {words}") from None
    except ActRefused as error:
        hint = "" if given["through"] else "; name one with --through"
        raise ArgumentMistake(f"{error}{hint}") from None


def _recipients(file: Path) -> list[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except OSError as error:
        raise ArgumentMistake(f"{file}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArgumentMistake(f"{file} is no CSV file in UTF-8: {error}") from None
    if not rows or NUMBER not in rows[0]:
        raise ArgumentMistake(f"{file}: the first line must name the column {NUMBER}")
    return [_recipient(file, number, row) for number, row in enumerate(rows, start=2)]


def _recipient(file: Path, number: int, row: dict[str, Any]) -> dict[str, Any]:
    from router.pipeline.people.reporting import telephone

    try:
        called = telephone(row.pop(NUMBER) or "")
    except ValueError as error:
        raise ArgumentMistake(f"{file}:{number}: {error}") from None
    variables = {name: value for name, value in row.items() if name and isinstance(value, str)}
    return {"phone_number": called, "variables": variables}


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentMistake(f'"{text}" is no moment; write 2026-12-01T09:00:00-05:00') from None
    return (moment if moment.tzinfo else moment.astimezone()).isoformat()
