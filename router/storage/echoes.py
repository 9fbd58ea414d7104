"""Echoes: whether what a provider shows as sent is something that we sent.

Words are compared with words, and where there are none, files with files.
"""

import json
from typing import Final

from router.domain.event import MessageEchoed
from router.domain.message import Attachment
from router.rules.text import fold, squeeze
from router.storage.codec import decode_attachments

#: How much an echo is like an item, the most first.
SAME: Final = 0
_SAME_NAME: Final = 1
_SAME_KIND: Final = 2
_ANOTHER_KIND: Final = 3
_UNNAMED: Final = 4

#: What comes without words, and is never made of a file.
_NO_FILES: Final = frozenset(("location", "contact"))


def likeness(body: str, event: MessageEchoed) -> int | None:
    """Say how much an echo is like a message of ours; the lowest is the most.

    Providers keep files at addresses of their own, and may call a picture a document. So where the
    channel's own messages come back, a file without words is ours as long as nothing speaks
    against it; elsewhere it is somebody else's, unless it has the very address that we gave.

    :param body: the message's, as the outbox keeps it.
    :return: ``None`` if it is another message.
    """
    sent = json.loads(body)
    words, said = squeeze(fold(event.text)), squeeze(fold(sent["text"]))
    files = decode_attachments(sent.get("media"))
    if words == said and (words or not (files or event.attachments)):
        return SAME
    if not files or said:
        return None
    addresses = {file.url for file in files if file.url}
    if words:
        # Some providers write a file's address in place of the words that it does not have.
        return SAME if words in {squeeze(fold(url)) for url in addresses} else None
    if any(file.url in addresses for file in event.attachments):
        return SAME
    if not sent.get("own_echoes"):
        return None
    found = [_alike(file, event.attachments) for file in files]
    return min((each for each in found if each is not None), default=None)


def _alike(sent: Attachment, shown: tuple[Attachment, ...]) -> int | None:
    """Compare a file with what is shown at other addresses than we gave."""
    if not shown:
        return _UNNAMED  # it says that there was something, and not what
    if not all(_may_be(sent, each) for each in shown):
        return None
    if any(each.name is not None and each.name == sent.name for each in shown):
        return _SAME_NAME
    return _SAME_KIND if any(each.kind == sent.kind for each in shown) else _ANOTHER_KIND


def _may_be(sent: Attachment, shown: Attachment) -> bool:
    """Say whether a provider may show our file as this one."""
    if shown.kind == sent.kind:
        return True
    if shown.kind in _NO_FILES:
        return False
    # A voice note, what people send the most without words, is never made of a picture.
    return shown.kind != "audio" or sent.content_type is None
