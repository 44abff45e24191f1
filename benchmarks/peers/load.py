"""How honest is the load? vqchaos beside Locust and aiperf, on the same server, in one run.

    python -m benchmarks.peers.load --locust PATH --aiperf PATH [--seconds 20] [--rates 25,100,400]
        [--throughput]

The tools take turns at each rate, with a fresh connection for each request (``fresh``, vqchaos's
default) and with kept ones (``reuse``, the others'). *Arrival* is measured by the server alone: how
long after its place on an even grid of the wished rate a request came in (p50 / p99); *TTFT error*
is what the tool calls the time to the first token less the server's own; *lag* what the tool says
of its own lateness. CPU is that of the tool's processes for each request, memory their resident
peak.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from benchmarks.peers import tools
from benchmarks.peers.tools import Told, Tool

GAP = 0.005


class Meter:
    """CPU seconds and resident peak of a process and its children, four times a second."""

    def __init__(self) -> None:
        self.cpu: dict[int, float] = {}
        self.peak = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, pid: int) -> None:
        self._thread = threading.Thread(target=self._look, args=(pid,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self, pid: int) -> None:
        while not self._stop.wait(0.25):
            with suppress(psutil.Error):
                root = psutil.Process(pid)
                resident = 0
                for process in [root, *root.children(recursive=True)]:
                    with suppress(psutil.Error):
                        times = process.cpu_times()
                        self.cpu[process.pid] = times.user + times.system
                        resident += process.memory_info().rss
                self.peak = max(self.peak, resident)


def measure(tool: Tool, rate: float, seconds: float) -> dict[str, Any]:
    """One tool at one rate against a fresh server; times in ms."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.stamping_server", str(GAP)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(server.stdout.readline())}"
    meter = Meter()
    try:
        told = tool.run(url, rate, seconds, meter.watch)
    finally:
        meter.end()
        out, _ = server.communicate()
    stamps = [json.loads(line) for line in out.splitlines()]
    return figures(tool.name, rate, seconds, told, stamps, meter)


def figures(
    name: str,
    rate: float,
    seconds: float,
    told: Told,
    stamps: Sequence[dict[str, Any]],
    meter: Meter,
) -> dict[str, Any]:
    mine = [s for s in stamps if s["id"] in told.ttft and s["first"] is not None]
    arrived = sorted(s["received"] for s in mine)
    grid = [moment - n / rate for n, moment in enumerate(arrived)]
    begin = min(grid, default=0.0)
    errors = [told.ttft[s["id"]] - (s["first"] - s["received"]) for s in mine]
    return {
        "tool": name,
        "rate": rate,
        "asked": int(rate * seconds),
        "done": len(mine),
        "arrival": spread([g - begin for g in grid]),
        "ttft_error": spread(errors),
        "lag": spread(told.lag),
        "cpu_ms": sum(meter.cpu.values()) / max(1, len(mine)) * 1000,
        "memory_mb": meter.peak / 2**20,
    }


def spread(values: Sequence[float]) -> tuple[float, float] | None:
    """p50 and p99 in ms; None of fewer than 100 values, which have no p99."""
    ordered = sorted(values)
    if len(ordered) < 100:
        return None
    return (ordered[len(ordered) // 2] * 1000, ordered[int(0.99 * len(ordered))] * 1000)


def row(found: dict[str, Any]) -> str:
    def pair(key: str) -> str:
        value = found[key]
        return "-" if value is None else f"{value[0]:.2f} / {value[1]:.2f}"

    cells = [
        f"{found['rate']:.0f}",
        found["tool"],
        f"{found['done']} of {found['asked']}",
        pair("arrival"),
        pair("ttft_error"),
        pair("lag"),
        f"{found['cpu_ms']:.1f}",
        f"{found['memory_mb']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--locust", type=Path, required=True)
    parser.add_argument("--aiperf", type=Path, required=True)
    parser.add_argument("--throughput", action="store_true", help="Locust as documented, too")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rates", default="25,100,400")
    options = parser.parse_args()
    peers = [
        tools.vqchaos("fresh"),
        tools.locust(options.locust, "open", "fresh"),
        tools.aiperf(options.aiperf, "fresh"),
        tools.vqchaos("reuse"),
        tools.locust(options.locust, "open"),
        tools.aiperf(options.aiperf),
    ]
    if options.throughput:
        peers.append(tools.locust(options.locust, "throughput"))
    print(f"load of the machine before: {os.getloadavg()[0]:.2f}, cores: {os.cpu_count()}\n")
    print("| streams/s | tool | done | arrival ms | TTFT error ms | own lag ms | CPU ms | MB |")
    print("|---|---|---|---|---|---|---|---|")
    for rate in (float(text) for text in options.rates.split(",")):
        for tool in peers:
            try:
                print(row(measure(tool, rate, options.seconds)), flush=True)
            except RuntimeError as error:
                print(f"| {rate:.0f} | {tool.name} | failed: {error} | | | | | |", flush=True)


if __name__ == "__main__":
    main()
