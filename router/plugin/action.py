"""Action: what the router can do besides talking."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from router.plugin.instance import ConfigT, Instance


class ActionParams(BaseModel):
    """Base of an action's parameters: checks rules at load, and is the schema an AI is offered."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoticeParams(ActionParams):
    """The parameters of an action that tells somebody something. The default of every action.

    An action whose parameters accept these can be the ``to`` of an escalation.
    """

    title: str = ""
    text: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCall:
    """One run of an action.

    :param id: the idempotency key; a repeat of the same call carries the same one.
    :param params: an instance of the model that the action was registered with.
    :param attempt: counts from 1.
    :param unsure: an earlier attempt may have been taken: look before you do it again. Since 1.1.
    """

    id: str
    action: str
    tenant: str
    params: BaseModel
    conversation: str | None = None
    contact: Mapping[str, str] = field(default_factory=dict)
    because: str = ""
    attempt: int = 1
    unsure: bool = False

    def as_json(self) -> dict[str, Any]:
        """Give the call as values for JSON."""
        return {
            "id": self.id,
            "action": self.action,
            "tenant": self.tenant,
            "conversation": self.conversation,
            "contact": dict(self.contact),
            "because": self.because,
            "params": self.params.model_dump(mode="json"),
        }


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action brought back.

    :param text: for people.
    :param data: for rules and the timeline; values for JSON.
    :param ref: the provider's name for what was done; kept with the call. Since 1.1.
    """

    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    ref: str | None = None


class Action(Instance[ConfigT]):
    """Something that is done once for each call that was decided.

    It runs at least once. What happens when nobody knows whether it ran follows from what it
    declares here; with neither, the call waits for a person.

    .. versionadded:: 1.0
    """

    #: A repeat with the same ``call.id`` does nothing more: the host repeats what is unknown. Where
    #: the provider itself knows no such id, ``call.unsure`` tells when to look first.
    idempotent: bool = False
    #: A repeat does no harm (a second notice): the host repeats at most twice, and says so.
    repeat_is_harmless: bool = False
    #: It looks something up and changes nothing, anywhere: AI backends may be given it as a tool,
    #: and then a model says when it runs, and with which parameters. Declared on what is
    #: registered. Since 1.1.
    reads_only: bool = False

    @abstractmethod
    async def run(self, call: ActionCall) -> ActionResult | None:
        """Make one attempt.

        :raises Unavailable: certainly not done.
        :raises Refused: certainly not done, and never will be.
        :raises OutcomeUnknown: what any other exception counts as, too.
        """
