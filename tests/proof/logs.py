"""What a process may say while all this happens to it: that the database or a provider is away."""

import json

#: Errors that are the troubles' own. Any other is a mistake of the router's.
EXPECTED = frozenset(
    (
        "articles not read",
        "attempt not stored",
        "circuit breaker not stored",
        "circuit breaker opened",
        "circuit breaker stays open",
        "circuit breakers not read",
        "result not stored",
        "the database is away",
        "webhook not stored",
    )
)


def strange(text: str, *, killed: bool) -> list[str]:
    """Give what nobody should have had to say, a line each.

    :param killed: the last line may be half of one.
    """
    lines = text.splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            said = json.loads(line)
        except ValueError:
            if not (killed and number == len(lines)):
                found.append(line)
            continue
        if said.get("level") in ("error", "critical") and said.get("event") not in EXPECTED:
            found.append(line)
    return found
