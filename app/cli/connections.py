"""A connection to the API, with the bounds that uvicorn's own has not: how long the head of a request may be, and how long a request may take to arrive."""

import asyncio
from typing import ClassVar

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class BoundedConnection(HttpToolsProtocol):
    """Closed where a request is not there as a whole in time, or its head is too long (then with 400). What comes in one piece costs no timer."""

    MAX_HEAD_BYTES: ClassVar = 64 * 1024
    ARRIVES_WITHIN_S: ClassVar = 60.0
    """A body has 1 MiB at most, so this is a slow line indeed."""

    _is_arriving = False
    _is_in_head = False
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")
        if self._is_arriving and self._deadline is None:
            self._set_deadline()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_arriving = self._is_in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_arriving = False
        self._unset_deadline()
        super().on_message_complete()

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.ARRIVES_WITHIN_S, self._give_up)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        log.info("connection.too_slow", address=self.client[0] if self.client else None)
        self.transport.abort()
