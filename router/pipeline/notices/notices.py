"""Who is told of a decision, in what words, and with which link to the conversation."""

from typing import Any, Final
from urllib.parse import urlsplit

from router.domain.conversation import Conversation
from router.domain.decision import Decision
from router.pipeline.instances.configuration import Configuration
from router.pipeline.notices.because import in_words
from router.rules.model import DEFAULT_QUEUE

#: The path of the page that a link opens, in front of its secret.
PATH: Final = "/c/"

#: The longest text of a notice, in characters; the newest part is kept.
_LONGEST: Final = 1000


def told(configuration: Configuration, decision: Decision) -> tuple[str, ...]:
    """Name the actions that tell somebody: the one that is called, or those of a queue."""
    settings = configuration.settings
    if decision.escalation is not None:
        name = decision.escalation.to
        if name in settings.actions:
            return (name,)
    elif decision.ticket is not None:
        name = decision.ticket.queue
    elif decision.notify:
        name = DEFAULT_QUEUE
    else:
        return ()
    queue = settings.queues.get(name)
    return queue.notify if queue else ()


def address_of(configuration: Configuration, tenant: str, secret: str) -> str | None:
    """Give the address of the page that shows a conversation to whoever has the secret.

    :return: ``None`` if the tenant wants no such links, or if nobody knows where we are: without a
        ``public_url``, on any free port.
    """
    public_url = configuration.settings.router.public_url
    if not configuration.policy(tenant).notice_links or urlsplit(public_url).port == 0:
        return None
    return f"{public_url}{PATH}{secret}"


def words(
    decision: Decision, conversation: Conversation, text: str, url: str | None, language: str
) -> dict[str, Any]:
    """Give the parameters of a notice.

    :param text: what the customer wrote last.
    :param language: of the people who are told, a BCP 47 tag.
    """
    about = in_words(decision.because, language)
    if decision.escalation is not None:
        about = decision.escalation.because
    elif decision.ticket is not None:
        about = decision.ticket.title
    who = conversation.contact.name or conversation.address.value
    notice = {"title": f"{who}: {about}", "text": text[-_LONGEST:]}
    return notice if url is None else {**notice, "url": url}
