"""How many connections a workload makes, counted at the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest

from vqchaos.history.events import Request
from vqchaos.load.client import Client, Flight
from vqchaos.load.connect import Handler
from vqchaos.load.generator import Issuer
from vqchaos.load.plan import LoadPlan
from vqchaos.load.prompts import Prompt
from vqchaos.load.workload import Workload


class Keeping:
    """Answers any number of requests on each connection. ``drop``: closes the next one, unanswered,
    when its second request comes. ``say``: writes on all that are open, asked or not."""

    def __init__(self) -> None:
        self.connections = 0
        self.drop = False
        self._open: list[asyncio.StreamWriter] = []

    def say(self, data: bytes) -> None:
        for writer in self._open:
            writer.write(data)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.append(writer)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                if self.drop:
                    self.drop = False
                    break
                self._answer(writer, stream=body["stream"])
                if "connection: close" in head:
                    break
        except asyncio.IncompleteReadError:
            pass
        self._open.remove(writer)
        writer.close()

    def _answer(self, writer: asyncio.StreamWriter, *, stream: bool) -> None:
        choice = {"index": 0, "text": "hi", "finish_reason": "stop"}
        data = json.dumps({"id": "cmpl-1", "choices": [choice]}).encode()
        if stream:
            data = b"data: " + data + b"\n\ndata: [DONE]\n\n"
        kind = b"text/event-stream" if stream else b"application/json"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind)
        writer.write(b"\r\nContent-Length: %d\r\n\r\n" % len(data) + data)


Ask = Callable[[], Awaitable[Request]]


def run(
    connections: Literal["fresh", "reuse"],
    script: Callable[[Keeping, Ask], Awaitable[None]],
    *,
    stream: bool = True,
) -> Keeping:
    async def go() -> Keeping:
        server, issue = Keeping(), Issuer()
        listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        plan = LoadPlan.of(
            "c", Workload(connections=connections, stream=stream), url=url, model="m"
        )
        async with Client(origin=time.monotonic(), headers={}, issued=issue) as client:

            async def ask() -> Request:
                call = plan.call(Prompt("hi"), issue(), time.monotonic())
                return (await client.send(Flight(call)))[0]

            await script(server, ask)
        listening.close()
        await listening.wait_closed()
        return server

    return asyncio.run(go())


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("connections", "made"), [("fresh", 5), ("reuse", 1)])
def test_one_after_the_other(
    connections: Literal["fresh", "reuse"], made: int, stream: bool
) -> None:
    async def script(server: Keeping, ask: Ask) -> None:
        for _ in range(5):
            assert (await ask()).outcome == "ok"

    assert run(connections, script, stream=stream).connections == made


def test_no_request_waits_for_a_connection() -> None:
    async def script(server: Keeping, ask: Ask) -> None:
        await asyncio.gather(*(ask() for _ in range(5)))

    assert run("reuse", script).connections == 5


def test_a_kept_connection_that_dies_is_a_reset_and_the_next_request_makes_a_new_one() -> None:
    async def script(server: Keeping, ask: Ask) -> None:
        assert (await ask()).outcome == "ok"
        server.drop = True
        broken = await ask()
        assert (broken.outcome, broken.first_byte) == ("reset", None)
        assert (await ask()).outcome == "ok"

    assert run("reuse", script).connections == 2


TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("unasked", [TOO_LATE, TOO_LATE + TOO_LATE, TOO_LATE[:20], b"\r\n"])
def test_what_comes_on_idle_connections_answers_no_request(
    monkeypatch: pytest.MonkeyPatch, unasked: bytes
) -> None:
    reads: asyncio.Queue[int] = asyncio.Queue()
    receive = Handler.data_received

    def counted(self: Handler, data: bytes) -> None:
        receive(self, data)
        reads.put_nowait(len(data))

    async def script(server: Keeping, ask: Ask) -> None:
        await asyncio.gather(*(ask() for _ in range(3)))
        assert server.connections == 3
        monkeypatch.setattr(Handler, "data_received", counted)
        server.say(unasked)
        come = 0
        while come < 3 * len(unasked):
            come += await reads.get()
        answered = await ask()
        assert (answered.outcome, answered.status) == ("ok", 200)
        assert server.connections == 4
        assert (await ask()).outcome == "ok"

    assert run("reuse", script).connections == 4
