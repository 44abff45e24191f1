"""A small Toxiproxy in this process: its HTTP API over a dictionary, misbehaving on demand.

``hang`` holds requests whose "METHOD path" matches until the server closes; ``fail`` answers 500;
``drip`` answers a byte at a time, for ever.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

_ATTRIBUTES = {"latency": ("latency", "jitter"), "noop": (), "bandwidth": ("rate",)}


class FakeToxiproxy:
    """``with FakeToxiproxy() as toxiproxy: …``; ``url`` is its API's."""

    def __init__(self) -> None:
        self.proxies: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.hang = self.fail = self.drip = self.wrong = ""
        self.says = "bind: address already in use"  # of a failure
        self.alters: dict[str, int] = {}  # attributes that it stores otherwise than asked
        self.closing = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def _handle(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                fake._answer(self, body)

            do_GET = do_POST = do_DELETE = _handle  # noqa: N815 - the names of the library

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def __enter__(self) -> FakeToxiproxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        what = f"{handler.command} {handler.path}"
        self.requests.append(what)
        if self.hang and re.search(self.hang, what):
            self.closing.wait(10)
            return
        if self.fail and re.search(self.fail, what):
            self._send(handler, 500, f'{{"error": "{self.says}", "status": 500}}')  # not escaped
            return
        if self.drip and re.search(self.drip, what):
            self._drip(handler)
            return
        if self.wrong:
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(self.wrong.encode())
            return
        self._send(handler, *self._api(handler.command, unquote(handler.path), body))

    def _drip(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not self.closing.wait(0.02):
                handler.wfile.write(b" ")
        except OSError:
            return

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, status: int, data: Any) -> None:
        said = data if isinstance(data, str) else json.dumps(data)
        text = said.encode() if status != 204 else b""
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def _api(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/version":
            return 200, {"version": "2.12.0"}
        if path == "/proxies":
            if method == "GET":
                return 200, self.proxies
            proxy = {"listen": "127.0.0.1:0", "enabled": True, "toxics": [], **body}
            self.proxies[body["name"]] = proxy
            return 201, proxy
        words = path.split("/")
        proxy = self.proxies.get(words[2], {}) if len(words) > 2 else {}
        if words[1] != "proxies" or not proxy:
            return 404, {"error": "proxy not found", "status": 404}
        if len(words) == 3 and method == "DELETE":
            return 204, self.proxies.pop(words[2])
        if len(words) == 3:
            proxy.update(body)
            return 200, proxy
        toxics: list[dict[str, Any]] = proxy["toxics"]
        if len(words) == 4 and method == "GET":
            return 200, toxics
        if len(words) == 4:
            if any(t["name"] == body["name"] for t in toxics):
                return 409, {"error": "toxic already exists", "status": 409}
            if body["type"] not in _ATTRIBUTES:
                return 400, {"error": "invalid toxic type", "status": 400}
            known = _ATTRIBUTES[body["type"]]
            stored = {k: self.alters.get(k, body["attributes"].get(k, 0)) for k in known}
            toxics.append({**body, "attributes": stored})
            return 200, toxics[-1]
        left = [t for t in toxics if t["name"] != words[4]]
        if len(left) == len(toxics):
            return 404, {"error": "toxic not found", "status": 404}
        toxics[:] = left
        return 204, None
