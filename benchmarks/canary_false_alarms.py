"""Does the canary ever cry wolf? N canaries in quiet and N/4 under load, on a healthy stack.

    .venv/bin/python benchmarks/canary_false_alarms.py [N] [--stack local] [--rate 4]

The stack is up and nobody else uses it. Canaries are asked by the observer process of a run, with
the golden answers, and judged as a run judges them, against golden and against the first answers:
in quiet exactly, under load (Poisson arrivals at RATE a second) by the log-probability gap. Under
load counts only a canary that had company: a request of the load overlapped it. Exit code 1 if
anything alarmed or was not answered, or too few canaries had company.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from vqchaos.cli.common import open_named_stack
from vqchaos.history.events import CANARY, LOADED, CanaryProbe, Event, Request
from vqchaos.load.workload import ObserverSettings, Workload
from vqchaos.observer.config import ObserverConfig
from vqchaos.observer.link import ObserverLink
from vqchaos.view.canaries import against_baseline, against_golden

GOLDEN = Path(__file__).resolve().parents[1] / "src" / "vqchaos" / "data" / "demo-golden.json"


def wrong(probe: CanaryProbe, reference: list[CanaryProbe]) -> str:
    """Why it is an alarm; empty if it is none."""
    judged = [against_golden(probe), against_baseline(probe, reference)]
    said = [f"{j.state} against {j.against}: {j.why}" for j in judged if j and j.state != "same"]
    return "; ".join([*said, *probe.garbage])


def in_company(probes: list[CanaryProbe], others: list[Request]) -> list[CanaryProbe]:
    """The canaries asked under load that a request of the load overlapped."""
    spans = [(r.sent, r.ended) for r in list(others) if r.workload == "clients" and r.sent]
    return [
        p
        for p in list(probes)
        if p.moment == LOADED and any(sent < p.t and ended > p.sent for sent, ended in spans)
    ]


def bound(alarms: int, asked: int) -> str:
    """The rule of three: with no alarm among n, the rate is below 3/n (95 %)."""
    return f"95 % upper bound {3 / asked:.2%}" if not alarms and asked else "no bound: it alarmed"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("n", type=int, nargs="?", default=1000, help="canaries in quiet")
    parser.add_argument("--stack", default="local")
    parser.add_argument("--rate", type=float, default=4.0, help="requests a second under load")
    parser.add_argument("--golden", type=Path, default=GOLDEN)
    options = parser.parse_args()
    probes: list[CanaryProbe] = []
    others: list[Request] = []

    def keep(event: Event) -> None:
        if isinstance(event, CanaryProbe):
            probes.append(event)
        elif isinstance(event, Request) and event.workload != CANARY:
            others.append(event)

    config = ObserverConfig(
        origin=time.monotonic(),
        endpoints=open_named_stack(options.stack).endpoints,
        workloads={"clients": Workload(rate=options.rate)},
        settings=ObserverSettings(),
        seed=1,
        golden=options.golden,
    )
    each = len(config.job().canaries)
    with ObserverLink(config, keep) as observer:
        for _ in range(-(-options.n // each)):
            observer.canary("baseline", timeout=60)
        quiet_took = time.monotonic() - config.origin
        observer.start_load()
        limit = time.monotonic() + max(60.0, 2 * quiet_took)
        while len(in_company(probes, others)) < options.n // 4 and time.monotonic() < limit:
            if observer.status.in_flight:
                observer.canary_under_load(timeout=60)
            else:
                time.sleep(0.02)
    took = time.monotonic() - config.origin
    total = 0
    for name, found in (
        ("in quiet", [p for p in probes if p.moment != LOADED]),
        (f"under load ({options.rate:g}/s)", in_company(probes, others)),
    ):
        alarms = [(p, why) for p in found if (why := wrong(p, probes[:each]))]
        for probe, why in alarms[:5]:
            print(f"  {probe.name}: {why}")
        total += len(alarms)
        exact = sum(p.tokens == (p.expected_tokens or p.tokens) for p in found)
        print(
            f"canaries {name}: {len(alarms)} false alarms of {len(found)}; "
            f"{bound(len(alarms), len(found))}; token by token the same: {exact}"
        )
    beside = [r for r in others if r.workload == "clients"]
    alone = sum(p.moment == LOADED for p in probes) - len(in_company(probes, others))
    total += len(in_company(probes, others)) < options.n // 4
    print(f"{len(beside)} requests of the load; {alone} canaries met none of them (not counted)")
    print(f"{quiet_took:.0f} s in quiet, {took:.0f} s in all")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
