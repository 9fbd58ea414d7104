"""Where the files that ship beside the code are: in the wheel, or in the checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_path(*parts: str) -> Path:
    """Give the path of a shipped file or folder, such as ``data_path("rules", "triage.toml")``.

    A wheel carries ``config/``, ``rules/``, ``migrations/`` and ``router.toml`` under
    ``router/_data/``; a checkout has them at its top.

    :raises FileNotFoundError: if neither has it; then the installation is incomplete.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    message = f"{'/'.join(parts)} is missing from this installation. Install the router again"
    raise FileNotFoundError(message)
