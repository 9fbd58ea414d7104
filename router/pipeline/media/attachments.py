"""Attachments: what a message brings besides its words, and how long a turn waits to hear it.

A file is fetched, and a voice note written down, by outbox items in lanes of their own; what they
bring back are events of the thread. Rules and models wait for nothing but what is said, and for
that no longer than ``[media] transcribe_wait``.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from router.domain.conversation import Turn, TurnMessage
from router.domain.event import CallEnded, MessageReceived
from router.domain.host_event import FileFetched, VoiceTranscribed
from router.domain.message import Attachment, Author
from router.domain.outbox import ItemKind
from router.ids import Ids
from router.pipeline.instances.configuration import Configuration
from router.storage.codec import dumps, encode_attachments
from router.storage.store import OWN_LANE, EventRef, NewItem, Tx, Work

#: What stands for the kind of a file that is a call's recording, and came with no message.
RECORDING: Final = "recording"


def fetches(
    configuration: Configuration, work: Work, event: MessageReceived, ids: Ids
) -> tuple[NewItem, ...]:
    """Give what is to be done to have a message's files here."""
    channel = work.source.split("/")[1]
    if not event.attachments or not _fetched(configuration, work.tenant, channel):
        return ()
    return tuple(
        _item(ItemKind.FETCH, channel, _body(work, work.ref.seq, index, attachment), ids)
        for index, attachment in enumerate(event.attachments)
        if attachment.url is not None
    )


def recording(
    configuration: Configuration, work: Work, event: CallEnded, ids: Ids
) -> tuple[NewItem, ...]:
    """Give what is to be done to have the recording of a call here, where it is wanted."""
    channel = work.source.split("/")[1]
    can = configuration.capabilities(work.tenant, channel)
    kept = event.recording
    if kept is None or kept.url is None or can is None or not can.recordings:
        return ()
    if not _fetched(configuration, work.tenant, channel):
        return ()
    attachment = replace(kept, kind=RECORDING)
    body = _body(work, work.ref.seq, 0, attachment)
    return (_item(ItemKind.FETCH, channel, body, ids),)


def transcription(
    configuration: Configuration, work: Work, event: FileFetched, ids: Ids
) -> tuple[NewItem, ...]:
    """Give what is to be done to know what is said in a file that has been fetched."""
    backend = configuration.settings.media.transcribe
    voice = described(Attachment(kind=event.attached), event)
    if backend is None or event.digest is None or not voice.is_voice:
        return ()
    body = _body(work, event.message_seq, event.index, voice)
    if (thread := work.conversation) is not None:
        # Only what is known: a wrong language is worse than none.
        body["language"] = thread.language or thread.contact.language
    return (_item(ItemKind.TRANSCRIBE, backend, body, ids),)


def hearing(configuration: Configuration, tenant: str, channel: str) -> timedelta | None:
    """Say how long a turn waits for what is said in a voice note; ``None``: nobody listens."""
    media = configuration.settings.media
    if media.transcribe is None or not _fetched(configuration, tenant, channel):
        return None
    return timedelta(seconds=media.wait)


def unheard_until(messages: Sequence[TurnMessage], wait: timedelta | None) -> datetime | None:
    """Say until when messages are to be heard out; ``None``: they have been."""
    if wait is None:
        return None
    unheard = [it.received_at for it in messages if any(map(_is_unheard, it.attachments))]
    return max(unheard) + wait if unheard else None


def described(attachment: Attachment, event: FileFetched | VoiceTranscribed) -> Attachment:
    """Give an attachment with what became known of it."""
    if isinstance(event, FileFetched):
        return replace(
            attachment,
            content_type=event.content_type or attachment.content_type,
            digest=event.digest,
            size=event.size,
            problem=event.problem,
        )
    return replace(attachment, transcript=event.text, problem=event.problem)


def described_turn(turn: Turn, event: FileFetched | VoiceTranscribed) -> Turn:
    """Give a turn in which the message knows more of its attachment."""
    messages = tuple(
        replace(it, attachments=_changed(it.attachments, event))
        if it.seq == event.message_seq
        else it
        for it in turn.messages
    )
    return replace(turn, messages=messages)


def describe(tx: Tx, *, work: Work, event: FileFetched | VoiceTranscribed) -> None:
    """Let the stored message know more of its attachment."""
    from router.storage.media import describe as store  # here, because it brings SQLAlchemy

    ref = EventRef(work.ref.lane, event.message_seq)
    change = partial(described, event=event)
    store(tx.connection, work.tenant, ref, event.index, change)


def _changed(
    attachments: tuple[Attachment, ...], event: FileFetched | VoiceTranscribed
) -> tuple[Attachment, ...]:
    return tuple(
        described(item, event) if number == event.index else item
        for number, item in enumerate(attachments)
    )


def _is_unheard(item: Attachment) -> bool:
    known = item.transcript is not None or item.problem is not None
    return item.is_voice and item.url is not None and not known


def _fetched(configuration: Configuration, tenant: str, channel: str) -> bool:
    live = configuration.instances.channels.get((tenant, channel))
    return configuration.settings.media.fetch and live is not None and live.capabilities.fetch


def _item(kind: ItemKind, destination: str, body: dict[str, Any], ids: Ids) -> NewItem:
    name = ids()
    return NewItem(
        id=name,
        kind=kind,
        lane=OWN_LANE + name,
        author=Author.CUSTOMER,
        destination=destination,
        body=dumps(body),
    )


def _body(work: Work, seq: int, index: int, attachment: Attachment) -> dict[str, Any]:
    return {
        "lane_key": work.ref.lane[len(work.tenant) + 1 :],
        "message_seq": seq,
        "index": index,
        "attachment": encode_attachments((attachment,))[0],
    }
