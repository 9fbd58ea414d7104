"""A request to the API, as the function that answers it sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from router.pipeline.people import acts
from router.pipeline.people.tokens import Bearer
from router.storage.idempotency import RequestKey, once
from router.storage.store import Tx
from router.web.api.models import Signed
from router.web.host import WebHost

if TYPE_CHECKING:
    from sqlalchemy import Connection

Result = TypeVar("Result")


@dataclass(slots=True, kw_only=True)
class Call:
    """Who asks, and the ways to what they ask for.

    :param key: what a repeat is recognised by; ``None`` where no ``Idempotency-Key`` was given.
    :ivar replayed: the answer is that of an earlier request.
    """

    host: WebHost
    bearer: Bearer
    key: RequestKey | None = None
    replayed: bool = False
    written: bool = False

    @property
    def tenant(self) -> str:
        """Whose data this is about: the token's tenant, and no other."""
        return self.bearer.tenant

    def by(self, body: Signed) -> str:
        """Give who does it: who is named, else the token."""
        return body.by or self.bearer.name

    async def read(self, function: "Callable[[Connection], Result]") -> Result:
        """Run a function on a read-only connection.

        :raises StorageUnavailable: if the database is away.
        """
        return await self.host.store.read(function)

    async def write(self, function: Callable[[Tx], Mapping[str, Any]]) -> dict[str, Any]:
        """Run a function in a transaction, once for each ``Idempotency-Key``; give its answer.

        At most one of ``write`` and ``act`` in a request.

        :param function: synchronous, gives values for JSON, may run twice; see ``Store.write``.
        :raises KeyReused: if the key was used for a request that said something else.
        :raises StorageUnavailable: if the database is away.
        """
        if self.written:
            raise RuntimeError("a request to the API writes once: else its key would mean two")
        self.written = True
        key = self.key
        if key is None:
            return dict(await self.host.store.write(function))
        answer, self.replayed = await self.host.store.write(
            lambda tx: once(tx, key, lambda: function(tx))
        )
        return answer

    async def act(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Do an act of a person, as the command line does it.

        :raises ActRefused: in words, if things do not stand so.
        :raises NotFound: if there is nothing of that id.
        """
        around = self.host.surroundings
        result = await self.write(
            acts.bound(name, {"tenant": self.tenant, **arguments}, around),
        )
        return await acts.landed(self.host.store, result)
