"""``router calls``: what was said on the telephone. Batches of calls are beside this."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli import batches
from router.cli.options import ArgumentMistake, AsJson, Limit, Tenant, project_of

if TYPE_CHECKING:
    from router.storage.calls import CallView

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Telephone calls, and batches of them.",
)

app.add_typer(batches.app)


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
            ("kept here", _kept(view)),
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


def _kept(call: "CallView") -> str | None:
    """Say whether the recording of a call is here."""
    recording = call.recording
    if recording is None:
        return None
    if recording.digest is not None:
        return f"{recording.size:,} bytes" if recording.size else "yes"
    return f"no: {recording.problem}" if recording.problem else "no"


@app.command(epilog="Example: router calls recording conv_0001 llamada.mp3")
def recording(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="CALL", help="The provider's id of it.")],
    file: Annotated[Path, typer.Argument(help="Where to write it; it must not be there yet.")],
    tenant: Tenant = None,
) -> None:
    """Write the recording of a call to a file, if it is kept here."""
    import anyio

    from router.errors import ActRefused
    from router.storage.calls import show_call
    from router.storage.objects import Objects
    from router.whole import PRIVATE, write_whole

    project = project_of(ctx)
    owner, view = project.find(tenant, lambda it, name: show_call(it, name, id))
    kept = view.recording
    if kept is None:
        raise ActRefused(f'the call "{id}" has no recording')
    if kept.digest is None:
        why = kept.problem or "the channel's table does not ask for recordings, or not yet"
        raise ActRefused(f'the recording of "{id}" is not kept here: {why}')
    data = anyio.run(Objects(project.settings().media.store).get, owner, kept.digest)
    try:
        write_whole(file, [data], mode=PRIVATE, new=True)
    except OSError as error:
        raise ArgumentMistake(f"{file}: {error.strerror}") from None
    print(f"{file}: {len(data):,} bytes")


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
