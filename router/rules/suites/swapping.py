"""Whether the order of two neighbouring rules matters."""

from collections.abc import Mapping
from dataclasses import fields

from router.rules.model import CHANGING, Effects, Rule
from router.rules.suites.leaves import Leaf, leaves, table_of

#: Fields of which an event has one value at most, by operator.
_ONE = ("equals", "any_of", None)


def same_either_way(one: Rule, other: Rule) -> bool:
    """Say whether two neighbours do the same whichever is read first.

    That is so if no event is for both, or if neither ends the reading, looks at what the other
    changes, or states something else than the other.
    """
    return _apart(one, other) or _commute(one, other)


def _apart(one: Rule, other: Rule) -> bool:
    if one.gate.kinds.isdisjoint(other.gate.kinds):
        return True
    for mine, theirs in (
        (one.gate.channels, other.gate.channels),
        (one.gate.languages, other.gate.languages),
    ):
        if mine is not None and theirs is not None and mine.isdisjoint(theirs):
            return True
    first, second = (list(leaves(table_of(rule.place))) for rule in (one, other))
    return _different(first, second) or _kept_out(first, second) or _kept_out(second, first)


def _plain(leaf: Leaf) -> bool:
    """Say whether a condition has to hold by itself, in no group."""
    return leaf.path[0] == "when" and not {"any", "all", "unless"}.intersection(
        part for part in leaf.path if isinstance(part, str)
    )


def _different(first: list[Leaf], second: list[Leaf]) -> bool:
    """Say whether both ask for another value of the same field."""
    single = {"word", "flag"}
    for mine in first:
        for theirs in second:
            if (
                mine.dotted == theirs.dotted
                and mine.dotted not in CHANGING
                and mine.field.type.value in single
                and all(_plain(leaf) and leaf.operator in _ONE for leaf in (mine, theirs))
                and _values(mine).isdisjoint(_values(theirs))
            ):
                return True
    return False


def _values(leaf: Leaf) -> set[object]:
    return set(leaf.value) if isinstance(leaf.value, list) else {leaf.value}


def _kept_out(first: list[Leaf], second: list[Leaf]) -> bool:
    """Say whether one needs what the other's ``unless`` names."""
    needed = [leaf for leaf in first if _plain(leaf) and leaf.dotted not in CHANGING]
    return any(
        leaf.path[0] == "unless"
        and not {"any", "all", "unless"}.intersection(map(str, leaf.path[1:]))
        and (leaf.dotted, leaf.operator, leaf.value, dict(leaf.beside))
        == (mine.dotted, mine.operator, mine.value, dict(mine.beside))
        for leaf in second
        for mine in needed
    )


def _commute(one: Rule, other: Rule) -> bool:
    rules = (one, other)
    if any(r.decider is not None or r.effects.classify or r.effects.stop for r in rules):
        return False
    looked = {rule.id: {p for c in rule.conditions for p in c.fields} for rule in rules}
    if any(
        _changes(mine.effects) & looked[theirs.id] for mine, theirs in ((one, other), (other, one))
    ):
        return False
    return _agree(one.effects, other.effects)


def _changes(effects: Effects) -> set[str]:
    """Give the fields that effects change while the rules are read."""
    changed = {
        name
        for name in ("category", "risk", "priority", "language")
        if getattr(effects, name) is not None
    }
    if effects.category is not None:
        changed.add("risk")
    if effects.tags or effects.untags:
        changed.add("conversation.tag")
    return changed


def _agree(one: Effects, other: Effects) -> bool:
    """Say whether what is stated later cannot undo what was stated before."""
    if one.tags & other.untags or one.untags & other.tags:
        return False
    # Actions run in their order, and a category brings its risk with it.
    if (one.actions and other.actions) or {"category", "risk"} & _changes(one) & _changes(other):
        return False
    for field in fields(Effects):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, Mapping):
            if any(theirs.get(key, value) != value for key, value in mine.items()):
                return False
        elif not isinstance(mine, frozenset) and mine and theirs and mine != theirs:
            return False
    # What a text is filled in with may be what the other one changes.
    return not (_templates(one) or _templates(other))


def _templates(effects: Effects) -> bool:
    texts = [*effects.contact_attributes.values(), *effects.conversation_attributes.values()]
    texts += [str(action.params) for action in effects.actions]
    return any("{{" in text or "{%" in text for text in texts)
