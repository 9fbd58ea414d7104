"""The action ``elevenlabs_batch``: calls to many, begun once.

ElevenLabs knows no idempotency key, so the batch's name carries our id of it. Where nobody knows
whether a batch was taken, it is looked for under that name and never begun again: two batches are
two calls to everybody in them.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field, field_validator, model_validator

from router import plugin
from router_elevenlabs_calls import api
from router_elevenlabs_calls.config import ElevenLabsBatchConfig, Id

#: The most recipients of one batch, and pages of batches that are looked through.
_MOST = 10_000
_PAGES = 10


class Recipient(plugin.ActionParams):
    """Somebody who is called.

    :param variables: what the agent is told of them, by the names of its dynamic variables.
    """

    phone_number: str = Field(pattern=r"^\+[1-9][0-9]{6,14}$")
    variables: Mapping[str, str] = Field(default_factory=dict)


class BatchParams(plugin.ActionParams):
    """A batch that is to be begun, or the id of one that is to be ended.

    :param at: when it begins; at once if it is not given.
    :param cancel: ElevenLabs's id of a batch.
    """

    name: str = Field("", max_length=120)
    recipients: tuple[Recipient, ...] = Field((), max_length=_MOST)
    at: datetime | None = None
    cancel: Id | None = None

    @field_validator("recipients")
    @classmethod
    def _once_each(cls, value: tuple[Recipient, ...]) -> tuple[Recipient, ...]:
        numbers: set[str] = set()
        for each in value:
            if each.phone_number in numbers:
                raise ValueError(f"{each.phone_number} is there twice, and would be called twice")
            numbers.add(each.phone_number)
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> "BatchParams":
        if bool(self.recipients) is (self.cancel is not None):
            raise ValueError("state the recipients of a batch, or which one to cancel")
        if self.at is not None and self.at.tzinfo is None:
            raise ValueError("at needs its offset, such as 2026-12-01T09:00:00-05:00")
        return self


class ElevenLabsBatch(plugin.Action[ElevenLabsBatchConfig]):
    """Begins and ends batches of calls."""

    idempotent = True

    async def run(self, call: plugin.ActionCall) -> plugin.ActionResult:
        """Begin a batch, unless it may have begun: then only look whether it has."""
        assert isinstance(call.params, BatchParams)  # noqa: S101 - what it is registered with
        if call.params.cancel is not None:
            return await self._cancel(call.params.cancel)
        if call.unsure:
            return await self._found(call.id)
        answer = await self._post(
            "batch-calling/submit", body_of(call.params, call.id, self.config)
        )
        return _result(answer)

    async def check(self) -> None:
        """Make sure that the API key is accepted, and that the agent is there."""
        await api.ask(self.context.http, self.config, f"agents/{self.config.agent}")

    async def _cancel(self, name: str) -> plugin.ActionResult:
        return _result(await self._post(f"batch-calling/{name}/cancel", None))

    async def _found(self, id: str) -> plugin.ActionResult:
        """Look for a batch that may have been taken.

        :raises OutcomeUnknown: while it is not listed; it may still turn up.
        """
        last: str | None = None
        for _ in range(_PAGES):
            page = await api.batches(self.context, self.config, last)
            found = next((it for it in page.batch_calls if it.name.endswith(_mark(id))), None)
            if found is not None:
                return plugin.ActionResult(f"batch {found.id}", {"id": found.id}, found.id)
            last = page.next_doc
            if not (page.has_more and last):
                break
        raise plugin.OutcomeUnknown(
            "nobody knows whether ElevenLabs took the batch, and it does not list it. It is not "
            "begun again: look for it there, and submit it anew if it is not"
        )

    async def _post(self, path: str, body: dict[str, Any] | None) -> Any:
        response = await self.context.http.post(
            self.config.url(path), json=body, headers=self.config.headers
        )
        api.raise_for_answer(response, self.config)
        try:
            return response.json()
        except (ValueError, RecursionError):
            return None


def body_of(params: BatchParams, id: str, config: ElevenLabsBatchConfig) -> dict[str, Any]:
    """Give the request that begins a batch; what is not set is left out."""
    body: dict[str, Any] = {
        "call_name": f"{' '.join(params.name.split())} {_mark(id)}".strip(),
        "agent_id": config.agent,
        "agent_phone_number_id": config.phone_number_id,
        "recipients": [_recipient(each) for each in params.recipients],
        "telephony_call_config": {"ringing_timeout_secs": round(config.ringing)},
    }
    if params.at is not None:
        body["scheduled_time_unix"] = int(params.at.timestamp())
    if config.concurrency is not None:
        body["target_concurrency_limit"] = config.concurrency
    return body


def _recipient(recipient: Recipient) -> dict[str, Any]:
    values: dict[str, Any] = {"phone_number": recipient.phone_number}
    if recipient.variables:
        told = {"dynamic_variables": dict(recipient.variables)}
        values["conversation_initiation_client_data"] = told
    return values


def _mark(id: str) -> str:
    return f"[{id}]"


def _result(answer: Any) -> plugin.ActionResult:
    found = answer.get("id") if isinstance(answer, Mapping) else None
    if not isinstance(found, str) or not re.fullmatch(r"\S{1,200}", found):
        raise plugin.OutcomeUnknown("ElevenLabs's answer does not name the batch")
    return plugin.ActionResult(f"batch {found}", {"id": found}, found)
