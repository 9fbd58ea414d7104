"""``router calls``: what was said on the telephone, and batches of calls."""

import csv
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli.options import ArgumentMistake, AsJson, Limit, Person, Tenant, person, project_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.cli.project import Project
    from router.storage.calls import CallView

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Telephone calls, and batches of them.",
)

#: The column of a file that says whom to call; every other one is a variable of the agent.
NUMBER = "phone_number"

_Through = Annotated[
    str | None,
    typer.Option(
        "--through", help="The [actions.*] table that makes calls. Default: the only one there is."
    ),
]


def told(call: "CallView") -> str:
    """Give a call as one line of a timeline."""
    from router.cli.output import line

    about = [call.direction]
    if call.duration is not None:
        about.append(f"{round(call.duration.total_seconds())} s")
    if call.status == "failed":
        about.append("nobody was reached")
    elif call.outcome != "unknown":
        about.append(call.outcome)
    words = call.summary or (call.reason if call.status == "failed" else "") or ""
    return f"call ({', '.join(about)}): {line(words)}"


@app.command("list", epilog="Example: router calls list --batch btcal_0001")
def list_(
    ctx: typer.Context,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that reached nobody.")] = (
        False
    ),
    batch: Annotated[str | None, typer.Option(help="Only of this batch.")] = None,
    tenant: Tenant = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List calls that are over, the newest first."""
    from router.cli.output import age, print_json, print_table
    from router.storage.calls import list_calls

    project = project_of(ctx)
    statuses = ("failed",) if failed else ()
    with project.reading() as connection:
        views = [
            view
            for name in project.chosen(tenant)
            for view in list_calls(connection, name, statuses=statuses, batch=batch, limit=limit)
        ]
    if as_json:
        print_json(views)
        return
    print_table(
        ("ID", "STATUS", "OUTCOME", "AGE", "CUSTOMER", "SUMMARY"),
        [
            (
                view.id,
                view.status,
                view.outcome,
                age(view.at),
                view.party,
                view.summary or view.reason or "",
            )
            for view in views
        ],
        nothing="There is no such call.",
    )


@app.command(epilog="Example: router calls show conv_0001")
def show(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="CALL", help="The provider's id of it.")],
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Show one call and what was said in it."""
    from router.cli.output import line, moment, print_fields, print_json
    from router.storage.calls import show_call

    _, view = project_of(ctx).find(tenant, lambda it, name: show_call(it, name, id))
    if as_json:
        print_json(view)
        return
    seconds = None if view.duration is None else f"{round(view.duration.total_seconds())} s"
    print_fields(
        [
            ("call", view.id),
            ("customer", view.party),
            ("began", moment(view.at)),
            ("duration", seconds),
            ("direction", view.direction),
            ("status", view.status),
            ("outcome", view.outcome),
            ("reason", view.reason),
            ("agent", view.agent),
            ("batch", view.batch),
            ("reported by", view.origin),
            ("recording", view.recording.url if view.recording else None),
            ("conversation", view.conversation),
            ("event", view.event),
            ("summary", view.summary),
            *((f"data.{name}", value) for name, value in view.data.items()),
        ]
    )
    if view.transcript:
        print()
    for turn in view.transcript:
        print(f"  {turn.role}: {line(turn.text)}")


@app.command(epilog="Example: router calls batches")
def batches(
    ctx: typer.Context, tenant: Tenant = None, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """List the batches submitted here, and how far they are."""
    from router.cli.output import age, print_json, print_table
    from router.storage.calls import count_calls
    from router.storage.outbox import list_items

    project = project_of(ctx)
    names = _actions(project)
    found: list[dict[str, Any]] = []
    with project.reading() as connection:
        for owner in project.chosen(tenant):
            items = list_items(connection, owner, kinds=("action",), limit=500)
            for item in items:
                params: Mapping[str, Any] = item.body.get("params", {})
                if item.destination not in names or not params.get("recipients"):
                    continue
                done, failed = count_calls(connection, owner, item.provider_ref)
                found.append(
                    {
                        "item": item.id,
                        "batch": item.provider_ref,
                        "name": params.get("name", ""),
                        "state": item.state,
                        "recipients": len(params["recipients"]),
                        "done": done,
                        "failed": failed,
                        "created_at": item.created_at,
                        "error": item.error,
                    }
                )
    found = found[:limit]
    if as_json:
        print_json(found)
        return
    print_table(
        ("ITEM", "STATE", "BATCH", "TO CALL", "DONE", "FAILED", "AGE", "NAME"),
        [
            (
                it["item"],
                it["state"],
                it["batch"] or "",
                it["recipients"],
                it["done"],
                it["failed"],
                age(it["created_at"]),
                it["name"],
            )
            for it in found
        ],
        nothing="No batch was submitted here.",
    )


@app.command(epilog="Example: router calls variants --since 7d")
def variants(
    ctx: typer.Context,
    *,
    since: Annotated[
        str | None, typer.Option(help="Nothing older, such as 7d. Default: all there is.")
    ] = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Say which wording of a first message was answered."""
    from router.cli.output import print_json, print_table
    from router.clock import SystemClock, seconds
    from router.storage.stats import Scope
    from router.storage.variants import count_variants

    begin = None
    if since is not None:
        try:
            begin = SystemClock().now() - timedelta(seconds=seconds(since))
        except ValueError as error:
            raise ArgumentMistake(f"--since {error}") from None
    project = project_of(ctx)
    with project.reading() as connection:
        counts = [
            count
            for name in project.chosen(tenant)
            for count in count_variants(connection, Scope(tenant=name, since=begin))
        ]
    if as_json:
        print_json(counts)
        return
    print_table(
        ("RULE", "VARIANT", "SENT", "ANSWERED", "SHARE"),
        [(it.rule, it.variant, it.sent, it.answered, f"{it.share or 0:.0%}") for it in counts],
        nothing="No rule has sent one of several wordings.",
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
    name: Annotated[str, typer.Option(help="What the batch is called.")] = "",
    at: Annotated[
        str | None,
        typer.Option(help="When it begins, such as 2026-12-01T09:00:00-05:00. Default: at once."),
    ] = None,
    through: _Through = None,
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Submit a batch of calls. It leaves through the outbox, once: never twice.

    Where nobody knows whether the provider took it, it is looked for there, and not begun again;
    `router outbox show ITEM` tells.
    """
    params: dict[str, Any] = {"name": name or file.stem, "recipients": _recipients(file)}
    if at is not None:
        params["at"] = _moment(at)
    project = project_of(ctx)
    item = _run(project, through, params, tenant=tenant, by=by)
    if as_json:
        from router.cli.output import print_json

        print_json({"item": item, "recipients": len(params["recipients"])})
    else:
        from router.cli.output import plural

        print(f"{plural(len(params['recipients']), 'call')} to be made: router outbox show {item}")


@app.command(epilog="Example: router calls cancel btcal_0001")
def cancel(
    ctx: typer.Context,
    batch: Annotated[
        str, typer.Argument(help="The provider's id of the batch, or the item it left as.")
    ],
    *,
    through: _Through = None,
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a batch: who was not called yet is not called."""
    from router.errors import NotFound
    from router.storage.outbox import show_item

    project = project_of(ctx)
    name = batch
    try:
        _, item = project.find(tenant, lambda it, owner: show_item(it, owner, batch))
    except NotFound:
        pass
    else:
        if item.provider_ref is None:
            raise ArgumentMistake(
                f'"{batch}" is {item.state}: the provider has not taken it, so there is nothing to '
                "cancel there"
            )
        name = item.provider_ref
    done = _run(project, through, {"cancel": name}, tenant=tenant, by=by)
    if as_json:
        from router.cli.output import print_json

        print_json({"item": done, "batch": name})
    else:
        print(f"{name} is being cancelled: router outbox show {done}")


def _run(
    project: "Project",
    through: str | None,
    params: dict[str, Any],
    *,
    tenant: str | None,
    by: str | None,
) -> str:
    """Put an action into the outbox, after looking whether it takes this."""
    from pydantic import ValidationError

    from router.domain.identity import MAIN_TENANT

    names = _actions(project)
    if through is None:
        if len(names) != 1:
            known = ", ".join(sorted(names)) or "none is configured"
            raise ArgumentMistake(f"say which action makes calls, with --through: {known}")
        through = next(iter(names))
    if through not in names:
        known = ", ".join(sorted(names)) or "none is configured"
        raise ArgumentMistake(f'there is no action "{through}" that makes calls: {known}')
    try:
        names[through].model_validate(params)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArgumentMistake(f"{where + ': ' if where else ''}{first['msg']}") from None
    result = project.act(
        "actions.run",
        tenant=tenant or MAIN_TENANT,
        action=through,
        params=params,
        by=person(by),
    )
    return str(result["item"])


def _actions(project: "Project") -> dict[str, Any]:
    """Give the configured actions that make calls, with the models of their parameters."""
    found = {}
    for name, settings in project.settings().actions.items():
        model = settings.registration.params
        if model is not None and {"recipients", "cancel"} <= set(model.model_fields):
            found[name] = model
    return found


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
    from router.pipeline.reporting import telephone

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
