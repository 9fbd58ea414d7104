"""Subjects: one person of one tenant, and everything that is stored of them.

A person is known by several names: the key of their thread, addresses learnt from providers, the
contacts that these once were, and the lanes in which their events stand. All of it is found from
one address.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from router.domain.identity import Address, thread_key
from router.domain.outbox import ItemKind
from router.storage.events import sources
from router.storage.store import IN, JOB, OUT
from router.storage.tables import (
    alias,
    bucket,
    call,
    contact,
    conversation,
    decision,
    draft,
    early_report,
    escalation,
    first_message,
    inbox_event,
    lane,
    link,
    message,
    opt_in,
    outbox,
    ticket,
    ticket_entry,
    timer,
    usage,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Fewer characters than these are no name to look for in a text.
_TELLING: Final = 5
#: Fewer digits than these are no telephone number without a country code.
_NATIONAL: Final = 8
_SIGNS: Final = "[ ().-]{0,2}"
#: How providers write numbers that are one person's; see :func:`router.domain.identity.thread_key`.
_WRITTEN: Final = (
    (re.compile(r"\+52(\d{10})"), r"+521\1"),
    (re.compile(r"\+54(\d{10})"), r"+549\1"),
    (re.compile(r"\+55(\d{2})9([6-9]\d{7})"), r"+55\1\2"),
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A person, by all that they are known by in a tenant.

    :param key: of their thread.
    :param keys: that one, and every other that counts, or once counted, as theirs.
    :param addresses: as they were written to and from, ``scheme:value``.
    :param contacts: ids.
    :param conversations: ids.
    :param lanes: in which only events of theirs stand.
    :param shared: other lanes in which events of their conversations stand.
    :param outs: lanes of what left for them.
    :param items: lanes of single items that have not ended.
    """

    tenant: str
    key: str
    keys: tuple[str, ...]
    addresses: tuple[str, ...]
    contacts: tuple[str, ...]
    conversations: tuple[str, ...]
    lanes: tuple[str, ...]
    shared: tuple[str, ...]
    outs: tuple[str, ...]
    items: tuple[str, ...]

    @cached_property
    def mention(self) -> re.Pattern[str]:
        """What finds their addresses in a text, however a number is written.

        What it finds is deleted: an id in another case may be somebody else's.
        """
        return mention_of(self.addresses, exact=True)

    @cached_property
    def belongings(self) -> Mapping[sa.Table, sa.ColumnElement[bool]]:
        """Which rows of which table are theirs; each table before those that it refers to."""
        threads, tenant = self.conversations, self.tenant

        def theirs(table: sa.Table) -> sa.ColumnElement[bool]:
            return sa.and_(table.c.tenant == tenant, table.c.conversation.in_(threads))

        def begun(table: sa.Table) -> sa.ColumnElement[bool]:
            """Say what events of theirs began, whether or not it has a conversation."""
            stray = sa.and_(
                table.c.tenant == tenant,
                table.c.conversation.is_(None),
                table.c.event_lane.in_(self.lanes),
            )
            return sa.or_(theirs(table), stray)

        def told(table: sa.Table) -> sa.ColumnElement[bool]:
            elsewhere = sa.and_(table.c.lane.in_(self.shared), table.c.conversation.in_(threads))
            return sa.and_(
                table.c.tenant == tenant, sa.or_(table.c.lane.in_(self.lanes), elsewhere)
            )

        loose = sa.and_(
            outbox.c.tenant == tenant,
            outbox.c.conversation.is_(None),
            sa.or_(outbox.c.decided_lane.in_(self.lanes), outbox.c.lane.in_(self.outs)),
        )
        items = sa.or_(theirs(outbox), loose)
        tickets = sa.select(ticket.c.id).where(begun(ticket))
        refs = sa.select(outbox.c.provider_ref).where(items)
        return {
            first_message: theirs(first_message),
            link: theirs(link),
            ticket_entry: sa.and_(
                ticket_entry.c.tenant == tenant, ticket_entry.c.ticket.in_(tickets)
            ),
            ticket: begun(ticket),
            escalation: begun(escalation),
            draft: theirs(draft),
            usage: begun(usage),
            call: theirs(call),
            early_report: sa.and_(
                early_report.c.tenant == tenant, early_report.c.provider_id.in_(refs)
            ),
            outbox: items,
            message: theirs(message),
            decision: told(decision),
            inbox_event: told(inbox_event),
            timer: sa.and_(
                timer.c.tenant == tenant,
                sa.or_(timer.c.lane.in_(self.lanes), timer.c.key.in_(threads)),
            ),
            bucket: sa.and_(bucket.c.tenant == tenant, bucket.c.key.in_(self.outs)),
            lane: sa.and_(
                lane.c.tenant == tenant,
                sa.or_(
                    sa.and_(lane.c.kind == IN, lane.c.key.in_(self.lanes)),
                    sa.and_(lane.c.kind == OUT, lane.c.key.in_(self.outs)),
                    sa.and_(lane.c.kind == JOB, lane.c.key.in_((*threads, *self.items))),
                ),
            ),
            opt_in: sa.and_(opt_in.c.tenant == tenant, opt_in.c.contact.in_(self.contacts)),
            conversation: sa.and_(conversation.c.tenant == tenant, conversation.c.id.in_(threads)),
            alias: sa.and_(
                alias.c.tenant == tenant,
                sa.or_(alias.c.address.in_(self.keys), alias.c.key.in_(self.keys)),
            ),
            contact: sa.and_(contact.c.tenant == tenant, contact.c.id.in_(self.contacts)),
        }


def find_subject(connection: "Connection", tenant: str, name: str) -> Subject:
    """Find a person by an address; one of whom nothing is stored has nothing.

    :param name: ``scheme:value``, any that they were ever known by.
    """
    key = thread_key(Address.from_text(name))
    aliases = sa.select(alias.c.address, alias.c.key).where(alias.c.tenant == tenant)
    learnt = connection.execute(aliases.where(alias.c.address == key)).first()
    root: str = key if learnt is None else learnt.key
    others = connection.execute(aliases.where(alias.c.key == root)).all()
    keys = _unique([root, key, *(row.address for row in others)])
    contacts = connection.scalars(
        sa.select(contact.c.id).where(contact.c.tenant == tenant, contact.c.key.in_(keys))
    ).all()
    rows = connection.execute(
        sa.select(conversation.c.id, conversation.c.address, conversation.c.channel).where(
            conversation.c.tenant == tenant, conversation.c.contact.in_(contacts)
        )
    ).all()
    threads = [row.id for row in rows]
    told = connection.execute(
        sa.select(message.c.event_lane, message.c.address, message.c.channel)
        .where(message.c.tenant == tenant, message.c.conversation.in_(threads))
        .distinct()
    ).all()
    written = [row.address for row in (*rows, *told)]
    written += [row.party for row in _parties(connection, tenant, threads)]
    addresses = _unique([*keys, name, *written, *(it for key in keys for it in _forms(key))])
    lanes = [f"{tenant}/{each}" for each in keys]
    left = connection.execute(
        sa.select(outbox.c.lane, outbox.c.kind, outbox.c.decided_lane)
        .where(outbox.c.tenant == tenant, outbox.c.conversation.in_(threads))
        .distinct()
    ).all()
    shared = {row.event_lane for row in told} | {row.decided_lane for row in left}
    channels = {*_channels(connection, tenant), *(row.channel for row in (*rows, *told))}
    ends = [f"{tenant}/{channel}/{each}" for channel in sorted(channels) for each in addresses]
    outs = connection.scalars(
        sa.select(lane.c.key).where(lane.c.kind == OUT, lane.c.key.in_(ends))
    ).all()
    return Subject(
        tenant=tenant,
        key=root,
        keys=keys,
        addresses=addresses,
        contacts=tuple(contacts),
        conversations=tuple(threads),
        lanes=tuple(lanes),
        shared=_unique(shared - {None} - set(lanes)),
        outs=_unique([*outs, *(row.lane for row in left if row.kind == "message")]),
        items=_unique(row.lane for row in left if row.kind != "message"),
    )


def _channels(connection: "Connection", tenant: str) -> set[str]:
    """Give the channels that a tenant is known to have had, without a look at every lane."""
    came = {source.split("/")[1] for source in sources(connection, tenant)}
    left = connection.scalars(
        sa.select(outbox.c.destination)
        .where(
            outbox.c.tenant == tenant,
            outbox.c.conversation.is_(None),
            outbox.c.kind == ItemKind.MESSAGE,
        )
        .distinct()
    )
    return {*came, *left}


def _parties(
    connection: "Connection", tenant: str, threads: list[str]
) -> "list[sa.Row[tuple[str]]]":
    statement = sa.select(call.c.party).where(
        call.c.tenant == tenant, call.c.conversation.in_(threads)
    )
    return list(connection.execute(statement.distinct()))


def count_of(connection: "Connection", subject: Subject) -> dict[str, int]:
    """Give how many rows of which table are a person's; tables without any are left out."""
    counts = {
        table.name: connection.execute(
            sa.select(sa.func.count()).select_from(table).where(where)
        ).scalar_one()
        for table, where in subject.belongings.items()
    }
    return {name: number for name, number in counts.items() if number}


def known_as(connection: "Connection", subject: Subject) -> list[str]:
    """Give a person's names and ids, as far as anything is stored of them."""
    names = connection.scalars(
        sa.select(contact.c.name).where(subject.belongings[contact], contact.c.name.is_not(None))
    )
    return [*names, *subject.contacts, *subject.conversations]


def mention_of(
    addresses: Iterable[str], *names: str, national: bool = False, exact: bool = False
) -> re.Pattern[str]:
    """Give what finds addresses in a text, and names as whole words, in whatever case.

    Of a telephone number its digits count, and the signs between them do not.

    :param national: telephone numbers count without their country codes, too.
    :param exact: only in the case in which they are written here.
    """
    ways = set()
    addresses = list(addresses)
    if national:
        addresses += [f"tel:{each}" for each in map(_national, addresses) if each is not None]
    for text in addresses:
        scheme, _, value = text.partition(":")
        if scheme == "tel":
            digits = [each for each in value if each.isdigit()]
            ways.add(r"(?<!\d)" + _SIGNS.join(digits) + r"(?!\d)")
        else:
            known = value if len(value) >= _TELLING else text
            ways.add(rf"(?<!\w){re.escape(known)}(?!\w)")
    ways |= {rf"(?<!\w){re.escape(name)}(?!\w)" for name in names if name.strip()}
    return re.compile("|".join(sorted(ways)), re.NOFLAG if exact else re.IGNORECASE)


def _national(address: str) -> str | None:
    """Give a telephone number as it is dialled in its own country, if it is long enough to tell."""
    import phonenumbers

    scheme, _, value = address.partition(":")
    if scheme != "tel":
        return None
    try:
        digits = str(phonenumbers.parse(value).national_number)
    except phonenumbers.NumberParseException:
        return None
    return digits if len(digits) >= _NATIONAL else None


def _forms(key: str) -> list[str]:
    """Give how providers may have written the number that a key is of."""
    value = key.removeprefix("tel:")
    if value == key:
        return []
    found = ((pattern.fullmatch(value), form) for pattern, form in _WRITTEN)
    return ["tel:" + match.expand(form) for match, form in found if match]


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
