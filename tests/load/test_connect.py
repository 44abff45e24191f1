"""What a connection's handler notes, without a network: bytes in, by a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError

from vqchaos.load import connect
from vqchaos.load.connect import CutInHeadError, Handler

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class Wire:
    """A handler, and a clock that stands at the number of the read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(connect, "monotonic", lambda: self.now)
        self.handler = Handler(asyncio.get_running_loop())
        self.again()

    def again(self) -> None:
        """The next request of the connection."""
        self.handler.set_response_params(read_until_eof=True, auto_decompress=False)
        self.handler.listen()
        self.taken: list[tuple[float, bytes]] = []

    def read(self, data: bytes) -> None:
        self.now += 1.0
        self.handler.data_received(data)

    def take(self, at: float, piece: bytes) -> None:
        self.taken.append((at, piece))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Wire], Awaitable[None]]], None]:
    def run(script: Callable[[Wire], Awaitable[None]]) -> None:
        async def go() -> None:
            await asyncio.wait_for(script(Wire(monkeypatch)), 10)

        asyncio.run(go())

    return run


Play = Callable[[Callable[[Wire], Awaitable[None]]], None]


def test_each_piece_has_the_time_of_its_read_however_late_the_coroutine(play: Play) -> None:
    async def script(wire: Wire) -> None:
        wire.read(HEAD[:20])
        wire.read(HEAD[20:] + chunk(b"a"))
        wire.read(chunk(b"b")[:2])
        wire.read(chunk(b"b")[2:] + chunk(b"c"))
        assert (await wire.handler.head()).code == 200
        over = asyncio.ensure_future(wire.handler.body(wire.take))
        await asyncio.sleep(0)
        assert wire.taken == [(2.0, b"a"), (4.0, b"bc")]
        wire.read(chunk(b"d"))
        assert wire.taken[-1] == (5.0, b"d")  # no turn of the loop later
        wire.read(END)
        await over
        assert wire.handler.heard == 1.0

    play(script)


def test_the_next_request_of_a_connection_starts_anew(play: Play) -> None:
    async def script(wire: Wire) -> None:
        wire.read(HEAD + chunk(b"a") + END)
        await wire.handler.head()
        await wire.handler.body(wire.take)
        assert not wire.handler.should_close
        wire.again()
        assert wire.handler.heard is None
        wire.read(HEAD + chunk(b"z") + END)
        await wire.handler.head()
        await wire.handler.body(wire.take)
        assert wire.taken == [(2.0, b"z")]

    play(script)


def test_interim_answers_are_passed_over(play: Play) -> None:
    async def script(wire: Wire) -> None:
        wire.read(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.read(b"HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx")
        assert (await wire.handler.head()).code == 201
        await wire.handler.body(wire.take)
        assert wire.taken == [(2.0, b"x")]

    play(script)


@pytest.mark.parametrize("early", [True, False])
def test_a_second_answer_belongs_to_nobody(play: Play, early: bool) -> None:
    two = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"

    async def script(wire: Wire) -> None:
        wire.read(two + (two if early else b""))
        await wire.handler.head()
        await wire.handler.body(wire.take)
        if not early:
            wire.read(two)
        assert [piece for _, piece in wire.taken] == [b"x"]
        assert wire.handler.should_close

    play(script)


@pytest.mark.parametrize("code", [204, 304])
def test_an_answer_without_a_body_ends_at_once(play: Play, code: int) -> None:
    async def script(wire: Wire) -> None:
        wire.read(b"HTTP/1.1 %d Whatever\r\n\r\n" % code)
        await wire.handler.head()
        await wire.handler.body(wire.take)
        assert wire.taken == []

    play(script)


def test_a_body_without_a_length_ends_with_its_connection(play: Play) -> None:
    async def script(wire: Wire) -> None:
        wire.read(b"HTTP/1.0 200 OK\r\n\r\nabc")
        await wire.handler.head()
        over = asyncio.ensure_future(wire.handler.body(wire.take))
        await asyncio.sleep(0)
        assert not over.done()
        wire.handler.connection_lost(None)
        await over
        assert wire.taken == [(1.0, b"abc")]

    play(script)


@pytest.mark.parametrize("cause", [None, ConnectionResetError(104, "reset")])
@pytest.mark.parametrize("late", [True, False])
def test_a_cut_body_raises_after_what_came(play: Play, cause: OSError | None, late: bool) -> None:
    async def script(wire: Wire) -> None:
        wire.read(HEAD + chunk(b"a"))
        if late:
            wire.handler.connection_lost(cause)
        await wire.handler.head()
        over = asyncio.ensure_future(wire.handler.body(wire.take))
        await asyncio.sleep(0)
        if not late:
            wire.handler.connection_lost(cause)
        with pytest.raises(aiohttp.ClientPayloadError):
            await over
        assert wire.taken == [(1.0, b"a")]

    play(script)


def test_a_chunk_that_is_none_raises_after_what_came(play: Play) -> None:
    async def script(wire: Wire) -> None:
        wire.read(HEAD + chunk(b"a"))
        await wire.handler.head()
        over = asyncio.ensure_future(wire.handler.body(wire.take))
        await asyncio.sleep(0)
        wire.read(b"no length\r\n")
        with pytest.raises(HttpProcessingError):
            await over
        assert wire.taken == [(1.0, b"a")]

    play(script)


def test_what_the_listener_raises_ends_the_body(play: Play) -> None:
    def refuse(_: float, piece: bytes) -> None:
        raise ValueError(piece)

    async def script(wire: Wire) -> None:
        wire.read(HEAD)
        await wire.handler.head()
        over = asyncio.ensure_future(wire.handler.body(refuse))
        await asyncio.sleep(0)
        wire.read(chunk(b"a"))
        with pytest.raises(ValueError, match="a"):
            await over

    play(script)


def test_cut_inside_the_headers_is_told_from_before_them(play: Play) -> None:
    async def script(wire: Wire) -> None:
        wire.read(HEAD[:20])
        wire.handler.connection_lost(None)
        with pytest.raises(CutInHeadError) as caught:
            await wire.handler.head()
        assert caught.value.at == 1.0

    play(script)


def test_what_is_not_http_is_said(play: Play) -> None:
    async def script(wire: Wire) -> None:
        wire.read(b"SSH-2.0-OpenSSH_9.2\r\n")
        with pytest.raises(HttpProcessingError):
            await wire.handler.head()

    play(script)


@pytest.mark.parametrize("late", [b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"HTTP/1.1 2", b"\r\n"])
def test_what_nobody_asked_for_makes_a_kept_connection_stale(play: Play, late: bytes) -> None:
    async def script(wire: Wire) -> None:
        wire.read(HEAD + chunk(b"a") + END)
        await wire.handler.head()
        await wire.handler.body(wire.take)
        assert not wire.handler.is_stale
        wire.read(late)
        assert wire.handler.is_stale

    play(script)


def test_an_answer_from_before_its_request_has_no_body_and_ends(play: Play) -> None:
    two = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"

    async def script(wire: Wire) -> None:
        wire.read(two + two)
        await wire.handler.head()
        await wire.handler.body(wire.take)
        wire.again()
        assert (await wire.handler.head()).code == 200
        await wire.handler.body(wire.take)
        assert wire.taken == []

    play(script)


def test_a_server_that_speaks_first_on_a_new_connection_is_heard(play: Play) -> None:
    async def script(wire: Wire) -> None:
        wire.handler = Handler(asyncio.get_running_loop())
        wire.read(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nfull")
        assert not wire.handler.is_stale  # else every connection would be
        wire.again()
        assert (await wire.handler.head()).code == 503
        await wire.handler.body(wire.take)
        assert wire.taken == [(1.0, b"full")]

    play(script)
