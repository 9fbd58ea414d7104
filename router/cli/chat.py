"""``router chat``: to be a customer for a moment, through the real pipeline."""

import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli.options import ArgumentMistake, AsJson, is_text, project_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection

    from router.cli.project import Project
    from router.cli.saving import Saving
    from router.daemon import Router
    from router.domain.identity import Address
    from router.settings.model import Settings, TenantSettings
    from router.storage.store import EventRef

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_LOOK_AGAIN = 0.02
_PATIENCE = 180.0
#: Outcomes of a message whose turn is still open.
_OPEN = (None, "waiting", "asking")


@app.command(epilog='Example: router chat "¿A qué hora abren?"')
def chat(
    ctx: typer.Context,
    text: Annotated[
        str | None, typer.Argument(help="What to say. Without it, a conversation begins.")
    ] = None,
    *,
    sender: Annotated[
        str, typer.Option("--as", help="Who you are: a telephone number, or scheme:value.")
    ] = "+573000000000",
    channel: Annotated[
        str | None, typer.Option(help="Where you write. Default: the tenant's first channel.")
    ] = None,
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="To whom you write.")] = "main",
    database: Annotated[
        Path | None,
        typer.Option(help="A database to remember in. Default: one that is thrown away."),
    ] = None,
    save_test: Annotated[
        Path | None,
        typer.Option(
            "--save-test", metavar="FILE", help="Add what happens to a suite, a case a message."
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Say something as a customer, and see what becomes of it.

    Prints the answer, the decision and the rules that made it. Configured backends are asked for
    real; nothing leaves to a customer, and no action is run.
    """
    import anyio

    from router.cli.people import address_of

    project = project_of(ctx)
    settings = project.settings(run=True)
    where = _tenant(settings, tenant)
    talk = _Talk(
        tenant=where.name,
        channel=_channel(where, channel),
        address=address_of(sender),
        as_json=as_json,
    )
    if save_test is not None:
        from router.cli.saving import Saving

        talk.saving = Saving(save_test, settings, where.name)
    status = anyio.run(_chat, project, settings, talk, text, database)
    return 1 if status == 0 and talk.saving is not None and talk.saving.failed else status


class _Talk:
    """Who talks, and where."""

    def __init__(self, *, tenant: str, channel: str, address: "Address", as_json: bool) -> None:
        self.tenant = tenant
        self.channel = channel
        self.address = address
        self.as_json = as_json
        self.saving: Saving | None = None


class _Quiet:
    """The log of a chat: only what went wrong, as a sentence."""

    def debug(self, event: str, /, **values: Any) -> None:
        pass

    info = debug

    def warning(self, event: str, /, **values: Any) -> None:
        told = ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
        print(f"{event}: {told}" if told else event, file=sys.stderr)

    error = warning


async def _chat(
    project: "Project",
    settings: "Settings",
    talk: _Talk,
    text: str | None,
    database: Path | None,
) -> int:
    import anyio

    async with _router(_at_once(settings), database) as router:
        if text is not None:
            return 0 if await _say(router, talk, text) else 1
        if sys.stdin.isatty():
            where = f"{talk.channel} of {talk.tenant}"
            print(f"You are {talk.address} on {where}. An empty line ends it.\n")
        while True:
            said = await anyio.to_thread.run_sync(_prompt, abandon_on_cancel=True)
            if said is None:
                print("the line is no text in UTF-8", file=sys.stderr)
                return 2
            if not said:
                return 0
            if not await _say(router, talk, said):
                return 1


def _at_once(settings: "Settings") -> "Settings":
    """Give the settings with nobody waiting for a second message, as one line is a whole turn."""
    none = timedelta(0)
    tenants = {
        name: replace(tenant, policy=replace(tenant.policy, debounce=none))
        for name, tenant in settings.tenants.items()
    }
    return replace(settings, tenants=tenants)


@asynccontextmanager
async def _router(settings: "Settings", database: Path | None) -> "AsyncIterator[Router]":
    from tempfile import TemporaryDirectory

    from router.daemon import Router, open_store

    with TemporaryDirectory(prefix="router-chat-") as folder:
        path = (database or Path(folder) / "chat.db").resolve()
        url = f"sqlite+aiosqlite:///{path}"
        own = replace(settings, router=replace(settings.router, database=url))
        async with open_store(own) as store, Router(own, store, log=_Quiet(), offline=True) as it:
            yield it


def _prompt() -> str | None:
    """Give the next line, empty at the end; ``None``: it is no text."""
    try:
        said = input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return ""
    except UnicodeDecodeError:
        return None
    return said if is_text(said) else None


async def _say(router: "Router", talk: _Talk, text: str) -> bool:
    """Say something, and print what becomes of it. ``False``: nothing did in time."""
    import json

    import anyio

    from router.cli.saving import saved_turn
    from router.domain.event import MessageReceived
    from router.domain.identity import thread_key
    from router.ids import new_id
    from router.storage.store import NewEvent

    store = router.store
    key = thread_key(talk.address)
    key = store.aliases.get((talk.tenant, key), key)
    event = MessageReceived(new_id(), talk.address, text)
    new = NewEvent(
        lane=f"{talk.tenant}/{key}",
        tenant=talk.tenant,
        source=f"{talk.tenant}/{talk.channel}",
        external_id=event.dedupe_key,
        event=event,
        received_at=router.clock.now(),
    )
    [accepted] = await store.enqueue([new])
    found: dict[str, Any] | None = None
    with anyio.move_on_after(_PATIENCE):
        while found is None:
            await anyio.sleep(_LOOK_AGAIN)
            found = await store.read(lambda it: _became(it, talk.tenant, accepted.ref))
    if found is None:
        print(f"Nothing was decided within {_PATIENCE:.0f} s.", file=sys.stderr)
        return False
    if talk.as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        _print(found)
    if talk.saving is not None:
        turn = await store.read(lambda it: saved_turn(it, talk.tenant, accepted.ref))
        talk.saving.add(turn, talk.address, talk.channel)
    return True


def _became(connection: "Connection", tenant: str, event: "EventRef") -> dict[str, Any] | None:
    """Give what became of a message; ``None`` while its turn is open."""
    from router.storage.decisions import decisions_of, load_trace
    from router.storage.events import show_event

    view = show_event(connection, tenant, event)
    if view.outcome in _OPEN:
        return None
    decided = view.settled_by or event
    decision = decisions_of(connection, tenant, decided.lane, [decided.seq]).get(decided)
    trace = load_trace(connection, tenant, decided) or {}
    body = decision.body if decision else {}
    said = [reply["text"] for reply in body.get("replies", ()) if reply.get("text")]
    said += [url for reply in body.get("replies", ()) for url in reply.get("media", ())]
    return {
        "answer": "\n\n".join(said) or None,
        "outcome": view.outcome,
        "rules": _matched(trace),
        "category": body.get("category"),
        "sources": list(body.get("sources", ())),
        "event": str(event),
        "because": body.get("because") or view.dead_error,
        "draft": (body.get("draft") or {}).get("text"),
        "ticket": body.get("ticket"),
        "escalation": body.get("escalation"),
    }


def _matched(trace: dict[str, Any]) -> list[str]:
    """Give the ids of the rules and guardrails that held, in the order they were asked."""
    entries = [*trace.get("input", ()), *trace.get("triage", ()), *trace.get("guards", ())]
    return [entry[0] for entry in entries if entry[1] in "+!"]


def _print(found: dict[str, Any]) -> None:
    from router.cli.output import block, line

    if found["answer"]:
        print(block(found["answer"], "< "))
    elif found["draft"]:
        print(block(found["draft"], "~ "))
        print("  (a draft: it waits for a person's word)")
    notes = [found["outcome"], found["category"], found["because"]]
    print(f"  {', '.join(line(note) for note in notes if note)}")
    for name in ("ticket", "escalation"):
        if found[name]:
            print(f"  {name}: {', '.join(f'{key} {line(it)}' for key, it in found[name].items())}")
    if found["rules"]:
        print(f"  rules: {', '.join(found['rules'])}")
    if found["sources"]:
        print(f"  sources: {', '.join(found['sources'])}")


def _tenant(settings: "Settings", name: str) -> "TenantSettings":
    if name not in settings.tenants:
        known = ", ".join(settings.tenants)
        raise ArgumentMistake(f'there is no tenant "{name}". There are: {known}')
    return settings.tenants[name]


def _channel(tenant: "TenantSettings", name: str | None) -> str:
    names = [channel.name for channel in tenant.channels.values() if channel.enabled]
    if name is None and not names:
        raise ArgumentMistake(f'tenant "{tenant.name}" has no channel to write on')
    if name is not None and name not in names:
        known = ", ".join(names) or "none"
        raise ArgumentMistake(f'there is no channel "{name}". Configured: {known}')
    return name or names[0]
