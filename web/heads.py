"""Heads of requests: how long they may take to arrive, and how large they may be.

uvicorn limits neither: a client that sends a byte now and then would keep its connection for ever,
and one that never ends its headers would fill the memory. No middleware sees a request before its
head is complete, so that the protocol has to look at it.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SECONDS = 30.0
"""For a head to arrive, where the application says nothing else (`head_seconds`)."""

LARGEST_HEAD = 128 * 1024
"""Bytes; a query has 64,000 at most."""


class LimitedHeads(HttpToolsProtocol):
    """A connection that is closed when the head of a request is too slow or too large."""

    _deadline: asyncio.TimerHandle | None = None
    _bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes, of which those of an incomplete head are counted."""
        super().data_received(data)
        if self._deadline is not None:
            self._bytes += len(data)
            if self._bytes > LARGEST_HEAD:
                self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """Wait for the rest of a head, unless the connection waits for it already."""
        super().on_message_begin()
        if self._deadline is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Let the head take its course."""
        self._forget()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._forget()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._bytes = 0
        seconds = getattr(self.app, "head_seconds", SECONDS)
        self._deadline = self.loop.call_later(seconds, self._too_late)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._await_head()  # the answer to the request before is still being sent
        else:
            self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        self._forget()
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status
            )
            self.transport.close()
