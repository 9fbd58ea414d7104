"""What a person's acts need to know besides the database."""

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel

from router.domain.event import InboundEvent
from router.domain.host_event import Unparsed
from router.errors import ActRefused, words_of
from router.pipeline.instances.configuration import Configuration
from router.plugin.channel import Capabilities, WebhookRequest
from router.settings.model import Settings


class Surroundings(Protocol):
    """The channels, as acts see them."""

    def capabilities(self, tenant: str, channel: str) -> Capabilities | None:
        """Give what a channel can do; ``None`` where it is not configured."""
        ...

    def parse(self, tenant: str, event: Unparsed, received_at: datetime) -> Sequence[InboundEvent]:
        """Read a request again that could not be read when it came.

        :raises ActRefused: if it still cannot be read.
        """
        ...

    def dialers(self) -> Mapping[str, type[BaseModel]]:
        """Give the actions that make calls, with the models of their parameters."""
        ...

    def files_released(self) -> None:
        """Have files removed soon that were let go just now. Waits for nothing, and never fails."""
        ...


class Configured:
    """The surroundings that a configuration gives.

    :param configuration: gives the configuration in force; asked for each act.
    :param released: has files removed that were let go; ``None``: the next sweep does.
    """

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        released: Callable[[], None] | None = None,
    ) -> None:
        self._configuration = configuration
        self._released = released

    def capabilities(self, tenant: str, channel: str) -> Capabilities | None:
        return self._configuration().capabilities(tenant, channel)

    def parse(self, tenant: str, event: Unparsed, received_at: datetime) -> Sequence[InboundEvent]:
        live = self._configuration().instances.channels.get((tenant, event.channel))
        if live is None:
            raise ActRefused(f'there is no channel "{event.channel}" any more that could read it')
        request = WebhookRequest(
            url=live.context.webhook_url(event.endpoint),
            headers=event.headers,
            body=base64.b64decode(event.body),
            received_at=received_at,
            endpoint=event.endpoint,
        )
        try:
            return live.plugin.parse(request)
        except Exception as error:  # a plugin's call; nothing is changed
            words = " ".join(words_of(error).split())
            raise ActRefused(f"it still cannot be read: {words}") from error

    def dialers(self) -> Mapping[str, type[BaseModel]]:
        return dialers_of(self._configuration().settings)

    def files_released(self) -> None:
        if self._released is not None:
            self._released()


def dialers_of(settings: Settings) -> dict[str, type[BaseModel]]:
    """Give the actions that make calls, with the models of their parameters.

    They are told by these: they have ``recipients``, and ``cancel`` for the id of a batch.
    """
    found: dict[str, type[BaseModel]] = {}
    for name, action in settings.actions.items():
        params = action.registration.params
        if action.enabled and params is not None and _makes_calls(params):
            found[name] = params
    return found


def _makes_calls(params: type[BaseModel]) -> bool:
    return {"recipients", "cancel"} <= set(params.model_fields)
