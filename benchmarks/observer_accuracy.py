"""How accurate is the observer? Its real process against a scripted server in another one.

    PYTHONPATH=src:. python benchmarks/observer_accuracy.py [SECONDS]

For each rate of streams a second (8 tokens, 5 ms apart): schedule lag (sent after due), receipt lag
(first token at the client after the server wrote it), TTFT error (the client's time to first token
less the server's own), all p50 / p99 in ms; and the observer's CPU time a request.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import psutil

from vqchaos.history.events import Event, LagProbe, Request
from vqchaos.load.workload import ObserverSettings, Workload
from vqchaos.observer.config import ObserverConfig
from vqchaos.observer.link import ObserverLink
from vqchaos.stack.protocols import Endpoints

RATES = (25, 100, 400)


def pair(values: list[float]) -> str:
    ordered = sorted(values)
    p50, p99 = (ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1000 for q in (0.5, 0.99))
    return f"{p50:7.2f} / {p99:6.2f}"


def measure(rate: int, seconds: float) -> None:
    events: list[Event] = []
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.scripted_server", "0.005"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(server.stdout.readline())}"
    origin = time.monotonic()
    config = ObserverConfig(
        origin=origin,
        endpoints=Endpoints(url, url, url, url, "m"),
        workloads={"clients": Workload(rate=rate, max_tokens=8)},
        settings=ObserverSettings(),
        seed=1,
    )
    link = ObserverLink(config, events.append)
    link.start()
    assert link._process is not None  # noqa: SLF001
    process = psutil.Process(link._process.pid)  # noqa: SLF001
    time.sleep(1.0)
    idle_from = process.cpu_times()
    time.sleep(2.0)
    idle = sum(process.cpu_times()[:2]) - sum(idle_from[:2])
    before = process.cpu_times()
    link.start_load()
    time.sleep(seconds)
    link.drain(5)
    used = sum(process.cpu_times()[:2]) - sum(before[:2])
    link.stop()
    out, _ = server.communicate()
    stamps = {s["id"]: s for s in map(json.loads, out.splitlines())}
    sent = [e for e in events if isinstance(e, Request) and e.workload == "clients"]
    good = [e for e in sent if e.outcome == "ok" and e.sent is not None and e.first_token]
    receipt, error = [], []
    for e in good:
        assert e.sent is not None
        assert e.first_token is not None
        server_side = stamps[e.id]
        receipt.append(e.first_token + origin - server_side["first"])
        error.append(e.first_token - e.sent - (server_side["first"] - server_side["received"]))
    lag = [x for e in events if isinstance(e, LagProbe) for x in e.samples]
    due = [e.sent - e.due for e in good if e.sent is not None]
    cpu = (used - idle / 2 * seconds) / max(1, len(good)) * 1000
    print(
        f"{rate:4}/s  ok {len(good)}/{len(sent)}  schedule {pair(due)}  receipt {pair(receipt)}  "
        f"TTFT error {pair(error)}  timers {pair(lag)}  CPU {cpu:.2f} ms a request, probes alone "
        f"{idle / 2 * 100:.1f} % of a core"
    )


if __name__ == "__main__":
    print(f"load of the machine: {os.getloadavg()[0]:.2f}")
    for one in RATES:
        measure(one, float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
