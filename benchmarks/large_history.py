"""Large histories: the CPU time of loading and judging, and the most memory that they need.

    PYTHONPATH=src:. python benchmarks/large_history.py events   # 1,000,000 events
    PYTHONPATH=src:. python benchmarks/large_history.py hours    # 4 hours at 50 requests/s
    PYTHONPATH=src:. python benchmarks/large_history.py various  # as events; unlike answers

``various``: half of the requests of the fault's time fail, which is half of the run, and no two
answers are alike: 1 to 63 tokens came and the server counts 1 to 2000, it says another text to
each, and 1 in 100 held parts of two answers.
Writes the history by a fixed seed, then loads and judges it in a child process, whose peak memory
is that of the kernel (``ru_maxrss``). ``SCALE`` as a second word shrinks it: 0.1.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vqchaos.experiment.model import Experiment
from vqchaos.history.coding import encode
from vqchaos.history.events import (
    PILOT,
    Event,
    FaultInjected,
    FaultRecorded,
    FaultReverted,
    FaultUndone,
    FaultVerified,
    HealthProbe,
    LagProbe,
    MetricsProbe,
    PhaseEnded,
    PhaseStarted,
    ProcessExited,
    ProcessStarted,
    Request,
    RunEnded,
    RunStarted,
)
from vqchaos.history.store import read, uncollected
from vqchaos.judge import judge

CHECKS = [
    {"type": "recovery_time", "max": "120s"},
    {"type": "availability", "min": 0.9, "phase": "all"},
    {"type": "outcomes", "phase": "fault", "forbid": ["hung", "truncated"]},
    {"type": "health_truthful", "within": "5s"},
    {"type": "latency_ratio", "max": 3.0, "phase": "recovery"},
]
WALL = 1_795_000_000.0


def request(
    rng: random.Random, sent: float, workload: str, down: tuple[float, float], *, various: bool
) -> Request:
    n = rng.getrandbits(64)
    facts = {"workload": workload, "id": f"vqc-{n:016x}", "api": "completions", "stream": True}
    due = round(sent - 0.0005, 6)
    if down[0] <= sent < down[1] and (not various or rng.random() < 0.5):
        ended = round(sent + 0.004, 6)
        return Request(
            t=ended, **facts, due=due, sent=sent, first_byte=None, first_token=None, ended=ended,
            deadline=20.0, outcome="refused", detail="connection refused",
        )  # fmt: skip
    first = round(sent + rng.uniform(0.08, 0.2), 6)
    tokens = [first]
    more = rng.randrange(63) if various else 31
    for _ in range(0 if workload == PILOT else more):
        tokens.append(round(tokens[-1] + rng.uniform(0.015, 0.03), 6))
    ended = round(tokens[-1] + 0.0002, 6)
    said = Request(
        t=ended, **facts, due=due, sent=sent, first_byte=first, first_token=first, tokens=tokens,
        ended=ended, deadline=20.0, outcome="ok", status=200, finish_reason="length",
        completion_tokens=len(tokens), excerpt="Unless required by applicable law or agreed to in",
    )  # fmt: skip
    if not various:
        return said
    mixed = f"the id changed from cmpl-{n} to cmpl-{n + 1}" if rng.random() < 0.01 else ""
    return replace(said, completion_tokens=rng.randint(1, 2000), excerpt=f"{n:050d}", mixed=mixed)


def events(seconds: float, rate: float, *, various: bool = False) -> Iterator[Event]:
    """A kill in the middle, 40 s of outage (``various``: a bad time until shortly before the end);
    probes as often as a run has them."""
    rng = random.Random(7)
    hit = seconds / 2
    down = (hit, seconds - 200 if various else hit + 40)
    phases = [("warmup", 0.0, 5.0), ("baseline", 5.0, hit), ("fault", hit, hit + 10),
              ("recovery", hit + 10, seconds - 10), ("settle", seconds - 10, seconds)]  # fmt: skip
    yield RunStarted(
        t=0.0, vqchaos_version="0.1.0", run="large", experiment="large", stack="local", seed=7,
        started_wall=WALL, started_mono=1000.0,
    )  # fmt: skip
    yield ProcessStarted(t=0.05, role="server", pid=100, start_time=WALL - 60)
    fixed: list[Event] = []
    for name, start, end in phases:
        fixed += [PhaseStarted(t=start, phase=name), PhaseEnded(t=end, phase=name)]
    fault = "process_kill"
    fixed += [
        FaultRecorded(
            t=hit - 0.01, fault=fault, kind=fault, entry="large.1", target="engine", held=False
        ),
        FaultInjected(t=hit, fault=fault),
        FaultVerified(t=hit + 0.01, fault=fault, answer="yes"),
        ProcessExited(t=hit + 0.02, role="server", pid=100, exit_code=-9),
        ProcessStarted(t=hit + 20, role="server", pid=200, start_time=WALL + hit + 20),
        FaultReverted(t=hit + 10, fault=fault),
        FaultUndone(t=hit + 10.01, fault=fault, answer="yes"),
    ]
    yield from fixed
    second = 0
    while second < seconds:
        for _ in range(int(rate)):
            yield request(rng, round(second + rng.random(), 6), "clients", down, various=various)
        for n in range(2):
            yield request(rng, round(second + n / 2, 6), PILOT, down, various=various)
        for n in range(4):
            sent = round(second + n / 4, 6)
            refused = down[0] <= sent < down[1]
            yield HealthProbe(
                t=round(sent + 0.003, 6), sent=sent, status=None if refused else 200,
                error="refused" if refused else "",
            )  # fmt: skip
        yield LagProbe(t=float(second), samples=[round(rng.random() / 500, 6) for _ in range(20)])
        values = {"iteration_tokens_total_count": 30.0 * second, "num_requests_running": 3.0}
        yield MetricsProbe(t=float(second), values=values)
        second += 1
    yield RunEnded(t=seconds + 1, how="completed")


def write(path: Path, seconds: float, rate: float, *, various: bool) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as out:
        for event in events(seconds, rate, various=various):
            out.write(json.dumps(encode(event), separators=(",", ":")) + "\n")
            count += 1
    return count


def child(path: Path) -> None:
    model = Experiment.model_validate(
        {
            "name": "large",
            "faults": [{"type": "process_kill", "target": "engine"}],
            "checks": CHECKS,
        }
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.process_time()
    found = read(path)
    loaded = time.process_time()
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with uncollected():
        verdict = judge(found, model)
    done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(found)} events: load {loaded - start:.1f} s, judge {done - loaded:.1f} s; "
        f"peak {held:.0f} MiB loaded, {peak:.0f} MiB judged ({before:.0f} MiB of it the program); "
        f"{verdict.verdict}, recovery {verdict.recovery['recovery_time']} s"
    )


def main(kind: str, scale: float) -> None:
    seconds, rate = (4 * 3600.0, 50.0) if kind == "hours" else (76_923.0, 5.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        count = write(path, int(seconds * scale), rate, various=kind == "various")
        print(f"{count} events, {path.stat().st_size / 2**20:.0f} MiB", flush=True)
        subprocess.run([sys.executable, __file__, "child", str(path)], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "child":
        child(Path(sys.argv[2]))
    else:
        main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
