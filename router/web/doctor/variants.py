"""Other addresses, bodies, moments and secrets with which a request might have been signed."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr

from router.plugin.config import PluginConfig
from router.settings.model import InstanceSettings
from router.web.doctor.captures import Capture
from router.web.findings import secrets_in

#: What stands before a channel's name in every webhook's path.
HOOKS: Final = "/hooks/"

_SECONDS: Final = re.compile(r"(?<![0-9])[12][0-9]{9}(?![0-9])")
_PATH: Final = "/-._~!$&'()*+,;=:@"
#: So many of each are tried: the headers of a request are whatever its sender likes.
_MOST_HOSTS: Final = 8
_MOST_PORTS: Final = 4
_MOST_PREFIXES: Final = 6
_MOST_MOMENTS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address in its parts.

    :param origin: scheme, host and port.
    :param prefix: what stands before ``/hooks/``.
    """

    origin: str
    prefix: str
    path: str
    query: str

    @property
    def url(self) -> str:
        """The address as it is signed."""
        return f"{self.origin}{self.prefix}{self.path}{'?' if self.query else ''}{self.query}"

    @property
    def shown(self) -> str:
        """The address as it may be printed: a query may hold a secret."""
        return f"{self.origin}{self.prefix}{self.path}"

    def differences(self, other: "Address") -> int:
        """Count the parts that differ."""
        names = ("origin", "prefix", "path", "query")
        return sum(getattr(self, name) != getattr(other, name) for name in names)


def split_public_url(public_url: str) -> tuple[str, str]:
    """Give the origin and the path of ``[router] public_url``."""
    parts = urlsplit(public_url)
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")


def seen(capture: Capture, public_url: str, start: int) -> Address:
    """Give the address as the router makes it: of ``public_url`` and of what it was asked for.

    :param start: where ``/hooks/`` begins in the captured path.
    """
    origin, prefix = split_public_url(public_url)
    return Address(origin=origin, prefix=prefix, path=capture.path[start:], query=capture.query)


def addresses(capture: Capture, public_url: str, start: int, port: int) -> list[Address]:
    """Give the addresses that may have been signed, the most like the router's own first.

    :param port: where the router listens.
    """
    base = seen(capture, public_url, start)
    prefixes = [base.prefix, "", capture.path[:start]]
    prefixes += _words(capture.headers.get("x-forwarded-prefix", ""))
    found = {
        Address(origin=origin, prefix=prefix.rstrip("/"), path=path, query=query): None
        for origin in _origins(capture, base.origin, port)
        for prefix in list(dict.fromkeys(prefixes))[:_MOST_PREFIXES]
        for path in _paths(base.path)
        for query in _queries(base.query)
    }
    return sorted(found, key=base.differences)


def _origins(capture: Capture, own: str, port: int) -> list[str]:
    said = [own.partition("://")[2]]
    if capture.origin is not None:
        said.append(capture.origin.partition("://")[2])
    for name in ("host", "x-forwarded-host", "x-original-host", ":authority"):
        said += _words(capture.headers.get(name, ""))
    for pair in re.split("[;,]", capture.headers.get("forwarded", "")):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "host":
            said.append(value.strip('"'))
    told = [it for it in _words(capture.headers.get("x-forwarded-port", "")) if it.isdecimal()]
    ports = [str(port), *told[:_MOST_PORTS]]
    found = [own]
    for host in list(dict.fromkeys(said))[:_MOST_HOSTS]:
        bare = re.sub(r":[0-9]+$", "", host)
        names = [host, bare, *(f"{bare}:{each}" for each in ports)]
        found += [f"{scheme}://{name}" for name in names for scheme in ("https", "http")]
    return list(dict.fromkeys(found))


def _paths(path: str) -> list[str]:
    turned = path[:-1] if path.endswith("/") else path + "/"
    return list(dict.fromkeys([path, turned, unquote(path), quote(unquote(path), safe=_PATH)]))


def _queries(query: str) -> list[str]:
    if not query:
        return [""]
    return list(dict.fromkeys([query, "", unquote(query), query.replace("%20", "+")]))


def _words(header: str) -> list[str]:
    return [word.strip() for word in header.split(",") if word.strip()]


def bodies(body: bytes) -> list[tuple[str, bytes]]:
    """Give what an editor or a proxy may have made of a body, each with what it did.

    The first is the body itself, with nothing done.
    """
    unix = body.replace(b"\r\n", b"\n")
    made = [
        ("", body),
        ("a line end was added to its end", body.rstrip(b"\r\n")),
        ("a line end was taken from its end", body + b"\n"),
        ("its line ends were changed to CR LF", unix),
        ("its line ends were changed to LF", unix.replace(b"\n", b"\r\n")),
    ]
    found: dict[bytes, str] = {}
    for did, each in made:
        found.setdefault(each, did)
    return [(did, each) for each, did in found.items()]


def moments(capture: Capture, now: datetime) -> list[datetime]:
    """Give when it may have come in: as the file says, now, and when its headers say."""
    found = [now] if capture.received_at is None else [capture.received_at]
    for value in capture.headers.values():
        found += [datetime.fromtimestamp(int(text), UTC) for text in _SECONDS.findall(value)]
    return list(dict.fromkeys(found))[:_MOST_MOMENTS]


# Secrets ──────────────────────────────────────────────────────────────────────────────────────


def with_secret(config: PluginConfig, secret: str, only: str | None = None) -> PluginConfig:
    """Give a table with another secret in the place of each one that it has.

    :param only: the key whose secrets are replaced; ``None``: all of them.
    """
    names = type(config).model_fields if only is None else [only]
    changed = {name: _replaced(getattr(config, name), secret) for name in names}
    return config.model_copy(update=changed)


def _replaced(value: Any, secret: str) -> Any:
    if isinstance(value, SecretStr):
        return SecretStr(secret)
    if isinstance(value, BaseModel):
        names = type(value).model_fields
        return value.model_copy(
            update={name: _replaced(getattr(value, name), secret) for name in names}
        )
    if isinstance(value, Mapping):
        return {key: _replaced(inner, secret) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replaced(inner, secret) for inner in value)
    return value


def header_of(table: InstanceSettings) -> str:
    """Give a table as it is headed in the file, such as ``[channels.whatsapp]``."""
    return f"[{'.'.join(map(str, table.position.path))}]"


def other_secrets(
    table: InstanceSettings, others: Iterable[InstanceSettings], dotenv: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Give secrets that may have been meant, each with where it stands; never empty ones.

    :param table: the channel's own: each of its secrets, which may stand at another one's key, and
        each without what a slip put around it.
    :param others: the other tables of the configuration.
    :param dotenv: the variables of ``.env``, those that nothing refers to among them.
    """
    mine = list(secrets_in(table.config))
    found: dict[str, str] = {}
    for path, value in mine:
        bare = value.strip().strip("\"'").strip()
        found.setdefault(bare, f"{'.'.join(path)} without the blanks or quotes around it")
    for other in others:
        for path, value in secrets_in(other.config):
            found.setdefault(value, f"{header_of(other)} {'.'.join(path)}")
    for name, value in dotenv.items():
        found.setdefault(value, f"{name} in .env")
    own = dict.fromkeys(value for _, value in mine)
    others_of_mine = [(f"{header_of(table)} {'.'.join(path)}", value) for path, value in mine]
    return [
        *(others_of_mine if len(own) > 1 else ()),
        *((name, value) for value, name in found.items() if value and value not in own),
    ]
