"""``router init``: a configuration that runs at once."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: router init desk")
def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write it.")] = Path(),
) -> int:
    """Write a starter configuration.

    That is router.toml, rules, example articles, .env.example and .gitignore. What exists already
    is left as it is.
    """
    import sys

    from router.settings.starter import existing, write_starter

    kept = existing(directory)
    try:
        written = write_starter(directory)
    except OSError as error:
        place = error.filename or directory
        print(f"{place}: cannot be written: {error.strerror}. Choose another", file=sys.stderr)
        return 1
    for path in written:
        print(f"wrote {path}")
    for path in kept:
        print(f"kept  {path}")
    config = directory / "router.toml"
    named = "" if config == Path("router.toml") else f" --config {config}"
    print(f"\nrouter check{named} looks it over; router run{named} starts it.")
    return 0
