"""The table of an ``apprise`` action, and the addresses in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from router import plugin

_ADDRESS = re.compile(
    r"(?:(?P<tags>[A-Za-z0-9_,-]+)=)?(?P<url>(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://\S+)"
)


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a service. What it says of itself holds no secret.

    :param place: such as ``address 2 of 3``; that and the scheme name it in a log or an error.
    """

    place: str
    scheme: str
    url: plugin.Secret
    tags: frozenset[str]


def addresses(urls: plugin.Secret | tuple[plugin.Secret, ...]) -> Iterator[Address]:
    """Give every address, in the order in which they stand.

    :raises ValueError: naming one that cannot be an address.
    """
    several = urls if isinstance(urls, tuple) else (urls,)
    words = [word for one in several for word in one.get_secret_value().split()]
    if not words:
        message = "there is no address in it"
        raise ValueError(message)
    for number, word in enumerate(words, 1):
        place = f"address {number} of {len(words)}" if len(words) > 1 else "the address"
        found = _ADDRESS.fullmatch(word.rstrip(",;"))
        if found is None:
            message = (
                f"{place} does not begin with a service, such as slack:// or mailto://; put spaces "
                "or line ends between addresses, and none inside one"
            )
            raise ValueError(message)
        tags = frozenset(filter(None, (found["tags"] or "").split(",")))
        yield Address(place, found["scheme"].lower(), plugin.Secret(found["url"]), tags)


def _holds_addresses(value: plugin.Secret) -> plugin.Secret:
    for _ in addresses(value):
        pass
    return value


def _form(value: Any) -> str:
    return "several" if isinstance(value, list | tuple) else "one"


_Urls = Annotated[plugin.Secret, AfterValidator(_holds_addresses)]


class AppriseConfig(plugin.PluginConfig):
    """Whom to tell."""

    urls: Annotated[_Urls, Tag("one")] | Annotated[tuple[_Urls, ...], Tag("several")] = Field(
        # Told apart by their form, so that a mistake in one is not reported as one in the other.
        discriminator=Discriminator(_form),
        description="The addresses of the services, as apprise writes them: one secret that holds "
        "one or several with spaces or line ends between them, or a list of such secrets.",
    )
    tag: str | None = Field(
        None,
        min_length=1,
        description="Tell only the addresses that carry this tag, written before them: "
        "night=slack://… All of them if it is not set.",
    )

    @model_validator(mode="after")
    def _somebody_is_told(self) -> Self:
        if not self.chosen():
            message = (
                f'no address carries the tag "{self.tag}": write {self.tag}= before it'
                if self.tag
                else "urls holds no address"
            )
            raise ValueError(message)
        return self

    def chosen(self) -> list[Address]:
        """Give the addresses that are told."""
        every = addresses(self.urls) if self.urls else ()
        return [one for one in every if self.tag is None or self.tag in one.tags]
