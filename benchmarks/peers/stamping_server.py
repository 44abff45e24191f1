"""A server of streams that says when it was asked and when it wrote its first token.

    python -m benchmarks.peers.stamping_server GAP

Speaks the completions and chat API over aiohttp's own HTTP, so that no load generator is favoured:
streams of ``max_tokens`` words (8 if not asked for), ``gap`` seconds apart. Prints its port; at
the end of its input a JSON object for each request: its ``X-Request-Id``, and ``received`` and
``first`` in seconds of this machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from aiohttp import web

WORDS = (" five", ",", " six", ",", " seven", ",", " eight", ".")


class Stamping:
    """The server's two handlers and what they saw."""

    def __init__(self, gap: float) -> None:
        self.gap = gap
        self.seen: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        stamp = {
            "id": request.headers.get("X-Request-Id", ""),
            "received": time.monotonic(),
            "first": None,
        }
        self.seen.append(stamp)
        asked = await request.json()
        count = int(asked.get("max_tokens") or asked.get("max_completion_tokens") or 8)
        chat = "messages" in asked
        kind = "chat.completion.chunk" if chat else "text_completion"
        head = {"id": f"cmpl-{stamp['id']}", "object": kind, "created": 1, "model": "m"}
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await answer.prepare(request)
        for n in range(count):
            await asyncio.sleep(self.gap)
            word = WORDS[n % len(WORDS)]
            last = "length" if n == count - 1 else None
            said = {"delta": {"content": word}} if chat else {"text": word}
            choice = {"index": 0, "finish_reason": last, **said}
            await answer.write(event({**head, "choices": [choice]}))
            if stamp["first"] is None:
                stamp["first"] = time.monotonic()
        usage = {"prompt_tokens": 8, "completion_tokens": count, "total_tokens": 8 + count}
        await answer.write(event({**head, "choices": [], "usage": usage}))
        await answer.write(b"data: [DONE]\n\n")
        await answer.write_eof()
        return answer

    async def other(self, request: web.Request) -> web.Response:
        """Health, metrics, models: what a load generator may look at before it begins."""
        if request.path == "/v1/models":
            return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})
        return web.Response(text="vllm:iteration_tokens_total_count 7.0\n")


def event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


async def serve(gap: float) -> None:
    stamping = Stamping(gap)
    app = web.Application()
    app.router.add_post("/v1/completions", stamping.answer)
    app.router.add_post("/v1/chat/completions", stamping.answer)
    app.router.add_route("*", "/{path:.*}", stamping.other)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for stamp in stamping.seen:
        print(json.dumps(stamp))
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
