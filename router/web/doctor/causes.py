"""What is said about a request: that it passes, or what keeps it from passing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from router.pipeline.instances.instances import LiveChannel
from router.settings.model import Settings
from router.web.doctor import variants
from router.web.doctor.captures import Capture
from router.web.doctor.diagnosis import Diagnosis, Level, Lines
from router.web.doctor.variants import Address
from router.web.findings import secrets_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way in which the request passes.

    :param did: what was done to its body.
    :param secret: where the secret stands that made it pass; empty for the channel's own.
    :param key: the setting that should have it.
    """

    address: Address
    did: str
    at: datetime
    secret: str = ""
    key: str = ""


class Causes:
    """Says what is wrong with one request, and names the line to change.

    :param live: the channel that it came to.
    :param base: its address as the router makes it.
    """

    def __init__(
        self,
        settings: Settings,
        lines: Lines,
        capture: Capture,
        live: LiveChannel,
        endpoint: str,
        base: Address,
    ) -> None:
        self._settings = settings
        self._lines = lines
        self._capture = capture
        self._live = live
        self._endpoint = endpoint
        self._base = base

    def _found(
        self, check: str, says: str, place: str | None = None, change: str | None = None
    ) -> Diagnosis:
        return Diagnosis(
            check=check,
            level=Level.WRONG,
            says=says,
            about=self._live.label,
            place=place,
            change=change,
        )

    def passes(self) -> Diagnosis:
        """Say that it passes."""
        label = self._live.label
        if self._live.capabilities.local_only:
            says = f"{label} has nothing signed: it is served to this machine only."
            return Diagnosis(check="signature", level=Level.OK, says=says, about=label)
        says = (
            f"{label} takes this request as it is configured now. If it was refused, it was for "
            "what has been changed since, and the router has not been started or reloaded; or "
            "because the proxy handed it on otherwise than it was saved here."
        )
        return Diagnosis(check="signature", level=Level.OK, says=says, about=label)

    def of(self, way: Way, first: datetime) -> Iterator[Diagnosis]:
        """Say what differs in the way in which the request passes.

        :param first: when it came in, as far as is known.
        """
        if way.secret:
            yield self._wrong_secret(way)
        if way.address != self._base:
            yield self._wrong_address(way.address)
        if way.did:
            yield self._found(
                "body",
                f"Its body is not the one that was signed: {way.did}. If this file is as the "
                "request came, something on the way changes bodies, and must not; else save it "
                "again, byte for byte.",
            )
        if way.at != first and not (way.secret or way.address != self._base or way.did):
            yield self._wrong_moment(way.at)

    def _wrong_secret(self, way: Way) -> Diagnosis:
        key = way.key or next(
            (path[0] for path, _ in secrets_in(self._live.settings.config)), "its secret"
        )
        header = variants.header_of(self._live.settings)
        return self._found(
            "secret",
            f"{header} {key} is not the secret that it is signed with. The right one is known "
            f"here: {way.secret}. Correct what {key} refers to.",
            self._lines.of(self._live.settings.position, key),
        )

    def _wrong_address(self, signed: Address) -> Diagnosis:
        public, base = self._settings.router.public_url, self._base
        where = self._live.context.webhook_url(self._endpoint)
        if (signed.origin, signed.prefix) != (base.origin, base.prefix):
            says = (
                f"It is signed for {signed.shown}, and [router] public_url makes it {base.shown}."
            )
            if signed.origin.startswith("http:") and base.origin.startswith("https:"):
                # Never the other way round: in the open everybody on the way reads along.
                return self._found(
                    "address",
                    f"{says} The provider was given an address without https. Correct it there: "
                    f"{where}",
                )
            return self._found(
                "public_url",
                f"{says} If the first is the address that customers' webhooks are to have, "
                f"correct public_url; else correct the address at the provider: {where}",
                self._lines.single("router", "public_url"),
                f'public_url = "{signed.origin}{signed.prefix}"',
            )
        if signed.path != base.path:
            return self._found(
                "address",
                f"It is signed for {signed.shown}, and arrived as {base.shown}: the address at "
                "the provider has another path, such as a slash at its end, or the proxy changes "
                f"it. Give the provider {where} letter by letter, and let the proxy pass paths on "
                f"as they come. ({public} is right.)",
            )
        return self._found(
            "address",
            f"It is signed for {signed.shown} with another query than it arrived with: the proxy "
            "takes it away or writes it anew. Let it pass addresses on as they come.",
        )

    def _wrong_moment(self, at: datetime) -> Diagnosis:
        if self._capture.received_at is None:
            return Diagnosis(
                check="age",
                level=Level.WARNING,
                says=f"It is signed rightly, at {at:%Y-%m-%d %H:%M:%S} UTC, and is too old by now. "
                "If it was refused when it came, compare this machine's clock with the provider's: "
                "router doctor",
                about=self._live.label,
            )
        apart = abs((self._capture.received_at - at).total_seconds())
        return self._found(
            "clock",
            f"It is signed rightly, and came {apart:.0f} s apart from when it was signed. The "
            "clock is off, or the provider sent it late. Let the machine keep its time by NTP "
            "(timedatectl set-ntp true).",
        )

    def other(self, live: LiveChannel) -> Diagnosis:
        """Say that it is signed for another channel."""
        return self._found(
            "secret",
            f"It is signed as {live.label} is, and came to the address of {self._live.label}. "
            f"Give that provider {live.context.webhook_url()}",
            self._lines.of(live.settings.position),
        )

    def unknown(self) -> Diagnosis:
        """Say that nothing was found that would make it pass."""
        table = self._live.settings
        keys = list(dict.fromkeys(".".join(path) for path, _ in secrets_in(table.config)))
        settings = f"one of {', '.join(keys)}" if len(keys) > 1 else "".join(keys) or "the table"
        key = keys[0].split(".")[:1] if len(keys) == 1 else ()
        return self._found(
            "signature",
            "No other address, and no secret that is known here, would have made it pass. If the "
            f"channel's own words do not name the cause: {settings} is not what the provider has, "
            "or the body is not the one that was sent, or somebody else sent it.",
            self._lines.of(table.position, *key),
        )
