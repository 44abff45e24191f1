"""POST over aiohttp's connections without its session, whose work for each request lies between
the moment a request is *sent* and its first byte on the wire: in every time to the first token.

The headers of a URL are aiohttp's own, made once; connecting, pools, TLS and HTTP's parser are too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp.connector import Connection
from multidict import CIMultiDict
from yarl import URL

from vqchaos.load.connect import Connector, Handler

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_BUFFER = 2**18
_FRAMING = ("content-length", "transfer-encoding")
_TARGETS = 64  # URLs that are remembered
_CONTROL = re.compile(r"[\r\n\0]")


@dataclass(frozen=True, slots=True)
class _Target:
    request: aiohttp.ClientRequest  # whom to connect to
    head: bytes  # the request line and the headers that do not change


class Poster:
    """Posts JSON. ``fresh``: the connector closes each connection, and the server is told so.

    ``headers`` go out too, but for those of which the request has its own, in whatever case.
    """

    def __init__(self, connector: Connector, headers: Mapping[str, str], *, fresh: bool) -> None:
        self._connector = connector
        self._headers = bare(headers)
        self._headers.popall("X-Request-Id", None)
        self._headers["Content-Type"] = "application/json"
        if fresh:
            self._headers["Connection"] = "close"
        self._targets: dict[str, _Target] = {}

    @asynccontextmanager
    async def post(self, url: str, identity: str, body: bytes) -> AsyncIterator[Handler]:
        """Connect and send. The connection is kept for the next if its answer was read to the end
        and the connector keeps any, and closed otherwise. Raises aiohttp.ClientError, OSError."""
        target = self._targets.get(url) or self._prepare(url)
        connection = await self._connect(target)
        try:
            handler = connection.protocol
            assert isinstance(handler, Handler)
            handler.set_response_params(
                read_until_eof=True, auto_decompress=False, read_bufsize=_BUFFER
            )
            handler.listen()
            transport = handler.transport
            if transport is None or transport.is_closing():
                raise aiohttp.ClientConnectionResetError("the connection was closed")
            own = f"X-Request-Id: {identity}\r\nContent-Length: {len(body)}\r\n\r\n"
            transport.write(b"".join((target.head, own.encode(), body)))
            yield handler
            connection.release()
        finally:
            connection.close()  # nothing, once released

    async def _connect(self, target: _Target) -> Connection:
        """A kept connection, or a new one. Servers say on idle ones why they close them (408):
        those are left. A new one is taken whatever came on it, so this ends."""
        while True:
            connection = await self._connector.connect(target.request, [], _NO_TIMEOUT)
            handler = connection.protocol
            if not isinstance(handler, Handler) or not handler.is_stale:
                return connection
            connection.close()

    def _prepare(self, url: str) -> _Target:
        try:
            parsed = URL(url)
        except ValueError as error:
            raise aiohttp.InvalidURL(url) from error
        if parsed.scheme not in ("http", "https") or not parsed.raw_host:
            raise aiohttp.InvalidURL(url)
        request = aiohttp.ClientRequest(
            "POST",
            parsed,
            headers=self._headers,
            skip_auto_headers=("User-Agent", "Content-Length"),
            ssl=self._connector._ssl,  # noqa: SLF001 (what a session would take from it)
        )
        lines = [f"POST {request.url.raw_path_qs} HTTP/1.1"]
        lines += [
            f"{name}: {value}"
            for name, value in request.headers.items()
            if name.lower() not in _FRAMING  # a bodiless request's, by aiohttp
        ]
        if any(_CONTROL.search(line) for line in lines):
            raise aiohttp.InvalidURL(url)
        if len(self._targets) >= _TARGETS:
            self._targets.clear()
        target = _Target(request, "\r\n".join([*lines, ""]).encode())
        self._targets[url] = target
        return target


def bare(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Without those that say where a body ends: it ends where it ends."""
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _FRAMING
    )
