"""Files that are there whole or not at all: written beside their place, and named once complete."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

#: For this user only, as for what customers said.
PRIVATE: Final = 0o600
_ORDINARY: Final = 0o666


def write_whole(
    path: Path, parts: Iterable[bytes], *, mode: int = _ORDINARY, new: bool = False
) -> None:
    """Write a file; on whatever error what stood there before stands there still.

    :param mode: of a file that is made; one that is replaced keeps its own, and its owner.
    :param new: the file must not be there yet.
    :raises OSError: naming the file, if it cannot be written.
    """
    if new and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    if path.exists() and not path.is_file():
        with path.open("wb") as device:
            device.writelines(parts)
        return
    place = path.resolve()
    part = place.with_name(f"{place.name}.part")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            if place.exists():
                _make_like(descriptor, place)
            file.writelines(parts)
        part.rename(place)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _make_like(descriptor: int, place: Path) -> None:
    there = place.stat()
    with suppress(PermissionError):  # only root gives files away
        os.fchown(descriptor, there.st_uid, there.st_gid)
    os.fchmod(descriptor, there.st_mode & 0o7777)
