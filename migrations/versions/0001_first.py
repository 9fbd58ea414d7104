"""The first schema.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Types stand here in full: a revision keeps its meaning when the code has moved on.
Moment = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")
Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _conversations()
    _events()
    _deliveries()
    _people()
    _api()
    _erasures()
    _nodes()
    _knowledge()
    if op.get_bind().dialect.name == "sqlite":
        _full_text_sqlite()
    else:
        _full_text_postgresql()


def _conversations() -> None:
    op.create_table(
        "contact",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("opted_out", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("tags", Json, nullable=False, server_default="[]"),
        sa.Column("attributes", Json, nullable=False, server_default="{}"),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_contact"),
        sa.UniqueConstraint("tenant", "key", name="uq_contact_tenant_key"),
    )
    op.create_table(
        "alias",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "address", name="pk_alias"),
    )
    op.create_table(
        "conversation",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("contact", sa.Text, nullable=False),
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
        sa.Column("tags", Json, nullable=False, server_default="[]"),
        sa.Column("attributes", Json, nullable=False, server_default="{}"),
        sa.Column("pending_ask", sa.Text),
        sa.Column("turn_from", sa.BigInteger),
        sa.Column("turn_generation", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("open_ticket", sa.Text),
        sa.Column("last_provider_id", sa.Text),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("last_in_at", Moment),
        sa.Column("last_person_at", Moment),
        sa.Column("window_shut_at", Moment),
        sa.Column("last_activity_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conversation"),
        sa.ForeignKeyConstraint(["contact"], ["contact.id"], name="fk_conversation_contact"),
    )
    op.create_index(
        "conversation_open",
        "conversation",
        ["contact"],
        unique=True,
        sqlite_where=sa.text("status != 'closed'"),
        postgresql_where=sa.text("status != 'closed'"),
    )
    op.create_index("conversation_contact", "conversation", ["contact", "created_at"])
    op.create_index("conversation_recent", "conversation", ["tenant", "last_activity_at"])
    op.create_index(
        "conversation_turn",
        "conversation",
        ["tenant"],
        sqlite_where=sa.text("turn_from IS NOT NULL"),
        postgresql_where=sa.text("turn_from IS NOT NULL"),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("attachments", Json),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("event_lane", sa.Text),
        sa.Column("event_seq", sa.BigInteger),
        sa.Column("provider_id", sa.Text),
        sa.Column("status", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
        sa.ForeignKeyConstraint(
            ["conversation"], ["conversation.id"], name="fk_message_conversation"
        ),
    )
    op.create_index(
        "message_provider_id",
        "message",
        ["provider_id"],
        sqlite_where=sa.text("author = 'person'"),
        postgresql_where=sa.text("author = 'person'"),
    )
    op.create_index("message_recent", "message", ["tenant", "created_at", "direction"])
    op.create_index("message_thread", "message", ["conversation", "created_at"])
    op.create_table(
        "call",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
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
        sa.Column("data", Json, nullable=False, server_default="{}"),
        sa.Column("transcript", Json, nullable=False, server_default="[]"),
        sa.Column("recording", Json),
        sa.Column("event_lane", sa.Text, nullable=False),
        sa.Column("event_seq", sa.BigInteger, nullable=False),
        sa.Column("began_at", Moment, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_call"),
        sa.ForeignKeyConstraint(["conversation"], ["conversation.id"], name="fk_call_conversation"),
    )
    op.create_index("call_conversation", "call", ["tenant", "conversation", "began_at"])
    op.create_index("call_recent", "call", ["tenant", "began_at"])
    op.create_index("call_of_conversation", "call", ["conversation"])
    op.create_index(
        "call_batch",
        "call",
        ["tenant", "batch", "began_at"],
        sqlite_where=sa.text("batch IS NOT NULL"),
        postgresql_where=sa.text("batch IS NOT NULL"),
    )
    op.create_table(
        "opt_in",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("contact", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_opt_in"),
        sa.ForeignKeyConstraint(["contact"], ["contact.id"], name="fk_opt_in_contact"),
    )
    op.create_index("opt_in_contact", "opt_in", ["contact", "created_at"])
    op.create_table(
        "first_message",
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("message", name="pk_first_message"),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name="fk_first_message_message"),
        sa.ForeignKeyConstraint(
            ["conversation"], ["conversation.id"], name="fk_first_message_conversation"
        ),
    )
    op.create_index("first_message_recent", "first_message", ["tenant", "created_at"])
    op.create_index("first_message_conversation", "first_message", ["conversation"])


def _events() -> None:
    op.create_table(
        "lane",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
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
        sa.PrimaryKeyConstraint("kind", "key", name="pk_lane"),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": "70", "autovacuum_vacuum_scale_factor": "0.02"},
    )
    op.create_index(
        "lane_owner",
        "lane",
        ["lease_owner"],
        sqlite_where=sa.text("lease_owner IS NOT NULL"),
        postgresql_where=sa.text("lease_owner IS NOT NULL"),
    )
    op.create_index(
        "lane_parked",
        "lane",
        ["kind"],
        sqlite_where=sa.text("parked"),
        postgresql_where=sa.text("parked"),
    )
    op.create_index(
        "lane_queue",
        "lane",
        ["tenant", "queue", "place"],
        sqlite_where=sa.text("queue IS NOT NULL"),
        postgresql_where=sa.text("queue IS NOT NULL"),
    )
    op.create_index(
        "lane_ready",
        "lane",
        ["kind", "ready_at"],
        sqlite_where=sa.text("ready_at IS NOT NULL AND lease_owner IS NULL AND parked = 0"),
        postgresql_where=sa.text("ready_at IS NOT NULL AND lease_owner IS NULL AND NOT parked"),
    )
    op.create_table(
        "inbox_event",
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("received_at", Moment, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("settled_seq", sa.BigInteger),
        sa.Column("dead_at", Moment),
        sa.Column("dead_error", sa.Text),
        sa.Column("discarded_at", Moment),
        sa.Column("discarded_by", sa.Text),
        sa.Column("discarded_because", sa.Text),
        sa.PrimaryKeyConstraint("lane", "seq", name="pk_inbox_event"),
        sa.UniqueConstraint("source", "external_id", name="uq_inbox_event_source_external_id"),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "inbox_event_dead",
        "inbox_event",
        ["dead_at"],
        sqlite_where=sa.text("dead_at IS NOT NULL"),
        postgresql_where=sa.text("dead_at IS NOT NULL"),
    )
    op.create_index("inbox_event_received", "inbox_event", ["tenant", "received_at"])
    op.create_index(
        "inbox_event_unparsed",
        "inbox_event",
        ["tenant", "received_at"],
        sqlite_where=sa.text("type = 'unparsed'"),
        postgresql_where=sa.text("type = 'unparsed'"),
    )
    op.create_table(
        "decision",
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("rule", sa.Text),
        sa.Column("body", Json, nullable=False),
        sa.Column("trace", sa.LargeBinary, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("lane", "seq", name="pk_decision"),
    )
    op.create_table(
        "timer",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("due_at", Moment, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("payload", Json, nullable=False, server_default="{}"),
        sa.PrimaryKeyConstraint("tenant", "kind", "key", name="pk_timer"),
    )
    op.create_index("timer_due", "timer", ["due_at"])


def _deliveries() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Text, nullable=False),
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
        sa.Column("account", sa.Text),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("not_before", Moment),
        sa.Column("started_at", Moment),
        sa.Column("finished_at", Moment),
        sa.Column("provider_ref", sa.Text),
        sa.Column("code", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("echo", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("lane", "seq", name="uq_outbox_lane_seq"),
    )
    op.create_index("outbox_conversation", "outbox", ["conversation", "created_at"])
    op.create_index("outbox_recent", "outbox", ["tenant", "created_at"])
    op.create_index(
        "outbox_provider_ref",
        "outbox",
        ["provider_ref"],
        sqlite_where=sa.text("provider_ref IS NOT NULL"),
        postgresql_where=sa.text("provider_ref IS NOT NULL"),
    )
    op.create_index(
        "outbox_unsettled",
        "outbox",
        ["state", "created_at"],
        sqlite_where=sa.text("(state NOT IN ('done', 'withdrawn'))"),
        postgresql_where=sa.text("(state NOT IN ('done', 'withdrawn'))"),
    )
    op.create_table(
        "early_report",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("received_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "channel", "provider_id", name="pk_early_report"),
    )
    op.create_index("early_report_received", "early_report", ["received_at"])
    op.create_table(
        "bucket",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("full_at", Moment),
        sa.Column("queued_to", Moment),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_bucket"),
    )
    op.create_index("bucket_full", "bucket", ["full_at"])
    op.create_table(
        "breaker",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("opened_at", Moment, nullable=False),
        sa.Column("until", Moment, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "instance", name="pk_breaker"),
    )
    op.create_table(
        "media",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("used_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "digest", name="pk_media"),
    )
    op.create_index("media_used", "media", ["used_at"])
    op.create_table(
        "poller",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
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
        sa.PrimaryKeyConstraint("tenant", "channel", "name", name="pk_poller"),
    )
    op.create_table(
        "template_listing",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("listed_at", Moment, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "channel", name="pk_template_listing"),
    )


def _people() -> None:
    op.create_table(
        "draft",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("event_lane", sa.Text, nullable=False),
        sa.Column("event_seq", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("sources", Json, nullable=False, server_default="[]"),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("resolved_at", Moment),
        sa.Column("resolved_by", sa.Text),
        sa.Column("sent_text", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_draft"),
        sa.ForeignKeyConstraint(
            ["conversation"], ["conversation.id"], name="fk_draft_conversation"
        ),
    )
    op.create_index("draft_conversation", "draft", ["conversation"])
    op.create_index("draft_event", "draft", ["event_lane", "event_seq"])
    op.create_index("draft_state", "draft", ["tenant", "state", "created_at"])
    op.create_table(
        "ticket",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("conversation", sa.Text),
        sa.Column("event_lane", sa.Text),
        sa.Column("event_seq", sa.BigInteger),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("assignee", sa.Text),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticket"),
        sa.ForeignKeyConstraint(
            ["conversation"], ["conversation.id"], name="fk_ticket_conversation"
        ),
        sa.UniqueConstraint("tenant", "number", name="uq_ticket_tenant_number"),
    )
    op.create_index("ticket_conversation", "ticket", ["conversation"])
    op.create_index("ticket_event", "ticket", ["event_lane", "event_seq"])
    op.create_index("ticket_state", "ticket", ["tenant", "state", "updated_at"])
    op.create_table(
        "ticket_entry",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("ticket", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticket_entry"),
        sa.ForeignKeyConstraint(["ticket"], ["ticket.id"], name="fk_ticket_entry_ticket"),
    )
    op.create_index("ticket_entry_ticket", "ticket_entry", ["ticket", "created_at"])
    op.create_table(
        "escalation",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text),
        sa.Column("event_lane", sa.Text, nullable=False),
        sa.Column("event_seq", sa.BigInteger, nullable=False),
        sa.Column("to", sa.Text, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("acknowledged_at", Moment),
        sa.Column("acknowledged_by", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_escalation"),
        sa.ForeignKeyConstraint(
            ["conversation"], ["conversation.id"], name="fk_escalation_conversation"
        ),
    )
    op.create_index("escalation_event", "escalation", ["event_lane", "event_seq"])
    op.create_index("escalation_open", "escalation", ["tenant", "acknowledged_at"])
    op.create_index("escalation_conversation", "escalation", ["conversation"])
    op.create_table(
        "link",
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("escalation", sa.Text),
        sa.Column("ticket", sa.Text),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("secret", name="pk_link"),
        sa.ForeignKeyConstraint(["conversation"], ["conversation.id"], name="fk_link_conversation"),
        sa.ForeignKeyConstraint(["escalation"], ["escalation.id"], name="fk_link_escalation"),
        sa.ForeignKeyConstraint(["ticket"], ["ticket.id"], name="fk_link_ticket"),
    )
    for name in ("conversation", "escalation", "ticket"):
        op.create_index(f"link_{name}", "link", [name])


def _api() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("retired_at", Moment),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
    )
    op.create_index("api_key_tenant", "api_key", ["tenant", "created_at"])
    op.create_table(
        "api_token",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
        sa.Column("revoked_at", Moment),
        sa.Column("revoked_by", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_api_token"),
        sa.ForeignKeyConstraint(["key"], ["api_key.id"], name="fk_api_token_key"),
    )
    op.create_index("api_token_tenant", "api_token", ["tenant", "created_at"])
    op.create_table(
        "api_answer",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "token", "route", "key", name="pk_api_answer"),
    )
    op.create_index("api_answer_created", "api_answer", ["created_at"])


def _erasures() -> None:
    op.create_table(
        "erasure",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("digests", Json, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("opted_out", sa.Boolean, nullable=False),
        sa.Column("counts", Json, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_erasure"),
    )
    op.create_index("erasure_recent", "erasure", ["tenant", "created_at"])
    op.create_table(
        "erasure_salt",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("salt", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="pk_erasure_salt"),
    )
    op.create_table(
        "erased_event",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_erased_event"),
    )


def _nodes() -> None:
    op.create_table(
        "node",
        sa.Column("id", Number, nullable=False, autoincrement=True),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("polls", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("id", name="pk_node"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "usage",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text),
        sa.Column("event_lane", sa.Text),
        sa.Column("event_seq", sa.BigInteger),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
    )
    op.create_index("usage_tenant", "usage", ["tenant", "created_at"])
    op.create_index("usage_conversation", "usage", ["conversation"])


def _knowledge() -> None:
    op.create_table(
        "article",
        sa.Column("id", Number, nullable=False, autoincrement=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("category", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_article"),
        sa.UniqueConstraint("tenant", "path", name="uq_article_tenant_path"),
    )
    op.create_table(
        "passage",
        sa.Column("id", Number, nullable=False, autoincrement=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("article", Number, nullable=False),
        sa.Column("ref", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("title_terms", sa.Text, nullable=False),
        sa.Column("text_terms", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_passage"),
        sa.ForeignKeyConstraint(["article"], ["article.id"], name="fk_passage_article"),
        sa.UniqueConstraint("tenant", "ref", name="uq_passage_tenant_ref"),
    )
    op.create_index("passage_article", "passage", ["article"])


def _full_text_sqlite() -> None:
    # Its content is the passage table's: the index holds no second copy of the text, and must
    # be told the old words when a row goes.
    op.execute("""
        CREATE VIRTUAL TABLE passage_fts USING fts5(
            title_terms, text_terms,
            content='passage', content_rowid='id', tokenize='unicode61 remove_diacritics 0'
        )
    """)
    new = (
        "INSERT INTO passage_fts(rowid, title_terms, text_terms) "
        "VALUES (new.id, new.title_terms, new.text_terms);"
    )
    old = (
        "INSERT INTO passage_fts(passage_fts, rowid, title_terms, text_terms) "
        "VALUES ('delete', old.id, old.title_terms, old.text_terms);"
    )
    op.execute(f"CREATE TRIGGER passage_fts_insert AFTER INSERT ON passage BEGIN {new} END")
    op.execute(f"CREATE TRIGGER passage_fts_delete AFTER DELETE ON passage BEGIN {old} END")
    op.execute(
        "CREATE TRIGGER passage_fts_update AFTER UPDATE OF title_terms, text_terms ON passage "
        f"BEGIN {old} {new} END"
    )


def _full_text_postgresql() -> None:
    op.execute("""
        CREATE INDEX passage_fts ON passage USING gin ((
            setweight(to_tsvector('simple', title_terms), 'A')
            || setweight(to_tsvector('simple', text_terms), 'B')
        ))
    """)
