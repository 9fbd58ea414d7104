"""The schema, once for SQLite and PostgreSQL. migrations/ builds it; a test compares the two."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from router.clock import from_micros, to_micros


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware UTC moment: microseconds since 1970 on SQLite, timestamptz on PostgreSQL."""

    impl = sa.BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.DateTime(timezone=True))
        return dialect.type_descriptor(sa.BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return to_micros(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value if dialect.name == "postgresql" else from_micros(value)
        return moment


def _json() -> sa.types.TypeEngine[Any]:
    # Nothing is NULL, on both, and not the word null of JSON.
    return sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True), "postgresql"
    )


# A bare INTEGER is what makes SQLite number rows by itself; PostgreSQL wants 64 bits.
_Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# A lane is a numbered log with a cursor. last_seq is the newest number given out, done_seq the
# cursor. ready_at is null while nothing waits, else the earliest moment of the next claim.
# lease_owner (a node's id, never reused) is both the lease and the fencing token.
lane = sa.Table(
    "lane",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("done_seq", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("ready_at", Moment),
    sa.Column("lease_owner", sa.BigInteger),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("crashes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_error", sa.Text),
    sa.Column("parked", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("queue", sa.Text),
    sa.Column("place", Moment),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": "70", "autovacuum_vacuum_scale_factor": "0.02"},
)
_claimable = sa.and_(
    lane.c.ready_at.is_not(None), lane.c.lease_owner.is_(None), sa.not_(lane.c.parked)
)
sa.Index(
    "lane_ready",
    lane.c.kind,
    lane.c.ready_at,
    sqlite_where=_claimable,
    postgresql_where=_claimable,
)
sa.Index(
    "lane_owner",
    lane.c.lease_owner,
    sqlite_where=lane.c.lease_owner.is_not(None),
    postgresql_where=lane.c.lease_owner.is_not(None),
)
# Whose items wait for a token of the same bucket, one after the other.
_queued = lane.c.queue.is_not(None)
sa.Index(
    "lane_queue",
    lane.c.tenant,
    lane.c.queue,
    lane.c.place,
    sqlite_where=_queued,
    postgresql_where=_queued,
)
sa.Index("lane_parked", lane.c.kind, sqlite_where=lane.c.parked, postgresql_where=lane.c.parked)

inbox_event = sa.Table(
    "inbox_event",
    metadata,
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("external_id", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("conversation", sa.Text),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("outcome", sa.Text),
    # The later event of this lane whose decision settled this one: the answer, say.
    sa.Column("settled_seq", sa.BigInteger),
    sa.Column("dead_at", Moment),
    sa.Column("dead_error", sa.Text),
    # A person's word that it is not worked, or not read, any more.
    sa.Column("discarded_at", Moment),
    sa.Column("discarded_by", sa.Text),
    sa.Column("discarded_because", sa.Text),
    sa.UniqueConstraint("source", "external_id"),
    # Its end is written to every row once: in the same page no index has to know of it.
    postgresql_with={"fillfactor": "70"},
)
sa.Index("inbox_event_received", inbox_event.c.tenant, inbox_event.c.received_at)
sa.Index(
    "inbox_event_dead",
    inbox_event.c.dead_at,
    sqlite_where=inbox_event.c.dead_at.is_not(None),
    postgresql_where=inbox_event.c.dead_at.is_not(None),
)
_unparsed = inbox_event.c.type == "unparsed"
sa.Index(
    "inbox_event_unparsed",
    inbox_event.c.tenant,
    inbox_event.c.received_at,
    sqlite_where=_unparsed,
    postgresql_where=_unparsed,
)

contact = sa.Table(
    "contact",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("language", sa.Text),
    sa.Column("opted_out", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("tags", _json(), nullable=False, server_default="[]"),
    sa.Column("attributes", _json(), nullable=False, server_default="{}"),
    sa.Column("created_at", Moment, nullable=False),
    sa.UniqueConstraint("tenant", "key"),
)

# Other addresses of a person, learnt from providers: thread key → the key it counts as.
alias = sa.Table(
    "alias",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

conversation = sa.Table(
    "conversation",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("contact", sa.Text, sa.ForeignKey("contact.id"), nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("owner_since", Moment),
    sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("category", sa.Text),
    sa.Column("risk", sa.Text),
    sa.Column("priority", sa.Text),
    sa.Column("language", sa.Text),
    sa.Column("bot_turns", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tags", _json(), nullable=False, server_default="[]"),
    sa.Column("attributes", _json(), nullable=False, server_default="{}"),
    sa.Column("pending_ask", sa.Text),
    sa.Column("turn_from", sa.BigInteger),
    sa.Column("turn_generation", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("open_ticket", sa.Text),
    sa.Column("last_provider_id", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("last_in_at", Moment),
    sa.Column("last_person_at", Moment),
    # The provider said that the customer wrote too long ago for free text. Their next message
    # opens the window again.
    sa.Column("window_shut_at", Moment),
    sa.Column("last_activity_at", Moment, nullable=False),
)
_open = conversation.c.status != "closed"
sa.Index(
    "conversation_open",
    conversation.c.contact,
    unique=True,
    sqlite_where=_open,
    postgresql_where=_open,
)
sa.Index("conversation_recent", conversation.c.tenant, conversation.c.last_activity_at)
sa.Index("conversation_contact", conversation.c.contact, conversation.c.created_at)
# Turns that wait for an answer: what the silence alarm looks at.
_waits = conversation.c.turn_from.is_not(None)
sa.Index("conversation_turn", conversation.c.tenant, sqlite_where=_waits, postgresql_where=_waits)

# The conversation as people read it. An outgoing message has the id of its outbox item.
message = sa.Table(
    "message",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("conversation", sa.Text, sa.ForeignKey("conversation.id"), nullable=False),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("attachments", _json()),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("event_lane", sa.Text),
    sa.Column("event_seq", sa.BigInteger),
    sa.Column("provider_id", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("failure", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
)
sa.Index("message_thread", message.c.conversation, message.c.created_at)
sa.Index("message_recent", message.c.tenant, message.c.created_at, message.c.direction)
# What people wrote past the router has no outbox item that would know the provider's id.
_by_person = message.c.author == "person"
sa.Index(
    "message_provider_id",
    message.c.provider_id,
    sqlite_where=_by_person,
    postgresql_where=_by_person,
)

# A telephone call that is over, beside the messages of its conversation. However it was reported,
# it has the provider's id, so that it is one.
call = sa.Table(
    "call",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("conversation", sa.Text, sa.ForeignKey("conversation.id"), nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("party", sa.Text, nullable=False),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("agent", sa.Text),
    sa.Column("batch", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("seconds", sa.Integer),
    sa.Column("data", _json(), nullable=False, server_default="{}"),
    sa.Column("transcript", _json(), nullable=False, server_default="[]"),
    sa.Column("recording", _json()),
    sa.Column("event_lane", sa.Text, nullable=False),
    sa.Column("event_seq", sa.BigInteger, nullable=False),
    sa.Column("began_at", Moment, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)
# With the tenant, else SQLite takes the one below for a conversation, and reads every call.
sa.Index("call_conversation", call.c.tenant, call.c.conversation, call.c.began_at)
sa.Index("call_recent", call.c.tenant, call.c.began_at)
# Without it, whoever deletes a conversation has the database look at every call.
sa.Index("call_of_conversation", call.c.conversation)
sa.Index(
    "call_batch",
    call.c.tenant,
    call.c.batch,
    call.c.began_at,
    sqlite_where=call.c.batch.is_not(None),
    postgresql_where=call.c.batch.is_not(None),
)

# A customer who wanted no messages, and may be written to again: who says so, and why.
opt_in = sa.Table(
    "opt_in",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("contact", sa.Text, sa.ForeignKey("contact.id"), nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)
sa.Index("opt_in_contact", opt_in.c.contact, opt_in.c.created_at)

# First messages of which there are several wordings: which one a customer was sent.
first_message = sa.Table(
    "first_message",
    metadata,
    sa.Column("message", sa.Text, sa.ForeignKey("message.id"), primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("conversation", sa.Text, sa.ForeignKey("conversation.id"), nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("variant", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)
sa.Index("first_message_recent", first_message.c.tenant, first_message.c.created_at)
sa.Index("first_message_conversation", first_message.c.conversation)

decision = sa.Table(
    "decision",
    metadata,
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("conversation", sa.Text),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("rule", sa.Text),
    sa.Column("body", _json(), nullable=False),
    sa.Column("trace", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("conversation", sa.Text),
    sa.Column("decided_lane", sa.Text),
    sa.Column("decided_seq", sa.BigInteger),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
    # A digest of the account by which the last attempt was made; null: any may make another.
    sa.Column("account", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
    # Held back until then, by quiet hours.
    sa.Column("not_before", Moment),
    sa.Column("started_at", Moment),
    sa.Column("finished_at", Moment),
    sa.Column("provider_ref", sa.Text),
    sa.Column("code", sa.Text),
    sa.Column("error", sa.Text),
    # The id of the provider's echo of this item: each item matches one echo.
    sa.Column("echo", sa.Text),
    sa.UniqueConstraint("lane", "seq"),
)
sa.Index("outbox_conversation", outbox.c.conversation, outbox.c.created_at)
sa.Index("outbox_recent", outbox.c.tenant, outbox.c.created_at)
_unsettled = outbox.c.state.not_in(["done", "withdrawn"])
sa.Index(
    "outbox_unsettled",
    outbox.c.state,
    outbox.c.created_at,
    sqlite_where=_unsettled,
    postgresql_where=_unsettled,
)
sa.Index(
    "outbox_provider_ref",
    outbox.c.provider_ref,
    sqlite_where=outbox.c.provider_ref.is_not(None),
    postgresql_where=outbox.c.provider_ref.is_not(None),
)

# Delivery reports that came before our own commit of the send's result; consumed by it.
early_report = sa.Table(
    "early_report",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("provider_id", sa.Text, primary_key=True),
    sa.Column("status", sa.Text),
    sa.Column("failure", sa.Text),
    sa.Column("received_at", Moment, nullable=False),
)
sa.Index("early_report_received", early_report.c.received_at)

# Token buckets of senders and of pairs. A full one is as good as none; its row may be forgotten.
bucket = sa.Table(
    "bucket",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("full_at", Moment),
    sa.Column("queued_to", Moment),
)
sa.Index("bucket_full", bucket.c.full_at)

# Instances to which nothing leaves for a while, because their calls failed one after the other.
breaker = sa.Table(
    "breaker",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("instance", sa.Text, primary_key=True),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("until", Moment, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
)

# The files that customers sent, by what is in them; the bytes are elsewhere. One that comes again
# is the same row, used again.
media = sa.Table(
    "media",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("content_type", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("used_at", Moment, nullable=False),
)
sa.Index("media_used", media.c.used_at)

# What a channel asks its provider for, again and again. generation is the fence: what a poll found
# is kept only under the one that was taken; holder and leased_until say that a poll is under way,
# held that there is none until a person says so, and why.
poller = sa.Table(
    "poller",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("cursor", sa.Text),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.Text),
    sa.Column("leased_until", Moment),
    sa.Column("held", sa.Text),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("polled_at", Moment),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failing_since", Moment),
    sa.Column("error", sa.Text),
)

# What the provider of a channel last listed of its templates, whole, as JSON.
template_listing = sa.Table(
    "template_listing",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("listed_at", Moment, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

timer = sa.Table(
    "timer",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("payload", _json(), nullable=False, server_default="{}"),
)
sa.Index("timer_due", timer.c.due_at)

draft = sa.Table(
    "draft",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("conversation", sa.Text, sa.ForeignKey("conversation.id"), nullable=False),
    sa.Column("event_lane", sa.Text, nullable=False),
    sa.Column("event_seq", sa.BigInteger, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("sources", _json(), nullable=False, server_default="[]"),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("resolved_at", Moment),
    sa.Column("resolved_by", sa.Text),
    sa.Column("sent_text", sa.Text),
)
sa.Index("draft_state", draft.c.tenant, draft.c.state, draft.c.created_at)
sa.Index("draft_conversation", draft.c.conversation)
sa.Index("draft_event", draft.c.event_lane, draft.c.event_seq)

ticket = sa.Table(
    "ticket",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("conversation", sa.Text, sa.ForeignKey("conversation.id")),
    sa.Column("event_lane", sa.Text),
    sa.Column("event_seq", sa.BigInteger),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("priority", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("assignee", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.UniqueConstraint("tenant", "number"),
)
sa.Index("ticket_state", ticket.c.tenant, ticket.c.state, ticket.c.updated_at)
sa.Index("ticket_conversation", ticket.c.conversation)
sa.Index("ticket_event", ticket.c.event_lane, ticket.c.event_seq)

ticket_entry = sa.Table(
    "ticket_entry",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("ticket", sa.Text, sa.ForeignKey("ticket.id"), nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)
sa.Index("ticket_entry_ticket", ticket_entry.c.ticket, ticket_entry.c.created_at)

escalation = sa.Table(
    "escalation",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("conversation", sa.Text, sa.ForeignKey("conversation.id")),
    sa.Column("event_lane", sa.Text, nullable=False),
    sa.Column("event_seq", sa.BigInteger, nullable=False),
    sa.Column("to", sa.Text, nullable=False),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("acknowledged_at", Moment),
    sa.Column("acknowledged_by", sa.Text),
)
sa.Index("escalation_open", escalation.c.tenant, escalation.c.acknowledged_at)
sa.Index("escalation_event", escalation.c.event_lane, escalation.c.event_seq)
sa.Index("escalation_conversation", escalation.c.conversation)

# What lets whoever was told read one conversation: a row for each notice, not for each ticket,
# because a ticket that is open already is added to, and the people of its queue are told again.
link = sa.Table(
    "link",
    metadata,
    sa.Column("secret", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("conversation", sa.Text, sa.ForeignKey("conversation.id"), nullable=False),
    sa.Column("escalation", sa.Text, sa.ForeignKey("escalation.id")),
    sa.Column("ticket", sa.Text, sa.ForeignKey("ticket.id")),
    sa.Column("created_at", Moment, nullable=False),
)
# Without them, whoever deletes one of these three has the database look at every link.
sa.Index("link_conversation", link.c.conversation)
sa.Index("link_escalation", link.c.escalation)
sa.Index("link_ticket", link.c.ticket)

# What the tokens of the API are signed with: the newest key of a tenant that is not retired signs,
# every one that is not retired is believed.
api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("retired_at", Moment),
)
sa.Index("api_key_tenant", api_key.c.tenant, api_key.c.created_at)

# A token of the API, without the token: what makes it revocable.
api_token = sa.Table(
    "api_token",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("key", sa.Text, sa.ForeignKey("api_key.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", _json(), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("revoked_at", Moment),
    sa.Column("revoked_by", sa.Text),
)
sa.Index("api_token_tenant", api_token.c.tenant, api_token.c.created_at)

# What a request with an Idempotency-Key was answered: a repeat gets the same, and does nothing.
api_answer = sa.Table(
    "api_answer",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("token", sa.Text, primary_key=True),
    sa.Column("route", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("answer", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
)
sa.Index("api_answer_created", api_answer.c.created_at)

# That a person's data was erased at their wish: when, by whom and how much. The digests are of
# their addresses, and tell whoever asks about one whether it is it; they name nobody.
erasure = sa.Table(
    "erasure",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("digests", _json(), nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("opted_out", sa.Boolean, nullable=False),
    sa.Column("counts", _json(), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)
sa.Index("erasure_recent", erasure.c.tenant, erasure.c.created_at)

# What the digests of a tenant's erasures are made with. No row: nobody was erased as yet.
erasure_salt = sa.Table(
    "erasure_salt",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("salt", sa.Text, nullable=False),
)

# What was known of erased people, as digests: what their providers send once more is no news.
erased_event = sa.Table(
    "erased_event",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("conversation", sa.Text),
    sa.Column("event_lane", sa.Text),
    sa.Column("event_seq", sa.BigInteger),
    sa.Column("instance", sa.Text, nullable=False),
    sa.Column("model", sa.Text),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)
sa.Index("usage_tenant", usage.c.tenant, usage.c.created_at)
sa.Index("usage_conversation", usage.c.conversation)

node = sa.Table(
    "node",
    metadata,
    sa.Column("id", _Number, primary_key=True, autoincrement=True),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    # It holds no lock by which others see that it lives, because a pooler stands in between.
    sa.Column("polls", sa.Boolean, nullable=False, server_default=sa.false()),
    sqlite_autoincrement=True,
)

article = sa.Table(
    "article",
    metadata,
    sa.Column("id", _Number, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("category", sa.Text),
    sa.Column("language", sa.Text),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.UniqueConstraint("tenant", "path"),
)

# title_terms and text_terms hold what the full-text index sees: folded and stemmed words.
passage = sa.Table(
    "passage",
    metadata,
    sa.Column("id", _Number, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("article", _Number, sa.ForeignKey("article.id"), nullable=False),
    sa.Column("ref", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("title_terms", sa.Text, nullable=False),
    sa.Column("text_terms", sa.Text, nullable=False),
    sa.UniqueConstraint("tenant", "ref"),
)
sa.Index("passage_article", passage.c.article)
