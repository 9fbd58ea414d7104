"""What Twilio's answer to a call means."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from router import plugin
from router_twilio.codes import DOCS, Row, row_for

if TYPE_CHECKING:
    import httpx

_LONGEST_WORDS = 300


def words_for(code: object, said: str = "", secrets: Iterable[str] = ()) -> str:
    """Give a sentence for the operator: ours where the code is known, else Twilio's.

    :param said: Twilio's own words.
    :param secrets: blanked out, should the words hold one.
    """
    row = row_for(code)
    if row is not None:
        return row.words
    for secret in secrets:
        said = said.replace(secret, "***")
    said = " ".join(said.split())[:_LONGEST_WORDS].rstrip(".") or "Twilio gives no reason"
    return f"{said}. See {DOCS}{str(code)[:20]}"


def failure(
    response: "httpx.Response", now: datetime, secrets: Iterable[str] = ()
) -> plugin.ProviderError | None:
    """Say what a failed answer means, or ``None`` if it is none.

    The status says whether Twilio took the call, the code in the body what to do about it. A 5xx
    stays unknown whatever the body says.
    """
    try:
        plugin.raise_for_status(response)
    except plugin.ProviderError as error:
        by_status = error
    else:
        return None
    code, said = _problem(response)
    if code is None:
        return by_status
    words = words_for(code, said, secrets)
    if isinstance(by_status, plugin.OutcomeUnknown):
        return plugin.OutcomeUnknown(f"{by_status.reason}. {words}", code=code)
    row = row_for(code)
    if isinstance(by_status, plugin.Unavailable):
        waits = [by_status.retry_after, None if row is None else row.seconds(now)]
        longest = max((wait for wait in waits if wait is not None), default=None)
        return plugin.Unavailable(words, code=code, retry_after=longest)
    if row is not None and response.is_client_error:
        return refusal(row, now)
    return plugin.Refused(words, code=code)


def refusal(row: Row, now: datetime) -> plugin.Unavailable | plugin.Refused:
    """Give what a known code means where it is certain that nothing will reach the customer."""
    code = str(row.code)
    if row.reaction is plugin.Unavailable:
        return plugin.Unavailable(row.words, code=code, retry_after=row.seconds(now))
    return plugin.Refused(row.words, code=code, why=row.why)


def _problem(response: "httpx.Response") -> tuple[str | None, str]:
    """Read Twilio's code and words from either of its two shapes of error.

    The older: ``code``, ``message``. The newer, RFC 9457: ``code``, ``title``, ``detail``.
    """
    try:
        body: Any = json.loads(response.content)
    except (ValueError, RecursionError):
        return None, ""
    code = body.get("code") if isinstance(body, dict) else None
    if isinstance(code, bool) or not isinstance(code, int | str) or not str(code).strip():
        return None, ""
    words = next(
        (
            word
            for name in ("message", "detail", "title")
            if isinstance(word := body.get(name), str)
        ),
        "",
    )
    return str(code).strip()[:40], words
