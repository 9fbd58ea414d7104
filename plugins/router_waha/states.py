"""How the session is: whether the gateway still has its telephone.

https://waha.devlike.pro/docs/how-to/sessions
"""

from typing import Final

#: The event that says how the session is.
SESSION_EVENT: Final = "session.status"

#: The state in which messages come and go.
WORKING: Final = "WORKING"

_TROUBLES = {
    "SCAN_QR_CODE": "the session {session!r} has to be linked again. Open WAHA's dashboard, and "
    "scan its QR code with the telephone (WhatsApp: linked devices)",
    "FAILED": "the session {session!r} has failed. Restart it in WAHA; if that does not help, log "
    "it out and scan its QR code again",
    "STOPPED": "the session {session!r} is stopped. Start it in WAHA",
    "STARTING": "the session {session!r} is starting",
}


def trouble_of(state: str, session: str) -> str:
    """Say in words what is wrong, and what to do; nothing if nothing is."""
    if state == WORKING:
        return ""
    words = _TROUBLES.get(state, "the session {session!r} is {state!r}")
    return words.format(session=session, state=state[:40])
