"""Ask a system of yours what it knows, for whoever writes an answer."""

import json
from typing import Any, Final

from pydantic import Field

from router import plugin
from router_webhook.action import WebhookConfig, posted

#: Bytes of an answer, at most.
_LARGEST: Final = 256 * 1024


class LookupParams(plugin.ActionParams):
    """What is looked up."""

    query: str = Field(
        min_length=1,
        max_length=200,
        description="What to look up, as the customer gave it, such as the number of an order.",
    )


class Lookup(plugin.Action[WebhookConfig]):
    """POSTs a question as JSON, and gives back what the receiver answers: JSON or text.

    The request is that of the action ``webhook``, signature included; ``params`` holds the
    ``query``, ``contact`` who asks. The receiver must change nothing: a model says when it is
    asked, and it may be asked again.
    """

    reads_only = True
    repeat_is_harmless = True

    async def run(self, call: plugin.ActionCall) -> plugin.ActionResult:
        """Ask once; any 2xx is an answer.

        :raises Refused: an answer that is too large, besides what its status says.
        """
        content, headers = posted(call, self.config, self.context.clock.now())
        asking = self.context.http.stream("POST", self.config.url, content=content, headers=headers)
        async with asking as response:
            plugin.raise_for_status(response)
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            file = await plugin.read_file(response, _LARGEST)
            host = response.request.url.host
        if not file.data.strip():
            return plugin.ActionResult()
        if kind != "application/json" and not kind.endswith("+json"):
            return plugin.ActionResult(file.data.decode("utf-8", "replace").strip())
        try:
            found: Any = json.loads(file.data)
        except (ValueError, RecursionError):
            raise plugin.OutcomeUnknown(f"{host} answered with JSON that cannot be read") from None
        return plugin.ActionResult(data=found if isinstance(found, dict) else {"found": found})
