"""``router``: finds the command, and says in one form what went wrong.

Each command is a module that is imported when it is asked for, and imports what it needs when it
runs: ``router run`` pays for no table, and ``router drafts`` for no plugin.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from router import streams
from router.cli.options import ArgumentMistake, is_text
from router.cli.project import Project
from router.errors import ConfigError, PluginError, RouterError
from router.toml import Problem, suggest

#: In the order of `router --help`.
COMMANDS: Final = (
    "init",
    "check",
    "run",
    "reload",
    "chat",
    "explain",
    "rules",
    "replay",
    "plugins",
    "status",
    "doctor",
    "events",
    "outbox",
    "drafts",
    "conversations",
    "contacts",
    "calls",
    "escalations",
    "pollers",
    "templates",
    "tickets",
    "token",
    "db",
)
_FINE, _FAILED, _MISTAKE = 0, 1, 2


class Commands(TyperGroup):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        command = get_command(import_module(f"router.cli.{cmd_name}").app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:
            known = suggest(args[0], COMMANDS) or "`router --help` lists them."
            raise ArgumentMistake(f'there is no command "{args[0]}". {known.strip()}')
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, config_first(args))


def config_first(args: Sequence[str]) -> list[str]:
    """Let ``--config`` stand anywhere, as people type it: behind the command, too."""
    first: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in ("-c", "--config"):
            first += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith("--config="):
            first.append(word)
        else:
            rest.append(word)
    return [*first, *rest]


def _version(asked: bool) -> None:
    if asked:
        from router import __version__

        print(f"router {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[
        Path,
        typer.Option(
            "--config",
            "-c",
            envvar="ROUTER_CONFIG",
            help="The configuration; may stand behind the command, too.",
        ),
    ] = Path("router.toml"),
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say which version."),
    ] = False,
) -> None:
    """Every channel in, rules decide, an AI or a person answers.

    Exit status: 0 fine, 1 the thing asked for failed, 2 a mistake in files or arguments.
    """
    ctx.obj = Project(config)


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; give the exit status."""
    streams.prepare()
    status = _FAILED
    try:
        status = _run(args)
        sys.stdout.flush()
    except* BrokenPipeError:
        # Whoever read along has seen enough.
        streams.print_no_more()
        status = _FAILED
    except* OSError:
        why = streams.why_unprintable()
        if why is None:
            raise
        streams.print_no_more()
        status = _complain(f"standard output cannot be written: {why}", _FAILED)
    return status


def _run(args: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if args is None else args)
    for word in words:
        if not is_text(word):
            return _complain(f"the argument {word!a} is no text in UTF-8", _MISTAKE)
    try:
        status = app(
            args=words,
            prog_name="router",
            standalone_mode=False,
        )
    except typer.Abort:
        return _complain("stopped", _FAILED)
    except typer.TyperException as error:
        return _complain(_usage(error), _MISTAKE)
    except ConfigError as error:
        return _complain(problems_text(error), _MISTAKE)
    except PluginError as error:
        return _complain(str(error), _MISTAKE)
    except RouterError as error:
        return _complain(str(error), _FAILED)
    return status if isinstance(status, int) else _FINE


def problems_text(error: ConfigError) -> str:
    """Give every problem with its line, a blank line between two."""
    return "\n\n".join(
        problem.render() if isinstance(problem, Problem) else str(problem)
        for problem in error.problems
    )


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    text = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        return text
    path = getattr(context, "command_path", "router")
    text = f"{text[:1].lower()}{text[1:]}".replace("'", '"')
    if "`" in text:
        return text
    stop = "" if text.endswith((".", "?")) else "."
    return f"{text}{stop} `{path} --help` shows how it is used"


def _complain(text: str, status: int) -> int:
    with suppress(OSError):  # the status says it, too
        print(text, file=sys.stderr)
    return status
