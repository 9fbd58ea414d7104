"""What rules files define for every rule: lexicons, categories, hours, prompts, templates."""

import hashlib
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from router.rules.fields import RISKS, WEEKDAYS
from router.rules.hours import Hours, Interval, holidays_of, read_days, read_interval
from router.rules.model import ApprovedTemplate, PromptText
from router.rules.source import TABLES, Source
from router.rules.texts import Text
from router.toml import KeyPath, suggest

#: Where a variable goes in a template's text.
PLACES: Final = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")


def read_definitions(source: Source) -> None:
    """Read lexicons, categories, hours and the like, which rules of every file may name."""
    for key in source.document.values:
        if key not in TABLES:
            source.problem(
                (key,),
                f'unknown table "{key}" in a rules file',
                suggest(key, TABLES),
                notes=[f"a rules file has: {', '.join(TABLES)}"],
            )
    for name, table in _named(source, "lexicon"):
        path: KeyPath = ("lexicon", name)
        if source.table(path, table, ("any", "add"), "a lexicon") is None or "add" in table:
            continue
        if "any" not in table:
            source.problem(path, f'the lexicon "{name}" has no words', "Add any = [ … ].")
            continue
        if name in source.known.lexicons:
            source.problem(
                path,
                f'the lexicon "{name}" is defined in {source.known.lexicon_places[name]}, too',
                "Write add in place of any to add to its words, or rename one.",
            )
        source.known.lexicons[name] = _listed(source, (*path, "any"), table["any"])
        at = source.document.locate(path)
        source.known.lexicon_places[name] = f"{source.document.path}:{at.line}:{at.column}"
    for name, table in _named(source, "category"):
        path = ("category", name)
        if source.table(path, table, ("risk",), "a category") is None:
            continue
        if "risk" not in table:
            source.problem(path, f'the category "{name}" has no risk', 'Add risk = "high".')
        risk = None
        if "risk" in table:
            risk = source.choice((*path, "risk"), table["risk"], RISKS, "risk")
        source.known.categories[name] = risk or "high"
    if "hours" in source.document.values:
        source.known.hours = _hours(source, ("hours",), source.document.values["hours"])
    for name, table in _named(source, "prompt"):
        _prompt(source, name, table)
    for name, table in _named(source, "template"):
        _template(source, name, table)


def read_additions(source: Source, *, broken: bool) -> None:
    """Read the words that one file adds to the lexicons of another.

    :param broken: a file could not be read, which may have the lexicons that are missing.
    """
    tables = source.document.values.get("lexicon", {})
    for name, table in tables.items() if isinstance(tables, dict) else ():
        if not isinstance(table, dict) or "add" not in table:
            continue
        path: KeyPath = ("lexicon", name)
        if "any" in table:
            source.problem((*path, "add"), "a lexicon has either any or add", "Join the two.")
        lexicons = source.known.lexicons
        if name not in lexicons and "any" not in table and not broken:
            source.problem(
                path,
                f'there is no lexicon "{name}" to add to',
                suggest(name, lexicons) or "Write any in place of add.",
            )
        added = _listed(source, (*path, "add"), table["add"])
        lexicons[name] = (*lexicons.get(name, ()), *added)


def _listed(source: Source, path: KeyPath, value: object) -> tuple[str, ...]:
    words = source.strings(path, value)
    for index, word in enumerate(words or ()):
        if source.known.phrases.add(word) is None:
            place = (*path, index) if isinstance(value, list) else path
            source.problem(place, f'"{word}" has no word in it', "Leave it out.")
    return tuple(words or ())


def _named(source: Source, key: str) -> list[tuple[str, Any]]:
    tables = source.document.values.get(key, {})
    if not isinstance(tables, dict):
        source.problem((key,), f'"{key}" needs a name', f"Write [{key}.NAME].")
        return []
    return list(tables.items())


# When the business is open ────────────────────────────────────────────────────────────────────


def _hours(source: Source, path: KeyPath, value: object) -> Hours | None:
    """Read ``[hours]``; a later file's replaces an earlier one's as a whole."""
    if not isinstance(value, dict):
        source.wrong(path, "hours", "a table", value)
        return None
    week: dict[str, tuple[Interval, ...]] = {}
    days: dict[date, tuple[Interval, ...]] = {}
    regions: tuple[str, ...] = ()
    for key, each in value.items():
        here = (*path, key)
        if key == "holidays":
            regions = _regions(source, here, each)
        elif key == "days":
            days = _days(source, here, each)
        elif (names := read_days(key)) is None:
            source.problem(
                here,
                f'"{key}" is no day of the week',
                suggest(key, (*WEEKDAYS, "holidays", "days")) or "Write mon, sat or mon-fri.",
                notes=[f"[hours] has: {', '.join(WEEKDAYS)}, ranges of them, holidays, days"],
            )
        else:
            for name in names:
                if name in week:
                    source.problem(here, f'"{name}" is stated twice', "Keep one.")
            week |= dict.fromkeys(names, _intervals(source, here, each))
    return Hours(week=week, days=days, regions=regions)


def _intervals(source: Source, path: KeyPath, value: object) -> tuple[Interval, ...]:
    """Read one interval, several, or an empty list for a day that is closed."""
    texts = [] if value == [] else source.strings(path, value)
    found: list[Interval] = []
    for index, text in enumerate(texts or ()):
        interval = read_interval(text)
        if interval is None:
            place = (*path, index) if isinstance(value, list) else path
            source.problem(
                place, f'"{text}" is no time of opening', 'Write "09:00-18:00".', part="value"
            )
        else:
            found.append(interval)
    return tuple(found)


def _days(source: Source, path: KeyPath, value: object) -> dict[date, tuple[Interval, ...]]:
    if not isinstance(value, dict):
        source.wrong(path, "days", "a table of dates", value)
        return {}
    found: dict[date, tuple[Interval, ...]] = {}
    for key, each in value.items():
        try:
            day = date.fromisoformat(key)
        except ValueError:
            source.problem((*path, key), f'"{key}" is no date', "Write 2026-12-24 = [].")
            continue
        found[day] = _intervals(source, (*path, key), each)
    return found


def _regions(source: Source, path: KeyPath, value: object) -> tuple[str, ...]:
    names = source.strings(path, value)
    found: list[str] = []
    for index, name in enumerate(names or ()):
        try:
            holidays_of(name, 2026)
        except LookupError:
            place = (*path, index) if isinstance(value, list) else path
            source.problem(
                place,
                f'no holidays are known for "{name}"',
                'Write the code of a country, "CO", or of a part of it, "ES-MD".',
                part="value",
            )
        else:
            found.append(name)
    return tuple(found)


# What is said to models and customers ─────────────────────────────────────────────────────────


def _prompt(source: Source, name: str, value: object) -> None:
    """Read ``[prompt.NAME]``: instructions, stated or in a file beside the rules."""
    path: KeyPath = ("prompt", name)
    table = source.table(path, value, ("text", "file"), "a prompt")
    if table is None:
        return
    if name in source.known.prompts:
        source.problem(path, f'the prompt "{name}" is defined twice', "Rename one.")
    if ("text" in table) is ("file" in table):
        source.problem(path, "a prompt has either text or file", 'Write file = "…".')
        return
    file: Path | None = None
    if "text" in table:
        known = source.string((*path, "text"), table["text"]) or ""
    else:
        file, known = _file(source, (*path, "file"), table["file"])
    digest = hashlib.sha256(known.encode("utf-8", "replace")).hexdigest()[:16]
    source.known.prompts[name] = PromptText(name=name, text=known, hash=digest, path=file)


def _file(source: Source, path: KeyPath, value: object) -> tuple[Path | None, str]:
    name = source.string(path, value)
    if name is None:
        return None, ""
    file = Path(source.document.path).parent / name
    try:
        return file, file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        source.problem(path, f'"{name}" cannot be read', "Check the path.", part="value")
        return None, ""


def _template(source: Source, name: str, value: object) -> None:
    """Read ``[template.NAME]``: what the provider approved, and what it reads like."""
    path: KeyPath = ("template", name)
    table = source.table(path, value, ("ref", "text", "instead"), "a template")
    if table is None:
        return
    if name in source.known.templates:
        source.problem(path, f'the template "{name}" is defined twice', "Rename one.")
    texts: dict[str, Text | None] = {}
    for key in ("ref", "text"):
        if key not in table:
            source.problem(path, f'the template "{name}" has no {key}', f'Add {key} = "…".')
        texts[key] = source.by_language((*path, key), table[key]) if key in table else None
    ref, text = texts["ref"] or Text(), texts["text"] or Text()
    variables = frozenset(
        each for stated in text.by_language.values() for each in PLACES.findall(stated)
    )
    instead = source.string((*path, "instead"), table["instead"]) if "instead" in table else None
    source.known.templates[name] = ApprovedTemplate(
        name=name, ref=ref, text=text, variables=variables, instead=instead
    )


def check_stand_ins(source: Source, *, broken: bool) -> None:
    """Check the templates that are named in place of others, once all of them are known.

    :param broken: a file could not be read, which may have the templates that are missing.
    """
    known, tables = source.known.templates, source.document.values.get("template", {})
    for name in tables if isinstance(tables, dict) else ():
        template = known.get(name)
        if template is None or template.instead is None:
            continue
        path: KeyPath = ("template", name, "instead")
        other = known.get(template.instead)
        if other is None:
            if not broken:
                source.unknown(path, "template", template.instead, known, "the rules files")
            known[name] = replace(template, instead=None)
            continue
        chain = [name]
        while other is not None and other.name not in chain:
            chain.append(other.name)
            other = known.get(other.instead or "")
        if other is not None:
            source.problem(
                path,
                f"this leads back to where it began: {' → '.join([*chain, other.name])}",
                "Leave it out of one of them.",
                part="value",
            )
            known[name] = replace(template, instead=None)
            continue
        missing = known[template.instead].variables - template.variables
        if missing:
            wanted = ", ".join(f'"{each}"' for each in sorted(missing))
            source.problem(
                path,
                f'"{template.instead}" has variables that "{name}" has not: {wanted}',
                "Name a template that takes the same variables, or fewer.",
                part="value",
            )
