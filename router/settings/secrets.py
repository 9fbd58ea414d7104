"""Secrets: references in router.toml, the values that they stand for, and who may see them."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from router.settings.annotations import LISTS, bare, holds_secret, is_model, is_secret, keys_of
from router.settings.sentences import label_of
from router.settings.sources import Place
from router.toml import Problem, suggest

#: What a secret has for a value where it is not set and need not be, as in ``router check``.
PLACEHOLDER = "not-set"

_REMEDIES = {
    "env": "Set it, or add it to .env.",
    "file": "Put the secret there.",
    "credential": "Add LoadCredential={name}:/path/of/the/secret to the unit.",
}
_KINDS = tuple(_REMEDIES)
_REFERENCE = re.compile(r"\{\s*(env|file|credential)\s*=\s*(\"[^\"]*\"|'[^']*')\s*\}")
_FORMS = '{ env = "NAME" }, { file = "path" } or { credential = "name" }'


class Unset(Exception):
    """A reference is right, but nothing stands behind it here."""


class Secrets:
    """Resolves references, and remembers what it gave away.

    :param folder: where ``.env`` is looked for: beside router.toml.
    :param environ: the process's environment; its variables win over those of ``.env``.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._folder = folder
        self._environ = environ
        self._dotenv: dict[str, str] | None = None
        #: The lines of ``.env`` that are no assignment.
        self._passed_over: list[int] = []
        #: Every value that was resolved.
        self.values: set[str] = set()
        #: Every file that such a value was looked for in.
        self.files: set[Path] = set()

    def resolve(self, kind: str, name: str, base: Path) -> str:
        """Give the value behind ``{ kind = name }``, without line ends behind it.

        :param base: what a relative ``file`` is relative to.
        :raises Unset: if there is none, or an empty one; the message says what is missing.
        """
        value = getattr(self, f"_from_{kind}")(name, base).rstrip("\r\n")
        if not value:
            message = f"{kind} {name} is empty"
            raise Unset(message)
        self.values.add(value)
        return str(value)

    def blanked(self, problem: Problem) -> Problem:
        """Give the problem with ``***`` in the place of every secret in its words."""

        def blank(text: str) -> str:
            for value in sorted(self.values, key=len, reverse=True):
                text = text.replace(value, "***")
            return text

        return replace(
            problem,
            message=blank(problem.message),
            remedy=blank(problem.remedy),
            notes=tuple(map(blank, problem.notes)),
        )

    def _from_env(self, name: str, _: Path) -> str:
        if value := self._environ.get(name):
            return value
        if self._dotenv is None:
            path = self._folder / ".env"
            self.files.add(path)
            try:
                self._dotenv, self._passed_over = _dotenv(path)
            except OSError as error:
                message = (
                    f"the environment variable {name} is not set, and {path} cannot be read: "
                    f"{error.strerror}"
                )
                raise Unset(message) from None
            except UnicodeDecodeError:
                message = (
                    f"the environment variable {name} is not set, and {path} is not a text in UTF-8"
                )
                raise Unset(message) from None
        if name not in self._dotenv:
            message = f"the environment variable {name} is not set"
            if lines := self._passed_over:
                words = "line {} of {} is" if len(lines) == 1 else "lines {} of {} are"
                told = words.format(", ".join(map(str, lines)), self._folder / ".env")
                message += f", and {told} not NAME=value"
            raise Unset(message)
        return self._dotenv[name]

    def _from_file(self, name: str, base: Path) -> str:
        self.files.add(base / name)
        return _read(base / name)

    def _from_credential(self, name: str, _: Path) -> str:
        folder = self._environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            message = f"systemd handed over no credentials, and so no {name}"
            raise Unset(message)
        return _read(Path(folder) / name)


def readable_by_others(path: Path) -> Problem | None:
    """Warn of a file with secrets that other users of this machine can read."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if not mode & 0o044:
        return None
    return Problem(
        path=path,
        message="other users of this machine can read it, and it holds secrets",
        remedy=f"Run `chmod 600 {shlex.quote(str(path))}`.",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise Unset(message) from None
    except UnicodeDecodeError:
        message = f"{path} is not a text in UTF-8"
        raise Unset(message) from None


def read_dotenv(path: Path) -> dict[str, str]:
    """Read a ``.env`` file, if there is one; ``$`` in a value means nothing.

    A line that is no assignment is passed over.

    :raises OSError: if it cannot be read.
    :raises UnicodeDecodeError: if it is not UTF-8.
    """
    return _dotenv(path)[0]


def _dotenv(path: Path) -> tuple[dict[str, str], list[int]]:
    """Give the values of a ``.env`` file, and the lines that are no assignment."""
    values: dict[str, str] = {}
    passed_over: list[int] = []
    if not path.is_file():
        return values, passed_over
    from dotenv.parser import parse_stream

    with path.open(encoding="utf-8") as stream:
        for binding in parse_stream(stream):
            if binding.key and binding.value is not None and not binding.error:
                values[binding.key] = binding.value
            elif binding.key or binding.error:
                passed_over.append(binding.original.line)
    return values, passed_over


class References:
    """Puts secrets in the place of the references in one table.

    :param secrets: what resolves them.
    :param needed: the router is about to run: a reference without a value is a problem.
    """

    def __init__(self, secrets: Secrets, place: Place, *, needed: bool) -> None:
        self._secrets = secrets
        self._place = place
        self._needed = needed
        self.problems: list[Problem] = []
        #: What is only doubtful, because the router does not run yet.
        self.warnings: list[Problem] = []
        #: Paths, from the table on, of everything secret.
        self.paths: list[tuple[str | int, ...]] = []
        #: Those of them that have no value.
        self.unset: list[tuple[str | int, ...]] = []
        #: What each path refers to, such as ``env TOKEN``.
        self.names: dict[str, str] = {}

    def replace(self, model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
        """Give the table's values with a secret wherever the model wants one."""
        annotations = keys_of(model)
        return {
            key: self._replace(annotations.get(key), value, (key,)) for key, value in values.items()
        }

    def secret(self, value: Any, path: tuple[str | int, ...]) -> SecretStr:
        """Give the secret behind a reference, or a placeholder and a problem."""
        place = Place(self._place.document, (*self._place.path, *path))
        self.paths.append(path)
        label = label_of(path)
        kind, name = next(iter(value.items()), ("", "")) if isinstance(value, dict) else ("", "")
        if isinstance(value, dict) and len(value) == 1 and kind in _KINDS and _is_name(kind, name):
            self.names[".".join(map(str, path))] = f"{kind} {name}"
            try:
                return SecretStr(self._secrets.resolve(kind, name, place.folder))
            except Unset as reason:
                remedy = _REMEDIES[kind].format(name=name)
                problem = place.problem(f"{label} has no value: {reason}", remedy, part="value")
                (self.problems if self._needed else self.warnings).append(problem)
        elif isinstance(value, dict):
            message = f"{label} must be {_FORMS}"
            remedy = suggest(kind, _KINDS) if len(value) == 1 and kind not in _KINDS else ""
            self.problems.append(without_excerpt(place.problem(message, remedy)))
        else:
            message = f"{label} is a secret, and must not stand here itself"
            remedy = f"Write {_FORMS}."
            self.problems.append(without_excerpt(place.problem(message, remedy)))
        self.unset.append(path)
        return SecretStr(PLACEHOLDER)

    def _replace(self, annotation: Any, value: Any, path: tuple[str | int, ...]) -> Any:
        annotation = bare(annotation)
        if not holds_secret(annotation):
            return value
        if is_secret(annotation):
            return self.secret(value, path)
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin in {Union, UnionType}:
            choices = [choice for choice in map(bare, arguments) if choice is not NoneType]
            return self._replace(_fitting(choices, value), value, path)
        if origin in LISTS and isinstance(value, list):
            inner = _elements(origin, arguments)
            return [
                self._replace(next(inner), entry, (*path, index))
                for index, entry in enumerate(value)
            ]
        if isinstance(value, dict) and origin in (dict, Mapping):
            return {
                key: self._replace(arguments[1], entry, (*path, key))
                for key, entry in value.items()
            }
        if isinstance(value, dict) and is_model(annotation):
            keys = keys_of(annotation)
            return {
                key: self._replace(keys.get(key), entry, (*path, key))
                for key, entry in value.items()
            }
        if isinstance(value, str) and any(map(is_secret, map(bare, arguments))):
            return [self.secret(value, path)]
        # Not what the model wants. The model says so; what was written may still be a secret.
        self.paths.append(path)
        return value


def without_excerpt(problem: Problem) -> Problem:
    """Give the problem without the line it stands in, which shows a secret."""
    return replace(problem, source_line=None)


def guarded(problem: Problem) -> Problem:
    """Give the problem with no more of its line than it needs: a secret may stand beside it."""
    if problem.source_line is None:
        return problem
    start = problem.column - 1
    end = start + problem.length
    before, marked, rest = (
        problem.source_line[:start],
        problem.source_line[start:end],
        problem.source_line[end:].strip(),
    )
    if "{" in before or (marked.startswith(("{", "[")) and not _REFERENCE.fullmatch(marked)):
        return without_excerpt(problem)
    shown = rest if rest in {"", "]", "]]"} else " …"
    return replace(problem, source_line=before + marked + shown)


def _is_name(kind: str, name: object) -> bool:
    return isinstance(name, str) and bool(name) and not (kind == "credential" and "/" in name)


def _fitting(choices: Sequence[Any], value: Any) -> Any:
    """Give the alternative that a written value is meant for; a secret wins over a plain text."""

    def fits(choice: Any) -> bool:
        if isinstance(value, list):
            return get_origin(choice) in LISTS
        if isinstance(value, dict) and set(value) - set(_KINDS):
            return is_model(choice) or get_origin(choice) in (dict, Mapping)
        return is_secret(choice)

    return next(filter(fits, choices), choices[0] if choices else None)


def _elements(origin: Any, arguments: Sequence[Any]) -> Iterator[Any]:
    if origin is tuple and len(arguments) > 1 and arguments[-1] is not Ellipsis:
        yield from arguments
    while True:
        yield arguments[0]
