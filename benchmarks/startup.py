"""How long `vqchaos --version`, `--help` and `validate` take beside Chaos Toolkit's `--version`.

    .venv/bin/python benchmarks/startup.py --chaos PATH_OF_CHAOS [--runs 20]

Chaos Toolkit goes into an environment of its own: `python3 -m venv ctk && ctk/bin/pip install
chaostoolkit`, then `--chaos ctk/bin/chaos`. The commands take turns, so that other load on the
machine meets all of them; medians, and ratios to `chaos --version`. Each is measured as it is
installed and with PYTHONDONTWRITEBYTECODE set.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

VQCHAOS = str(Path(sys.executable).with_name("vqchaos"))
EXPERIMENT = str(Path(__file__).resolve().parents[1] / "experiments" / "latency.yaml")


def timed(words: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, env=env, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chaos", required=True, help="the chaos command of Chaos Toolkit")
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    commands = {
        "chaos --version": [options.chaos, "--version"],
        "vqchaos --version": [VQCHAOS, "--version"],
        "vqchaos --help": [VQCHAOS, "--help"],
        "vqchaos validate": [VQCHAOS, "validate", EXPERIMENT],
    }
    plain = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    print(f"{'command':<20} {'bytecode':<10} {'median ms':>9} {'ratio':>6}")
    for label, env in (
        ("allowed", plain),
        ("forbidden", {**plain, "PYTHONDONTWRITEBYTECODE": "1"}),
    ):
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.runs):
            for name, words in commands.items():
                times[name].append(timed(words, env))
        peer = statistics.median(times["chaos --version"])
        for name, seen in times.items():
            median = statistics.median(seen)
            print(f"{name:<20} {label:<10} {median * 1000:>9.0f} {median / peer:>6.2f}")


if __name__ == "__main__":
    main()
