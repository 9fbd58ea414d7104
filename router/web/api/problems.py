"""What is wrong with a request, place by place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from router.web.api.models import FILLED

#: More mistakes than these are of no use to anybody.
_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Wrong:
    """One mistake.

    :param pointer: a JSON pointer into the body.
    :param parameter: of the query.
    :param header: its name.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None

    def as_values(self) -> dict[str, str]:
        places = {"pointer": self.pointer, "parameter": self.parameter, "header": self.header}
        return {"detail": self.detail, **{k: v for k, v in places.items() if v is not None}}


class Mistake(Exception):
    """A request that cannot be answered as it is.

    :param status: of the answer.
    :param wrong: what is wrong with it, and where.
    :param headers: to send along.
    """

    def __init__(
        self,
        status: int,
        wrong: Iterable[Wrong] = (),
        *,
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.wrong = tuple(wrong)
        self.detail = detail or _told(self.wrong)
        self.headers = dict(headers or {})


def _told(wrong: Sequence[Wrong]) -> str:
    if not wrong:
        return "The request cannot be answered."
    places = [
        f"{each.parameter or each.header or each.pointer or 'the body'}: {each.detail}"
        for each in wrong[:3]
    ]
    more = f" And {len(wrong) - 3} more." if len(wrong) > 3 else ""
    return f"{'; '.join(places).removesuffix('.')}.{more}"


def in_body(error: ValidationError) -> Mistake:
    """Give what is wrong with a body, each mistake with its place."""
    return Mistake(
        422, [Wrong(_words(it), pointer=pointer(it["loc"])) for it in error.errors()[:_MOST]]
    )


def in_query(error: ValidationError) -> Mistake:
    """Give what is wrong with the parameters of a query."""
    found = error.errors()[:_MOST]
    return Mistake(
        400, [Wrong(_words(it), parameter=str(next(iter(it["loc"]), ""))) for it in found]
    )


def pointer(parts: Iterable[str | int]) -> str:
    """Give a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def _words(error: Any) -> str:
    if error["type"] == "string_pattern_mismatch":
        if error["ctx"]["pattern"] == FILLED:
            return "it holds nothing to read, or a NUL"
        return f"it has not the form {error['ctx']['pattern']}"
    words = str(error["msg"]).removeprefix("Value error, ")
    return words[:1].lower() + words[1:]
