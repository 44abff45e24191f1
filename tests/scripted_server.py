"""A server on a free port that does to each request what the test scripted.

Speaks just enough HTTP/1.1 by hand, because most behaviours are things that no HTTP library would
do. A request's behaviour is the word in ``{{word}}`` in its prompt, else ``server.behaviour``.

    ok            a whole answer, streamed if asked for
    slow          as ok, half a second between tokens
    reasoning     reasoning deltas before the content; reasoning_content: the older name
    tools         a tool call
    silent        counts a token but sends no text
    hang          accepts and says nothing; hang-after: headers and two tokens, then nothing
    cut           ends the connection inside the stream or body; cut-head: inside the headers
    reset         RST before the first byte; reset-after: RST after two tokens; close: FIN at once
    error-chunk   an error and [DONE] inside the 200
    no-done       a clean end without [DONE]; no-finish: [DONE] without a finish reason
    abort         finish reason abort
    shed          503 with the API's error body; 429; retry-after: HTML 503 with Retry-After
    html-503      a router's page; 400, 500: errors in the API's shape; wrong-code: 500, code 400
    not-found     {"detail": "Not Found"}
    switched      another answer's id after two tokens; twice: the whole answer again after [DONE];
                  resumed: more text after the finish reason
    wrong-id      another request's id; wrong-nonce: another request's text
    page          200 with an HTML page; json: 200 that is not the API's; half-json: cut JSON
    empty         200 without a token; not-http: an answer that is no HTTP
    echo-secret   500 whose message is the request's Authorization header
    hostile       500 whose message is ``server.says``
    garbage       one token repeated; nan: the 400 that vLLM gives for NaN log-probabilities
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

WORDS = [" five", ",", " six", ",", " seven", ",", " eight", "."]
BEHAVIOUR = re.compile(r"\{\{([a-z0-9-]+)\}\}")


@dataclass
class Seen:
    """One generation request as the server saw it; monotonic seconds."""

    id: str
    path: str
    body: dict[str, Any]
    received: float
    first_written: float | None = None
    disconnected: bool = False


@dataclass
class ScriptedServer:
    """Runs in a thread of its own; use as a context manager. ``gap``: seconds between tokens."""

    behaviour: str = "ok"
    says: str = ""
    replica: str = ""  # sent as X-Replica, if any
    health: str = "200"
    gap: float = 0.0
    metrics: str = "vllm:num_requests_running 0.0\nvllm:iteration_tokens_total_count 7.0\n"
    stats: str = ""  # a router's, at /stats;csv
    port: int = 0
    answers: type[Answer] = field(default_factory=lambda: Answer)
    seen: list[Seen] = field(default_factory=list)
    headers_seen: list[dict[str, str]] = field(default_factory=list)

    def __enter__(self) -> ScriptedServer:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.serve())
        self._loop.close()

    async def serve(self) -> None:
        self._stop = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        await self._listen()
        if hasattr(self, "_ready"):
            self._ready.set()
        await self._stop.wait()
        # Connections that were just being accepted get their turn first: CPython 3.11 leaks those
        # that it attaches to a server that was closed meanwhile.
        for _ in range(3):
            await asyncio.sleep(0.002)
            for task in list(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
        self._server.close()
        await self._server.wait_closed()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, backlog=2048, limit=2**22
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve_one(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = await reader.readexactly(1)
        if not start.isalpha():  # a TLS hello
            return
        head = (start + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        received = time.monotonic()
        request, *lines = head.rstrip().split("\r\n")
        method, path, _ = request.split(" ")
        headers = {k.strip().lower(): v.strip() for k, _, v in (x.partition(":") for x in lines)}
        self.headers_seen.append(headers)
        if method == "GET":
            await self._get(path, writer)
            return
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        seen = Seen(headers.get("x-request-id", ""), path, body, received)
        self.seen.append(seen)
        await self.answers(self, seen, headers, reader, writer).do(self.behaviour_of(seen))

    def behaviour_of(self, seen: Seen) -> str:
        body = seen.body
        prompt = body.get("prompt") or " ".join(str(m["content"]) for m in body["messages"])
        scripted = BEHAVIOUR.search(prompt)
        return scripted[1] if scripted else self.behaviour

    async def _get(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/metrics":
            send(writer, 200, self.metrics.encode(), "text/plain")
        elif path == "/stats;csv":
            send(writer, 200, self.stats.encode(), "text/plain")
        elif path == "/version":
            send(writer, 200, b'{"version": "0.32.0"}')
        elif self.health == "hang":
            await asyncio.sleep(3600)
        elif self.health == "reset":
            abort(writer)
        else:
            send(writer, int(self.health), b"")
        await writer.drain()


def send(
    writer: asyncio.StreamWriter,
    status: int,
    body: bytes,
    content_type: str = "application/json",
    extra: str = "",
    *,
    length: int | None = None,
) -> None:
    head = (
        f"HTTP/1.1 {status} Word\r\nContent-Type: {content_type}\r\nConnection: close\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n{extra}\r\n"
    )
    writer.write(head.encode() + body)


def abort(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Answer:
    """One answer to one request."""

    def __init__(
        self,
        server: ScriptedServer,
        seen: Seen,
        headers: dict[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.server = server
        self.seen = seen
        self.headers = headers
        self.reader = reader
        self.writer = writer
        self.chat = seen.path.endswith("/chat/completions")
        self.stream = bool(seen.body.get("stream"))
        self.count = int(seen.body["max_tokens"])
        self.id = seen.id
        self.written = 0  # tokens

    async def do(self, behaviour: str) -> None:
        simple = {
            "shed": lambda: self.error(503, "queue is full"),
            "429": lambda: self.error(429, "slow down"),
            "400": lambda: self.error(400, "max_tokens must be at least 1"),
            "500": lambda: self.error(500, "EngineCore encountered an issue"),
            "nan": lambda: self.error(400, "Out of range float values are not JSON compliant: nan"),
            "wrong-code": lambda: self.error(500, "oops", code=400),
            "retry-after": lambda: self.raw(503, b"<html>", "text/html", "Retry-After: 1\r\n"),
            "html-503": lambda: self.raw(503, b"<html><h1>503</h1>", "text/html"),
            "not-found": lambda: self.raw(404, b'{"detail":"Not Found"}'),
            "page": lambda: self.raw(200, b"<html>hello", "text/html"),
            "json": lambda: self.raw(200, b'{"hello": 1}'),
            "half-json": lambda: self.raw(200, b'{"id": "cm'),
            "reset": lambda: abort(self.writer),
            "close": lambda: None,
            "not-http": lambda: self.writer.write(b"220 mail.example ESMTP\r\n\r\n"),
            "cut-head": lambda: self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Ty"),
            "echo-secret": lambda: self.error(500, self.headers.get("authorization", "")),
            "hostile": lambda: self.error(500, self.server.says),
        }
        if behaviour in simple:
            simple[behaviour]()
        elif behaviour == "hang":
            await self.reader.read()  # until the client gives up
            self.seen.disconnected = True
        elif self.stream and behaviour != "json":
            await self.streamed(behaviour)
        else:
            await self.whole(behaviour)
        if not self.writer.transport.is_closing():
            await self.writer.drain()

    def raw(
        self, status: int, body: bytes, content_type: str = "application/json", extra: str = ""
    ) -> None:
        send(self.writer, status, body, content_type, extra + self.replica())

    def replica(self) -> str:
        name = self.server.replica
        return f"X-Replica: {name}\r\n" if name else ""

    def error(self, status: int, message: str, code: int | None = None) -> None:
        kind = {"message": message, "type": "Error", "param": None, "code": code or status}
        self.raw(status, json.dumps({"error": kind}).encode())

    def words(self, behaviour: str) -> list[str]:
        if behaviour == "garbage":
            return ["!"] * self.count
        if behaviour == "wrong-nonce":
            return [f"[{self.other()}] hello"]
        return [WORDS[n % len(WORDS)] for n in range(self.count)]

    def other(self) -> str:
        return next((s.id for s in self.server.seen if s.id != self.seen.id), "vqc-00000000")

    def identity(self, behaviour: str) -> str:
        own = self.other() if behaviour == "wrong-id" else self.id
        if behaviour == "switched" and self.written > 2:
            own += "-b"
        return ("chatcmpl-" if self.chat else "cmpl-") + own

    async def whole(self, behaviour: str) -> None:
        await asyncio.sleep(self.server.gap * self.count)
        words = self.words(behaviour)
        finish = {"abort": "abort", "no-finish": None, "tools": "tool_calls"}.get(
            behaviour, "length"
        )
        text = "" if behaviour in ("empty", "silent", "tools") else "".join(words)
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
        ids = list(range(100, 100 + len(words)))
        values = [-0.01 * (n + 1) for n in range(len(words))]
        if behaviour == "garbage":
            ids, values = [0] * len(words), [-7.6246] * len(words)
        if self.seen.body.get("return_token_ids"):
            choice["token_ids"] = ids
        if self.chat:
            message: dict[str, Any] = {"role": "assistant", "content": text, "reasoning": None}
            if behaviour == "tools":
                call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
                message = {"role": "assistant", "content": None, "tool_calls": [call]}
            choice["message"] = message
            choice["logprobs"] = {"content": [{"token": "", "logprob": v} for v in values]}
        else:
            choice["text"] = text
            choice["logprobs"] = {"token_logprobs": values}
        usage = {"completion_tokens": 0 if behaviour == "empty" else self.count}
        answer = {"id": self.identity(behaviour), "choices": [choice], "usage": usage}
        data = json.dumps(answer).encode()
        self.seen.first_written = time.monotonic()
        if behaviour in ("cut", "hang-after", "reset-after"):
            send(self.writer, 200, data[:40], extra=self.replica(), length=len(data))
            await self.writer.drain()
            if behaviour == "hang-after":
                await self.reader.read()
            elif behaviour == "reset-after":
                abort(self.writer)
        else:
            self.raw(200, data)

    async def streamed(self, behaviour: str) -> None:
        self.writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n"
            + self.replica().encode("latin-1") + b"\r\n"
        )  # fmt: skip
        if self.chat:
            self.delta(behaviour, {"role": "assistant", "content": ""})
        words = [] if behaviour in ("empty", "silent") else self.words(behaviour)
        gap = 0.5 if behaviour == "slow" else self.server.gap
        for n, word in enumerate(words):
            if gap:
                await asyncio.sleep(gap)
            if behaviour in ("cut", "reset-after", "error-chunk", "hang-after") and n == 2:
                await self.writer.drain()
                break
            self.token(behaviour, n, word)
            if self.seen.first_written is None:
                self.seen.first_written = time.monotonic()
        if behaviour == "cut":
            return
        if behaviour == "reset-after":
            await asyncio.sleep(0.05)  # let the tokens arrive before the RST overtakes them
            abort(self.writer)
            return
        if behaviour == "hang-after":
            await self.reader.read()
            return
        if behaviour == "error-chunk":
            self.event({"error": {"message": "EngineCore encountered an issue", "code": 500}})
        else:
            finish = {"abort": "abort", "no-finish": None, "tools": "tool_calls"}.get(
                behaviour, "length"
            )
            last: dict[str, Any] = {"index": 0, "finish_reason": finish}
            last["delta" if self.chat else "text"] = {} if self.chat else ""
            self.event({"id": self.identity(behaviour), "choices": [last]})
            if behaviour == "resumed":
                self.token(behaviour, len(words), " and")
            count = 0 if behaviour == "empty" else self.count
            usage = {"completion_tokens": count}
            self.event({"id": self.identity(behaviour), "choices": [], "usage": usage})
        if behaviour != "no-done":
            self.chunk(b"data: [DONE]\n\n")
        if behaviour == "twice":
            self.token(behaviour, 0, words[0])
            self.chunk(b"data: [DONE]\n\n")
        self.writer.write(b"0\r\n\r\n")

    def token(self, behaviour: str, n: int, word: str) -> None:
        self.written += 1
        if not self.chat:
            choice = {"index": 0, "text": word, "finish_reason": None}
            self.event({"id": self.identity(behaviour), "choices": [choice]})
        elif behaviour in ("reasoning", "reasoning_content", "reasoning-content") and n < 4:
            key = "reasoning" if behaviour == "reasoning" else "reasoning_content"
            self.delta(behaviour, {key: word})
        elif behaviour == "tools":
            self.delta(behaviour, {"tool_calls": [{"index": 0, "function": {"arguments": word}}]})
        else:
            self.delta(behaviour, {"content": word})

    def delta(self, behaviour: str, delta: dict[str, Any]) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        self.event({"id": self.identity(behaviour), "choices": [choice]})

    def event(self, data: dict[str, Any]) -> None:
        self.chunk(b"data: " + json.dumps(data).encode() + b"\n\n")

    def chunk(self, data: bytes) -> None:
        self.writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def main() -> None:
    """For benchmarks: ``python -m tests.scripted_server GAP`` prints its port; on end of input it
    prints what it saw, a JSON object a line."""
    server = ScriptedServer(gap=float(sys.argv[1]))
    with server:
        print(server.port, flush=True)  # noqa: T201
        sys.stdin.read()
        for seen in server.seen:
            stamps = {"id": seen.id, "received": seen.received, "first": seen.first_written}
            print(json.dumps(stamps))  # noqa: T201


if __name__ == "__main__":
    main()
