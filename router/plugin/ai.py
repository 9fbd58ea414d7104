"""AIBackend: what writes answers."""

from abc import abstractmethod

from router.domain.answer import Completion, Prompt, Transcript
from router.domain.message import File
from router.plugin.instance import ConfigT, Instance


class AIBackend(Instance[ConfigT]):
    """Something that answers a prompt.

    Stateless: the host's stored turns are the truth, a vendor's session is a cache.

    .. versionadded:: 1.0
    """

    #: Kinds of attachments that a prompt's ``files`` may hold: ``image``, ``document``. An instance
    #: may set it from its config. Since 1.1.
    accepts: frozenset[str] = frozenset()
    #: :meth:`transcribe` is implemented. An instance may set it from its config. Since 1.1.
    transcribes: bool = False
    #: The model is offered the prompt's tools, and what it calls comes back as proposals. Declared
    #: on what is registered: a table of another kind may not name ``tools``. Since 1.1.
    calls_tools: bool = False

    @abstractmethod
    async def complete(self, prompt: Prompt) -> Completion:
        """Answer once. Have no side effects: the host may ask again, or drop the answer.

        May be cancelled at any moment, when the customer has moved on. The host limits the time
        (``timeout`` of the table) and asks again after ``Unavailable`` and ``OutcomeUnknown``.

        :raises Unavailable: overloaded or out of reach.
        :raises Refused: it will never answer this, such as a wrong key or a blocked prompt.
        """

    async def transcribe(self, voice: File, language: str | None) -> Transcript:
        """Write down what is said in a voice note.

        Optional; declare ``transcribes``. Have no side effects: the host may ask again.

        :param language: what the customer probably speaks, a BCP 47 tag; ``None`` if nobody knows.
        :raises Unavailable: overloaded or out of reach.
        :raises Refused: it will never transcribe this: too large, not understood.

        .. versionadded:: 1.1
        """
        raise NotImplementedError
