"""What a run costs beyond what its experiment asks for.

    .venv/bin/python benchmarks/run_overhead.py [EXPERIMENT] [--stack FILE]

Runs the experiment (default: experiments/latency.yaml) on a stack that is up, and takes from the
command's wall time the phases, the quiet canaries and the wait for requests in flight; what is left
is vqchaos's own: start, validation, preflight, observer, verdict and report.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vqchaos.history.events import CANARY, PhaseEnded, PhaseStarted, Request, RunEnded
from vqchaos.history.store import read

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", nargs="?", default=str(EXPERIMENTS / "latency.yaml"))
    parser.add_argument("--stack", help="as of `vqchaos run`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        words = [sys.executable, "-m", "vqchaos", "run", options.experiment, "--out", out, "--json"]
        words += ["--stack", options.stack] if options.stack else []
        began = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        wall = time.perf_counter() - began
        if not done.stdout.strip():
            sys.exit(done.stderr)
        verdict = json.loads(done.stdout.splitlines()[0])
        events = read(Path(out) / verdict["run"] / "history.jsonl")
    starts = {e.phase: e.t for e in events if isinstance(e, PhaseStarted)}
    ends = {e.phase: e.t for e in events if isinstance(e, PhaseEnded)}
    phases = {name: ends[name] - start for name, start in starts.items()}
    ended = next(e.t for e in events if isinstance(e, RunEnded))
    # A quiet canary lies between two phases, or between the last phase and the run's end: from the
    # end of the phase before it, over the wait for requests in flight, to its last answer.
    edges = [*sorted(starts.values()), ended]
    quiet = 0.0
    for phase_end in ends.values():
        limit = next(edge for edge in edges if edge >= phase_end)
        answers = [
            e.ended
            for e in events
            if isinstance(e, Request) and e.workload == CANARY and phase_end <= e.ended <= limit
        ]
        quiet += max(answers, default=phase_end) - phase_end
    for name, seconds in phases.items():
        print(f"{name:<28} {seconds:8.2f} s")
    print(f"{'canaries and drain':<28} {quiet:8.2f} s")
    print(f"{'wall time of the command':<28} {wall:8.2f} s")
    print(f"{'overhead of vqchaos':<28} {wall - sum(phases.values()) - quiet:8.2f} s")
    print(f"{'verdict':<28} {verdict['verdict']}")


if __name__ == "__main__":
    main()
