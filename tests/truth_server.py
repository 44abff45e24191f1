"""A server that does a random one of all behaviours to each request, and keeps what it did.

``TRUTH`` says what each behaviour is, by MEASURE ("A request") and not by the classifier: a pair of
outcomes, streamed and whole; None where the behaviour does not exist in that form. Beside those of
``scripted_server``:

    trickle       a whole answer in small pieces; utf8: the same, with text beyond ASCII
    comments      events with comments, other fields and CR LF
    http10        an HTTP/1.0 answer that the end of the connection ends; http10-cut: not whole
    interim       100 Continue before the answer
    half-event    a clean end inside an event; done-cut: [DONE], but not the end of the body
    reset-late    RST after the finish reason, before [DONE]; reset-head: RST inside the headers
    byte-reset    RST after one byte of the answer; byte-close: FIN
    hang-head     nothing more after the headers; hang-status: after half the status line
    bad-event     an event that is not JSON; no-events: an event stream without one
    error-only    nothing but an error inside the 200; error-cut: an error, then the connection ends
    error-late    an error after all tokens and the finish reason
    filter        finish reason content_filter; two: a second choice that was aborted
    no-usage      no usage; object-error: 500 in the API's old shape
    gateway-503   503 with a word for its code, as gateways and OpenAI itself have it
    500-bare, 502, 504, 503-json: a router's; 204, 201, redirect, no-body: no answer of the API's
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.scripted_server import Answer, ScriptedServer, Seen, abort

TRUTH: dict[str, tuple[str | None, str | None]] = {
    **dict.fromkeys(("ok", "silent", "trickle", "utf8", "http10", "interim"), ("ok", "ok")),
    **dict.fromkeys(
        ("tools", "reasoning", "reasoning-content", "no-usage", "garbage"), ("ok", "ok")
    ),
    **dict.fromkeys(("twice", "resumed", "switched", "comments"), ("ok", None)),
    **dict.fromkeys(("wrong-id", "wrong-nonce"), ("misrouted", "misrouted")),
    "error-chunk": ("stream_error", None),
    "error-only": ("stream_error", "malformed"),
    "error-cut": ("stream_error", None),
    "error-late": ("stream_error", None),
    **dict.fromkeys(("hang", "hang-after", "hang-head", "hang-status"), ("hung", "hung")),
    "slow": ("hung", None),
    **dict.fromkeys(("cut", "cut-head", "reset-after", "reset-head"), ("truncated", "truncated")),
    **dict.fromkeys(
        ("byte-reset", "byte-close", "abort", "no-finish", "filter"), ("truncated", "truncated")
    ),
    "two": ("truncated", "truncated"),
    **dict.fromkeys(("no-done", "half-event", "done-cut", "reset-late"), ("truncated", None)),
    **dict.fromkeys(("no-events", "http10-cut"), ("truncated", None)),
    **dict.fromkeys(("reset", "close"), ("reset", "reset")),
    **dict.fromkeys(("shed", "429", "retry-after"), ("shed", "shed")),
    **dict.fromkeys(("400", "500", "html-503", "not-found", "object-error"), ("error", "error")),
    **dict.fromkeys(
        ("500-bare", "502", "504", "503-json", "nan", "gateway-503"), ("error", "error")
    ),
    **dict.fromkeys(("echo-secret", "hostile"), ("error", "error")),
    **dict.fromkeys(("wrong-code", "page", "json", "half-json"), ("malformed", "malformed")),
    **dict.fromkeys(("empty", "not-http", "204", "201"), ("malformed", "malformed")),
    **dict.fromkeys(("redirect", "no-body"), ("malformed", "malformed")),
    "bad-event": ("malformed", None),
}
_TEXT = [" é", "日本", " 🙂", "\u2028", " ñ"]


def choose(rng: random.Random, *, stream: bool) -> str:
    """One of the behaviours that exist in this form; half of all are plain answers."""
    if rng.random() < 0.3:
        return "ok"
    return rng.choice([name for name, pair in TRUTH.items() if pair[0 if stream else 1]])


def truth(behaviour: str, *, stream: bool) -> str:
    """The outcome that this behaviour is."""
    outcome = TRUTH[behaviour][0 if stream else 1]
    assert outcome is not None
    return outcome


@dataclass
class Deed:
    """What was done to a request; monotonic seconds. ``over``: the server was done with it."""

    id: str
    did: str
    stream: bool
    received: float
    over: float | None = None


class _Pieces:
    """Writes what it gets in pieces of 1 to 30 bytes."""

    def __init__(self, writer: asyncio.StreamWriter, rng: random.Random) -> None:
        self._writer = writer
        self._rng = rng

    def write(self, data: bytes) -> None:
        place = 0
        while place < len(data) and not self._writer.transport.is_closing():
            step = self._rng.randint(1, 30)
            self._writer.write(data[place : place + step])
            place += step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


class TruthAnswer(Answer):
    """The further behaviours."""

    async def do(self, behaviour: str) -> None:
        assert isinstance(self.server, TruthServer)
        deed = self.server.doing.get(self.seen.id)
        try:
            await self._do(behaviour)
        finally:
            if deed is not None:
                deed.over = time.monotonic()

    async def _do(self, behaviour: str) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: " + (
            b"text/event-stream\r\n" if self.stream else b"application/json\r\n"
        )
        page = b"<html><h1>bad</h1>"
        simple = {
            "500-bare": lambda: self.raw(500, b"", "text/plain"),
            "502": lambda: self.raw(502, page, "text/html"),
            "504": lambda: self.raw(504, page, "text/html"),
            "503-json": lambda: self.raw(503, b'{"message": "no replica"}'),
            "object-error": lambda: self.raw(500, b'{"object":"error","message":"x","code":500}'),
            "gateway-503": lambda: self.raw(
                503, b'{"error":{"message":"x","type":"e","param":null,"code":"unavailable"}}'
            ),
            "204": lambda: self.writer.write(b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n"),
            "201": lambda: self.raw(201, b'{"id": "queued"}'),
            "redirect": lambda: self.raw(307, b"", extra="Location: /v1/models\r\n"),
            "no-body": lambda: self.raw(200, b""),
        }
        if behaviour in simple:
            simple[behaviour]()
        elif behaviour in ("hang-head", "hang-status"):
            self.writer.write(head + b"\r\n" if behaviour == "hang-head" else b"HTTP/1.1 2")
            await self.reader.read()
        elif behaviour in ("reset-head", "byte-reset", "byte-close"):
            self.writer.write(head if behaviour == "reset-head" else b"H")
            await self.writer.drain()
            if behaviour != "byte-close":
                abort(self.writer)
        elif behaviour in ("trickle", "utf8", "comments"):
            self.writer = _Pieces(self.writer, random.Random(self.seen.id))  # type: ignore[assignment]
            await super().do(behaviour)
        elif behaviour == "interim":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await super().do("ok")
        elif behaviour in ("http10", "http10-cut", "half-event", "no-events", "error-cut"):
            self._until_close(head, behaviour)
        elif behaviour in ("error-only", "error-late", "bad-event", "filter", "two", "no-usage"):
            self._odd(behaviour)
        elif behaviour in ("done-cut", "reset-late"):
            self._odd(behaviour)
            await self.writer.drain()
            if behaviour == "reset-late":
                abort(self.writer)
        else:
            await super().do(behaviour)

    def words(self, behaviour: str) -> list[str]:
        if behaviour == "utf8":
            return [_TEXT[n % len(_TEXT)] for n in range(self.count)]
        return super().words(behaviour)

    def event(self, data: dict[str, Any]) -> None:
        if isinstance(self.writer, _Pieces) and self.stream:
            text = json.dumps(data, ensure_ascii=False).encode()
            self.chunk(b": ping\r\n\r\nevent: x\r\nid: 7\r\ndata: " + text + b"\r\n\r\n")
        else:
            super().event(data)

    def _choice(self, text: str, finish: str | None, index: int = 0) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "finish_reason": finish}
        part = "delta" if self.stream else "message"
        choice.update({part: {"content": text}} if self.chat else {"text": text})
        return choice

    def _body(self, *choices: dict[str, Any], **more: Any) -> bytes:
        return json.dumps({"id": self.identity(""), "choices": choices, **more}).encode()

    def _until_close(self, head: bytes, behaviour: str) -> None:
        """No length and no chunks: the end of the connection is the end of the answer."""
        send = self.writer.write
        send(head.replace(b"1.1", b"1.0") + b"\r\n")
        if not self.stream:
            send(self._body(self._choice("hi", "stop"), usage={"completion_tokens": 1}))
            return
        if behaviour == "no-events":
            return
        if behaviour == "error-cut":
            send(b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\n')
            return
        send(b"data: " + self._body(self._choice("hi", None)) + b"\n\n")
        last = b"data: " + self._body(self._choice("", "stop"))
        send(last if behaviour == "half-event" else last + b"\n\n")
        if behaviour == "http10":
            send(b"data: [DONE]\n\n")

    def _odd(self, behaviour: str) -> None:
        finish = "content_filter" if behaviour == "filter" else "stop"
        choices = [self._choice("hi", finish)]
        if behaviour == "two":
            choices.append(self._choice("ho", "abort", 1))
        error = {"error": {"message": "EngineCore died", "code": 500}}
        if not self.stream:
            body = json.dumps(error).encode() if behaviour == "error-only" else self._body(*choices)
            self.raw(200, body)
            return
        self.writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        if behaviour != "error-only":
            self.chunk(b"data: " + self._body(*choices) + b"\n\n")
        if behaviour.startswith("error"):
            self.event(error)
        if behaviour == "bad-event":
            self.chunk(b'data: {"id": "cmpl-\n\n')
        if behaviour == "reset-late":
            return
        self.chunk(b"data: [DONE]\n\n")
        if behaviour != "done-cut":
            self.writer.write(b"0\r\n\r\n")


@dataclass
class TruthServer(ScriptedServer):
    """``mode``: a behaviour for all; ``random``, seeded; or ``prompt``: as the prompt says."""

    mode: str = "random"
    seed: int = 1
    answers: type[Answer] = field(default_factory=lambda: TruthAnswer)
    deeds: list[Deed] = field(default_factory=list)
    doing: dict[str, Deed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def behaviour_of(self, seen: Seen) -> str:
        if self.mode == "prompt":
            return super().behaviour_of(seen)
        stream = bool(seen.body.get("stream"))
        did = choose(self._rng, stream=stream) if self.mode == "random" else self.mode
        if did in ("wrong-id", "wrong-nonce") and not self.deeds:
            did = "ok"  # there is no other yet
        self.deeds.append(Deed(seen.id, did, stream, seen.received))
        self.doing[seen.id] = self.deeds[-1]
        return did


def main() -> None:
    """``python -m tests.truth_server SEED``: prints its port; a line of input is a new mode; at the
    end of input it prints what it did, a JSON object a line."""
    server = TruthServer(seed=int(sys.argv[1]))
    with server:
        print(server.port, flush=True)  # noqa: T201
        for line in sys.stdin:
            server.mode = line.strip()
        for deed in server.deeds:
            print(json.dumps(asdict(deed)))  # noqa: T201


if __name__ == "__main__":
    main()
