"""What a model of a table says about its keys: their names, and where secrets stand."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel, SecretStr

from router.toml import KeyPath

LISTS = (list, tuple, set, frozenset, Sequence)


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    """Give the annotation of each key that a model understands, by the key as it is written."""
    return {
        info.validation_alias if isinstance(info.validation_alias, str) else name: info.annotation
        for name, info in model.model_fields.items()
    }


def keys_at(annotation: Any, path: KeyPath) -> Collection[str]:
    """Give the keys of the model that stands at a path inside a model."""
    annotation = bare(annotation)
    if is_model(annotation):
        keys = keys_of(annotation)
        if not path:
            return keys
        return keys_at(keys.get(str(path[0])), path[1:])
    arguments = get_args(annotation)
    if path and get_origin(annotation) in (*LISTS, dict, Mapping):
        path = path[1:]
    return {key for argument in arguments for key in keys_at(argument, path)}


def holds_secret(annotation: Any) -> bool:
    """Say whether a secret can stand in a value of this type."""
    annotation = bare(annotation)
    if is_model(annotation):
        return any(holds_secret(inner) for inner in keys_of(annotation).values())
    return is_secret(annotation) or any(holds_secret(inner) for inner in get_args(annotation))


def bare(annotation: Any) -> Any:
    """Give a type without what ``Annotated`` adds to it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def is_secret(annotation: Any) -> bool:
    """Say whether this is the type of one secret."""
    return isinstance(annotation, type) and issubclass(annotation, SecretStr)


def is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Say whether this is the type of a table with keys of its own."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
