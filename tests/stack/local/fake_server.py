"""A server that behaves, or misbehaves, as its environment says. Run as a program by the tests.

FAKE_EXIT=N       exit with N once FAKE_AFTER seconds (default 0) have passed
FAKE_IGNORE_TERM  SIGTERM does nothing
FAKE_CHILDREN     an engine core and a tracker in the group, which outlive the server
FAKE_SHM=NAME     the engine core makes and maps /dev/shm/NAME, and a file in TMPDIR
FAKE_SAY=TEXT     print it first
Otherwise: answer /health and /v1/completions on the --port given, until SIGTERM (exit code 0).
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import time

ENGINE = """
import mmap, os, sys, time
name = os.environ.get("FAKE_SHM")
if name:
    fd = os.open("/dev/shm/" + name, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, 4096)
    held = mmap.mmap(fd, 4096)
    os.close(fd)
    open(os.path.join(os.environ["TMPDIR"], "vllm_dist_fake"), "w").close()
print("engine is up", flush=True)
time.sleep(600)
"""
TRACKER = "import time\n# multiprocessing.resource_tracker\ntime.sleep(600)"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"choices": [{"text": " a"}], "usage": {"completion_tokens": 1}})

    def _answer(self, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


def child(title: str, code: str) -> None:
    subprocess.Popen([title, "-c", code], executable=sys.executable)


def main() -> None:
    if "FAKE_IGNORE_TERM" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    sys.stdout.write(os.environ.get("FAKE_SAY", "starting") + "\n")
    sys.stdout.flush()
    if "FAKE_CHILDREN" in os.environ:
        child("VLLM::EngineCore", ENGINE)
        child("tracker", TRACKER)
    if "FAKE_EXIT" in os.environ:
        time.sleep(float(os.environ.get("FAKE_AFTER", "0")))
        sys.stdout.flush()
        os._exit(int(os.environ["FAKE_EXIT"]))
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
