"""Naming an event so that its repeats are known, where its provider promises no name."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from router import plugin
from router_builderbot.config import BuilderbotConfig
from router_builderbot.fields import text_at

#: Where the time of a message stands. A number of WhatsApp's may come in two halves.
TIMES = ("messageTimestamp", "messageTimestamp.low", "timestamp", "date", "createdAt")


def name_of(
    about: str,
    data: Mapping[str, Any],
    config: BuilderbotConfig,
    received_at: datetime,
    *,
    who: str,
    text: str,
    attachments: tuple[plugin.Attachment, ...] = (),
    token: str = "",
) -> str:
    """Give the event's name.

    Its id, where there is one. Else a digest of who, what, and when: of the time that the provider
    states, or of the number that it gave a file. Where there is neither, nothing in the request
    tells a repeat from the same words said again, and all that is left is that a repeat comes soon.

    :param about: what the event is: one thing is not another, whatever it says.
    :param token: BuilderBot's token in place of a text, with its own number in it.
    """
    stated = text_at(data, *config.id_fields)
    if stated:
        return stated
    when = text_at(data, *TIMES)
    if not (when or token):
        when = f"about {int(received_at.timestamp() // config.repeat_window)}"
    # The query of an address is a signature, which may be made anew for each delivery.
    files = [urlsplit(one.url)._replace(query="").geturl() for one in attachments if one.url]
    known = [about, text_at(data, "projectId"), who, text, token, files, when]
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()
    return f"digest:{digest[:40]}"
