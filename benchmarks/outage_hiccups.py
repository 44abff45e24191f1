"""Simulated: false outages, and true ones beside a hiccup of the baseline, by two rules.

    python benchmarks/outage_hiccups.py [RUNS]

Half of all requests, and of the pilot's, fail at random for 30 s (a gap between tokens that holds
a failure and is longer than the rule's limit is a false outage); or the baseline waits 1.5 s once,
and an outage of 1.0 to 2.5 s follows. *Plain*: twice the baseline's longest silence. *Now*: as
``recovery/outage.py``, hiccups left out.
"""

from __future__ import annotations

import sys

import numpy as np

SPAN, PILOT, TTFT = 30.0, 0.5, 0.1
Floats = np.ndarray


def tokens(rng: np.random.Generator, rate: float, itl: float, count: int, share: float) -> tuple:
    """(moments of tokens, moments of failures, how many were sent); ``share`` of them serve."""
    clients = np.sort(rng.random(rng.poisson(rate * SPAN)) * SPAN)
    pilots = np.arange(0, SPAN, PILOT)
    sent = np.concatenate((clients, pilots))
    counts = np.concatenate((np.full(len(clients), count), np.ones(len(pilots), int)))
    served = rng.random(len(sent)) < share
    first = sent + TTFT * rng.lognormal(0, 0.3, len(sent))
    moments = [first[i] + np.arange(counts[i]) * itl for i in np.flatnonzero(served)]
    return np.sort(np.concatenate(moments)), sent[~served] + 0.01, len(sent)


def limits(moments: Floats, span: float, sent: int) -> tuple[float, float]:
    silences = np.sort(np.diff(moments[moments < span]))[::-1]
    longest, interval = silences[0], span / sent
    usual = min(longest, max(2 * silences[2], PILOT + TTFT))
    return 2 * max(longest, interval), 2 * max(usual, interval)


def main(runs: int) -> None:
    rng = np.random.default_rng(5)
    print("rate tokens  runs with a false outage, plain / now   seen beside a hiccup, plain / now")
    for rate in (2, 8, 20, 100):
        for count in (1, 8, 32):
            false, seen = np.zeros(2), np.zeros(2)
            for _ in range(runs):
                before, _, sent = tokens(rng, rate, 0.02, count, 1.0)
                after, failed, _ = tokens(rng, rate, 0.02, count, 0.5)
                place = np.searchsorted(after, failed)
                place = place[(place > 0) & (place < len(after))]
                longest = (after[place] - after[place - 1]).max(initial=0)
                false += longest > np.array(limits(before, SPAN, sent))
                late = np.where(before > rng.uniform(5, 25), before + 1.5, before)
                seen += rng.uniform(1.0, 2.5) > np.array(limits(late, SPAN + 1.5, sent))
            share = [f"{value:.0%}" for value in (*false / runs, *seen / runs)]
            print(
                f"{rate:4} {count:6}  {share[0]:>20} / {share[1]:<20} {share[2]:>12} / {share[3]}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
