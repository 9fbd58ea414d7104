"""Rows of what is asked of ElevenLabs again and again."""

import json
from typing import Any

import httpx

from router.plugin import Polled, Refused
from router.plugin.testing import Expected, Poll
from router_elevenlabs_calls.conformance_calls import AGENT, CALL, CONVERSATION, changed

_API = "https://api.elevenlabs.io/v1/convai"
_KEY = {"xi-api-key": "xi-key-of-nobody"}
#: The suite's clock stands at the beginning of 2026; the calls are of the weeks before.
_AT = 1_763_600_000
#: How two calls are remembered.
_FIRST, _FOURTH = "82461e340b", "b25d85181a"


def _cursor(**values: Any) -> str:
    return json.dumps({"v": 1, **values}, separators=(",", ":"))


def _get(path: str) -> Expected:
    return Expected("GET", f"{_API}/{path}", headers=_KEY)


def _page(*listed: dict[str, Any], after: str | None = None) -> httpx.Response:
    return httpx.Response(
        200,
        json={"conversations": list(listed), "next_cursor": after, "has_more": after is not None},
    )


def _listed(name: str, status: str = "done", at: int = _AT) -> dict[str, Any]:
    return {
        "agent_id": AGENT,
        "conversation_id": name,
        "start_time_unix_secs": at,
        "call_duration_secs": 58,
        "message_count": 2,
        "status": status,
        "call_successful": "success",
    }


def _list(after: int, cursor: str | None = None) -> Expected:
    more = f"&cursor={cursor}" if cursor else ""
    return _get(
        f"conversations?agent_id={AGENT}&call_start_after_unix={after}&page_size=100"
        f"&text_only=false{more}"
    )


def _conversation(**changes: Any) -> httpx.Response:
    return httpx.Response(200, json=changed(CONVERSATION, **changes))


_CALLS = (
    Poll(
        "no calls",
        "calls",
        _page(),
        cursor=_cursor(known="", newest=_AT),
        expect=Polled(cursor=_cursor(known="", newest=_AT)),
        requests=[_list(_AT - 7200)],
    ),
    Poll(
        "a call whose webhook never came, one that is known, and one that is not over",
        "calls",
        _page(
            _listed("conv_0005", "in-progress", _AT + 900),
            _listed("conv_0001", at=_AT + 60),
            _listed("conv_0004", at=_AT),
        ),
        _conversation(),
        cursor=_cursor(known=_FOURTH, newest=_AT),
        expect=Polled(events=[CALL], cursor=_cursor(known=_FOURTH + _FIRST, newest=_AT + 900)),
        requests=[_list(_AT - 7200), _get("conversations/conv_0001")],
    ),
    Poll(
        "a page, of which there are more",
        "calls",
        _page(_listed("conv_0001"), after="p2"),
        _conversation(),
        cursor=_cursor(known="", newest=_AT),
    ),
    Poll(
        "the next page",
        "calls",
        _page(),
        cursor=_cursor(
            known="", newest=_AT, after=_AT - 7200, top=_AT + 5, begun=1, pages={AGENT: "p2"}
        ),
        expect=Polled(cursor=_cursor(known="", newest=_AT + 5)),
        requests=[_list(_AT - 7200, "p2")],
    ),
    Poll("the first time", "calls", _page()),
    Poll("a cursor of another form", "calls", _page(), cursor="from elsewhere"),
    Poll("a wrong key", "calls", httpx.Response(401, json={"detail": "no"}), raises=Refused),
)


def _batch(status: str, *recipients: dict[str, Any], changed_at: int = _AT) -> dict[str, Any]:
    return {
        "id": "btcal_1",
        "name": "Noviembre",
        "agent_id": AGENT,
        "created_at_unix": _AT,
        "scheduled_time_unix": _AT,
        "total_calls_dispatched": 1,
        "total_calls_scheduled": 2,
        "total_calls_finished": 1,
        "last_updated_at_unix": changed_at,
        "status": status,
        "retry_count": 0,
        "recipients": list(recipients),
    }


def _recipient(status: str, conversation: str | None, at: int = _AT) -> dict[str, Any]:
    return {
        "id": "rcpt_1",
        "phone_number": "+5491155550100",
        "status": status,
        "created_at_unix": _AT,
        "updated_at_unix": at,
        "conversation_id": conversation,
    }


def _batches(*batches: dict[str, Any]) -> httpx.Response:
    found = [{name: it[name] for name in it if name != "recipients"} for it in batches]
    return httpx.Response(200, json={"batch_calls": found, "next_doc": None, "has_more": False})


_WORKSPACE = _get("batch-calling/workspace?limit=100")
_RUNNING = _batch(
    "in_progress",
    _recipient("completed", "conv_0001"),
    _recipient("in_progress", "conv_0002"),
    _recipient("pending", None),
    _recipient("cancelled", None),
)
_OPEN = {"btcal_1": {"at": _AT, "done": {"conv_0001": _AT}, "wait": []}}

_RUNS = (
    Poll(
        "no batches",
        "batches",
        _batches(),
        cursor=_cursor(at=_AT, open={}, closed={}),
        expect=Polled(cursor=_cursor(at=_AT, open={}, closed={})),
        requests=[_WORKSPACE],
    ),
    Poll(
        "a call of a running batch is over",
        "batches",
        _batches(_RUNNING),
        httpx.Response(200, json=_RUNNING),
        _conversation(),
        cursor=_cursor(at=_AT, open={}, closed={}),
        expect=Polled(events=[CALL], cursor=_cursor(at=_AT, open=_OPEN, closed={})),
        requests=[
            _WORKSPACE,
            _get("batch-calling/btcal_1"),
            _get("conversations/conv_0001"),
        ],
    ),
    Poll(
        "a call that was told is not looked up again",
        "batches",
        _batches(_RUNNING),
        httpx.Response(200, json=_RUNNING),
        cursor=_cursor(at=_AT, open=_OPEN, closed={}),
        expect=Polled(cursor=_cursor(at=_AT, open=_OPEN, closed={})),
    ),
    Poll(
        "a call that is being summed up is looked at again",
        "batches",
        _batches(_RUNNING),
        httpx.Response(200, json=_RUNNING),
        _conversation(status="processing"),
        cursor=_cursor(at=_AT, open={}, closed={}),
        expect=Polled(
            cursor=_cursor(
                at=_AT, open={"btcal_1": {"at": 0, "done": {}, "wait": ["conv_0001"]}}, closed={}
            )
        ),
    ),
    Poll(
        "a batch that is over is done with",
        "batches",
        _batches(_batch("completed")),
        httpx.Response(200, json=_batch("completed", _recipient("completed", "conv_0001"))),
        _conversation(),
        cursor=_cursor(at=_AT, open={}, closed={}),
        expect=Polled(events=[CALL], cursor=_cursor(at=_AT, open={}, closed={"btcal_1": _AT})),
    ),
    Poll(
        "and is not looked at again",
        "batches",
        _batches(_batch("completed")),
        cursor=_cursor(at=_AT, open={}, closed={"btcal_1": _AT}),
        expect=Polled(cursor=_cursor(at=_AT, open={}, closed={"btcal_1": _AT})),
    ),
    Poll(
        "what was called again in it is, and nothing of before: that may have been forgotten here",
        "batches",
        _batches(_batch("completed", changed_at=_AT + 1000)),
        httpx.Response(
            200,
            json=_batch(
                "completed",
                _recipient("completed", "conv_0009", at=_AT - 500),
                _recipient("completed", "conv_0001", at=_AT + 900),
                changed_at=_AT + 1000,
            ),
        ),
        _conversation(),
        cursor=_cursor(at=_AT, open={}, closed={"btcal_1": _AT}),
        expect=Polled(
            events=[CALL], cursor=_cursor(at=_AT + 1000, open={}, closed={"btcal_1": _AT + 1000})
        ),
        requests=[
            _WORKSPACE,
            _get("batch-calling/btcal_1"),
            _get("conversations/conv_0001"),
        ],
    ),
    Poll(
        "a batch that was deleted is forgotten",
        "batches",
        _batches(),
        httpx.Response(404, json={"detail": {"status": "not_found"}}),
        cursor=_cursor(at=_AT, open=_OPEN, closed={}),
        expect=Polled(cursor=_cursor(at=_AT, open={}, closed={})),
    ),
    Poll("the first time", "batches", _batches()),
    Poll("another's batch", "batches", _batches({**_RUNNING, "agent_id": "agent_9"})),
)

POLLS = (*_CALLS, *_RUNS)
