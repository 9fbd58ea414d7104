"""``router contacts``: what is stored of one person, and what to do when they ask about it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli.options import (
    ArgumentMistake,
    AsJson,
    Limit,
    Person,
    Tenant,
    person,
    project_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.cli.project import Project

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="One person's data: to give it to them, and to erase it.",
)

_Address = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        help="A telephone number with its country code, or scheme:value, any that they were known "
        "by.",
    ),
]

#: What people call the tables whose rows are counted.
_WORDS = {
    "conversation": ("conversation", "conversations"),
    "message": ("message", "messages"),
    "call": ("call", "calls"),
    "ticket": ("ticket", "tickets"),
    "draft": ("draft", "drafts"),
    "escalation": ("escalation", "escalations"),
    "inbox_event": ("event", "events"),
    "decision": ("decision", "decisions"),
    "outbox": ("outbox item", "outbox items"),
    "media": ("file", "files"),
}


@app.command(epilog="Example: router contacts export +573001234567 --json ana.json --files ana")
def export(
    ctx: typer.Context,
    address: _Address,
    *,
    tenant: Tenant = None,
    file: Annotated[
        Path | None,
        typer.Option("--json", help="A new file for the document. Default: it is printed."),
    ] = None,
    files: Annotated[
        Path | None, typer.Option(help="A new folder for the files that they sent.")
    ] = None,
) -> None:
    """Give everything that is stored of a person, as a JSON document.

    For somebody who asks what is known of them. Nothing is changed.
    """
    import json

    from router.cli.output import plural
    from router.clock import SystemClock
    from router.errors import NotFound
    from router.storage.privacy.export import export as document_of
    from router.storage.privacy.export import is_empty

    project, name = project_of(ctx), _name(address)
    now = SystemClock().now()
    with project.reading() as connection:
        found = [document_of(connection, each, name, now=now) for each in project.chosen(tenant)]
    found = [each for each in found if not is_empty(each)]
    if not found:
        raise NotFound(f'there is no data of "{name}"')
    if len(found) > 1:
        raise ArgumentMistake(_several(name, [each["tenant"] for each in found]))
    document = found[0]
    if files is not None:
        _copy(project, document, files)
    text = json.dumps(document, ensure_ascii=False, indent=2)
    if file is None:
        print(text)
        return
    _write(file, text)
    words = plural(len(document["messages"]), "message")
    print(f"{file}: {words} in {plural(len(document['conversations']), 'conversation')}")


@app.command(epilog="Example: router contacts erase +573001234567 --by ana")
def erase(
    ctx: typer.Context,
    address: _Address,
    *,
    tenant: Tenant = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    forget_opt_out: Annotated[
        bool,
        typer.Option(
            "--forget-opt-out",
            help="Also that they want no messages. Whoever has their address may write to them "
            "again then.",
        ),
    ] = False,
    with_unread: Annotated[
        bool,
        typer.Option(
            "--with-unread",
            help="Also requests that could not be read and name them, whoever else these are "
            "about. Without it they are in the way.",
        ),
    ] = False,
    by: Person = None,
    as_json: AsJson = False,
) -> None:
    """Delete everything that is stored of a person. It is for good.

    What waits to be sent to them is withdrawn. That it was done is kept, and names nobody. Backups,
    the log and your providers keep what they have.
    """
    from router.cli.output import print_json
    from router.errors import NotFound

    project, name = project_of(ctx), _name(address)
    counted = _counted(project, tenant, name)
    if not counted:
        raise NotFound(f'there is no data of "{name}"')
    if len(counted) > 1:
        raise ArgumentMistake(_several(name, list(counted)))
    ((owner, counts),) = counted.items()
    if not yes:
        print(f"Of {name}, tenant {owner}, there are: {_words(counts)}.", flush=True)
        typer.confirm("Delete all of it for good?", abort=True)
    result = project.act(
        "contacts.erase",
        tenant=owner,
        id=name,
        by=person(by),
        forget_opt_out=forget_opt_out,
        with_unread=with_unread,
    )
    if as_json:
        print_json(result)
        return
    made = result["erasure"]
    print(f"Erased: {_words(made['counts'])}. The proof is {made['id']}.")
    if made["counts"].get("media"):
        print(
            "Their files are removed, too; what cannot be removed now the running router tries "
            "again every hour."
        )
    if made["opted_out"]:
        print(
            f"That {name} wants no messages is kept, with nothing but their addresses, so that "
            "nobody writes to any of them. --forget-opt-out deletes that, too."
        )
    print(f"`router contacts verify {name}` looks whether anything is left.")


@app.command(epilog="Example: router contacts verify +573001234567 --name 'Ana Ruiz'")
def verify(
    ctx: typer.Context,
    address: _Address,
    *,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A name or an id to look for as well; may be repeated."),
    ] = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """Look for a person in every text of every table. Exit status 1: something was found.

    Reads the whole database, whatever may be known of the person: the proof that an erasure left
    nothing. What is stored of them now gives their other addresses, ids and name.
    """
    from router.cli.output import moment, print_json, print_table
    from router.storage.privacy.erasures import list_erasures, traces_of
    from router.storage.privacy.subjects import find_subject, known_as, mention_of

    project, key = project_of(ctx), _name(address)
    found, erasures = [], []
    tenants = project.chosen(tenant)
    with project.reading() as connection:
        for each in tenants:
            subject = find_subject(connection, each, key)
            names = known_as(connection, subject)
            wanted = mention_of(subject.addresses, *(name or ()), *names, national=True)
            found += [(each, it) for it in traces_of(connection, each, wanted)]
            erasures += list_erasures(connection, each, name=key)
    if as_json:
        traces = [{"tenant": owner, "trace": it} for owner, it in found]
        print_json({"address": key, "found": traces, "erasures": erasures})
        return 1 if found else 0
    for it in erasures:
        print(f"{key} was erased on {moment(it.at)} by {it.by} ({it.tenant}, {it.id}).")
    if not found:
        print(f"{key} was not found in any table of {', '.join(tenants)}.")
        return 0
    if any(it.opted_out for it in erasures):
        print(
            "A contact and aliases that are found may be all that is kept: that they want no "
            "messages, at any of their addresses."
        )
    print_table(
        ("TENANT", "TABLE", "COLUMNS", "ROW"),
        [(owner, it.table, ", ".join(it.columns), it.row) for owner, it in found],
    )
    return 1


@app.command(epilog="Example: router contacts erasures --json")
def erasures(
    ctx: typer.Context, tenant: Tenant = None, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """List erasures, the newest first. They name nobody."""
    from router.cli.output import moment, print_json, print_table
    from router.storage.privacy.erasures import list_erasures

    project = project_of(ctx)
    with project.reading() as connection:
        found = [
            it
            for each in project.chosen(tenant)
            for it in list_erasures(connection, each, limit=limit)
        ]
    if as_json:
        print_json(found)
        return
    print_table(
        ("ID", "TENANT", "AT", "BY", "OPTED OUT", "ERASED"),
        [
            (
                it.id,
                it.tenant,
                moment(it.at),
                it.by,
                "kept" if it.opted_out else "",
                _words(it.counts),
            )
            for it in found
        ],
        nothing="Nobody was erased.",
    )


def _name(address: str) -> str:
    from router.cli.people import address_of

    return str(address_of(address.strip()))


def _several(name: str, tenants: list[str]) -> str:
    from router.cli.output import line

    return (
        f"{line(name)} is known to several tenants ({', '.join(tenants)}), each of which answers "
        "for its own. Say which with --tenant"
    )


def _counted(project: "Project", tenant: str | None, name: str) -> dict[str, dict[str, int]]:
    """Give how much there is of a person, by tenant and table."""
    from router.storage.privacy.mentions import loose_rows
    from router.storage.privacy.subjects import count_of, find_subject

    found = {}
    with project.reading() as connection:
        for each in project.chosen(tenant):
            subject = find_subject(connection, each, name)
            counts, loose = count_of(connection, subject), loose_rows(connection, subject)
            for table, rows in (("outbox", loose.items), ("inbox_event", loose.unparsed)):
                if rows:
                    counts[table] = counts.get(table, 0) + len(rows)
            if counts:
                found[each] = counts
    return found


def _words(counts: "Mapping[str, int]") -> str:
    from router.cli.output import plural

    told = [plural(counts[name], *words) for name, words in _WORDS.items() if counts.get(name)]
    rest = sum(number for name, number in counts.items() if name not in _WORDS)
    return ", ".join([*told, *([plural(rest, "other row")] if rest else [])])


def _copy(project: "Project", document: "Mapping[str, Any]", folder: Path) -> None:
    """Copy a person's files into a new folder, under the digests that the document names."""
    import anyio

    from router.errors import NotFound, RouterError
    from router.storage.objects import Objects

    objects = Objects(project.settings().media.store)
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise ArgumentMistake(f"{folder}: {error.strerror}") from None
    for each in document["files"]:
        ending = each["content_type"].partition(";")[0].rpartition("/")[2]
        path = folder / f"{each['digest']}.{ending}"
        try:
            path.write_bytes(anyio.run(objects.get, document["tenant"], each["digest"]))
        except NotFound as error:
            each["problem"] = str(error)
        except OSError as error:
            raise RouterError(f"{path}: {error.strerror}") from None
        else:
            each["file"] = path.name


def _write(file: Path, text: str) -> None:
    from router.whole import PRIVATE, write_whole

    try:
        write_whole(file, [f"{text}\n".encode()], mode=PRIVATE, new=True)
    except OSError as error:
        raise ArgumentMistake(f"{file}: {error.strerror}") from None
