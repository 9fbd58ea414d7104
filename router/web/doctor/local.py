"""What is for this machine only, and what it means if it is to be had at the public URL.

A proxy that does not say for whom it asks, and asks as a program on this machine would, makes
everybody this machine. Only who asks from the other side of the proxy can tell.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from router.web.doctor.diagnosis import Diagnosis, Level


@dataclass(frozen=True, slots=True)
class LocalThing:
    """Something that only this machine is to get at.

    :param signs: words of a router's answer by the path that it is had at: another site may answer
        200 to everything.
    :param means: what everybody can do who gets at it.
    :param remedy: what helps beside a proxy that says for whom it asks.
    """

    signs: Mapping[str, bytes]
    means: str
    remedy: str

    def open_at(self, url: str, place: str) -> Diagnosis:
        """Say that everybody gets at it."""
        says = (
            f"{self.means}: {url} is answered, because the proxy passes it on without saying for "
            f"whom it asks. Let the proxy send X-Forwarded-For; {self.remedy}."
        )
        return Diagnosis(check="local_only", level=Level.WRONG, says=says, place=place)


def local_things(channels: Sequence[str], *, metrics: str) -> Iterator[LocalThing]:
    """Give what is not for strangers.

    :param channels: the paths of the self-tests of channels that are for this machine only.
    :param metrics: ``[server] metrics``.
    """
    if channels:
        yield LocalThing(
            {"/simulator": b'action="/simulator"', **dict.fromkeys(channels, b'"instance"')},
            "Everybody can speak as any customer, and read what is answered",
            "or pass on only what others need (/hooks/NAME of each other channel, /c/, /static/, "
            "/api/), or take the channel out",
        )
    figures = {"/api/v1/stats": b'"outbox"'}
    if metrics == "local":
        figures["/metrics"] = b"router_build_info"
    yield LocalThing(figures, "Everybody can read the figures", "or do not pass this path on")
