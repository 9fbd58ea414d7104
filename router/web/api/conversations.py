"""Conversations: who is talked to, what was said, and who answers."""

from datetime import datetime
from typing import Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from router.pipeline.reporting import NUMBER
from router.storage.conversations import list_conversations, show_conversation
from router.storage.messages import list_messages, message_place
from router.web.api.call import Call
from router.web.api.endpoints import Routes
from router.web.api.models import (
    FILLED,
    Conversation,
    EventName,
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
    """A person's text for a customer."""

    text: Text


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
        description="Ids of the outbox items that carry the text; a long one takes several."
    )


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
    """Send a text as a person.

    The conversation is theirs from now on, as if they had spoken on any other surface: what the bot
    has not sent yet does not leave any more, and it says nothing until the conversation is handed
    back. The text leaves by the conversation's channel; `GET /outbox/{id}` tells how far it got.
    """
    done = await call.act("conversations.send", id=id, text=body.text, by=call.by(body))
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
