"""Connections that tell what aiohttp's own do not, and when."""

from __future__ import annotations

import functools
import socket
import struct
from asyncio import Future
from collections.abc import Callable
from time import monotonic
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

_READ = 2**14  # bytes asked for at once: asyncio's own 256 KiB are mapped anew each time
Take = Callable[[float, bytes], None]


class SelfConnectedError(aiohttp.ClientConnectionError):
    """A client that polls a closed port in the ephemeral range can connect to itself."""


class CutInHeadError(aiohttp.ClientConnectionError):
    """The connection ended after the first byte of an answer and before the end of its headers.
    ``at``: the raw monotonic second of that byte."""

    def __init__(self, cause: BaseException, at: float) -> None:
        super().__init__(*cause.args)
        self.errno = getattr(cause, "errno", None)
        self.at = at


class Handler(ResponseHandler):
    """Notes when bytes were read, and hands a body on in that moment if it is listened to.

    A body that a coroutine reads comes a turn or two of the event loop later, and several pieces
    may have become one. Also knows whether an answer has begun: aiohttp tells a reset inside the
    headers from one before them by nothing.
    """

    heard: float | None = None  # raw monotonic second of the answer's first byte
    _used = False
    _listening = False
    _take: Take | None = None
    _body: Any = None  # the StreamReader of the answer that is listened to
    _failed: Exception | None = None  # what ``take`` raised
    _over: Future[None] | None = None

    def set_response_params(self, **settings: Any) -> None:
        self.heard = self._take = self._body = self._failed = self._over = None
        self._listening = False  # the next request of this connection
        self._used = True
        super().set_response_params(**settings)

    @property
    def is_stale(self) -> bool:
        """It was kept, and is of no use to the next request: what came since, or is left over,
        would be taken for its answer."""
        return self._used and self.should_close

    # ------------------------------------------------------------ listening

    def listen(self) -> None:
        """From here on, pieces of the body are kept with their times. Before the request goes."""
        self._pieces: list[tuple[float, bytes]] = []
        self._listening = True
        self._hand_on(monotonic())  # of a server that spoke first, on a new connection

    async def head(self) -> Any:
        """The message with status and headers. Raises what aiohttp does, and HttpProcessingError
        for what is not HTTP."""
        while True:
            message, _ = await self.read()
            if not _is_interim(message.code):
                return message

    async def body(self, take: Take) -> None:
        """Call ``take`` with the raw monotonic second of reading and the bytes of each piece, and
        return at the body's end. Raises what ``take`` does, and what aiohttp does."""
        self._take = take
        for at, piece in self._pieces:
            take(at, piece)
        self._pieces.clear()
        if not self._is_over():
            self._over = self._loop.create_future()
            await self._over
        if (error := self._error()) is not None:
            raise error

    def _hand_on(self, now: float) -> None:
        body = self._body
        if body is None:
            return
        if self._failed is None and body.exception() is None and (piece := body.read_nowait()):
            if self._take is None:
                self._pieces.append((now, piece))
            else:
                try:
                    self._take(now, piece)
                except Exception as error:  # the coroutine's to raise
                    self._failed = error
        self._wake()

    def _is_over(self) -> bool:
        body = self._body  # None: the message came before the request, and nothing will follow
        return body is None or body.is_eof() or self._error() is not None

    def _error(self) -> BaseException | None:
        """``take``'s, the body's, or the connection's: of a chunk that is none, aiohttp closes the
        connection and never tells the body."""
        body = self._body
        if body is None:
            return self._failed or self.exception()
        error: BaseException | None = self._failed or body.exception()
        if error is None and not body.is_eof():
            error = self.exception()
        return error

    def _wake(self) -> None:
        over = self._over
        if over is not None and not over.done() and self._is_over():
            over.set_result(None)

    # ------------------------------------------------------------ aiohttp's own

    def feed_data(self, data: Any, size: int = 0) -> None:
        message, payload = data
        if self._body is None and not _is_interim(message.code):
            self._body = payload
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        now = monotonic()
        if self.heard is None and data:
            self.heard = now
        if data and self._body is not None and self._body.is_eof():
            self.force_close()  # nobody asked for it; half a message would be in no queue
        super().data_received(data)
        if self._listening and data:  # without data it is the body's own call, while it is read
            self._hand_on(now)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._wake()

    def set_exception(self, exc: Any, *cause: Any) -> None:
        lost = isinstance(exc, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)
        if lost and self.heard is not None:
            exc = CutInHeadError(exc, self.heard)
        super().set_exception(exc, *cause)


def _is_interim(status: int) -> bool:
    return 100 <= status < 200 and status != 101


class Connector(aiohttp.TCPConnector):
    """Closes connections whose two ends are the same address."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory: Any = functools.partial(Handler, loop=self._loop)

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        protocol = await super()._create_connection(req, traces, timeout)
        transport = protocol.transport
        if transport is not None:
            if hasattr(transport, "max_size"):  # not that of TLS, which reads into its own
                transport.max_size = _READ
            near = transport.get_extra_info("sockname")
            if near is not None and near == transport.get_extra_info("peername"):
                # Linger 0: no TIME_WAIT that would keep the server from binding its port.
                sock = transport.get_extra_info("socket")
                linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                transport.abort()
                raise SelfConnectedError
        return protocol
