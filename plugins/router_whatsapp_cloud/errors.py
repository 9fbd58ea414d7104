"""What Meta's answer to a call means."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from router import plugin
from router_whatsapp_cloud.codes import DOCS, Row, row_for
from router_whatsapp_cloud.payload import Problem

if TYPE_CHECKING:
    import httpx

_LONGEST_WORDS = 300


def words_for(code: str, said: str = "", secrets: Iterable[str] = ()) -> str:
    """Give a sentence for the operator: ours where the code is known, else Meta's.

    :param said: Meta's own words.
    :param secrets: blanked out, should the words hold one.
    """
    row = row_for(code)
    if row is not None:
        return row.words
    for secret in secrets:
        said = said.replace(secret, "***")
    said = " ".join(said.split())[:_LONGEST_WORDS].rstrip(".") or "Meta gives no reason"
    return f"{said}. See {DOCS}"


def failure(response: "httpx.Response", secrets: Iterable[str]) -> plugin.ProviderError | None:
    """Say what a failed answer means, or ``None`` if it is none.

    The status says whether Meta took the call, the code in the body what to do about it. A 5xx
    stays unknown whatever the body says.
    """
    problem = _problem(response)
    try:
        plugin.raise_for_status(response)
    except plugin.ProviderError as error:
        if problem is None:
            return error
        words = words_for(problem.code, problem.said, secrets)
        row = row_for(problem.code)
        if isinstance(error, plugin.OutcomeUnknown):
            return plugin.OutcomeUnknown(f"{error.reason}. {words}", code=problem.code)
        if isinstance(error, plugin.Unavailable):
            waits = [error.retry_after, None if row is None else row.wait]
            longest = max((wait for wait in waits if wait is not None), default=None)
            return plugin.Unavailable(words, code=problem.code, retry_after=longest)
        if not response.is_client_error:
            return error
    else:
        if problem is None:
            return None
        words, row = words_for(problem.code, problem.said, secrets), row_for(problem.code)
    return _refusal(problem.code, words, row)


def _refusal(code: str, words: str, row: Row | None) -> plugin.Unavailable | plugin.Refused:
    if row is not None and row.wait is not None:
        return plugin.Unavailable(words, code=code, retry_after=row.wait)
    return plugin.Refused(words, code=code, why=None if row is None else row.why)


def _problem(response: "httpx.Response") -> Problem | None:
    """Read ``{"error": {"code": …, "message": …, "error_data": {"details": …}}}``."""
    try:
        body: Any = json.loads(response.content)
        problem = Problem.model_validate(body["error"])
    except (ValueError, TypeError, KeyError, RecursionError, ValidationError):
        return None
    return problem if problem.code else None
