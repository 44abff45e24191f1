"""Answers as vLLM does, without a model: to try the containers of a stack in seconds.

It goes by vLLM's module name, so that docker-compose.chaos.yml starts it as it starts vLLM.
STAND_IN_START: seconds before the port opens; STAND_IN_GAP: seconds between tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GAP = float(os.environ.get("STAND_IN_GAP", "0.02"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = "stand-in"

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self.whole(b"vllm:num_requests_running 0.0\n", "text/plain")
        elif self.path == "/v1/models":
            self.json({"object": "list", "data": [{"id": self.model, "object": "model"}]})
        elif self.path == "/version":
            self.json({"version": "0.0.0"})
        else:
            self.whole(b"", "text/plain")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        count = int(body.get("max_tokens", 8))
        name = "cmpl-" + self.headers.get("X-Request-Id", "0")
        chat = self.path.endswith("/chat/completions")
        if body.get("stream"):
            self.stream(name, count, chat=chat)
            return
        time.sleep(GAP * count)
        choice: dict[str, Any] = {"index": 0, "finish_reason": "length"}
        text = " word" * count
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        self.json({"id": name, "choices": [choice], "usage": {"completion_tokens": count}})

    def stream(self, name: str, count: int, *, chat: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for n in range(count):
            time.sleep(GAP)
            choice: dict[str, Any] = {"index": 0, "finish_reason": None}
            choice |= {"delta": {"content": " word"}} if chat else {"text": " word"}
            if n == count - 1:
                choice["finish_reason"] = "length"
            self.chunk(json.dumps({"id": name, "choices": [choice]}))
        usage = {"completion_tokens": count}
        self.chunk(json.dumps({"id": name, "choices": [], "usage": usage}))
        self.chunk("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, text: str) -> None:
        data = f"data: {text}\n\n".encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def json(self, data: dict[str, Any]) -> None:
        self.whole(json.dumps(data).encode(), "application/json")

    def whole(self, data: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
        """Not a line for each request."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--served-model-name", default="stand-in")
    known, _ = parser.parse_known_args()  # the rest is for vLLM
    Handler.model = known.served_model_name
    time.sleep(float(os.environ.get("STAND_IN_START", "3")))
    print("stand-in: serving", flush=True)
    Server((known.host, known.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
