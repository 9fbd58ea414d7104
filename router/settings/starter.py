"""What `router init` writes: a configuration that runs at once, to be changed at leisure."""

from pathlib import Path

from router.data import data_path
from router.whole import write_whole


def starter_files() -> dict[str, Path]:
    """Give every file of the starter by its place in the new directory, and where it comes from.

    Rules, their suites and example articles are the shipped ones: there is one copy of each.
    """
    files = {
        "router.toml": data_path("config", "starter", "router.toml"),
        ".env.example": data_path("config", "starter", "env.example"),
        ".gitignore": data_path("config", "starter", "gitignore"),
    }
    rules = data_path("rules")
    for source in sorted(rules.rglob("*.toml")):
        files[f"rules/{source.relative_to(rules).as_posix()}"] = source
    for source in sorted(data_path("config", "knowledge").glob("*.md")):
        files[f"config/knowledge/{source.name}"] = source
    return files


def existing(directory: Path) -> list[Path]:
    """Give the files that :func:`write_starter` will leave as they are, because they exist."""
    return [path for name in starter_files() if (path := directory / name).exists()]


def write_starter(directory: Path) -> list[Path]:
    """Write the starter, and give the files that were written. Nothing is ever overwritten.

    :raises OSError: if the directory cannot be written to.
    """
    written: list[Path] = []
    for name, source in starter_files().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_whole(path, [source.read_bytes()], new=True)
        except FileExistsError:
            continue
        written.append(path)
    return written
