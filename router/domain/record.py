"""Records: values that nobody changes, of which every event makes a dozen.

To the type checker ``@record`` is ``@dataclass``, and it refuses whatever changes a frozen one. As
the program runs nothing watches: a dataclass that does sets each field by a call of its own, and
that was a tenth of what deciding about a message takes. What plugins are handed is a dataclass
frozen in earnest.
"""

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import replace as changed
else:
    from collections.abc import Callable
    from dataclasses import dataclass, fields

    Value = TypeVar("Value")

    def record(*, frozen: bool, kw_only: bool = False, slots: bool) -> Callable[[type], type]:
        """Make a class a dataclass that is equal, and hashed, as a frozen one is.

        :raises TypeError: if it has a ``__post_init__``, which :func:`changed` would leave out.
        """

        def made(kind: type) -> type:
            if hasattr(kind, "__post_init__"):
                raise TypeError(f"{kind.__name__} cannot be a record: it has a __post_init__")
            return dataclass(slots=slots, kw_only=kw_only, unsafe_hash=frozen)(kind)

        return made

    #: The fields of each class that was ever changed.
    _names: dict[type, tuple[str, ...]] = {}

    def changed(value: Value, /, **changes: Any) -> Value:
        """Give a record with some fields changed.

        :raises AttributeError: if it has no such field.
        """
        kind = type(value)
        names = _names.get(kind)
        if names is None:
            names = _names[kind] = tuple(field.name for field in fields(kind))
        other = kind.__new__(kind)
        for name in names:
            setattr(other, name, getattr(value, name))
        for name, each in changes.items():
            setattr(other, name, each)
        return other


__all__ = ["changed", "record"]
