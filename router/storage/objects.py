"""Objects: files kept by the digest of what is in them, in a folder or in an object store.

The same bytes are one object, however often they come; what belongs to two tenants is kept twice,
so that neither can find out what the other has.

obstore's own coroutines are not used: its threads may still be telling Python of a result while
the interpreter ends, and then abort the process. Its synchronous calls, in a thread of ours, leave
nothing behind.

A disk may stall, and a store may say nothing. So there is a limit to each call, and the threads
are shared with nobody.
"""

import asyncio
import hashlib
import os
import re
from contextlib import suppress
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.errors import ConfigError, NotFound, StorageUnavailable
from router.storage.files import private_folder
from router.threads import Threads

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://")
#: Calls at once of one place, and the seconds that each may take, its wait for a turn included.
AT_ONCE: Final = 8
LIMIT: Final = 30.0
#: After this obstore tries nothing again, so that its thread is free soon after the limit. Each of
#: its requests may take 30 seconds; a limit given here for them would put what the environment says
#: of its client out of force, such as AWS_ALLOW_HTTP.
_RETRIES: Final = timedelta(seconds=20)


def digest_of(data: bytes) -> str:
    """Give the name under which bytes are kept: their SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class Objects:
    """Keeps files.

    :param place: a folder, or an address of an object store: ``s3://bucket/prefix``,
        ``gs://bucket/prefix``, ``az://container/prefix``. Credentials come from the environment,
        under the names that these services document.
    :param limit: seconds that a call may take.
    """

    def __init__(self, place: str, *, limit: float = LIMIT) -> None:
        self.place = place
        self._limit = limit
        self._folder = None if _URL.match(place) else Path(place)
        self._threads = Threads(AT_ONCE)

    @cached_property
    def _store(self) -> "ObjectStore":
        # Here, because most set-ups that keep no files need not load it.
        from obstore.store import LocalStore, from_url

        if self._folder is not None:
            private_folder(self._folder)
            return LocalStore(self._folder)
        try:
            return from_url(self.place, retry_config={"retry_timeout": _RETRIES})
        except Exception as error:
            if not _is_theirs(error):
                raise
            problem = (
                f"[media] store: {self.place!r} is no place to keep files: {_words(error)}. "
                "Name a folder, or s3://bucket/prefix"
            )
            raise ConfigError([problem]) from None

    async def put(self, tenant: str, data: bytes) -> str:
        """Keep bytes and give their digest; they are on the disk, or in the store, afterwards.

        :raises StorageUnavailable: if they are not.
        """
        digest = digest_of(data)
        await self._call(partial(self._put, _path(tenant, digest), data))
        return digest

    def _put(self, path: str, data: bytes) -> None:
        from obstore.exceptions import AlreadyExistsError

        with suppress(AlreadyExistsError):
            self._store.put(path, data, mode="create")
        if self._folder is not None:
            # One that is there already, too: whoever wrote it may not have come as far as this.
            _flush(self._folder / path)

    async def get(self, tenant: str, digest: str) -> bytes:
        """Give the bytes of a digest.

        :raises NotFound: if they are not there, or not what the digest says any more.
        :raises StorageUnavailable: if the store cannot be asked now.
        """
        path = _path(tenant, digest)

        def read() -> bytes:
            return bytes(self._store.get(path).bytes())

        data: bytes = await self._call(read)
        if digest_of(data) != digest:
            message = f"the file {path!r} in {self.place!r} is damaged"
            raise NotFound(message)
        return data

    async def remove(self, tenant: str, digest: str) -> bool:
        """Forget the bytes of a digest; it is no error if they are gone.

        :return: ``False`` if they were not there; a store that does not tell gives ``True``.
        :raises StorageUnavailable: if the store cannot be asked now.
        """
        path = _path(tenant, digest)
        try:
            await self._call(lambda: self._store.delete(path))
        except NotFound:
            return False
        return True

    async def _call(self, function: Any) -> Any:
        limit = asyncio.timeout(self._limit)
        try:
            async with limit:
                return await self._threads.run(function)
        except FileNotFoundError:
            message = f"the file is not in {self.place!r}"
            raise NotFound(message) from None
        except OSError as error:
            if limit.expired():
                message = f"{self.place!r} did not answer within {self._limit:g} s"
                raise StorageUnavailable(message) from error
            message = f"files cannot be kept in {self.place!r}: {error.strerror or error}"
            raise StorageUnavailable(message) from error
        except Exception as error:
            if not _is_theirs(error):
                raise
            message = f"files cannot be kept in {self.place!r}: {_words(error)}"
            raise StorageUnavailable(message) from error


def _path(tenant: str, digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        message = f"{digest[:80]!r} is no digest"
        raise ValueError(message)
    return f"{tenant}/{digest[:2]}/{digest}"


def _flush(path: Path) -> None:
    """See to it that a file, and its name in its folder, outlive a power cut."""
    for each in (path, path.parent):
        number = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _is_theirs(error: Exception) -> bool:
    from obstore.exceptions import BaseError

    return isinstance(error, BaseError)


def _words(error: Exception) -> str:
    """Give the sentence of an error; what follows is for obstore's own authors."""
    return " ".join(str(error).partition("\n\nDebug source")[0].split())[:300]
