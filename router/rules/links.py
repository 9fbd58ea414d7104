"""The places on the web that a text leads to, as a telephone that shows it would open them.

Whatever names a scheme is a link, and so is a host that stands alone. What only looks like one is
told by its end: ``Hola.como`` and ``factura.pdf`` end in no top-level domain. Rather too many than
too few: a host that is none makes a draft, one that is missed leads the customer there.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from ipaddress import IPv4Address
from typing import Any, Final

import re2

from router.domain.unicode import normalize
from router.rules.domains import top_level_domains
from router.rules.text import clean, fold

#: A link ends at a space, and at what is none of these.
_PARTS: Final = r"[^<>\"')\]“”«»]+"
_NAME: Final = r"[\p{L}\p{M}\p{N}_.-]+"
#: A scheme and all that follows; one that is opened without slashes; what may be a host, and
#: what makes it an e-mail address.
_PLACES: Final = (
    r"(?i)(?:https?:[/\\]+|[a-z][a-z0-9+.-]{0,30}:[/\\]{2})(.+)"
    r"|\b(mailto|upi|tg|bitcoin|ethereum):(.+)"
    rf"|({_NAME})(@{_NAME})?"
)
_PATH: Final = r"(?::\d{1,5})?[/?#\\]."
_MAILBOXES: Final = r"@([^@,;?&]+)"
#: Unseen, and no format characters: the joiner of graphemes, and how an emoji is drawn.
_UNSEEN: Final = dict.fromkeys([0x34F, *range(0xFE00, 0xFE10)])
#: They separate labels as a stop does, but for where they end a sentence of their own script.
_STOPS: Final = r"。([^\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}])"
#: Behind one or two digits: a measure, a time or an ordinal number, and a country elsewhere.
_COUNTED: Final = frozenset(
    ("am", "cm", "do", "er", "gr", "kg", "km", "mg", "ml", "mm", "mo", "no", "pm", "to")
)
_FEW_DIGITS: Final = 2
#: A port, and the first character of a path, are within so many.
_AHEAD: Final = 8


def links(text: str) -> frozenset[str]:
    """Give the hosts that a text links to, without ``www.``."""
    found: set[str] = set()
    for word in _legible(text).split():
        # Most words are at most the last of their sentence.
        if "." in word.strip(".") or ":" in word[:-1]:
            for part in _pattern(_PARTS).findall(word):
                found.update(_hosts(part))
    return frozenset(found)


def _hosts(part: str) -> Iterator[str]:
    for match in _pattern(_PLACES).finditer(part):
        addressed, scheme, opened, name, mailbox = match.groups()
        if addressed:
            yield from _named([_host(addressed)])
        elif scheme:
            boxes = _pattern(_MAILBOXES).findall(opened) if scheme.lower() == "mailto" else []
            yield from _named(boxes or [opened.partition("?")[0]])
        elif mailbox is None or "." not in mailbox.strip("."):
            start, end = match.span()
            followed = _pattern(_PATH).match(part[end : end + _AHEAD]) is not None
            # A name behind an @ is somebody's.
            if part[max(start - 1, 0) : start] == "@" and not followed:
                continue
            hosts = [each for each in _candidates(name) if _is_host(each, followed=followed)]
            yield from _named(hosts)
            if hosts and followed:
                return


def _candidates(name: str) -> Iterator[str]:
    """Give what may be hosts in a run of letters, digits, stops and hyphens."""
    for each in name.split(".."):
        yield each.strip("._-")


def _is_host(name: str, *, followed: bool) -> bool:
    """Say whether a name is a host: by its end, or because a path follows."""
    labels = name.split(".")
    last = labels[-1].lower()
    if len(labels) == 1 or not all(labels):
        return False
    if labels[0].lower() == "www":
        return True
    if _is_ipv4(name):
        return True
    if _is_abbreviation(name) or (not followed and _is_counted(labels)):
        return False
    if last in top_level_domains() or last.startswith("xn--"):
        return True
    if len(last) == 1 or any(unicodedata.category(each)[0] not in "LM" for each in last):
        return False
    # Of the domains without a path those in Latin letters are known, and have no accents.
    return followed or not fold(last).isascii()


def _is_ipv4(name: str) -> bool:
    try:
        IPv4Address(name)
    except ValueError:
        return False
    return True


def _is_abbreviation(name: str) -> bool:
    """Say whether a name is a plural of initials, such as EE.UU, or "verbigracia"."""
    pairs = name.split(".")
    return name.lower() == "v.gr" or all(
        len(each) == 2 and each[0] == each[1] and each.isupper() for each in pairs
    )


def _is_counted(labels: list[str]) -> bool:
    """Say whether a number comes before what it counts: ``8.am``, ``2.do``."""
    number, what, *more = labels
    few = number.isdecimal() and len(number) <= _FEW_DIGITS
    return few and not more and what.lower() in _COUNTED


def _host(rest: str) -> str:
    """Give the host of what stands behind a scheme's slashes."""
    for end in "/?#\\":
        rest = rest.partition(end)[0]
    # What stands before an @ is a name, not the place that it leads to.
    host = rest.rpartition("@")[2]
    # A number in brackets is an address of IPv6, colons and all.
    return host.partition("]")[0].lstrip("[") if host[:1] == "[" else host.partition(":")[0]


def _named(hosts: Iterable[str]) -> Iterator[str]:
    """Give hosts as lists of them write them."""
    for each in hosts:
        end = len(each)
        # A full stop behind it, or what makes it bold.
        while end and unicodedata.category(each[end - 1])[0] not in "LMN":
            end -= 1
        if host := each[:end].lower().removeprefix("www."):
            yield host


def _legible(text: str) -> str:
    """Give a text without what nobody sees, and with one character for each that looks like it."""
    text = clean(text)
    if text.isascii():
        return text
    seen = (each for each in text.translate(_UNSEEN) if unicodedata.category(each) != "Cf")
    folded = normalize("NFKC", "".join(seen))
    return str(_pattern(_STOPS).sub(r".\1", folded)) if "。" in folded else folded


@cache
def _pattern(source: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(source, options)
