"""What an act is: arguments that are checked, and a function over one transaction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel

from router.pipeline.people.surroundings import Surroundings
from router.storage.store import Tx


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a person may do.

    :param arguments: what it needs.
    :param function: does it, in one transaction; raises ``ActRefused`` in words.
    """

    arguments: type[BaseModel]
    function: Callable[[Tx, Any, Surroundings], dict[str, Any]]


#: Acts by name.
Acts: TypeAlias = Mapping[str, Act]
