"""Requests that cannot be parsed: kept as they came, with what kind of error it was."""

import base64
import hashlib
from json import JSONDecodeError
from pathlib import Path
from traceback import extract_tb

from pydantic import ValidationError

from router.domain.host_event import Unparsed
from router.domain.storable import storable
from router.pipeline.instances.instances import LiveChannel
from router.plugin.channel import WebhookRequest
from router.storage.store import NewEvent

#: The most that is said about why a request could not be parsed, in characters.
_LONGEST_REASON = 200

#: Headers of an unparsed request that are kept: what its channel may need to read it later.
_KEPT_HEADERS = ("content-type", "content-encoding")


def told(error: Exception) -> str:
    """Say what kind of error it is and where, without its words: they may quote the customer's."""
    name = type(error).__name__
    if isinstance(error, ValidationError):
        details = error.errors(include_url=False, include_context=False, include_input=False)
        found = [f"{'.'.join(map(str, it['loc'])) or 'all of it'} ({it['type']})" for it in details]
        reason = f"{name}: {', '.join(found)}"
    elif isinstance(error, JSONDecodeError):
        reason = f"{name}: line {error.lineno}, column {error.colno}"
    elif isinstance(error, UnicodeDecodeError):
        reason = f"{name}: byte {error.start}"
    else:
        frames = extract_tb(error.__traceback__)
        reason = (
            f"{name} in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else name
        )
    return storable(reason)[:_LONGEST_REASON]


def unparsed(channel: LiveChannel, source: str, request: WebhookRequest, reason: str) -> NewEvent:
    """Give the event that keeps a request as it came, in a lane of its channel's.

    :param source: what its id is unique in.
    :param reason: why it could not be parsed.
    """
    digest = hashlib.sha256(request.body).hexdigest()
    headers = {name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers}
    event = Unparsed(
        channel=channel.name,
        endpoint=request.endpoint,
        body=base64.b64encode(request.body).decode("ascii"),
        headers=headers,
        error=reason,
    )
    return NewEvent(
        lane=f"{channel.tenant}/raw:{channel.name}",
        tenant=channel.tenant,
        source=source,
        external_id=f"raw:{digest}",
        event=event,
        received_at=request.received_at,
    )
