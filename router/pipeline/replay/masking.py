"""Masking: a recording that may be shared, which still decides as the real one did.

Addresses, names and ids become numbers, counted in the order in which they come: the same
recording gives the same ones, and nothing leads back. Telephone numbers keep their country.
Personal data that can be told by its form gives way, in every text, to some of its kind that is
nobody's, so that rules see as many kinds as before; and so do the words of the customer's name.
What else people write about themselves stays: read a recording before it leaves.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

from router.domain.conversation import BOT, NOBODY, SOMEBODY
from router.domain.identity import Address, thread_key
from router.rules import pii
from router.rules.text import clean
from router.storage.recordings import Line, RecordedEvent, RecordedTurn
from router.storage.store import EventRef

#: What stands for each kind of personal data: right in its form, and published as an example.
STAND_INS: Final[Mapping[str, str]] = {
    "card": "4111 1111 1111 1111",
    "cpf": "111.444.777-35",
    "cuit": "20-05536168-2",
    "curp": "BOXW310820HNERXN09",
    "dni": "54362315K",
    "email": "persona@example.com",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "nit": "213.123.432-1",
    "phone": "+34 612 34 56 78",
    "rut": "12.531.909-2",
}
#: Owners who are nobody in particular.
_ROLES: Final = frozenset({BOT, NOBODY, SOMEBODY})
#: What a decision says in somebody's words, by where it stands in it.
_SAID: Final = frozenset({"text", "title", "because", "params", "reply"})
#: What of an event says nothing of who it was about, by its name in any kind of event.
_HARMLESS: Final = frozenset(
    {
        *("sent_at", "started_at", "language", "status", "code", "why", "timer", "generation"),
        *("backend", "asked_seq", "asked_by", "classify", "passages", "seconds", "epoch"),
        *("direction", "outcome", "duration", "origin", "what"),
        *("message_seq", "index", "attached", "content_type", "size"),
    }
)
#: What else an event names, by the name under which it does.
_IDS: Final[Mapping[str, str]] = {
    "in_reply_to": "message",
    "provider_id": "message",
    "item": "item",
    "agent": "line",
    "batch": "batch",
    "conversation": "conversation",
}
#: What an event's id names, where it is no message.
_NOUNS: Final[Mapping[str, str]] = {"call": "call", "opt_out": "wish"}
#: Names with fewer letters are words of every language.
_SHORTEST: Final = 3
#: Begins the names of what the router keeps for itself; it is no text.
_OWN: Final = "~"


class Masking:
    """Masks the turns of one recording; what was one person stays one."""

    def __init__(self) -> None:
        self._people: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._ids: dict[str, dict[str, str]] = {}

    def turn(self, turn: RecordedTurn) -> RecordedTurn:
        """Give a turn that says nothing of who it was."""
        lane = turn.decided.ref.lane
        key = lane[len(turn.tenant) + 1 :]
        text = _Texts(self._words(_names(turn)), pii.country_of(key))
        masked = f"{turn.tenant}/{self._person(key)}"
        events = tuple(self._event(event, masked, text) for event in turn.events)
        lines: dict[int, Line] = {}
        for number, line in turn.lines.items():
            payload = self._payload("message", json.loads(line.payload), text)
            lines[number] = replace(line, payload=_text(payload))
        if text.changed:
            # Each of them sees the texts of the whole turn.
            events = tuple(replace(event, masked=True) for event in events)
        return replace(turn, events=events, lines=lines, shared=True)

    def _event(self, event: RecordedEvent, lane: str, text: "_Texts") -> RecordedEvent:
        before = event.before
        return replace(
            event,
            ref=EventRef(lane, event.ref.seq),
            payload=_text(self._payload(event.kind, json.loads(event.payload), text)),
            conversation=self._id("conversation", event.conversation),
            body=_said(event.body, text.told),
            before=None if before is None else self._before(before, text),
            changes={name: text.told(value) for name, value in event.changes.items()},
            trace=b"",
        )

    def _payload(self, kind: str, values: dict[str, Any], text: "_Texts") -> dict[str, Any]:
        """Mask an event as it is stored; what is not known to be harmless is left out."""
        found = {name: each for name, each in values.items() if name in _HARMLESS}
        found |= self._ids_of(kind, values)
        for name in ("sender", "recipient", "party", "contact"):
            if name in values:
                found[name] = self._address(values[name])
        for name in ("text", "reason", "error", "problem", "summary", "because"):
            if values.get(name) is not None:
                found[name] = text.mask(values[name])
        if values.get("name"):
            found["name"] = text.told(values["name"])
        for name in ("metadata", "data"):
            if name in values:
                found[name] = {k: text.mask(v) for k, v in values[name].items()}
        if "attachments" in values:
            found["attachments"] = [_attached(each, text) for each in values["attachments"]]
        if "transcript" in values:
            found["transcript"] = [
                [role, text.mask(said), at] for role, said, at in values["transcript"]
            ]
        if "recording" in values:
            found["recording"] = _attached(values["recording"], text)
        if kind == "answer":
            found |= {it: values[it] for it in ("ai", "grounds", "completion") if it in values}
            self._answer(found, text)
        elif kind == "timer":
            found["key"] = self._id("conversation", values["key"])
        return found

    def _ids_of(self, kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, noun in (("id", None), *_IDS.items()):
            if values.get(name) is not None:
                found[name] = self._id(noun or _NOUNS.get(kind, "message"), values[name])
        return found

    def _answer(self, found: dict[str, Any], text: "_Texts") -> None:
        if "ai" in found:
            found["ai"] = _said(found["ai"], text.mask, every=True)
        if found.get("grounds"):
            found["grounds"] = _said(found["grounds"], text.mask, every=True)
        if completion := found.get("completion"):
            found["completion"] = {
                **completion,
                "text": text.mask(completion["text"]),
                "proposals": _said(completion["proposals"], text.mask, every=True),
            }

    def _before(self, values: Mapping[str, Any], text: "_Texts") -> dict[str, Any]:
        found = dict(values)
        if contact := found.get("contact"):
            found["contact"] = _person(contact, text)
        if stood := found.get("conversation"):
            stood = _person(stood, text)
            if "address" in stood:
                stood["address"] = self._address(stood["address"])
            if stood.get("owner") not in {None, *_ROLES}:
                stood["owner"] = self._id("agent", stood["owner"])
            if "open_ticket" in stood:
                stood["open_ticket"] = self._id("ticket", stood["open_ticket"])
            found["conversation"] = stood
        if known := found.get("known"):
            wrote = [[channel, self._address(it), at] for channel, it, at in known["wrote"]]
            found["known"] = {**known, "wrote": wrote}
        return found

    def _address(self, text: str) -> str:
        return self._person(thread_key(Address.from_text(text)))

    def _person(self, key: str) -> str:
        known = self._people.get(key)
        if known is None:
            known = self._people[key] = _pseudonym(key, len(self._people) + 1)
        return known

    def _words(self, names: Iterable[str]) -> dict[str, str]:
        """Give what stands for each word of some names."""
        found: dict[str, str] = {}
        for name in names:
            words = [word.casefold() for word in _split(name) if word.isalpha()]
            for word in [it for it in words if len(it) >= _SHORTEST] or words:
                pseudonym = f"Nombre{len(self._names) + 1}"
                found[word] = self._names.setdefault(word, pseudonym)
        return found

    def _id(self, kind: str, value: str | None) -> Any:
        if value is None:
            return None
        known = self._ids.setdefault(kind, {})
        return known.setdefault(value, f"{kind}-{len(known) + 1}")


def _attached(values: Mapping[str, Any], text: "_Texts") -> dict[str, Any]:
    """Mask an attachment; where it is, and what is in it, is left out."""
    found = {name: values[name] for name in ("kind", "content_type", "size") if name in values}
    for name in ("transcript", "problem"):
        if values.get(name) is not None:
            found[name] = text.mask(values[name])
    return found


def as_shared(turn: RecordedTurn, body: Mapping[str, Any]) -> dict[str, Any]:
    """Mask what is decided about a masked turn, as what was decided about it then was masked.

    The business's own telephone number, say, stands in none of the recorded texts either.
    """
    country = pii.country_of(turn.decided.ref.lane[len(turn.tenant) + 1 :])
    masked: dict[str, Any] = _said(body, _Texts({}, country).told)
    return masked


class _Texts:
    """Masks the texts of one turn, and remembers whether anything had to be."""

    def __init__(self, names: Mapping[str, str], country: str | None) -> None:
        self._names = names
        self._country = country
        self.changed = False

    def mask(self, text: str) -> str:
        """Mask what rules looked at: where that changes it, they may see something else."""
        masked = self.told(text)
        self.changed = self.changed or masked != text
        return masked

    def told(self, text: str) -> str:
        """Mask what came out, or what comes out the same: a name for a name."""
        masked = _faceless(text, self._country)
        if self._names:
            masked = "".join(self._names.get(it.casefold(), it) for it in _split(masked))
        return masked


def _faceless(text: str, country: str | None) -> str:
    """Give a text with stand-ins for the personal data in it."""
    found = pii.find(text, country)
    if not found:
        return text
    text = clean(text)
    parts: list[str] = []
    at = 0
    for each in found:
        parts += (text[at : each.start], STAND_INS[each.kind])
        at = each.end
    return "".join((*parts, text[at:]))


def _pseudonym(key: str, number: int) -> str:
    scheme, _, value = key.partition(":")
    if scheme != "tel":
        return f"{scheme}:person-{number}"
    return f"tel:+{_calling_code(value)}{number:010d}"


@lru_cache(maxsize=4096)
def _calling_code(number: str) -> str:
    import phonenumbers

    try:
        return str(phonenumbers.parse(number).country_code)
    except phonenumbers.NumberParseException:
        return "0"


def _names(turn: RecordedTurn) -> list[str]:
    """Give the names by which the customer is known anywhere in a turn."""
    payloads = [json.loads(event.payload) for event in turn.events]
    payloads += [json.loads(line.payload) for line in turn.lines.values()]
    names = [payload.get("name") for payload in payloads]
    names += [((event.before or {}).get("contact") or {}).get("name") for event in turn.events]
    return [name for name in names if name]


def _split(text: str) -> list[str]:
    """Give the words of a text and what stands between them."""
    return ["".join(run) for _, run in groupby(text, key=str.isalpha)]


def _person(values: Mapping[str, Any], text: _Texts) -> dict[str, Any]:
    found = dict(values)
    if "name" in found:
        found["name"] = text.told(found["name"])
    if "attributes" in found:
        found["attributes"] = {
            name: value if name.startswith(_OWN) else text.mask(value)
            for name, value in found["attributes"].items()
        }
    return found


def _said(values: Any, mask: Callable[[str], str], *, every: bool = False) -> Any:
    """Mask what is said in a decision; names of rules, queues and the like stay."""
    if isinstance(values, str):
        return mask(values) if every else values
    if isinstance(values, Mapping):
        return {name: _said(v, mask, every=every or name in _SAID) for name, v in values.items()}
    if isinstance(values, list | tuple):
        return [_said(each, mask, every=every) for each in values]
    return values


def _text(values: Any) -> str:
    return json.dumps(values, ensure_ascii=False)
