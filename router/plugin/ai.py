"""AIBackend: what writes answers."""

from abc import abstractmethod

from router.domain.answer import Completion, Prompt
from router.plugin.instance import ConfigT, Instance


class AIBackend(Instance[ConfigT]):
    """Something that answers a prompt.

    Stateless: the host's stored turns are the truth, a vendor's session is a cache.

    .. versionadded:: 1.0
    """

    @abstractmethod
    async def complete(self, prompt: Prompt) -> Completion:
        """Answer once. Have no side effects: the host may ask again, or drop the answer.

        May be cancelled at any moment, when the customer has moved on. The host limits the time
        (``timeout`` of the table) and asks again after ``Unavailable`` and ``OutcomeUnknown``.

        :raises Unavailable: overloaded or out of reach.
        :raises Refused: it will never answer this, such as a wrong key or a blocked prompt.
        """
