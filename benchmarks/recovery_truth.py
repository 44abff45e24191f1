"""Reported times against true ones: the whole pipeline from the observer to recovery.

    PYTHONPATH=src:. python benchmarks/recovery_truth.py [OUTAGES] [RATE ...]

A server in a process of its own goes away and comes back in every way it knows, at random moments
that it says on the monotonic clock. The observer's real process sends load at each rate, a pilot
every 50 ms. From its events `recover` gives the times; printed is reported minus true in ms, median
and the worst (largest either way), for each kind:

    detection     the first impact that clients or the pilot saw - when it went away
    first ok      the first success after that impact - when it was back
    recovered     the first token of the recovered window - when it was back
    outage        the longest silence - how long it was away (`late`: how late its answers were)
    external      `injected_at` of an `external` fault, from evidence alone - when it went away

A hang or a late answer is known only when the request has stalled (a second here): that is in its
detection, and in `external`. A late answer is a success, so `late` has no first ok.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time

from tests.outage_server import KINDS, LATE
from tests.outages import Server, judged

from vqchaos.history.events import Event, LagProbe, Request
from vqchaos.load.workload import ObserverSettings, Workload
from vqchaos.observer.config import ObserverConfig
from vqchaos.observer.link import ObserverLink
from vqchaos.stack.protocols import Endpoints

BASELINE = 5.0
MEASURES = ("detection", "first ok", "recovered", "outage", "external")


def measure(rate: int, outages: int) -> None:
    events: list[Event] = []
    server = Server()
    url = f"http://127.0.0.1:{int(server.line())}"
    origin = time.monotonic()
    config = ObserverConfig(
        origin=origin,
        endpoints=Endpoints(url, url, url, url + "/metrics", "m"),
        workloads={
            "clients": Workload.model_validate({"rate": rate, "max_tokens": 6, "deadline": "2s"})
        },
        settings=ObserverSettings.model_validate({"pilot_interval": "50ms"}),
        seed=1,
        canary=False,
    )
    link = ObserverLink(config, events.append)
    link.start()
    link.start_load()
    time.sleep(2.0)
    start = time.monotonic() - origin
    time.sleep(max(BASELINE, 12 / rate))
    baseline = (start, time.monotonic() - origin)
    link.baseline_over()
    rng = random.Random(rate)
    done: list[tuple[str, float, float, float]] = []
    for _ in range(outages):
        for kind in KINDS:
            time.sleep(0.5 + rng.random() * 0.3)
            away = server.turn(kind) - origin
            time.sleep((2.2 if kind in ("hang", "late") else 1.0) + rng.random() * 0.3)
            back = server.turn("ok") - origin
            time.sleep(2.2)
            done.append((kind, away, back, time.monotonic() - origin))
    time.sleep(2.0)
    link.stop()
    server.close()
    lag = sorted(x for e in events if isinstance(e, LagProbe) for x in e.samples)
    sent = [e for e in events if isinstance(e, Request)]
    pilots = sum(e.workload == "pilot" for e in sent)
    print(
        f"\n{rate} requests/s and the pilot ({pilots} of {len(sent)} requests), {outages} outages "
        f"of each kind; timers late p99 {lag[int(0.99 * len(lag))] * 1000:.1f} ms, "
        f"worst {lag[-1] * 1000:.1f} ms"
    )
    print("          " + "".join(f"{name:>18}" for name in MEASURES) + "   (median / worst, ms)")
    found: dict[str, dict[str, list[float]]] = {k: {m: [] for m in MEASURES} for k in KINDS}
    for kind, away, back, until in done:
        got = judged(events, baseline, away, until, external=False)
        seen = [t for t in (got.detected_at, got.probe_detected_at) if t is not None]
        into = found[kind]
        if not seen or got.recovered_at is None or got.longest_outage is None:
            print(f"  {kind}: not seen or not recovered: {got}")
            continue
        into["detection"].append(min(seen) - away)
        if kind != "late" and got.first_success_at is not None:
            into["first ok"].append(got.first_success_at - back)
        into["recovered"].append(got.recovered_at - back)
        into["outage"].append(got.longest_outage - (LATE if kind == "late" else back - away))
        by_evidence = judged(events, baseline, away, until, external=True).injected_at
        if by_evidence is not None:
            into["external"].append(by_evidence - away)
    for kind, into in found.items():
        print(f"  {kind:8}" + "".join(f"{pair(into[name]):>18}" for name in MEASURES))
    every = {m: [x for into in found.values() for x in into[m]] for m in MEASURES}
    print(f"  {'all':8}" + "".join(f"{pair(every[name]):>18}" for name in MEASURES))


def pair(values: list[float]) -> str:
    if not values:
        return "-"
    worst = max(values, key=abs)
    return f"{statistics.median(values) * 1000:.0f} / {worst * 1000:.0f}"


if __name__ == "__main__":
    print(f"load of the machine: {os.getloadavg()[0]:.2f}")
    numbers = [int(text) for text in sys.argv[1:]]
    for one in numbers[1:] or (2, 20, 100):
        measure(one, numbers[0] if numbers else 5)
