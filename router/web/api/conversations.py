"""Conversations: who is talked to, what was said, and who answers."""

from datetime import datetime
from typing import Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from router.pipeline.people.reporting import NUMBER
from router.rules.media import MOST
from router.storage.conversations import list_conversations, show_conversation
from router.storage.messages import list_messages, message_place
from router.web.api.call import Call
from router.web.api.endpoints import Routes
from router.web.api.models import (
    FILLED,
    Conversation,
    EventName,
    FileUrl,
    Message,
    Output,
    Page,
    Signed,
    Text,
)
from router.web.api.pages import Order, PageQuery, page

routes: Final = Routes("conversations", "Threads with customers, what was said, and who answers.")

_BY_ACTIVITY: Final = Order(
    "conversations", (datetime, str), lambda it: (it.last_activity_at, it.id)
)
_MESSAGES: Final = Order("messages", (datetime, int, str, str), message_place)


class ConversationQuery(PageQuery):
    """Which conversations."""

    status: list[Literal["active", "escalated", "closed"]] = Field(
        [], description="Only of these; may be repeated."
    )
    owner: list[str] = Field(
        [], description="Only of these: `bot`, `nobody`, or a person's name; may be repeated."
    )


class Say(Signed):
    """A person's text for a customer, and files."""

    text: Text
    media: list[FileUrl] = Field(
        [],
        max_length=MOST,
        description="Public addresses of files, `https://…` without credentials. The channel's "
        "provider fetches them; each leaves after the text, as a message of its own.",
    )


class OneConversation(Output):
    """A conversation after something was done."""

    conversation: Conversation


class Taken(OneConversation):
    """A conversation that is a person's now."""

    withdrawn: int = Field(description="How many messages of the bot do not leave any more.")
    under_way: list[str] = Field(
        description="Ids of messages of the bot that had left already, and whose result is not "
        "known yet."
    )


class Said(OneConversation):
    """A conversation in which a person has spoken."""

    withdrawn: int = Field(description="How many messages of the bot do not leave any more.")
    items: list[str] = Field(
        description="Ids of the outbox items that carry the text and the files; a long text takes "
        "several, each file one."
    )
    note: str | None = Field(
        description="Why a file leaves as its address in the text; null where none does."
    )


class LetIn(Signed):
    """Who lets a customer back in, and why."""

    because: Text = Field(
        max_length=500, description="What it rests on, such as the customer's own words. Is kept."
    )


class OptIn(Output):
    """A customer who may be written to again."""

    id: str
    at: datetime
    contact: str = Field(description="The customer's address.")
    by: str
    because: str


class OptedIn(Output):
    """A customer after they were let back in."""

    opt_in: OptIn


class StartPostCall(BaseModel):
    """A call that another system has made. Other spellings: `phoneNumber`, `clientName`, ….

    What else is sent is left alone: existing callers send more.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    phone_number: str = Field(
        validation_alias=AliasChoices("phone_number", "phoneNumber"),
        pattern=NUMBER,
        max_length=60,
        description="The customer's telephone number, with its country code.",
        examples=["+573001234567"],
    )
    client_name: str | None = Field(
        None,
        validation_alias=AliasChoices("client_name", "clientName"),
        max_length=200,
        description="What the customer is called.",
    )
    call_summary: str | None = Field(
        None,
        validation_alias=AliasChoices("call_summary", "callSummary"),
        max_length=20_000,
        description="What the call was about.",
    )
    agent_id: str | None = Field(
        None,
        validation_alias=AliasChoices("agent_id", "agentId"),
        max_length=200,
        description="The provider's id of the agent that spoke.",
    )
    conversation_id: str = Field(
        validation_alias=AliasChoices("conversation_id", "conversationId"),
        pattern=FILLED,
        min_length=1,
        max_length=200,
        description="The provider's id of the call; the same one again is the same call.",
    )


class StartedPostCall(Output):
    """A call that is in its customer's lane."""

    conversation_id: str = Field(description="The provider's id of the call, as it was given.")
    event: EventName = Field(description="What `GET /events/{event}` tells about.")


@routes.post("/conversations/start-post-call", status=202)
async def start_post_call(call: Call, body: StartPostCall) -> StartedPostCall:
    """Go on in writing where a call ended.

    The call is put before the rules as one that its provider reports, `call.ended`; what they send,
    through which channel, and whether anything at all, is theirs to say. The same
    `conversation_id` again gives the same answer and sends nothing more, also where the provider
    reports the call besides.
    """
    done = await call.act("calls.report", **body.model_dump())
    return StartedPostCall.model_validate(done)


@routes.get("/conversations")
async def list_of_conversations(call: Call, query: ConversationQuery) -> Page[Conversation]:
    """List conversations, the last active first.

    One that becomes active while you read goes to the front; begin again to see it there.
    """
    return await page(
        call,
        query,
        _BY_ACTIVITY,
        Conversation,
        lambda it, before, limit: list_conversations(
            it,
            call.tenant,
            statuses=query.status,
            owners=query.owner,
            before=before,
            limit=limit,
        ),
    )


@routes.get("/conversations/{id}")
async def get_conversation(call: Call, id: str) -> Conversation:
    """Give one conversation.

    By its id, or by the customer's address (`tel:+573001234567`): then it is their newest one.
    """
    view = await call.read(lambda it: show_conversation(it, call.tenant, id))
    return Conversation.model_validate(view)


@routes.get("/conversations/{id}/messages")
async def list_of_messages(call: Call, id: str, query: PageQuery) -> Page[Message]:
    """List the messages of a conversation, the newest first."""
    view = await call.read(lambda it: show_conversation(it, call.tenant, id))
    return await page(
        call,
        query,
        _MESSAGES,
        Message,
        lambda it, before, limit: list_messages(
            it, call.tenant, view.id, before=before, limit=limit
        ),
    )


@routes.post("/conversations/{id}/messages", status=202)
async def send_message(call: Call, id: str, body: Say) -> Said:
    """Send a text, and files, as a person.

    The conversation is theirs from now on, as if they had spoken on any other surface: what the bot
    has not sent yet does not leave any more, and it says nothing until the conversation is handed
    back. It leaves by the conversation's channel; `GET /outbox/{id}` tells how far it got. The
    address of a file that the channel does not send leaves in the text.
    """
    done = await call.act(
        "conversations.send", id=id, text=body.text, media=body.media, by=call.by(body)
    )
    return Said.model_validate(done)


@routes.post("/conversations/{id}/take")
async def take_conversation(call: Call, id: str, body: Signed) -> Taken:
    """Take a conversation over: the bot says nothing more in it.

    Answers once nothing of the bot's is on its way any more, or after 5 s names what is.
    """
    done = await call.act("conversations.take", id=id, by=call.by(body))
    return Taken.model_validate(done)


@routes.post("/conversations/{id}/release")
async def release_conversation(call: Call, id: str) -> OneConversation:
    """Hand a conversation back to the bot."""
    return OneConversation.model_validate(await call.act("conversations.release", id=id))


@routes.post("/conversations/{id}/close")
async def close_conversation(call: Call, id: str, body: Signed) -> OneConversation:
    """Close a conversation; the customer's next message opens another.

    What the bot has not sent yet is withdrawn, drafts that wait are thrown away.
    """
    done = await call.act("conversations.close", id=id, by=call.by(body))
    return OneConversation.model_validate(done)


@routes.post("/conversations/{id}/opt-in")
async def opt_in(call: Call, id: str, body: LetIn) -> OptedIn:
    """Let a customer who opted out be written to again.

    Only when they want it: who let them in, when and why is kept. Nothing is sent by this. By the
    customer's address (`tel:+573001234567`) it needs no conversation with them.
    """
    done = await call.act("conversations.opt_in", id=id, because=body.because, by=call.by(body))
    return OptedIn.model_validate(done)
