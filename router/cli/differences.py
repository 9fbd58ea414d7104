"""How a replay is told: what is decided otherwise, rule by rule, with examples."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from router.pipeline.replay.comparing import Change, Compared, Comparison
    from router.settings.model import Settings
    from router.storage.recordings import Recording

_LONGEST: Final = 160


def as_values(
    settings: "Settings",
    found: "Recording",
    comparison: "Comparison",
    most: float | None,
    *,
    trace: bool,
) -> dict[str, Any]:
    """Give a comparison as values for JSON.

    :param most: the percentage that may change, if anybody said so.
    :param trace: with both traces of an example of each change.
    """
    from router.pipeline.replay.comparing import Verdict

    return {
        "settings": settings.hash,
        "decisions": comparison.turns,
        "changed": comparison.changed,
        "changed_percent": round(comparison.share * 100, 4),
        "max_changed_percent": most,
        "more": found.more,
        "left_out": dict(found.left_out),
        "totals": {_key(it): comparison.totals[it] for it in Verdict},
        "rules": [
            {"rule": rule, **{_key(it): counts[it] for it in Verdict}}
            for rule, counts in sorted(comparison.rules.items())
        ],
        "changes": [_change(it, trace=trace) for it in comparison.most_first()],
    }


def _key(verdict: str) -> str:
    return verdict.replace(" ", "_")


def _change(change: "Change", *, trace: bool) -> dict[str, Any]:
    from dataclasses import asdict

    values: dict[str, Any] = {
        "verdict": _key(change.verdict),
        "count": change.count,
        "tenant": change.tenant,
        "then": asdict(change.then),
        "now": None if change.now is None else asdict(change.now),
        "because": change.because or None,
        "examples": [_example(each) for each in change.examples],
    }
    if trace:
        then, now = _traces(change.examples[0])
        values["trace"] = {"then": then, "now": now}
    return values


def _example(compared: "Compared") -> dict[str, Any]:
    from router.pipeline.replay.comparing import differences

    event = compared.turn.decided
    values: dict[str, Any] = {"event": str(event.ref), "text": _said(compared)}
    if compared.now is not None:
        found = differences(event, compared.now)
        values["differences"] = {
            name: {"then": then, "now": now} for name, (then, now) in found.items()
        }
    return values


def _said(compared: "Compared") -> str:
    """Give what the customer wrote."""
    import json

    texts = {n: json.loads(it.payload).get("text", "") for n, it in compared.turn.lines.items()}
    texts |= {
        it.ref.seq: json.loads(it.payload).get("text", "")
        for it in compared.turn.events
        if it.kind in ("message", "echo")
    }
    return "\n".join(text for _, text in sorted(texts.items()) if text)


def _traces(compared: "Compared") -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    from router.rules.trace import unpacked

    def read(data: bytes) -> dict[str, Any] | None:
        # What would be queued, and what it was decided on, is told by neither.
        left = ("queued", "before", "question")
        return {k: v for k, v in unpacked(data).items() if k not in left} if data else None

    now = compared.now
    return read(compared.turn.decided.trace), None if now is None else read(now.trace)


def print_comparison(
    settings: "Settings",
    found: "Recording",
    comparison: "Comparison",
    most: float | None,
    *,
    trace: bool,
) -> None:
    """Print a comparison for people; see :func:`as_values`."""
    from router.cli.output import plural, print_table
    from router.pipeline.replay.comparing import Verdict

    print(
        f"{plural(comparison.turns, 'decision')}, made again by the configuration {settings.hash}"
    )
    for verdict in Verdict:
        if count := comparison.totals[verdict]:
            print(f"  {verdict:<13}{count:>8}  {count / comparison.turns:>8.2%}")
    if found.more:
        print("Older ones were left out: --limit says how many are looked at.")
    if found.left_out:
        told = ", ".join(f"{count} {word}" for word, count in found.left_out.items())
        print(f"Nothing to compare: {told}.")
    if comparison.rules:
        print()
        print_table(
            ("RULE", *(verdict.upper() for verdict in Verdict)),
            [
                (rule, *(counts[verdict] or "" for verdict in Verdict))
                for rule, counts in sorted(comparison.rules.items())
            ],
        )
    for change in comparison.most_first():
        print()
        _print_change(change, trace=trace)
    if most is not None:
        word = "more than" if comparison.share * 100 > most else "at most"
        print(f"\n{comparison.share:.2%} are not the same: {word} {most:g} %.")


def _print_change(change: "Change", *, trace: bool) -> None:
    from textwrap import indent

    from router.cli.output import line
    from router.rules.explain import render

    now = change.now
    after = "?" if now is None else f"{now.outcome} ({now.rule})"
    print(
        f"{change.count} x {change.verdict}: {change.then.outcome} ({change.then.rule}) → {after}"
    )
    if change.because:
        print(f"  {line(change.because)}")
    for compared in change.examples:
        said = line(_said(compared))
        said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
        quoted = f'  "{said}"' if said else ""
        print(f"  {compared.turn.decided.ref}{quoted}")
    for name, each in _example(change.examples[0]).get("differences", {}).items():
        print(f"    {name}: {_value(each['then'])} → {_value(each['now'])}")
    if not trace:
        return
    for title, told in zip(("Then", "Now"), _traces(change.examples[0]), strict=True):
        if told is not None:
            print(f"\n  {title}\n")
            print(indent(render(told), "    "))


def _value(value: Any) -> str:
    import json

    from router.cli.output import line

    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return line(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
