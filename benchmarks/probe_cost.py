"""What the probes ask of the stack: requests and tokens a second, and their share of the load.

    PYTHONPATH=src:. python benchmarks/probe_cost.py [SECONDS] [RATE]

The observer's real process with its default settings, and with a pilot every 50 ms, against a
scripted server that counts. The quiet canary runs a few times in a run, not each second.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter

from tests.scripted_server import ScriptedServer

from vqchaos.history.events import CanaryProbe, Event, HealthProbe, MetricsProbe, Request
from vqchaos.load.workload import ObserverSettings, Workload
from vqchaos.observer.config import ObserverConfig
from vqchaos.observer.link import ObserverLink
from vqchaos.stack.protocols import Endpoints


def measure(interval: str, seconds: float, rate: float) -> None:
    events: list[Event] = []
    with ScriptedServer(gap=0.002) as server:
        url = server.url
        config = ObserverConfig(
            origin=time.monotonic(),
            endpoints=Endpoints(url, url, url, url + "/metrics", "m"),
            workloads={"clients": Workload(rate=rate)},
            settings=ObserverSettings.model_validate({"pilot_interval": interval}),
            seed=1,
        )
        link = ObserverLink(config, events.append)
        link.start()
        link.start_load()
        time.sleep(seconds)
        link.drain(10)
        ran = time.monotonic() - config.origin
        link.canary("final", 60)
        link.stop()
    counts: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for event in events:
        if isinstance(event, Request):
            counts[event.workload] += 1
            tokens[event.workload] += event.completion_tokens or 0
        elif isinstance(event, HealthProbe):
            counts["health"] += 1
        elif isinstance(event, MetricsProbe):
            counts["metrics"] += 1
    load = counts["clients"]
    print(f"\npilot every {interval}, load {load / ran:.1f} requests/s, {ran:.0f} s")
    for name in ("clients", "pilot", "health", "metrics"):
        print(
            f"  {name:8} {counts[name] / ran:6.2f} requests/s  {tokens[name] / ran:8.2f} tokens/s"
        )
    generated = tokens["clients"] + tokens["pilot"]
    asked = sum(isinstance(e, CanaryProbe) for e in events)
    print(
        f"  pilot: {counts['pilot'] / (load + counts['pilot']):.1%} of the generation requests, "
        f"{tokens['pilot'] / generated:.1%} of the tokens; one quiet canary: {asked} requests, "
        f"{tokens['canary']} tokens"
    )


if __name__ == "__main__":
    print(f"load of the machine: {os.getloadavg()[0]:.2f}")
    given = [float(text) for text in sys.argv[1:]]
    for each in ("500ms", "50ms"):
        measure(each, given[0] if given else 15.0, given[1] if len(given) > 1 else 4.0)
