"""Options that several commands have, so that each is called the same everywhere."""

from typing import Annotated, TypeAlias

import typer

from router.cli.project import Project

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Tenant: TypeAlias = Annotated[
    str | None, typer.Option("--tenant", "-t", help="Only this tenant. Default: all.")
]
Limit: TypeAlias = Annotated[
    int, typer.Option("--limit", "-n", min=1, help="At most so many of each tenant, newest first.")
]
Person: TypeAlias = Annotated[
    str | None, typer.Option("--by", help="Who does it. Default: who is logged in here.")
]


class ArgumentMistake(typer.BadParameter):
    """An argument that cannot be, in words that need no more around them."""

    def format_message(self) -> str:
        return self.message


def project_of(ctx: typer.Context) -> Project:
    """Give the project that ``--config`` names."""
    project = ctx.obj
    if not isinstance(project, Project):
        message = "the command was called without its root"
        raise TypeError(message)
    return project


def person(name: str | None) -> str:
    """Give who acts: the name given, or the login name."""
    if name:
        return name
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def is_text(word: str) -> bool:
    """Say whether what was typed can be stored: bytes that are no UTF-8 arrive as surrogates."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
