"""One request over HTTP and what its client saw of it.

aiohttp, because its measured accuracy is what the load needs. Every request has a connection of its
own, so that what a proxy or a dead server does to new connections is seen, unless its call reuses:
then it takes an idle one that an earlier request left whole, as clients with a pool do. There is no
limit on connections, so that a slow server never slows the arrivals.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import ssl
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from vqchaos.history.events import Request
from vqchaos.load.classify import Exchange, classify, excerpt
from vqchaos.load.connect import Connector, CutInHeadError, SelfConnectedError
from vqchaos.load.post import Poster, bare
from vqchaos.load.redact import Redactor
from vqchaos.load.sse import SseError, SseParser
from vqchaos.load.wire import AnswerBuilder
from vqchaos.text import one_line

BODY_LIMIT = 8 * 1024 * 1024
_TOO_LONG = "the body is longer than 8 MiB"
PATHS = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_OURS = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM)
_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "broken pipe",
    errno.ECONNABORTED: "connection aborted",
    errno.ETIMEDOUT: "connection timed out",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
}


class ClientExhaustedError(RuntimeError):
    """This machine ran out of sockets: what would be seen now is not the target's doing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to send. ``due`` is a raw monotonic second; ``deadline`` counts from sending."""

    workload: str
    id: str
    api: str
    url: str  # the whole URL
    body: bytes
    stream: bool
    due: float
    deadline: float
    expected_tokens: int | None = None
    reuse: bool = False  # an idle connection, and leave it open


@dataclass(slots=True)
class Flight:
    """A request under way; raw monotonic seconds. ``streaming``: it has a token and will cut."""

    call: Call
    sent: float | None = None
    first_byte: float | None = None
    tokens: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer to a plain GET. ``error``: refused, reset, timeout or malformed."""

    status: int | None
    body: bytes = b""
    error: str = ""


@dataclass(slots=True)
class _Seen:
    """The parts of an Exchange while it goes on."""

    builder: AnswerBuilder
    end: Any = "complete"
    why: str = ""
    status: int | None = None
    content_type: str = ""
    retry_after: bool = False
    replica: str | None = None
    body: bytearray = field(default_factory=bytearray)


class Client:
    """Sends requests. ``origin`` is the raw monotonic second of t = 0. Use as a context manager."""

    def __init__(
        self,
        *,
        origin: float,
        headers: Mapping[str, str],
        ca_file: str | None = None,
        replica_header: str | None = None,
        issued: Container[str] = frozenset(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = origin
        self._replica_header = replica_header
        self._issued = issued
        self._now = now
        self.redact = Redactor(headers.values())
        context: ssl.SSLContext | bool = True
        if ca_file is not None:
            context = ssl.create_default_context(cafile=ca_file)
        self._headers = bare(headers)
        self._headers["Accept-Encoding"] = "identity"
        self._ssl = context
        connector = self._connect(reuse=False)
        self._fresh = Poster(connector, self._headers, fresh=True)
        self._session = aiohttp.ClientSession(  # of the plain GETs
            connector=connector,
            headers=self._headers,
            timeout=_NO_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers={"User-Agent"},
            read_bufsize=2**18,
        )
        self._pool = self._connect(reuse=True)
        self._kept = Poster(self._pool, self._headers, fresh=False)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._pool.close()

    def _connect(self, *, reuse: bool) -> Connector:
        return Connector(limit=0, force_close=not reuse, use_dns_cache=False, ssl=self._ssl)

    async def send(self, flight: Flight) -> tuple[Request, Any]:
        """Send it and wait for its end, whatever that is: the event, and the JSON of an answer
        that was not streamed (else None).

        Cancelling the task ends the request as ``cancelled``; that too is returned. Raises
        ClientExhaustedError only.
        """
        call = flight.call
        seen = _Seen(AnswerBuilder(call.api))
        flight.sent = self._now()
        try:
            async with asyncio.timeout(call.deadline):
                await self._exchange(flight, seen)
        except TimeoutError:
            seen.end = "deadline"
        except asyncio.CancelledError:
            seen.end, seen.why = "cancelled", "ended by vqchaos"
        except HttpProcessingError as error:
            begun = flight.first_byte is not None
            seen.end = "cut" if begun else "not_http"
            seen.why = one_line(error.message, 80)
        except (aiohttp.ClientError, OSError) as error:
            _raise_if_ours(error)
            seen.end, seen.why = _ended_by(error, flight)
            if isinstance(error, CutInHeadError):
                flight.first_byte = error.at
        except (SseError, _TooLongError) as error:
            seen.end, seen.why = "cut", f"closed by vqchaos: {error}"
        return self._finish(flight, seen)

    def unsent(self, flight: Flight) -> Request:
        """The event of a request that was cancelled before it was sent."""
        seen = _Seen(AnswerBuilder(flight.call.api), end="cancelled", why="ended by vqchaos")
        return self._finish(flight, seen)[0]

    async def get(self, url: str, timeout: float) -> Fetched:
        """A plain GET with a time limit. Raises ClientExhaustedError only."""
        try:
            async with (
                asyncio.timeout(timeout),
                self._session.get(url, allow_redirects=False) as response,
            ):
                return Fetched(response.status, await _read(response))
        except TimeoutError:
            return Fetched(None, error="timeout")
        except (aiohttp.ClientError, OSError) as error:
            _raise_if_ours(error)
            kind, _ = _ended_by(error, None)
            return Fetched(None, error={"not_http": "malformed", "cut": "reset"}.get(kind, kind))
        except _TooLongError:
            return Fetched(None, error="malformed")

    async def _exchange(self, flight: Flight, seen: _Seen) -> None:
        call = flight.call
        poster = self._kept if call.reuse else self._fresh
        async with poster.post(call.url, call.id, call.body) as answer:
            message = await answer.head()
            flight.first_byte = answer.heard
            headers = message.headers
            seen.status = message.code
            seen.content_type = headers.get("Content-Type", "").strip().lower()
            seen.retry_after = "Retry-After" in headers
            seen.replica = self._replica_of(headers)
            success = 200 <= message.code < 300
            if success and call.stream and seen.content_type.startswith("text/event-stream"):
                await answer.body(_Stream(seen.builder, flight.tokens))
                return
            whole = _Whole(seen.body)
            await answer.body(whole)
            if success and seen.builder.whole(bytes(seen.body)):
                flight.tokens.append(whole.at or self._now())

    def _finish(self, flight: Flight, seen: _Seen) -> tuple[Request, Any]:
        call, ended = flight.call, self._now()
        answer = seen.builder.build()
        exchange = Exchange(
            id=call.id,
            stream=call.stream,
            end=seen.end,
            why=seen.why,
            status=seen.status,
            content_type=seen.content_type,
            retry_after=seen.retry_after,
            body=bytes(seen.body),
            answer=answer,
            issued=self._issued,
            expected_tokens=call.expected_tokens,
        )
        outcome, detail = classify(exchange)
        if outcome == "ok" and not flight.tokens:
            # It counted tokens but sent no text (half a character, a swallowed <think>): served.
            flight.tokens.append(ended)
        times = [round(moment - self._origin, 6) for moment in flight.tokens]
        first_byte = self._relative(flight.first_byte)
        streamed = call.stream and answer.events > 0
        request = Request(
            t=ended - self._origin,
            workload=call.workload,
            id=call.id,
            api=call.api,
            stream=call.stream,
            due=call.due - self._origin,
            sent=self._relative(flight.sent),
            first_byte=first_byte if first_byte is None else round(first_byte, 6),  # as tokens are
            first_token=times[0] if times else None,
            tokens=times,
            ended=ended - self._origin,
            deadline=call.deadline,
            outcome=outcome,
            status=seen.status,
            finish_reason=one_line(answer.finish_reason, 40) if answer.finish_reason else None,
            completion_tokens=answer.completion_tokens,
            detail=self.redact(detail),
            excerpt=self.redact(excerpt(exchange)),
            replica=seen.replica,
            mixed=self.redact(one_line(answer.mixed, 160)) if streamed else None,
        )
        return request, _json(seen.body)

    def _replica_of(self, headers: Mapping[str, str]) -> str | None:
        """As its header says; what a name may not hold is cleaned away."""
        if self._replica_header is None:
            return None
        return self.redact(one_line(headers.get(self._replica_header, ""), 64)) or None

    def _relative(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self._origin


class _TooLongError(Exception):
    pass


class _Stream:
    """Takes an event stream: every token has the time at which its bytes were read."""

    __slots__ = ("_builder", "_parser", "_tokens")

    def __init__(self, builder: AnswerBuilder, tokens: list[float]) -> None:
        self._parser, self._builder, self._tokens = SseParser(), builder, tokens

    def __call__(self, at: float, piece: bytes) -> None:
        for data in self._parser.feed(piece):
            if self._builder.chunk(data):
                self._tokens.append(at)


class _Whole:
    """Takes a body that is not streamed, bounded. ``at``: when its latest piece was read."""

    __slots__ = ("_body", "at")

    def __init__(self, body: bytearray) -> None:
        self._body = body
        self.at: float | None = None

    def __call__(self, at: float, piece: bytes) -> None:
        self._body += piece
        self.at = at
        if len(self._body) > BODY_LIMIT:
            raise _TooLongError(_TOO_LONG)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, bounded."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > BODY_LIMIT:
            raise _TooLongError(_TOO_LONG)
    return bytes(body)


def _json(body: bytearray) -> Any:
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def _raise_if_ours(error: BaseException) -> None:
    code = getattr(error, "errno", None)
    if code in _OURS:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        raise ClientExhaustedError(
            f"this machine ran out of sockets or memory: {os.strerror(code)} (this process may "
            f"have {limit} files open: `ulimit -n`; a shorter deadline or a lower rate needs fewer)"
        ) from error


def _ended_by(error: Exception, flight: Flight | None) -> tuple[str, str]:
    """(end, why) of a failure. ``why`` never holds what the exception says of the request."""
    if isinstance(error, SelfConnectedError):
        return "refused", "the client was connected to itself: nothing listens on the port"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "refused", "the name was not resolved"
    if isinstance(error, aiohttp.ClientSSLError):
        return "refused", "TLS failed"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "refused", _word(error)
    if isinstance(error, aiohttp.InvalidURL):
        return "refused", "the URL is not valid"
    if flight is not None and flight.first_byte is not None:
        return "cut", _word(error)
    if isinstance(error, CutInHeadError):
        return "cut", _word(error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "reset", "the server closed the connection"
    if isinstance(error, aiohttp.ClientResponseError):
        return "not_http", one_line(error.message, 80)
    if isinstance(error, aiohttp.ClientPayloadError):
        return "cut", _word(error)
    return "reset", _word(error)


def _word(error: BaseException) -> str:
    code = getattr(error, "errno", None)
    if code in _WORDS:
        return _WORDS[code]
    if isinstance(code, int) and code > 0:
        return os.strerror(code).lower()
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the body was cut short"
    return "the connection was closed"
