"""uvicorn's protocol with an end to what it keeps of a request that is not a body.

Its parser keeps whatever comes as an address, a header or a trailer, however much that is. What is
allowed, and what is answered to more, is as hypercorn has it.
"""

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: So many bytes may come of a head or of trailers without an end, as with hypercorn.
_LONGEST: Final = 16 * 1024
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection whose bytes lead nowhere: neither to the end of a head nor to a body."""

    #: How many bytes came since they last led somewhere, and whether they do just now.
    _kept = 0
    _led = False

    def data_received(self, data: bytes) -> None:
        self._led = False
        super().data_received(data)
        self._kept = 0 if self._led else self._kept + len(data)
        if self._kept > _LONGEST and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._led = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._led = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._led = True
        super().on_message_complete()
