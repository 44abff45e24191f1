"""Connections that tell what aiohttp's own do not."""

from __future__ import annotations

import functools
import socket
import struct
import time
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler


class SelfConnectedError(aiohttp.ClientConnectionError):
    """A client that polls a closed port in the ephemeral range can connect to itself."""


class CutInHeadError(aiohttp.ClientConnectionError):
    """The connection ended after the first byte of an answer and before the end of its headers.
    ``at``: the raw monotonic second of that byte."""

    def __init__(self, cause: BaseException, at: float) -> None:
        super().__init__(*cause.args)
        self.errno = getattr(cause, "errno", None)
        self.at = at


class _Handler(ResponseHandler):
    """Knows whether an answer has begun: aiohttp tells a reset inside the headers from one before
    them by nothing."""

    _heard: float | None = None

    def set_response_params(self, **settings: Any) -> None:
        self._heard = None  # the next request of this connection
        super().set_response_params(**settings)

    def data_received(self, data: bytes) -> None:
        if self._heard is None and data:
            self._heard = time.monotonic()
        super().data_received(data)

    def set_exception(self, exc: Any, *cause: Any) -> None:
        lost = isinstance(exc, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)
        if lost and self._heard is not None:
            exc = CutInHeadError(exc, self._heard)
        super().set_exception(exc, *cause)


class Connector(aiohttp.TCPConnector):
    """Closes connections whose two ends are the same address."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory: Any = functools.partial(_Handler, loop=self._loop)

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        protocol = await super()._create_connection(req, traces, timeout)
        transport = protocol.transport
        if transport is not None:
            near = transport.get_extra_info("sockname")
            if near is not None and near == transport.get_extra_info("peername"):
                # Linger 0: no TIME_WAIT that would keep the server from binding its port.
                sock = transport.get_extra_info("socket")
                linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                transport.abort()
                raise SelfConnectedError
        return protocol
