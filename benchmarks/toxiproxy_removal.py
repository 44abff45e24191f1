"""How often does Toxiproxy hang when a toxic is removed right after its clients died?

``PYTHONPATH=src:. python benchmarks/toxiproxy_removal.py [ROUNDS]``: four clients stream through a
proxy with 300 ms of latency; their process is killed, and the toxic is removed at once. Printed:
how many removals took over two seconds when nobody guards them, and what vqchaos's own removal
takes and does. A chunk that waits for a dead client costs the server 5 s each, with its lock held.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from tests.fakes import free_port

from vqchaos.stack.local.toxiproxy_install import find_toxiproxy
from vqchaos.stack.protocols import Toxic
from vqchaos.stack.toxiproxy import ToxiproxyControl

TOXIC = Toxic("late", "latency", "downstream", 1.0, {"latency": 300, "jitter": 0})
CLIENTS = """
import http.client, sys, threading, time
def client(wait):
    time.sleep(wait)
    while True:
        try:
            link = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=2)
            link.request("GET", "/")
            link.getresponse().read()
        except OSError:
            time.sleep(0.01)
for n in range(4):
    threading.Thread(target=client, args=(n * 0.02,)).start()
"""


class Lines:
    def step(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")

    detail = step


async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Eight chunks, 5 ms apart, for each request."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(8):
                writer.write(b"5\r\nhello\r\n")
                await asyncio.sleep(0.005)
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    writer.close()


def serve(port: int) -> None:
    async def main() -> None:
        await (await asyncio.start_server(stream, "127.0.0.1", port)).serve_forever()

    threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()


@contextlib.contextmanager
def toxiproxy(upstream: int) -> Iterator[tuple[ToxiproxyControl, int, int]]:
    """Control, the API's port, the proxy's port; fresh for each round."""
    api, port = free_port(), free_port()
    binary = find_toxiproxy(Lines())
    process = subprocess.Popen(
        [binary, "-host", "127.0.0.1", "-port", str(api)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        control = ToxiproxyControl(f"http://127.0.0.1:{api}", "llm", f"http://127.0.0.1:{port}")
        control.wait_ready(10)
        control.ensure_proxy(f"127.0.0.1:{port}", f"127.0.0.1:{upstream}")
        yield control, api, port
    finally:
        process.kill()
        process.wait()


def plain(api: int) -> str:
    """The API alone, with two seconds of patience."""
    link = http.client.HTTPConnection("127.0.0.1", api, timeout=2)
    try:
        link.request("DELETE", f"/proxies/llm/toxics/{TOXIC.name}")
        link.getresponse().read()
    except TimeoutError:
        return "hung"
    return "removed"


def one_round(upstream: int, *, guarded: bool) -> tuple[str, float]:
    with toxiproxy(upstream) as (control, api, port):
        control.add(TOXIC)
        clients = subprocess.Popen([sys.executable, "-c", CLIENTS, str(port)])
        time.sleep(0.6)  # every client has an answer under way
        clients.kill()
        clients.wait()
        remove: Callable[[], str] = lambda: control.remove(TOXIC.name)  # noqa: E731
        began = time.monotonic()
        how = remove() if guarded else plain(api)
        return how, time.monotonic() - began


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    upstream = free_port()
    serve(upstream)
    for guarded in (False, True):
        done = [one_round(upstream, guarded=guarded) for _ in range(rounds)]
        times = [took for _, took in done]
        print(
            json.dumps(
                {
                    "removal": "vqchaos" if guarded else "plain",
                    "rounds": rounds,
                    "how": Counter(how for how, _ in done),
                    "median_s": round(statistics.median(times), 3),
                    "worst_s": round(max(times), 3),
                }
            )
        )


if __name__ == "__main__":
    main()
