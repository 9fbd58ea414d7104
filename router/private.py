"""Files that nobody else on this machine may read, for what customers said and wrote."""

import os


def private(path: str, flags: int) -> int:
    """Open a file as the ``opener`` of :func:`open`: one that is made is for this user only.

    One that is there already keeps its mode: somebody has chosen it.
    """
    return os.open(path, flags, 0o600)
