"""Wordings of first messages: which one a customer was sent, and how many answered."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from router.storage.stats import Scope
from router.storage.tables import first_message, message

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantCount:
    """What became of one wording.

    :param sent: customers that it was sent to; what failed or was withdrawn does not count.
    :param answered: those of them who wrote afterwards, in the same conversation.
    """

    rule: str
    variant: str
    sent: int
    answered: int

    @property
    def share(self) -> float | None:
        """How many answered of those it was sent to; ``None`` while there are none."""
        return self.answered / self.sent if self.sent else None


def note_variant(
    connection: "Connection",
    tenant: str,
    message_id: str,
    *,
    conversation: str,
    rule: str,
    variant: str,
    now: datetime,
) -> None:
    """Note which wording a message is."""
    connection.execute(
        sa.insert(first_message).values(
            message=message_id,
            tenant=tenant,
            conversation=conversation,
            rule=rule,
            variant=variant,
            created_at=now,
        )
    )


def count_variants(connection: "Connection", scope: Scope) -> list[VariantCount]:
    """Count wordings by rule and name, with the answers that they got."""
    sent = message.alias("sent")
    answer = message.alias("answer")
    answered = sa.exists().where(
        answer.c.conversation == first_message.c.conversation,
        answer.c.direction == "in",
        answer.c.created_at > first_message.c.created_at,
    )
    statement = (
        sa.select(
            first_message.c.rule,
            first_message.c.variant,
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(sa.case((answered, 1), else_=0)), 0),
        )
        .join(sent, sent.c.id == first_message.c.message)
        .where(
            *scope.of(first_message, first_message.c.created_at),
            sa.or_(sent.c.status.is_(None), sent.c.status.not_in(["failed", "withdrawn"])),
        )
        .group_by(first_message.c.rule, first_message.c.variant)
        .order_by(first_message.c.rule, first_message.c.variant)
    )
    return [
        VariantCount(rule=rule, variant=variant, sent=count, answered=int(answers))
        for rule, variant, count, answers in connection.execute(statement)
    ]
